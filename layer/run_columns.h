// Many runs' parameters as columns of a page header: runs of one metric are alike, so most columns
// are constant and take two bytes for all chunks of the page.
//
// Not among them is IntegerParameters::first, which timestamp columns do not need (it is 0).
// Threading: pure functions. Format: docs/format/layer.md, "Page of chunks".

#ifndef NEXUS_LAYER_RUN_COLUMNS_H_
#define NEXUS_LAYER_RUN_COLUMNS_H_

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "base/bytes.h"
#include "layer/codec/integers.h"
#include "layer/column.h"

namespace nexus::layer {

// Writes `field(item)` of all items as a column. REQUIRES: 1 <= items.size() <= kRunMax.
template <typename Item, typename Field>
void WriteField(std::span<const Item> items, ColumnWriter* columns, std::string* out, Field field) {
  std::array<uint64_t, kRunMax> values;
  for (size_t i = 0; i < items.size(); ++i) values[i] = static_cast<uint64_t>(field(items[i]));
  columns->Write(std::span<const uint64_t>(values.data(), items.size()), out);
}

// Reads a column and calls `set(item, value)` for all items. A value above `max` fails the reader.
template <typename Item, typename Set>
void ReadField(ByteReader* reader, std::span<Item> items, uint64_t max, Set set) {
  std::array<uint64_t, kRunMax> values;
  if (!ReadColumn(reader, std::span<uint64_t>(values.data(), items.size()))) return;
  for (size_t i = 0; i < items.size(); ++i) {
    if (values[i] > max) return reader->Fail();
    set(items[i], values[i]);
  }
}

// Both sides of the ten columns of integer runs; `run(item)` is the item's IntegerRun.
template <typename Item, typename Run>
void WriteRunFields(std::span<const Item> items, ColumnWriter* columns, std::string* out, Run run) {
  auto write = [&](auto field) {
    WriteField(items, columns, out, [&](const Item& item) { return field(run(item)); });
  };
  write([](const IntegerRun& r) { return r.parameters.codec; });
  write([](const IntegerRun& r) { return r.origin; });
  write([](const IntegerRun& r) { return r.scale; });
  write([](const IntegerRun& r) { return r.span; });
  write([](const IntegerRun& r) { return r.parameters.residuals.base; });
  write([](const IntegerRun& r) { return r.parameters.residuals.width; });
  write([](const IntegerRun& r) { return r.parameters.residuals.patches; });
  write([](const IntegerRun& r) { return r.parameters.residuals.patch_width; });
  write([](const IntegerRun& r) { return r.parameters.slope; });
  write([](const IntegerRun& r) { return r.parameters.fraction; });
}

template <typename Item, typename Run>
void ReadRunFields(ByteReader* reader, std::span<Item> items, Run run) {
  constexpr uint64_t kAny = ~uint64_t{0};
  auto read = [&](uint64_t max, auto set) {
    ReadField(reader, items, max, [&](Item& item, uint64_t value) { set(run(item), value); });
  };
  read(kIntegerCodecs - 1, [](IntegerRun& r, uint64_t value) {
    r.parameters.codec = static_cast<IntegerCodecId>(value);
  });
  read(kAny, [](IntegerRun& r, uint64_t value) { r.origin = static_cast<int64_t>(value); });
  read(kAny, [](IntegerRun& r, uint64_t value) { r.scale = value; });
  read(kAny, [](IntegerRun& r, uint64_t value) { r.span = value; });
  read(kAny, [](IntegerRun& r, uint64_t value) { r.parameters.residuals.base = value; });
  read(64, [](IntegerRun& r, uint64_t value) {
    r.parameters.residuals.width = static_cast<uint8_t>(value);
  });
  read(kRunMax, [](IntegerRun& r, uint64_t value) {
    r.parameters.residuals.patches = static_cast<uint32_t>(value);
  });
  read(64, [](IntegerRun& r, uint64_t value) {
    r.parameters.residuals.patch_width = static_cast<uint8_t>(value);
  });
  read(kAny, [](IntegerRun& r, uint64_t value) { r.parameters.slope = value; });
  read(64,
       [](IntegerRun& r, uint64_t value) { r.parameters.fraction = static_cast<uint8_t>(value); });
}

}  // namespace nexus::layer

#endif  // NEXUS_LAYER_RUN_COLUMNS_H_
