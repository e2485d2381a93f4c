// Pages of timestamp columns: encoding, and the checks that make a parsed page safe to use; see
// timestamp_page.h.

#include "layer/timestamp_page.h"

#include <limits>

#include "layer/run_columns.h"

namespace nexus::layer {
namespace {

// What a column's header takes, with which a page's size is told before it is closed.
constexpr size_t kHeaderBytesGuess = 20;

IntegerRun& RunOf(TimestampHeader& header) { return header.run; }
const IntegerRun& ConstRunOf(const TimestampHeader& header) { return header.run; }

uint64_t StreamBytes(const TimestampHeader& header) {
  const IntegerParameters& parameters = header.run.parameters;
  return FindIntegerCodec(static_cast<uint8_t>(parameters.codec))
      ->StreamBytes(parameters, header.count);
}

// The last timestamp is above the first without leaving the range of int64.
bool IsSane(const TimestampHeader& header) {
  const IntegerRun& run = header.run;
  uint64_t rise = 0;
  const uint64_t room = static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) -
                        static_cast<uint64_t>(run.origin);
  return header.count > 0 && run.scale > 0 && !__builtin_mul_overflow(run.scale, run.span, &rise) &&
         rise <= room && rise >= header.count - 1;
}

}  // namespace

bool TimestampPageBuilder::MustClose(uint32_t page_bytes) const {
  const size_t bytes = kPageHeaderBytes + bytes_.size() + headers_.size() * kHeaderBytesGuess;
  return headers_.size() == kTimestampColumnsPerPageMax || bytes >= page_bytes;
}

void TimestampPageBuilder::Add(std::span<const int64_t> timestamps) {
  TimestampHeader header;
  header.count = static_cast<uint32_t>(timestamps.size());
  header.run = encoder_.Plan(timestamps);
  encoder_.Encode(header.run, &bytes_);
  headers_.push_back(header);
}

std::string TimestampPageBuilder::Take(ColumnWriter* columns) {
  const std::span<const TimestampHeader> headers = headers_;
  std::string payload;
  ByteWriter(&payload).U32(size());
  WriteField(headers, columns, &payload, [](const TimestampHeader& h) { return h.count; });
  WriteRunFields(headers, columns, &payload, ConstRunOf);
  payload.append(bytes_);
  headers_.clear();
  bytes_.clear();
  return payload;
}

StatusOr<std::shared_ptr<const TimestampPage>> TimestampPage::Parse(PageBuffer buffer,
                                                                    const PageEntry& entry) {
  auto page = std::make_shared<TimestampPage>();
  ByteReader reader(buffer.bytes());
  const uint32_t count = reader.U32();
  if (count != entry.items || count == 0 || count > kTimestampColumnsPerPageMax) {
    return DataLoss("it has {} timestamp columns, the footer says {}", count, entry.items);
  }
  page->headers_.resize(count);
  const std::span<TimestampHeader> headers = page->headers_;
  ReadField(&reader, headers, kRunMax,
            [](TimestampHeader& h, uint64_t v) { h.count = static_cast<uint32_t>(v); });
  ReadRunFields(&reader, headers, RunOf);
  if (!reader.ok()) return DataLoss("its columns are malformed");
  uint64_t offset = reader.position();
  for (TimestampHeader& header : headers) {
    if (!IsSane(header)) return DataLoss("a timestamp column's header is malformed");
    header.offset = static_cast<uint32_t>(offset);
    offset += StreamBytes(header);
    if (offset > buffer.bytes().size()) return DataLoss("a timestamp column leaves the page");
  }
  if (offset != buffer.bytes().size()) return DataLoss("bytes are left behind its columns");
  page->buffer_ = std::move(buffer);
  return page;
}

bool TimestampPage::Decode(uint32_t index, int64_t* timestamps) const {
  const TimestampHeader& header = headers_[index];
  const Bytes stream = buffer_.bytes().subspan(header.offset, StreamBytes(header));
  return DecodeRunValues(header.run, stream, header.count, timestamps);
}

uint64_t TimestampPage::charge_bytes() const {
  return sizeof(*this) + buffer_.memory_bytes() + headers_.capacity() * sizeof(TimestampHeader);
}

}  // namespace nexus::layer
