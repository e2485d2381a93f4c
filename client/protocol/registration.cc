// Numbers for series. See registration.h.

#include "client/protocol/registration.h"

#include "base/check.h"
#include "base/labels.h"
#include "client/protocol/format.h"

namespace nexus::protocol {
namespace {

// Longer ones seldom come again, and would fill the dictionary.
constexpr size_t kSymbolLengthMax = 256;
// The head: first number, count, first symbol, count of symbols.
constexpr size_t kHeadBytes = 16;

constexpr char kAfterName = '\xFE';
constexpr char kAfterValue = '\xFF';

}  // namespace

void RegistrationWriter::Begin(uint32_t first_number) {
  first_number_ = first_number;
  first_symbol_ = symbols();
  series_ = 0;
  label_bytes_ = 0;
  symbols_.clear();
  rows_.clear();
}

bool RegistrationWriter::Add(std::string_view canonical) {
  // What it takes at most: every string written out, each with a length of up to four bytes and a
  // symbol's number.
  size_t worst = canonical.size() + 8 * (2 * kLabelsMax + 1);
  if (series_ == kRegisteredSeriesMax ||
      label_bytes_ + canonical.size() > kRegisteredLabelBytesMax ||
      kHeadBytes + symbols_.size() + rows_.size() + worst > kRegistrationBytesMax) {
    return false;
  }
  uint64_t labels = 0;
  bool canonical_form = VisitCanonical(canonical, [&](auto, auto) { labels++; });
  NEXUS_CHECK(canonical_form);
  ByteWriter(&rows_).Varint(labels - 1);
  bool metric = true;
  VisitCanonical(canonical, [&](std::string_view name, std::string_view value) {
    if (!metric) AppendString(name);
    metric = false;
    AppendString(value);
  });
  series_++;
  label_bytes_ += canonical.size();
  return true;
}

void RegistrationWriter::AppendString(std::string_view text) {
  ByteWriter row(&rows_);
  auto known = numbers_.find(ToAbsl(text));
  if (known == numbers_.end() && text.size() <= kSymbolLengthMax && symbols() < kSymbolsMax &&
      symbol_bytes_ + text.size() <= kSymbolBytesMax) {
    ByteWriter(&symbols_).LengthPrefixed(text);
    symbol_bytes_ += text.size();
    known = numbers_.emplace(std::string(text), symbols() + 1).first;
  }
  if (known != numbers_.end()) {
    row.Varint(known->second);
  } else {
    row.Varint(0);
    row.LengthPrefixed(text);
  }
}

void RegistrationWriter::Finish(std::string* out) {
  NEXUS_CHECK(series_ > 0);
  ByteWriter writer(out);
  writer.U32(first_number_);
  writer.U32(series_);
  writer.U32(first_symbol_);
  writer.U32(symbols() - first_symbol_);
  writer.Raw(symbols_);
  writer.Raw(rows_);
}

std::string_view SymbolTable::Get(uint32_t symbol) const {
  NEXUS_CHECK(symbol >= 1 && symbol <= size());
  uint32_t begin = symbol == 1 ? 0 : ends_[symbol - 2];
  return std::string_view(bytes_).substr(begin, ends_[symbol - 1] - begin);
}

StatusOr<RegistrationReader> RegistrationReader::Open(Bytes body, uint32_t next_number,
                                                      SymbolTable* symbols) {
  RegistrationReader registration(body, symbols);
  FieldReader& reader = registration.reader_;
  registration.first_number_ = reader.U32("first number");
  registration.count_ = reader.U32("count of series");
  uint32_t first_symbol = reader.U32("first symbol");
  uint32_t count = reader.U32("count of symbols");
  // A series takes two bytes at least, and a symbol one.
  if (registration.count_ == 0 || registration.count_ > kRegisteredSeriesMax) {
    reader.Fail("count of series", 4, fmt::format("is not within 1 and {}", kRegisteredSeriesMax));
  }
  if (count > kSymbolsMax || count > reader.remaining()) {
    reader.Fail("count of symbols", 12, "is more than the body or the dictionary can hold");
  }
  if (!reader.ok()) return reader.Finish();
  if (registration.first_number_ != next_number) {
    return FailedPrecondition("REGISTER_SERIES: gives numbers from {} on, {} comes next",
                              registration.first_number_, next_number);
  }
  if (first_symbol != symbols->size()) {
    return FailedPrecondition("REGISTER_SERIES: expects a dictionary of {} symbols, it has {}",
                              first_symbol, symbols->size());
  }
  for (uint32_t i = 0; i < count && reader.ok(); i++) {
    size_t at = reader.position();
    std::string_view text = reader.Text("symbol", kLabelValueBytesMax);
    if (symbols->size() == kSymbolsMax || symbols->bytes_.size() + text.size() > kSymbolBytesMax) {
      reader.Fail("symbol", at, "is more than the dictionary may hold");
      break;
    }
    symbols->bytes_ += text;
    symbols->ends_.push_back(static_cast<uint32_t>(symbols->bytes_.size()));
  }
  if (!reader.ok()) return reader.Finish();
  return registration;
}

std::string_view RegistrationReader::ReadString(std::string_view field, size_t max) {
  size_t at = reader_.position();
  uint64_t symbol = reader_.Varint(field);
  if (symbol == 0) return reader_.Text(field, max);
  if (symbol > symbols_->size()) {
    reader_.Fail(field, at, fmt::format("is symbol {}, of {}", symbol, symbols_->size()));
    return {};
  }
  std::string_view text = symbols_->Get(static_cast<uint32_t>(symbol));
  if (text.size() > max) reader_.Fail(field, at, fmt::format("is longer than {} bytes", max));
  return reader_.ok() ? text : std::string_view();
}

StatusOr<bool> RegistrationReader::Next(std::string* canonical) {
  canonical->clear();
  if (done_ == count_) {
    NEXUS_RETURN_IF_ERROR(reader_.Finish());
    return false;
  }
  done_++;
  size_t begin = reader_.position();
  uint64_t labels = reader_.Varint("count of labels", kLabelsMax);
  auto append = [&](std::string_view field, size_t max, char separator) {
    size_t at = reader_.position();
    std::string_view text = ReadString(field, max);
    if (text.find_first_of("\xFE\xFF") != std::string_view::npos) {
      reader_.Fail(field, at, "holds a separator");
    }
    if (canonical->size() + text.size() + 1 > kCanonicalBytesMax) {
      reader_.Fail("series", begin, fmt::format("is longer than {} bytes", kCanonicalBytesMax));
    }
    if (!reader_.ok()) return;
    canonical->append(text);
    canonical->push_back(separator);
  };
  append("metric name", kLabelNameBytesMax, kAfterValue);
  for (uint64_t i = 0; i < labels && reader_.ok(); i++) {
    append("label name", kLabelNameBytesMax, kAfterName);
    append("label value", kLabelValueBytesMax, kAfterValue);
  }
  label_bytes_ += canonical->size();
  if (label_bytes_ > kRegisteredLabelBytesMax) {
    reader_.Fail("series", begin,
                 fmt::format("makes more than {} bytes of labels", kRegisteredLabelBytesMax));
  }
  if (!reader_.ok()) return reader_.Finish();
  return true;
}

}  // namespace nexus::protocol
