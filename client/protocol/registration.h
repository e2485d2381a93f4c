// REGISTER_SERIES: numbers for series, so that batches name a series by a number.
//
// Numbers belong to the connection and to the target of the frame, rise by one from 1, and last as
// long as the connection. Strings that come again - label names, most values - stand in a
// dictionary of the connection and cost a varint; both sides keep it in step because a frame says
// how long the dictionary is before it. It holds what the client chose to put in, within
// kSymbolsMax and kSymbolBytesMax; other strings are written out.
//
// Threading: one thread at a time.
// Format: docs/format/protocol.md.

#ifndef NEXUS_CLIENT_PROTOCOL_REGISTRATION_H_
#define NEXUS_CLIENT_PROTOCOL_REGISTRATION_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/bytes.h"
#include "base/status.h"
#include "client/protocol/field_reader.h"

namespace nexus::protocol {

// The client's end: makes bodies of REGISTER_SERIES.
class RegistrationWriter {
 public:
  // Starts a frame that gives numbers from `first_number` on.
  void Begin(uint32_t first_number);
  // Adds a series by its canonical labels; false if the frame is full: finish it and begin another.
  // REQUIRES: canonical form.
  bool Add(std::string_view canonical);
  uint32_t series() const { return series_; }
  // Appends the body to `out`. REQUIRES: at least one series.
  void Finish(std::string* out);

  // Of the dictionary, which lasts over all frames of the connection.
  uint32_t symbols() const { return static_cast<uint32_t>(numbers_.size()); }

 private:
  void AppendString(std::string_view text);

  absl::flat_hash_map<std::string, uint32_t> numbers_;  // of symbols, from 1
  uint64_t symbol_bytes_ = 0;
  // Of the frame under way.
  uint32_t first_number_ = 0;
  uint32_t first_symbol_ = 0;
  uint32_t series_ = 0;
  uint64_t label_bytes_ = 0;
  std::string symbols_;
  std::string rows_;
};

// The server's end of the dictionary.
class SymbolTable {
 public:
  uint32_t size() const { return static_cast<uint32_t>(ends_.size()); }
  // Number `symbol`, from 1 to size().
  std::string_view Get(uint32_t symbol) const;

 private:
  friend class RegistrationReader;
  std::string bytes_;
  std::vector<uint32_t> ends_;
};

// Walks the series of one REGISTER_SERIES body. Body and table outlive it.
class RegistrationReader {
 public:
  // Reads the head and takes its symbols into `symbols`.
  // Errors: InvalidArgument - the body is malformed; FailedPrecondition - dictionary or numbers are
  // not what this side has (`next_number` must come next). Dictionaries may differ after either:
  // the connection should end.
  static StatusOr<RegistrationReader> Open(Bytes body, uint32_t next_number, SymbolTable* symbols);

  uint32_t first_number() const { return first_number_; }
  uint32_t count() const { return count_; }
  // The canonical labels of the next series; false at the end. Its separators are right; limits,
  // order and UTF-8 are for Labels::FromCanonical to check. Errors: InvalidArgument.
  StatusOr<bool> Next(std::string* canonical);

 private:
  RegistrationReader(Bytes body, const SymbolTable* symbols)
      : reader_("REGISTER_SERIES", body), symbols_(symbols) {}
  std::string_view ReadString(std::string_view field, size_t max);

  FieldReader reader_;
  const SymbolTable* symbols_;
  uint32_t first_number_ = 0;
  uint32_t count_ = 0;
  uint32_t done_ = 0;
  uint64_t label_bytes_ = 0;
};

}  // namespace nexus::protocol

#endif  // NEXUS_CLIENT_PROTOCOL_REGISTRATION_H_
