// Filling a disk, and making room. See full_disk.h.

#include "tests/kill_loop/full_disk.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <memory>
#include <random>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "tests/kill_loop/reader.h"
#include "tests/kill_loop/writer.h"

namespace nexus::kill_loop {
namespace {

constexpr uint32_t kWriters = 2;
constexpr uint64_t kMiB = 1 << 20;
// Room for the ballast and a database of a few MiB: it fills within some ten thousand samples.
constexpr uint64_t kDiskBytes = 16 * kMiB;
// Free when the ballast lies: less than three reserves, so that a reserve that was given up cannot
// be made again, and several layers.
constexpr uint64_t kRoomBytes = 1 * kMiB;
constexpr auto kPoll = std::chrono::milliseconds(10);
// A disk of this size is full long before so many batches are acknowledged.
constexpr uint64_t kBatchesMax = 200'000;
// Refusals in a row, so that it is the disk, not a flush that is under way.
constexpr int kRefusals = 5;
constexpr int kAccepted = 204;
constexpr int kRefused = 429;

struct Answer {
  int status = 0;  // of HTTP; 0: none
  std::string text;
};

// POST /write of one sample that the oracle does not know.
Answer Probe(const std::string& address, uint64_t number) {
  const size_t colon = address.rfind(':');
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(colon + 1))));
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  Answer answer;
  answer.text.resize(4096);
  ssize_t got = 0;
  if (connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0) {
    const std::string body = fmt::format("probe value={} {}\n", number, number);
    const std::string request = fmt::format(
        "POST /write HTTP/1.1\r\nHost: nexus\r\nContent-Length: {}\r\n\r\n{}", body.size(), body);
    if (send(fd, request.data(), request.size(), MSG_NOSIGNAL) ==
        static_cast<ssize_t>(request.size())) {
      got = recv(fd, answer.text.data(), answer.text.size(), 0);
    }
  }
  close(fd);
  constexpr std::string_view kBegin = "HTTP/1.1 ";
  answer.text.resize(static_cast<size_t>(std::max<ssize_t>(got, 0)));
  if (answer.text.size() < kBegin.size() + 3 || !answer.text.starts_with(kBegin)) return answer;
  answer.status = std::stoi(answer.text.substr(kBegin.size(), 3));
  return answer;
}

class FullDiskRun {
 public:
  explicit FullDiskRun(const FullDiskOptions& options)
      : options_(options),
        random_(options.seed),
        unique_places_(random_() % 2 == 0),
        judge_(options.seed),
        home_(options.directory / fmt::format("full-{:016x}", options.seed)),
        disk_(home_ / "disk") {}
  ~FullDiskRun() {
    writers_.clear();
    server_.reset();
    umount2(disk_.c_str(), MNT_DETACH);
  }
  FullDiskRun(const FullDiskRun&) = delete;
  FullDiskRun& operator=(const FullDiskRun&) = delete;

  Problem Run() {
    Problem problem = Prepare();
    if (!problem.has_value()) problem = Fill();
    if (!problem.has_value()) problem = WhileFull();
    if (!problem.has_value()) problem = MakeRoom();
    if (!problem.has_value()) problem = Calm();
    if (!problem.has_value() && judge_.failed()) problem = judge_.failure();
    if (!problem.has_value()) return std::nullopt;
    // Ends those who wait.
    judge_.Fail(*problem);
    // The file system goes with this process: a copy stays for a look.
    server_.reset();
    std::error_code ignored;
    std::filesystem::copy(disk_, home_ / "copy", std::filesystem::copy_options::recursive, ignored);
    return fmt::format("{}\na copy of the disk is left in {}", *problem, home_.string());
  }

  Totals totals() const {
    Totals totals = judge_.totals();
    totals.Add(counts_);
    return totals;
  }

 private:
  Problem Prepare() {
    std::filesystem::create_directories(disk_);
    const std::string size = fmt::format("size={}", kDiskBytes);
    if (mount("nexus-soak", disk_.c_str(), "tmpfs", 0, size.c_str()) != 0) {
      return fmt::format("mount a tmpfs on {}: {}", disk_.string(), std::strerror(errno));
    }
    const std::vector<std::string> settings = {"--memtable-bytes=512KiB",
                                               "--log-segment-bytes=64KiB", "--reserve-bytes=1MiB",
                                               "--flush-interval=2s", "--admission-timeout=200ms"};
    server_ = std::make_unique<ServerUnderTest>(home_, settings, (disk_ / "db").string());
    if (Problem problem = StartAndListen()) return problem;
    // The first flush makes room for the reserve; the ballast takes what it leaves.
    if (!reader_.Connect(server_->address())) return judge_.failure();
    if (ProbeOnce().status != kAccepted) return "an empty disk took no sample";
    reader_.Flush();
    return WriteBallast();
  }

  Problem WriteBallast() {
    struct statvfs space = {};
    if (statvfs(disk_.c_str(), &space) != 0) return "statvfs failed";
    const uint64_t available = space.f_bavail * space.f_frsize;
    if (available <= kRoomBytes) return "the database took the whole disk while it was empty";
    const std::string zeros(available - kRoomBytes, '\0');
    std::ofstream(disk_ / "ballast", std::ios::binary) << zeros;
    return std::nullopt;
  }

  Answer ProbeOnce() {
    Answer answer = Probe(server_->address(), probes_++);
    if (answer.status == kAccepted) accepted_probes_++;
    return answer;
  }

  // An opening that has no room to write the end of the log again says so, and opens once there is
  // some (docs/operations.md, "A full disk").
  Problem StartAndListen() {
    if (Problem problem = server_->Start(options_.io)) return problem;
    while (!server_->listening()) {
      std::this_thread::sleep_for(kPoll);
      if (server_->running()) continue;
      Problem ended = server_->Kill();
      const bool for_space =
          ended.has_value() && ended->find("free some space") != std::string::npos;
      if (!for_space || has_room_) return ended;
      std::filesystem::remove(disk_ / "ballast");
      has_room_ = true;
      if (Problem problem = server_->Start(options_.io)) return problem;
    }
    return std::nullopt;
  }

  Problem Fill() {
    for (uint32_t i = 0; i < kWriters; i++) {
      WriterOptions options;
      options.address = server_->address();
      options.number = i;
      options.seed = random_();
      options.unique_places = unique_places_;
      options.batch_samples_max = 400;
      options.pause_max_us = 0;
      writers_.push_back(std::make_unique<Writer>(std::move(options), &judge_));
    }
    return ProbeUntilRefused();
  }

  Problem ProbeUntilRefused() {
    // The reserve goes first: a refusal while it is there says that a flush takes its time.
    for (int refusals = 0; refusals < kRefusals || std::filesystem::exists(disk_ / "db/reserve");) {
      if (judge_.failed()) return judge_.failure();
      if (!server_->running()) return server_->Kill();
      if (judge_.acknowledged() > kBatchesMax) return "the disk is full, and no write is refused";
      const Answer answer = ProbeOnce();
      refusals = answer.status == kRefused ? refusals + 1 : 0;
      if (answer.status == kRefused) counts_.refusals++;
      if (answer.status != kAccepted && answer.status != kRefused) {
        return "a write to a full disk was answered by " + answer.text;
      }
      std::this_thread::sleep_for(kPoll);
    }
    return std::nullopt;
  }

  // Reads go on; a kill loses nothing; a full disk is a reason not to open for the log's end alone.
  Problem WhileFull() {
    if (Problem problem = ReadAll()) return problem;
    for (int i = 0; i < 2; i++) {
      if (Problem problem = KillAndStart()) return problem;
      if (Problem problem = ReadAll()) return problem;
      if (has_room_) return std::nullopt;
    }
    return ProbeUntilRefused();
  }

  Problem KillAndStart() {
    if (Problem problem = server_->Kill()) return problem;
    counts_.kills++;
    judge_.ServerDied();
    return StartAndListen();
  }

  Problem ReadAll() {
    for (uint32_t i = 0; i < kWriters; i++) {
      // A question that was under way at a kill says nothing: it is asked again.
      while (!reader_.CheckWriter(i, TimeRange{}).has_value()) {
        if (judge_.failed()) return judge_.failure();
        if (!server_->running()) return server_->Kill();
      }
    }
    reader_.CheckSeriesList();
    return judge_.failed() ? Problem(judge_.failure()) : std::nullopt;
  }

  // Nobody tells the server: it finds the room itself.
  Problem MakeRoom() {
    std::filesystem::remove(disk_ / "ballast");
    const uint64_t before = judge_.acknowledged();
    bool probed = false;
    while (!probed || judge_.acknowledged() < before + 20) {
      if (judge_.failed()) return judge_.failure();
      if (!server_->running()) return server_->Kill();
      if (!probed) probed = ProbeOnce().status == kAccepted;
      std::this_thread::sleep_for(kPoll);
    }
    return std::nullopt;
  }

  Problem Calm() {
    if (Problem problem = KillAndStart()) return problem;
    for (auto& writer : writers_) writer->Finish();
    if (judge_.failed()) return judge_.failure();
    std::optional<uint64_t> others;
    if (unique_places_) others = accepted_probes_;
    counts_.scrubs++;
    counts_.full_disks++;
    return CheckWhole(&reader_, &judge_, server_.get(), kWriters, others);
  }

  const FullDiskOptions& options_;
  std::mt19937_64 random_;
  const bool unique_places_;
  Judge judge_;
  const std::filesystem::path home_;
  const std::filesystem::path disk_;
  std::unique_ptr<ServerUnderTest> server_;
  Reader reader_{&judge_};
  std::vector<std::unique_ptr<Writer>> writers_;
  uint64_t probes_ = 0;
  uint64_t accepted_probes_ = 0;
  bool has_room_ = false;  // before MakeRoom: an opening needed it
  Totals counts_;
};

}  // namespace

Problem EnterPrivateMounts() {
  const uid_t user = getuid();
  const gid_t group = getgid();
  if (unshare(CLONE_NEWNS) != 0) {
    // Who is not root gets mounts of its own together with users of its own.
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
      return fmt::format("unshare: {}", std::strerror(errno));
    }
    std::ofstream("/proc/self/setgroups") << "deny";
    std::ofstream("/proc/self/uid_map") << fmt::format("0 {} 1", user);
    std::ofstream("/proc/self/gid_map") << fmt::format("0 {} 1", group);
  }
  // What is mounted here is not seen outside.
  if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return fmt::format("make mounts private: {}", std::strerror(errno));
  }
  const std::filesystem::path probe = std::filesystem::temp_directory_path();
  if (mount("nexus-soak", probe.c_str(), "tmpfs", 0, "size=1m") != 0) {
    return fmt::format("mount a tmpfs: {}", std::strerror(errno));
  }
  umount2(probe.c_str(), MNT_DETACH);
  return std::nullopt;
}

Problem RunFullDisk(const FullDiskOptions& options, Totals* totals) {
  FullDiskRun run(options);
  Problem problem = run.Run();
  totals->Add(run.totals());
  return problem;
}

}  // namespace nexus::kill_loop
