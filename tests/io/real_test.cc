// What both backends of the real world do beyond the conformance suite: which one is started, and
// what only a kernel can bring about - time-outs, names, no descriptors left.

#include "io/real.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/io/stream_parts.h"

namespace nexus::io {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kMillisecond = 1'000'000;

// ---- Which backend.

// NEXUS_IO is `value`, or not set, for the lifetime.
class Variable {
 public:
  explicit Variable(const char* value) {
    if (const char* present = std::getenv("NEXUS_IO")) before_ = present;
    Set(value);
  }
  ~Variable() { Set(before_ ? before_->c_str() : nullptr); }

 private:
  static void Set(const char* value) {
    if (value == nullptr) {
      unsetenv("NEXUS_IO");
    } else {
      setenv("NEXUS_IO", value, 1);
    }
  }
  std::optional<std::string> before_;
};

// Makes io_uring_setup fail in this thread and those it starts, as a container's filter does.
void RefuseIoUring(int error) {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<uint32_t>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog program = {static_cast<unsigned short>(std::size(code)), code};
  NEXUS_CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  NEXUS_CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

RealOptions On(RealBackend backend) {
  RealOptions options;
  options.backend = backend;
  return options;
}

std::string NameOf(const StatusOr<std::unique_ptr<RealEnvironment>>& started) {
  return started.ok() ? (*started)->name() : started.status().ToString();
}

TEST(RealEnvironment, IoUringIsTakenWhereItIs) {
  Variable unset(nullptr);
  StatusOr<std::unique_ptr<RealEnvironment>> started = RealEnvironment::Start({});
  EXPECT_EQ(NameOf(started), "io_uring");
  EXPECT_EQ((*started)->fallback_reason(), "");
}

TEST(RealEnvironment, WhereIoUringIsRefusedThreadsDoTheWorkAndSayWhy) {
  Variable unset(nullptr);
  for (int error : {EPERM, ENOSYS, EACCES}) {
    std::string name;
    std::string reason;
    Status insisted;
    std::thread([&] {
      RefuseIoUring(error);
      StatusOr<std::unique_ptr<RealEnvironment>> started = RealEnvironment::Start({});
      name = NameOf(started);
      if (started.ok()) reason = (*started)->fallback_reason();
      insisted = RealEnvironment::Start(On(RealBackend::kUring)).status();
    }).join();
    EXPECT_EQ(name, "posix");
    EXPECT_THAT(reason, HasSubstr("set up io_uring"));
    EXPECT_THAT(reason, HasSubstr("io_uring_disabled")) << "the way out";
    EXPECT_EQ(insisted.code(), absl::StatusCode::kUnavailable);
  }
}

TEST(RealEnvironment, AFailureThatIsNoRefusalIsNotCoveredUp) {
  Variable unset(nullptr);
  Status failed;
  std::thread([&] {
    RefuseIoUring(ENOMEM);
    failed = RealEnvironment::Start({}).status();
  }).join();
  EXPECT_EQ(failed.code(), absl::StatusCode::kResourceExhausted);
}

TEST(RealEnvironment, TheVariableChoosesWhereTheProgramDoesNot) {
  Variable posix("posix");
  StatusOr<std::unique_ptr<RealEnvironment>> started = RealEnvironment::Start({});
  EXPECT_EQ(NameOf(started), "posix");
  EXPECT_THAT((*started)->fallback_reason(), HasSubstr("NEXUS_IO"));
  EXPECT_EQ(NameOf(RealEnvironment::Start(On(RealBackend::kUring))), "io_uring");
  Variable uring("uring");
  EXPECT_EQ(NameOf(RealEnvironment::Start({})), "io_uring");
  EXPECT_EQ(NameOf(RealEnvironment::Start(On(RealBackend::kPosix))), "posix");
  Variable nonsense("kqueue");
  EXPECT_THAT(NameOf(RealEnvironment::Start({})), HasSubstr("NEXUS_IO=kqueue"));
  Variable empty("");
  EXPECT_EQ(NameOf(RealEnvironment::Start({})), "io_uring");
}

// ---- Networks of a kernel.

class RealNetworkTest : public testing::TestWithParam<RealBackend> {
 protected:
  RealNetworkTest() {
    StatusOr<std::unique_ptr<RealEnvironment>> started = RealEnvironment::Start(On(GetParam()));
    NEXUS_CHECK(started.ok());
    environment_ = std::move(*started);
  }
  void Run(Task<void> task) { environment_->BlockOn(ToBool(std::move(task))); }
  Environment* environment() { return environment_.get(); }

 private:
  static Task<bool> ToBool(Task<void> task) {
    co_await std::move(task);
    co_return true;
  }
  std::unique_ptr<RealEnvironment> environment_;
};

std::string BackendOf(const testing::TestParamInfo<RealBackend>& info) {
  return info.param == RealBackend::kUring ? "uring" : "posix";
}

INSTANTIATE_TEST_SUITE_P(Real, RealNetworkTest,
                         testing::Values(RealBackend::kUring, RealBackend::kPosix), BackendOf);

// A listener that never accepts, with its queue full: the kernel drops whoever comes.
class FullListener {
 public:
  FullListener() {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* at = reinterpret_cast<sockaddr*>(&address);
    socklen_t bytes = sizeof(address);
    int listening = Socket();
    NEXUS_CHECK(bind(listening, at, bytes) == 0);
    NEXUS_CHECK(listen(listening, 0) == 0);
    NEXUS_CHECK(getsockname(listening, at, &bytes) == 0);
    port_ = ntohs(address.sin_port);
    for (int i = 0; i < 4; i++) {
      int waiting = connect(Socket(), at, bytes);
      NEXUS_CHECK(waiting == 0 || errno == EINPROGRESS);
    }
  }
  ~FullListener() {
    for (int socket : sockets_) close(socket);
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  int Socket() {
    sockets_.push_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    return sockets_.back();
  }
  std::vector<int> sockets_;
  uint16_t port_ = 0;
};

Task<void> ConnectingTimesOut(Environment* environment, std::string address) {
  int64_t before = environment->MonotonicNanos();
  ConnectResult connected = co_await environment->network()->Connect(address, 50 * kMillisecond);
  EXPECT_EQ(connected.error, -ETIMEDOUT);
  int64_t took = environment->MonotonicNanos() - before;
  EXPECT_GE(took, 50 * kMillisecond);
  EXPECT_LT(took, 5000 * kMillisecond);
}

TEST_P(RealNetworkTest, ConnectingTimesOut) {
  FullListener full;
  Run(ConnectingTimesOut(environment(), full.address()));
}

Task<void> NamesAreLookedUp(Network* network) {
  Doorman doorman;
  ListenResult listening = network->Listen("127.0.0.1:0", 8, &doorman);
  EXPECT_EQ(listening.error, 0);
  // No address in the form that we read ourselves; the resolver knows it without asking anybody.
  ConnectResult connected = co_await network->Connect(
      "127.1:" + std::to_string(listening.listener->port()), kConnectTimeoutNs);
  EXPECT_EQ(connected.error, 0);
  EXPECT_EQ(connected.stream->peer(), listening.listener->address());
}

TEST_P(RealNetworkTest, NamesAreLookedUp) { Run(NamesAreLookedUp(environment()->network())); }

Task<void> V6IsSpokenToo(Network* network) {
  Doorman doorman;
  ListenResult listening = network->Listen("[::1]:0", 8, &doorman);
  if (listening.error == -EADDRNOTAVAIL || listening.error == -EAFNOSUPPORT) co_return;
  EXPECT_EQ(listening.error, 0);
  EXPECT_THAT(listening.listener->address(), HasSubstr("[::1]:"));
  ConnectResult connected =
      co_await network->Connect(listening.listener->address(), kConnectTimeoutNs);
  EXPECT_EQ(connected.error, 0);
  EXPECT_EQ(connected.stream->peer(), listening.listener->address());
}

TEST_P(RealNetworkTest, V6IsSpokenToo) { Run(V6IsSpokenToo(environment()->network())); }

// No new descriptor can be opened by this process for the lifetime.
class NoDescriptors {
 public:
  NoDescriptors() {
    NEXUS_CHECK(getrlimit(RLIMIT_NOFILE, &before_) == 0);
    int lowest_free = dup(STDERR_FILENO);
    NEXUS_CHECK(lowest_free >= 0);
    close(lowest_free);
    rlimit none = before_;
    none.rlim_cur = static_cast<rlim_t>(lowest_free);
    NEXUS_CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
  }
  ~NoDescriptors() { NEXUS_CHECK(setrlimit(RLIMIT_NOFILE, &before_) == 0); }

 private:
  rlimit before_;
};

Task<void> AcceptingGoesOnAfterALackOfDescriptors(Environment* environment) {
  Doorman doorman;
  ListenResult listening = environment->network()->Listen("127.0.0.1:0", 8, &doorman);
  EXPECT_EQ(listening.error, 0);
  int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  {
    NoDescriptors none;
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(listening.listener->port());
    EXPECT_EQ(connect(client, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    co_await Until(&doorman.changed, [&] { return !doorman.errors.empty(); });
    EXPECT_EQ(doorman.errors.front(), -EMFILE);
    EXPECT_TRUE(doorman.streams.empty());
  }
  std::unique_ptr<Stream> accepted = co_await doorman.Next();
  EXPECT_NE(accepted, nullptr);
  EXPECT_LE(doorman.errors.size(), 3U) << "it paused in between";
  close(client);
}

TEST_P(RealNetworkTest, AcceptingGoesOnAfterALackOfDescriptors) {
  Run(AcceptingGoesOnAfterALackOfDescriptors(environment()));
}

}  // namespace
}  // namespace nexus::io
