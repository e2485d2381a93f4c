// The vocabulary of the tests of the `nexus` binary: a folder of their own, files in it, commands
// run to their end or left running.
//
// The binary is named by the environment variable NEXUS_BINARY.

#ifndef NEXUS_TESTS_SERVER_NEXUS_PROCESS_H_
#define NEXUS_TESTS_SERVER_NEXUS_PROCESS_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "tests/server/process.h"

namespace nexus::server {

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
    NexusProcess process(directory_, arguments, input);
    EXPECT_TRUE(process.started()) << "cannot start NEXUS_BINARY";
    return process.Wait();
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
