// Messages: what is sent comes back, what is damaged is refused by field and offset.

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <bit>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "client/protocol/handshake.h"
#include "client/protocol/query.h"
#include "client/protocol/write.h"

namespace nexus::protocol {
namespace {

template <typename Message>
std::string Encoded(const Message& message) {
  std::string body;
  Encode(message, &body);
  return body;
}

// Each prefix of the body and the body with a byte more are refused, and say what of.
template <typename Decode>
void ExpectOnlyWhole(const std::string& body, std::string_view name, Decode decode) {
  ASSERT_TRUE(decode(AsBytes(body)).ok()) << decode(AsBytes(body)).status();
  for (size_t size = 0; size < body.size(); size++) {
    Status status = decode(AsBytes(std::string_view(body).substr(0, size))).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << name << " cut at " << size << ": " << status;
    EXPECT_EQ(FromAbsl(status.message()).substr(0, name.size() + 2), std::string(name) + ": ");
  }
  EXPECT_FALSE(decode(AsBytes(body + '\0')).ok()) << name;
}

template <typename T>
std::string With(std::string body, size_t offset, T value) {
  std::memcpy(body.data() + offset, &value, sizeof(value));
  return body;
}

template <typename T>
std::string Error(const StatusOr<T>& decoded) {
  return std::string(FromAbsl(decoded.status().message()));
}

TEST(Messages, OnlyWholeOnesAreTaken) {
  ExpectOnlyWhole(Encoded(Hello{0, {1, 2, 3}, {4, 5}, "c"}), "HELLO", DecodeHello);
  ExpectOnlyWhole(Encoded(Welcome{0, {1, 2, 3}, {4, 5}, {}, "s"}), "WELCOME", DecodeWelcome);
  ExpectOnlyWhole(Encoded(OpenTarget{"a", "b"}), "OPEN_TARGET", DecodeOpenTarget);
  ExpectOnlyWhole(Encoded(OpenProducer{1, 2, 3}), "OPEN_PRODUCER", DecodeOpenProducer);
  ExpectOnlyWhole(Encoded(Producer{1, 2}), "PRODUCER", DecodeProducer);
  ExpectOnlyWhole(Encoded(WriteAck{{9}, true, 8, {{1, 2}, {1000, 5}}, {}}), "WRITE_ACK",
                  DecodeWriteAck);
  ExpectOnlyWhole(Encoded(WriteAck{{9}, false, 8, {{1, 2}}, "too old"}), "WRITE_ACK",
                  DecodeWriteAck);
  ExpectOnlyWhole(Encoded(Query{QueryKind::kAggregate,
                                Function::kPercentile,
                                true,
                                1,
                                {2, 3},
                                4,
                                99.9,
                                "up",
                                {"a", "b"},
                                "before"}),
                  "QUERY", DecodeQuery);
  ExpectOnlyWhole(Encoded(LabelsQuery{"job", "up"}), "LABELS", DecodeLabels);
  ExpectOnlyWhole(Encoded(SeriesQuery{10, "up"}), "SERIES", DecodeSeries);
  ExpectOnlyWhole(Encoded(ResultEnd{1, 2, 3, 4, 5, 6}), "RESULT_END", DecodeResultEnd);
  ExpectOnlyWhole(Encoded(Credit{1, 2}), "CREDIT", DecodeCredit);
  std::string cancel;
  EncodeCancel(77, &cancel);
  ExpectOnlyWhole(cancel, "CANCEL", DecodeCancel);
  ErrorReply error;
  error.code = absl::StatusCode::kOutOfRange;
  error.message = "expected 7";
  error.rejected = {{1, 1}};
  ExpectOnlyWhole(Encoded(error), "ERROR", DecodeError);
  std::string stats;
  Encode(std::vector<Stat>{{"a", uint64_t{1}}, {"b", 0.5}, {"c", "text"}}, &stats);
  ExpectOnlyWhole(stats, "STATS_REPLY", DecodeStats);
}

TEST(Messages, EachBadFieldIsNamed) {
  std::string hello = Encoded(Hello{0, {}, {}, "c"});
  EXPECT_EQ(Error(DecodeHello(AsBytes(With(hello, 4, uint32_t{1})))),
            "HELLO: reserved at byte 4 of the body is not zero");
  EXPECT_EQ(Error(DecodeHello(AsBytes(With(hello, 49, '\xff')))),
            "HELLO: client name at byte 48 of the body is not UTF-8");
  EXPECT_EQ(Error(DecodeHello(AsBytes(With(hello, 48, uint8_t{65})))),
            "HELLO: client name at byte 48 of the body is 65, above 64");
  std::string welcome = Encoded(Welcome{});
  EXPECT_EQ(Error(DecodeWelcome(AsBytes(With(welcome, 52, uint32_t{0})))),
            "WELCOME: longest batch at byte 52 of the body is zero");
  EXPECT_EQ(Error(DecodeOpenProducer(AsBytes(Encoded(OpenProducer{0, 0, 1})))),
            "OPEN_PRODUCER: producer at byte 0 of the body is zero");
  std::string ack = Encoded(WriteAck{});
  EXPECT_EQ(Error(DecodeWriteAck(AsBytes(With(ack, 12, uint32_t{4})))),
            "WRITE_ACK: flags at byte 12 of the body has an unknown bit");
  ErrorReply reply;
  std::string error = Encoded(reply);
  EXPECT_EQ(Error(DecodeError(AsBytes(With(error, 0, uint8_t{0})))),
            "ERROR: code at byte 0 of the body is 0, not 1 to 16");
  EXPECT_EQ(Error(DecodeError(AsBytes(With(error, 1, uint8_t{4})))),
            "ERROR: class at byte 1 of the body is 4, not 1 to 3");
  std::string query = Encoded(Query{});
  EXPECT_EQ(Error(DecodeQuery(AsBytes(With(query, 0, uint8_t{0})))),
            "QUERY: kind at byte 0 of the body is unknown");
  EXPECT_EQ(Error(DecodeQuery(AsBytes(With(query, 1, uint8_t{1})))),
            "QUERY: function at byte 1 of the body does not fit the kind");
  EXPECT_EQ(Error(DecodeQuery(AsBytes(With(query, 24, int64_t{1})))),
            "QUERY: step at byte 24 of the body does not fit the kind");
}

TEST(Messages, RangesThatAreNoneAreRefused) {
  std::string ack = Encoded(WriteAck{{9}, true, 8, {{1, 2}}, {}});
  // count, distance, length
  ASSERT_EQ(ack.size(), 19u);
  EXPECT_EQ(Error(DecodeWriteAck(AsBytes(With(ack, 18, uint8_t{0})))),
            "WRITE_ACK: rejected range at byte 17 of the body is empty");
  EXPECT_EQ(Error(DecodeWriteAck(AsBytes(With(ack, 16, uint8_t{2})))),
            "WRITE_ACK: count of rejected ranges at byte 16 of the body is 2, above 1");
  std::string far = Encoded(WriteAck{{9}, true, 8, {{UINT32_MAX - 1, 1}}, {}});
  EXPECT_TRUE(DecodeWriteAck(AsBytes(far)).ok());
  far.back() = 2;
  EXPECT_EQ(Error(DecodeWriteAck(AsBytes(far))),
            "WRITE_ACK: rejected range at byte 17 of the body ends beyond 2^32");
}

TEST(Messages, ACountCannotMakeMemory) {
  // A count of 2^63 in a body of a few bytes.
  std::string huge = "\xff\xff\xff\xff\xff\xff\xff\xff\x7f";
  EXPECT_FALSE(DecodeWriteAck(AsBytes(std::string(16, '\0') + huge)).ok());
  EXPECT_FALSE(DecodeStats(AsBytes(huge)).ok());
  Query query;
  query.selector = "up";
  std::string body = Encoded(query);
  body.pop_back();
  EXPECT_FALSE(DecodeQuery(AsBytes(body + huge)).ok());
}

TEST(Messages, AnErrorKeepsCodeMessageAndClass) {
  ErrorReply error = ToErrorReply(Unavailable("the log failed"));
  EXPECT_EQ(error.error_class, ErrorClass::kRetry);
  StatusOr<ErrorReply> back = DecodeError(AsBytes(Encoded(error)));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(*back, error);
  EXPECT_EQ(ToStatus(*back), Unavailable("the log failed"));
  EXPECT_EQ(ToErrorReply(InvalidArgument("x")).error_class, ErrorClass::kFix);
}

TEST(Messages, ALongErrorIsCutBetweenCharacters) {
  std::string text(kMessageBytesMax - 1, 'x');
  ErrorReply error = ToErrorReply(InvalidArgument("{}\xc3\xa4", text));
  EXPECT_EQ(error.message, text);
  EXPECT_TRUE(DecodeError(AsBytes(Encoded(error))).ok());
}

TEST(Messages, AReasonOfALaterServerIsNone) {
  ErrorReply error;
  error.reason = ErrorReason::kSequenceGap;
  std::string body = Encoded(error);
  EXPECT_EQ(DecodeError(AsBytes(body))->reason, ErrorReason::kSequenceGap);
  EXPECT_EQ(DecodeError(AsBytes(With(body, 2, uint8_t{200})))->reason, ErrorReason::kNone);
}

// ---- Results.

struct Part {
  uint64_t series_index = 0;
  std::string labels;
  std::vector<int64_t> timestamps;
  std::vector<uint64_t> values;
  bool operator==(const Part&) const = default;
};

std::string EncodedParts(const std::vector<Part>& parts) {
  std::string body;
  for (const Part& part : parts) {
    ResultPart view;
    view.series_index = part.series_index;
    view.labels = part.labels;
    view.timestamps = ColumnBytes(std::span(part.timestamps));
    view.values = ColumnBytes(std::span(part.values));
    size_t before = body.size();
    AppendPart(view, &body);
    EXPECT_EQ(body.size() - before, EncodedBytes(view));
  }
  return body;
}

StatusOr<std::vector<Part>> DecodedParts(std::string_view body) {
  std::vector<Part> parts;
  ResultReader reader(AsBytes(body));
  while (true) {
    ResultPart view;
    NEXUS_ASSIGN_OR_RETURN(bool more, reader.Next(&view));
    if (!more) return parts;
    Part part;
    part.series_index = view.series_index;
    part.labels = view.labels;
    for (size_t i = 0; i < view.samples(); i++) {
      part.timestamps.push_back(view.timestamp(i));
      part.values.push_back(std::bit_cast<uint64_t>(view.value(i)));
    }
    parts.push_back(std::move(part));
  }
}

TEST(Results, EveryCutIsRefusedButBetweenParts) {
  std::vector<Part> parts = {{0, "up\xff", {1, 2}, {3, 4}},
                             {1,
                              "a\xff"
                              "b\xfe"
                              "c\xff",
                              {},
                              {}}};
  std::string body = EncodedParts(parts);
  size_t first = EncodedParts({parts[0]}).size();
  for (size_t size = 0; size <= body.size(); size++) {
    StatusOr<std::vector<Part>> decoded = DecodedParts(std::string_view(body).substr(0, size));
    EXPECT_EQ(decoded.ok(), size == 0 || size == first || size == body.size()) << size;
  }
}

TEST(Results, LabelsThatAreNoneAreRefused) {
  std::string body = EncodedParts({{0, "up\xff", {1}, {2}}});
  EXPECT_EQ(Error(DecodedParts(With(body, 18, 'x'))),
            "RESULT: labels at byte 16 of the body are not in canonical form");
  EXPECT_EQ(Error(DecodedParts(With(body, 20, 'x'))),
            "RESULT: padding at byte 19 of the body is not zero");
  EXPECT_EQ(Error(DecodedParts(With(body, 8, uint32_t{16'001}))),
            "RESULT: count of samples at byte 8 of the body is too large");
}

RC_GTEST_PROP(ResultsProperty, PartsComeBackBitForBit, ()) {
  auto part = rc::gen::exec([] {
    Part made;
    made.series_index = *rc::gen::arbitrary<uint64_t>();
    if (*rc::gen::arbitrary<bool>()) made.labels = *rc::gen::element<std::string>("\xff", "up\xff");
    made.timestamps = *rc::gen::arbitrary<std::vector<int64_t>>();
    made.values = *rc::gen::container<std::vector<uint64_t>>(made.timestamps.size(),
                                                             rc::gen::arbitrary<uint64_t>());
    return made;
  });
  auto parts = *rc::gen::container<std::vector<Part>>(part);
  StatusOr<std::vector<Part>> decoded = DecodedParts(EncodedParts(parts));
  RC_ASSERT(decoded.ok());
  RC_ASSERT(*decoded == parts);
}

RC_GTEST_PROP(MessagesProperty, RangesComeBack, ()) {
  WriteAck ack;
  ack.end.value = *rc::gen::arbitrary<uint64_t>();
  ack.accepted = *rc::gen::arbitrary<uint32_t>();
  ack.duplicate = *rc::gen::arbitrary<bool>();
  uint64_t end = 0;
  for (auto [gap, count] : *rc::gen::arbitrary<std::vector<std::pair<uint16_t, uint16_t>>>()) {
    ack.rejected.push_back({static_cast<uint32_t>(end + gap), count + 1u});
    end += gap + count + 1u;
  }
  StatusOr<WriteAck> back = DecodeWriteAck(AsBytes(Encoded(ack)));
  RC_ASSERT(back.ok());
  RC_ASSERT(*back == ack);
}

RC_GTEST_PROP(MessagesProperty, QueriesComeBack, ()) {
  Query query;
  query.kind = *rc::gen::element(QueryKind::kSelect, QueryKind::kAggregate, QueryKind::kLatest);
  query.deadline_ms = *rc::gen::arbitrary<uint32_t>();
  query.range = {*rc::gen::arbitrary<int64_t>(), *rc::gen::arbitrary<int64_t>()};
  query.selector = *rc::gen::arbitrary<std::string>();
  if (query.kind == QueryKind::kAggregate) {
    query.function = static_cast<Function>(*rc::gen::inRange(1, 10));
    query.step_ns = *rc::gen::arbitrary<int64_t>();
    query.grouped = *rc::gen::arbitrary<bool>();
    if (query.grouped) query.by = *rc::gen::arbitrary<std::vector<std::string>>();
    if (query.function == Function::kPercentile) query.percentile = 99.9;
  }
  StatusOr<Query> back = DecodeQuery(AsBytes(Encoded(query)));
  RC_ASSERT(back.ok());
  RC_ASSERT(*back == query);
}

RC_GTEST_PROP(MessagesProperty, StringsComeBack, ()) {
  auto strings = *rc::gen::arbitrary<std::vector<std::string>>();
  std::string body;
  for (const std::string& text : strings) AppendString(text, &body);
  StringsReader reader(AsBytes(body));
  std::vector<std::string> back;
  std::string_view text;
  while (*reader.Next(&text)) back.emplace_back(text);
  RC_ASSERT(back == strings);
}

}  // namespace
}  // namespace nexus::protocol
