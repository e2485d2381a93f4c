// Choosing and starting the real world. See real.h.

#include "io/real.h"

#include <cstdlib>
#include <string_view>
#include <utility>

#include "io/posix/posix_environment.h"
#include "io/uring/uring_environment.h"

namespace nexus::io {
namespace {

constexpr int kWorkersMax = 64;
constexpr uint32_t kRingEntriesMin = 8;
// The completion queue is four times as long, and the kernel allows 65,536 of those.
constexpr uint32_t kRingEntriesMax = 16384;

Status CheckOptions(const RealOptions& options) {
  if (options.workers < 1 || options.workers > kWorkersMax) {
    return InvalidArgument("{} workers; 1 to {} are allowed", options.workers, kWorkersMax);
  }
  if (options.ring_entries < kRingEntriesMin || options.ring_entries > kRingEntriesMax) {
    return InvalidArgument("{} ring entries; {} to {} are allowed", options.ring_entries,
                           kRingEntriesMin, kRingEntriesMax);
  }
  return OkStatus();
}

// What the environment variable says where the program leaves the choice open, so that a whole test
// suite, or a machine with a bad kernel, can be put on one backend.
StatusOr<RealBackend> Chosen(RealBackend asked) {
  const char* variable = std::getenv("NEXUS_IO");
  if (asked != RealBackend::kAutomatic || variable == nullptr) return asked;
  std::string_view name = variable;
  if (name.empty()) return asked;
  if (name == "uring") return RealBackend::kUring;
  if (name == "posix") return RealBackend::kPosix;
  return InvalidArgument("NEXUS_IO={}; uring or posix is allowed", name);
}

}  // namespace

StatusOr<std::unique_ptr<RealEnvironment>> RealEnvironment::Start(RealOptions options) {
  NEXUS_RETURN_IF_ERROR(CheckOptions(options));
  NEXUS_ASSIGN_OR_RETURN(RealBackend backend, Chosen(options.backend));
  std::string reason;
  if (backend == RealBackend::kPosix) {
    reason = options.backend == RealBackend::kPosix ? "asked for" : "asked for by NEXUS_IO";
  } else {
    UringLoop::Options loop;
    loop.workers = options.workers;
    loop.ring_entries = options.ring_entries;
    StatusOr<std::unique_ptr<RealEnvironment>> started = StartUring(loop);
    // Unavailable: refused or too old (Ring::Open). What else fails would fail without it too.
    bool refused = !started.ok() && started.status().code() == absl::StatusCode::kUnavailable;
    if (!refused || backend == RealBackend::kUring) return started;
    reason = FromAbsl(started.status().message());
  }
  NEXUS_ASSIGN_OR_RETURN(std::unique_ptr<RealEnvironment> posix, StartPosix(options.workers));
  posix->fallback_reason_ = std::move(reason);
  return posix;
}

}  // namespace nexus::io
