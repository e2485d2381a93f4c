// REGISTER_SERIES: labels come back, strings are sent once, and neither side's memory can be blown.

#include "client/protocol/registration.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/labels.h"
#include "client/protocol/format.h"

namespace nexus::protocol {
namespace {

std::string Canonical(std::string metric, std::vector<Label> labels) {
  StatusOr<Labels> made = Labels::Make(std::move(metric), std::move(labels));
  EXPECT_TRUE(made.ok()) << made.status();
  return made->Canonical();
}

// Both ends of a connection.
class Registration : public testing::Test {
 protected:
  // The body that registers these from the next number on.
  std::string Write(const std::vector<std::string>& series) {
    writer_.Begin(next_);
    for (const std::string& canonical : series) EXPECT_TRUE(writer_.Add(canonical));
    std::string body;
    writer_.Finish(&body);
    return body;
  }
  StatusOr<std::vector<std::string>> Read(std::string_view body) {
    NEXUS_ASSIGN_OR_RETURN(RegistrationReader reader,
                           RegistrationReader::Open(AsBytes(body), next_, &symbols_));
    std::vector<std::string> series;
    std::string canonical;
    while (true) {
      NEXUS_ASSIGN_OR_RETURN(bool more, reader.Next(&canonical));
      if (!more) break;
      series.push_back(canonical);
    }
    EXPECT_EQ(series.size(), reader.count());
    next_ += reader.count();
    return series;
  }
  std::string Error(std::string_view body) {
    return std::string(FromAbsl(Read(body).status().message()));
  }

  RegistrationWriter writer_;
  SymbolTable symbols_;
  uint32_t next_ = 1;
};

TEST_F(Registration, SeriesComeBack) {
  std::vector<std::string> first = {Canonical("up", {{"job", "n"}, {"host", "a"}}),
                                    Canonical("up", {}), Canonical("up", {{"host", "b"}})};
  std::vector<std::string> second = {Canonical("down", {{"job", "n"}, {"host", "b"}})};
  EXPECT_EQ(*Read(Write(first)), first);
  EXPECT_EQ(*Read(Write(second)), second);
  EXPECT_EQ(next_, 5u);
}

TEST_F(Registration, AStringIsSentOnce) {
  std::string metric(200, 'm');
  std::string series = Canonical(metric, {{"host", "a"}});
  size_t first = Write({series}).size();
  EXPECT_GT(first, 200u);
  next_++;
  // The head, a count and three symbols.
  EXPECT_EQ(Write({series}).size(), 16u + 1 + 3);
}

TEST_F(Registration, LongStringsAreWrittenOut) {
  std::vector<std::string> series = {
      Canonical("m", {{"text", std::string(kLabelValueBytesMax, 'x')}})};
  EXPECT_EQ(*Read(Write(series)), series);
  EXPECT_EQ(*Read(Write(series)), series);
  EXPECT_EQ(symbols_.size(), 2u);
}

TEST_F(Registration, AFullDictionaryGoesOnWithoutIt) {
  std::vector<std::string> all;
  for (uint32_t i = 0; i < kSymbolsMax + 100; i += 100) {
    std::vector<std::string> series;
    for (uint32_t j = i; j < i + 100; j++) {
      series.push_back(Canonical("m", {{"uuid", std::to_string(j)}}));
    }
    EXPECT_EQ(*Read(Write(series)), series);
  }
  EXPECT_EQ(symbols_.size(), kSymbolsMax);
  EXPECT_EQ(writer_.symbols(), kSymbolsMax);
}

TEST_F(Registration, AFullFrameSaysSo) {
  writer_.Begin(1);
  uint32_t added = 0;
  std::string value(300, 'v');
  while (writer_.Add(Canonical("m", {{"a", value + std::to_string(added)}}))) added++;
  EXPECT_GT(added, 1000u);
  std::string body;
  writer_.Finish(&body);
  EXPECT_LE(body.size(), kRegistrationBytesMax);
  EXPECT_EQ(Read(body)->size(), added);
}

TEST_F(Registration, EveryCutIsRefused) {
  const std::string body = Write({Canonical("up", {{"job", "n"}}), Canonical("up", {})});
  for (size_t size = 0; size < body.size(); size++) {
    symbols_ = SymbolTable();
    next_ = 1;
    EXPECT_TRUE(absl::IsInvalidArgument(Read(std::string_view(body).substr(0, size)).status()))
        << size;
  }
}

TEST_F(Registration, BothEndsMustAgreeWhatComesNext) {
  std::string body = Write({Canonical("up", {})});
  next_ = 7;
  EXPECT_EQ(Error(body), "REGISTER_SERIES: gives numbers from 1 on, 7 comes next");
  next_ = 1;
  EXPECT_TRUE(Read(body).ok());
  next_ = 1;
  EXPECT_EQ(Error(body), "REGISTER_SERIES: expects a dictionary of 0 symbols, it has 1");
}

TEST_F(Registration, SymbolsThatAreNoneAreRefused) {
  std::string body = Write({Canonical("up", {})});
  body.back() = 2;
  EXPECT_EQ(Error(body), "REGISTER_SERIES: metric name at byte 20 of the body is symbol 2, of 1");
}

TEST_F(Registration, ADictionaryCannotMakeMemory) {
  // One symbol of 16 KiB, and rows that each name it three times.
  std::string body;
  ByteWriter out(&body);
  out.U32(1);
  out.U32(kRegisteredSeriesMax);
  out.U32(0);
  out.U32(2);
  out.LengthPrefixed("m");
  out.LengthPrefixed(std::string(kLabelValueBytesMax, 'x'));
  for (uint32_t i = 0; i < kRegisteredSeriesMax; i++) {
    out.Varint(1);
    for (uint64_t symbol : {1u, 1u, 2u}) out.Varint(symbol);
  }
  ASSERT_LE(body.size(), kRegistrationBytesMax);
  EXPECT_NE(Error(body).find("makes more than 8388608 bytes of labels"), std::string::npos);
}

TEST_F(Registration, ASeparatorWithinAStringIsRefused) {
  std::string body;
  ByteWriter out(&body);
  out.U32(1);
  out.U32(1);
  out.U32(0);
  out.U32(0);
  out.Varint(0);
  out.Varint(0);
  out.LengthPrefixed("a\xff");
  EXPECT_EQ(Error(body), "REGISTER_SERIES: metric name at byte 17 of the body holds a separator");
}

RC_GTEST_PROP(RegistrationProperty, WhateverIsRegisteredComesBack, ()) {
  auto value = rc::gen::element<std::string>("x", "y", "a", std::string(300, 'z'));
  auto labels = rc::gen::exec([=] {
    std::string canonical = *rc::gen::element<std::string>("m", "a", "x") + '\xff';
    for (std::string name : {"a", "b", "job"}) {
      if (*rc::gen::arbitrary<bool>()) canonical += name + '\xfe' + *value + '\xff';
    }
    return canonical;
  });
  RegistrationWriter writer;
  SymbolTable symbols;
  uint32_t next = 1;
  int frames = *rc::gen::inRange(1, 5);
  for (int frame = 0; frame < frames; frame++) {
    writer.Begin(next);
    auto series = *rc::gen::nonEmpty(rc::gen::container<std::vector<std::string>>(labels));
    for (const std::string& canonical : series) RC_ASSERT(writer.Add(canonical));
    std::string body;
    writer.Finish(&body);
    StatusOr<RegistrationReader> reader = RegistrationReader::Open(AsBytes(body), next, &symbols);
    RC_ASSERT(reader.ok());
    std::string canonical;
    for (const std::string& expected : series) {
      RC_ASSERT(*reader->Next(&canonical));
      RC_ASSERT(canonical == expected);
    }
    RC_ASSERT(!*reader->Next(&canonical));
    next += static_cast<uint32_t>(series.size());
  }
}

}  // namespace
}  // namespace nexus::protocol
