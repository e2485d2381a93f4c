// What answers a batch, and exactly-once: WRITE_ACK, OPEN_PRODUCER, PRODUCER; ERROR; CANCEL.
//
// The body of WRITE_BATCH itself is the body of a batch record (batch/batch.h, docs/format/
// record.md) with a connection's series numbers as ids, tenant and branch zero, no rejected ranges,
// and the exactly-once triple, if any, in its header.
//
// Decoders take untrusted bodies. Errors of all: InvalidArgument, naming message, field and offset.
// Encoders append the body to `out`. Threading: pure functions.
// Format: docs/format/protocol.md.

#ifndef NEXUS_CLIENT_PROTOCOL_WRITE_H_
#define NEXUS_CLIENT_PROTOCOL_WRITE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "base/types.h"
#include "batch/format.h"

namespace nexus::protocol {

// Of samples of a batch, by ordinal, or of series, by number: ascending, not empty, not
// overlapping.
using Ranges = std::vector<batch::RejectedRange>;

struct WriteAck {
  Lsn end;  // the log position behind the batch
  // The batch had been accepted before under this triple; what follows is the first one's answer.
  bool duplicate = false;
  uint32_t accepted = 0;  // samples
  Ranges rejected;        // the others
  std::string reason;     // why some were rejected, if it is not told elsewhere; or empty
  bool operator==(const WriteAck&) const = default;
};

// Opens an epoch of a producer, in the target of the frame: batches of lower epochs are refused
// from now on. Epoch 0 asks for one above the newest. To open the current epoch again changes
// nothing and tells where it stands. Sequences begin at 1 and go on through the epochs.
struct OpenProducer {
  uint64_t producer_high = 0;
  uint64_t producer_low = 0;
  uint64_t epoch = 0;
  bool operator==(const OpenProducer&) const = default;
};

struct Producer {
  uint64_t epoch = 0;
  uint64_t last_sequence = 0;  // the last accepted; 0 if none. The next one is one above.
  bool operator==(const Producer&) const = default;
};

// What the client can do about an error.
enum class ErrorClass : uint8_t {
  kRetry = 1,  // the same request again, after retry_after_ms, on this connection or another
  kFix = 2,    // the same request would fail again
  kFatal = 3,  // the connection is over; what to do about the request is unknown: see its code
};

// Errors that a client acts upon by itself.
enum class ErrorReason : uint8_t {
  kNone = 0,
  kSequenceGap = 1,      // `expected` is the sequence that must come next
  kStaleEpoch = 2,       // `expected` is the producer's current epoch
  kUnknownProducer = 3,  // never opened, or forgotten: a new epoch must be opened
  kShuttingDown = 4,     // reconnect later, or elsewhere
};

struct ErrorReply {
  absl::StatusCode code = absl::StatusCode::kUnknown;  // never OK
  ErrorClass error_class = ErrorClass::kFix;
  ErrorReason reason = ErrorReason::kNone;
  uint32_t retry_after_ms = 0;
  uint64_t expected = 0;  // of kSequenceGap, kStaleEpoch
  std::string message;
  Ranges rejected;  // of REGISTER_SERIES: the series that were not registered
  bool operator==(const ErrorReply&) const = default;
};

// The class of a code by what a caller can do (base/status.h): Unavailable, ResourceExhausted,
// Aborted and DeadlineExceeded are worth a retry; what else is not.
ErrorClass ClassOf(absl::StatusCode code);
// REQUIRES: not OK. Cuts a message above kMessageBytesMax.
ErrorReply ToErrorReply(const Status& status);
Status ToStatus(const ErrorReply& error);

void Encode(const WriteAck& ack, std::string* out);
void Encode(const OpenProducer& open, std::string* out);
void Encode(const Producer& producer, std::string* out);
void Encode(const ErrorReply& error, std::string* out);
void EncodeCancel(uint64_t request_id, std::string* out);

StatusOr<WriteAck> DecodeWriteAck(Bytes body);
StatusOr<OpenProducer> DecodeOpenProducer(Bytes body);
StatusOr<Producer> DecodeProducer(Bytes body);
StatusOr<ErrorReply> DecodeError(Bytes body);
// The id of the request to cancel.
StatusOr<uint64_t> DecodeCancel(Bytes body);

}  // namespace nexus::protocol

#endif  // NEXUS_CLIENT_PROTOCOL_WRITE_H_
