// Encoding and decoding of a scrub's report. See scrub.h.

#include "client/protocol/scrub.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "client/protocol/field_reader.h"
#include "client/protocol/format.h"

namespace nexus::protocol {
namespace {

constexpr uint8_t kHasOffset = 1;
constexpr uint8_t kHasRange = 2;
// A finding's fixed fields, and the lengths of its texts, cut.
constexpr size_t kFindingBytesMax = 64 + 3 * (kMessageBytesMax + 2);
constexpr size_t kTextBytesMax = kMessageBytesMax + 2;

void WriteText(std::string_view text, ByteWriter* writer) {
  writer->LengthPrefixed(text.substr(0, kMessageBytesMax));
}

void WriteFinding(const ScrubFinding& finding, size_t series, ByteWriter* writer) {
  const auto has =
      static_cast<uint8_t>((finding.offset ? kHasOffset : 0) | (finding.range ? kHasRange : 0));
  WriteText(finding.file, writer);
  WriteText(finding.what, writer);
  WriteText(finding.way_out, writer);
  writer->U8(has);
  if (finding.offset) writer->U64(*finding.offset);
  if (finding.range) writer->I64(finding.range->first);
  if (finding.range) writer->I64(finding.range->last);
  writer->U64(finding.series_count);
  writer->Varint(series);
  for (size_t i = 0; i < series; i++) WriteText(finding.series[i], writer);
}

ScrubFinding ReadFinding(FieldReader* reader) {
  ScrubFinding finding;
  finding.file = std::string(reader->Text("file", kMessageBytesMax));
  finding.what = std::string(reader->Text("what was found", kMessageBytesMax));
  finding.way_out = std::string(reader->Text("way out", kMessageBytesMax));
  const size_t at = reader->position();
  const uint8_t has = reader->U8("flags of a finding");
  if ((has & ~(kHasOffset | kHasRange)) != 0) reader->Fail("flags of a finding", at, "are unknown");
  if ((has & kHasOffset) != 0) finding.offset = reader->U64("offset");
  if ((has & kHasRange) != 0) {
    TimeRange range;
    range.first = reader->I64("first timestamp");
    range.last = reader->I64("last timestamp");
    finding.range = range;
  }
  finding.series_count = reader->U64("count of series");
  const uint64_t series = reader->Varint("count of series listed", kScrubSeriesMax);
  for (uint64_t i = 0; i < series && reader->ok(); i++) {
    finding.series.emplace_back(reader->Text("series", kMessageBytesMax));
  }
  return finding;
}

}  // namespace

void Encode(const ScrubReply& reply, std::string* out) {
  NEXUS_CHECK(reply.findings.size() <= kScrubFindingsMax);
  const size_t begin = out->size();
  ByteWriter writer(out);
  std::string figures;
  Encode(reply.figures, &figures);
  writer.LengthPrefixed(figures);
  writer.U64(reply.finding_count);
  const size_t notes = std::min(reply.notes.size(), kScrubNotesMax);
  auto room = [&] {
    return kScrubReplyBytesMax / 2 - std::min<size_t>(out->size() - begin, kScrubReplyBytesMax / 2);
  };
  // Half of the body is for findings, the other for notes.
  std::string findings;
  ByteWriter finding_writer(&findings);
  uint64_t written = 0;
  for (const ScrubFinding& finding : reply.findings) {
    if (findings.size() + kFindingBytesMax > room()) break;
    const size_t left = (room() - findings.size() - kFindingBytesMax) / kTextBytesMax;
    const size_t series = std::min({finding.series.size(), kScrubSeriesMax, left});
    WriteFinding(finding, series, &finding_writer);
    written++;
  }
  writer.Varint(written);
  writer.Raw(findings);
  const size_t fit = std::min(notes, (kScrubReplyBytesMax / 2) / kTextBytesMax);
  writer.Varint(fit);
  for (size_t i = 0; i < fit; i++) WriteText(reply.notes[i], &writer);
}

StatusOr<ScrubReply> DecodeScrubReply(Bytes body) {
  FieldReader reader("SCRUB_REPLY", body);
  ScrubReply reply;
  const std::string_view figures = reader.Text("figures", kScrubReplyBytesMax);
  reply.finding_count = reader.U64("count of findings");
  reply.findings = reader.List("count of findings listed", kScrubFindingsMax, ReadFinding);
  const uint64_t notes = reader.Varint("count of notes", kScrubNotesMax);
  for (uint64_t i = 0; i < notes && reader.ok(); i++) {
    reply.notes.emplace_back(reader.Text("note", kMessageBytesMax));
  }
  NEXUS_RETURN_IF_ERROR(reader.Finish());
  NEXUS_ASSIGN_OR_RETURN(reply.figures, DecodeStats(AsBytes(figures)));
  return reply;
}

}  // namespace nexus::protocol
