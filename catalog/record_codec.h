// The bytes of the catalog's records, the same in LMDB values and in images.
//
// Encoders append; decoders read untrusted bytes: they latch the reader's failure on anything that
// an encoder would not have written (a length beyond its limit, an unknown state) and never
// allocate more than the bytes that are there. A decoder's result counts only if reader->ok().
// Threading: pure functions. Format: docs/format/catalog.md.

#ifndef NEXUS_CATALOG_RECORD_CODEC_H_
#define NEXUS_CATALOG_RECORD_CODEC_H_

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/status.h"
#include "catalog/format.h"
#include "catalog/records.h"

namespace nexus::catalog {

// Errors: InvalidArgument names the limit of records.h that a record breaks.
Status CheckRecord(const TenantRecord& record);
Status CheckRecord(const BranchRecord& record);
Status CheckRecord(const LayerRecord& record);
Status CheckRecord(const Setting& record);
Status CheckRecord(const ProducerRecord& record);
Status CheckRecord(const SeriesDefinition& record);
Status CheckRecord(const TombstoneRecord& record);

void Encode(const TenantRecord& record, ByteWriter* out);
void Encode(const BranchRecord& record, ByteWriter* out);
void Encode(const LayerRecord& record, ByteWriter* out);
void Encode(const Setting& record, ByteWriter* out);
void Encode(const ProducerRecord& record, ByteWriter* out);
void Encode(const SeriesDefinition& record, ByteWriter* out);
void Encode(const TombstoneRecord& record, ByteWriter* out);
void Encode(const Meta& meta, ByteWriter* out);

void Decode(ByteReader* in, TenantRecord* record);
void Decode(ByteReader* in, BranchRecord* record);
void Decode(ByteReader* in, LayerRecord* record);
void Decode(ByteReader* in, Setting* record);
void Decode(ByteReader* in, ProducerRecord* record);
void Decode(ByteReader* in, SeriesDefinition* record);
void Decode(ByteReader* in, TombstoneRecord* record);

// Whole payloads of LMDB values: FailedPrecondition for another version or an unknown feature,
// DataLoss for what is no meta record.
StatusOr<Meta> DecodeMeta(std::string_view payload);

// A label of a series, as its row and its postings name it.
struct LabelSymbols {
  Symbol name = 0;
  Symbol value = 0;
  auto operator<=>(const LabelSymbols&) const = default;
};

// The row of a series: its identity and its labels, `__name__` first.
void EncodeSeriesRow(const Hash128& identity, const std::vector<LabelSymbols>& labels,
                     ByteWriter* out);
// The identity of a row whose checksum held; reads no further. False if it is too short.
bool DecodeSeriesIdentity(std::string_view payload, Hash128* identity);
// The whole row. False if it is malformed.
bool DecodeSeriesRow(std::string_view payload, Hash128* identity,
                     std::vector<LabelSymbols>* labels);

}  // namespace nexus::catalog

#endif  // NEXUS_CATALOG_RECORD_CODEC_H_
