// HELLO and WELCOME, and OPEN_TARGET: how a connection begins and whom it speaks for.
//
// Decoders take untrusted bodies. Errors of all: InvalidArgument, naming message, field and offset.
// Encoders append the body to `out`. Threading: pure functions.
// Format: docs/format/protocol.md.

#ifndef NEXUS_CLIENT_PROTOCOL_HANDSHAKE_H_
#define NEXUS_CLIENT_PROTOCOL_HANDSHAKE_H_

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/status.h"
#include "base/types.h"
#include "client/protocol/format.h"

namespace nexus::protocol {

// The first request of a connection.
struct Hello {
  uint32_t version = kVersion;  // the highest that the client speaks
  FeatureWords features;        // that the client will use
  DatabaseId expected;          // zero: any database
  std::string client;           // name and version, for the server's log
  bool operator==(const Hello&) const = default;
};

// What a server allows one connection. Zero is never sent.
struct ConnectionLimits {
  uint32_t body_bytes_max = kBodyBytesMax;
  uint32_t batch_bytes_max = kBatchBytesMax;
  uint32_t requests_max = 1024;         // unanswered at once
  uint32_t series_max = 1u << 20;       // registered, over all targets
  uint32_t targets_max = 4096;          // opened: some 300 B each in the server, and number 0
  uint32_t idle_timeout_ms = 3600'000;  // of silence, after which the server may close
  bool operator==(const ConnectionLimits&) const = default;
};

struct Welcome {
  uint32_t version = kVersion;  // that the connection speaks: not above the client's
  FeatureWords features;        // that the server needs to be understood
  DatabaseId database;
  ConnectionLimits limits;
  std::string server;  // name and version
  bool operator==(const Welcome&) const = default;
};

// The frame's target number shall mean this tenant and branch. Numbers are given by the client,
// from 1, each once; target 0 is tenant "default", branch "main". Requests that name a target may
// follow at once: if it cannot be opened they are refused as it was.
struct OpenTarget {
  std::string tenant = "default";
  std::string branch = "main";
  bool operator==(const OpenTarget&) const = default;
};

void Encode(const Hello& hello, std::string* out);
void Encode(const Welcome& welcome, std::string* out);
void Encode(const OpenTarget& target, std::string* out);

StatusOr<Hello> DecodeHello(Bytes body);
StatusOr<Welcome> DecodeWelcome(Bytes body);
StatusOr<OpenTarget> DecodeOpenTarget(Bytes body);

}  // namespace nexus::protocol

#endif  // NEXUS_CLIENT_PROTOCOL_HANDSHAKE_H_
