// The vocabulary of the tests of the `nexus` binary: a folder of their own, files in it, commands
// run to their end or left running.
//
// The binary is named by the environment variable NEXUS_BINARY.

#ifndef NEXUS_TESTS_SERVER_NEXUS_PROCESS_H_
#define NEXUS_TESTS_SERVER_NEXUS_PROCESS_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace nexus::server {

struct Result {
  int exit = -1;  // -1: ended by a signal
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
    EXPECT_EQ(failed, 0) << "cannot start " << all[0];
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

class NexusCommandTest : public testing::Test {
 public:
  NexusCommandTest() {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    directory_ = std::filesystem::path(testing::TempDir()) / (std::string(info->name()) + ".run");
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
    data_ = (directory_ / "db").string();
  }
  ~NexusCommandTest() override { std::filesystem::remove_all(directory_); }

 protected:
  Result Nexus(const std::vector<std::string>& arguments, std::string_view input = {}) {
    return NexusProcess(directory_, arguments, input).Wait();
  }
  // The same for commands that must succeed: their output.
  std::string Done(const std::vector<std::string>& arguments, std::string_view input = {}) {
    Result result = Nexus(arguments, input);
    EXPECT_EQ(result.exit, 0) << arguments[0] << ": " << result.error;
    return result.out;
  }
  std::string Query(const std::string& selector, const std::string& format = "json") {
    return Done({"query", "--data", data_, selector, "--format", format});
  }
  std::string Path(std::string_view name) const { return (directory_ / name).string(); }
  std::string File(std::string_view name, std::string_view content) const {
    WriteFile(Path(name), content);
    return Path(name);
  }

  // The files below the database's folder whose names end so.
  std::vector<std::filesystem::path> DataFiles(std::string_view ending) const {
    std::vector<std::filesystem::path> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(data_)) {
      if (entry.path().string().ends_with(ending)) found.push_back(entry.path());
    }
    return found;
  }
  static void FlipByte(const std::filesystem::path& path, size_t offset) {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(static_cast<std::streamoff>(offset));
    int byte = file.get();
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(static_cast<char>(byte ^ 0xff));
    EXPECT_TRUE(file.flush().good()) << path;
  }

  std::filesystem::path directory_;
  std::string data_;
};

}  // namespace nexus::server

#endif  // NEXUS_TESTS_SERVER_NEXUS_PROCESS_H_
