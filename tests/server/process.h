// A run of the `nexus` binary: its arguments, its input from a file, its output to files.
//
// The binary is named by the environment variable NEXUS_BINARY. Failure: of a binary that cannot be
// started, started() is false and Wait() gives exit -1. Threading: one thread at a time a process.

#ifndef NEXUS_TESTS_SERVER_PROCESS_H_
#define NEXUS_TESTS_SERVER_PROCESS_H_

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace nexus::server {

struct Result {
  int exit = -1;  // -1: ended by a signal
  int signal = 0;
  std::string out;
  std::string error;
};

inline std::string FileContent(const std::filesystem::path& path) {
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  return content.str();
}

inline void WriteFile(const std::filesystem::path& path, std::string_view content) {
  std::ofstream(path, std::ios::binary) << content;
}

// The path of a file to be standard input.
struct InputPath {
  std::string path;
};

// One run of the binary; its output goes to files in `directory`. Killed when destroyed.
class NexusProcess {
 public:
  NexusProcess(const std::filesystem::path& directory, const std::vector<std::string>& arguments,
               std::string_view input)
      : NexusProcess(directory, arguments, MakeInput(directory, input)) {}
  NexusProcess(const std::filesystem::path& directory, const std::vector<std::string>& arguments,
               const InputPath& input) {
    const std::string run = NewName(directory);
    out_ = run + ".out";
    error_ = run + ".error";
    std::vector<std::string> all = arguments;
    all.insert(all.begin(), std::getenv("NEXUS_BINARY"));
    std::vector<char*> argv;
    for (std::string& argument : all) argv.push_back(argument.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, input.path.c_str(), O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, out_.c_str(), O_WRONLY | O_CREAT, 0600);
    posix_spawn_file_actions_addopen(&files, 2, error_.c_str(), O_WRONLY | O_CREAT, 0600);
    int failed = posix_spawn(&pid_, all[0].c_str(), &files, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&files);
    if (failed != 0) pid_ = 0;
  }
  ~NexusProcess() {
    if (pid_ == 0) return;
    Signal(SIGKILL);
    Wait();
  }
  NexusProcess(const NexusProcess&) = delete;
  NexusProcess& operator=(const NexusProcess&) = delete;

  pid_t pid() const { return pid_; }
  bool started() const { return pid_ != 0; }
  // It ended by itself, or by a signal; Wait() tells how.
  bool Ended() const {
    siginfo_t info = {};
    return pid_ == 0 ||
           (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
            info.si_pid == pid_);
  }
  void Signal(int number) const {
    if (pid_ != 0) kill(pid_, number);
  }
  std::string Output() const { return FileContent(out_); }
  std::string Errors() const { return FileContent(error_); }

  Result Wait() {
    Result result;
    int state = 0;
    if (pid_ == 0 || waitpid(pid_, &state, 0) != pid_) return result;
    pid_ = 0;
    if (WIFEXITED(state)) result.exit = WEXITSTATUS(state);
    if (WIFSIGNALED(state)) result.signal = WTERMSIG(state);
    result.out = FileContent(out_);
    result.error = FileContent(error_);
    return result;
  }

 private:
  static std::string NewName(const std::filesystem::path& directory) {
    static int runs = 0;
    return (directory / ("run" + std::to_string(runs++))).string();
  }
  static InputPath MakeInput(const std::filesystem::path& directory, std::string_view input) {
    std::string path = NewName(directory) + ".in";
    WriteFile(path, input);
    return {path};
  }

  std::string out_;
  std::string error_;
  pid_t pid_ = 0;
};

// Below the range from which the kernel takes ports of its own (32768 and up): a client that
// connects to such a port while the server is dead could be given that same port, and meet itself.
inline constexpr int kFirstPort = 10'000;
inline constexpr int kPorts = 20'000;

// A port that nobody has at the moment; 0 if there is none.
inline int FreePort() {
  std::random_device random;
  for (int i = 0; i < kPorts; i++) {
    const int port = kFirstPort + static_cast<int>(random() % kPorts);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(port));
    const bool bound = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
    close(fd);
    if (bound) return port;
  }
  return 0;
}

}  // namespace nexus::server

#endif  // NEXUS_TESTS_SERVER_PROCESS_H_
