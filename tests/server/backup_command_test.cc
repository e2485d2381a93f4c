// `nexus backup` and `nexus restore` as scripts see them, of a folder and of a running server: exit
// status, output, errors that name what is wrong.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/server/nexus_process.h"

namespace nexus::server {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int kDone = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 2;
constexpr int kDamaged = 3;

class BackupCommand : public NexusCommandTest {
 protected:
  void Import(const std::string& lines) {
    Done({"import", "--data", data_, "--format", "influx", File("lines.lp", lines)});
  }
  std::string AnswerOf(const std::string& data) {
    return Done({"query", "--data", data, "{__name__=~\".+\"}", "--format", "json"});
  }
  std::vector<fs::path> LayersOf(const std::string& folder) {
    std::vector<fs::path> layers;
    for (const auto& entry : fs::directory_iterator(folder + "/layers")) layers.push_back(entry);
    return layers;
  }
  // A server of data_ until it is destroyed; with these settings more.
  class Served {
   public:
    Served(const BackupCommand& test, std::vector<std::string> more) {
      std::vector<std::string> arguments = {"serve", "--data", test.data_, "--log-format=human"};
      arguments.insert(arguments.end(), more.begin(), more.end());
      process_ = std::make_unique<NexusProcess>(test.directory_, arguments, "");
      for (int i = 0; i < 1000 && address_.empty(); i++) {
        const std::string log = process_->Errors();
        const size_t at = log.find(" address=");
        const size_t end = log.find('\n', at);
        if (at != std::string::npos && end != std::string::npos) {
          address_ = log.substr(at + 9, end - at - 9);
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
      EXPECT_FALSE(address_.empty()) << process_->Errors();
      const size_t colon = address_.rfind(':');
      if (colon != std::string::npos) address_ = "127.0.0.1" + address_.substr(colon);
    }
    ~Served() {
      process_->Signal(SIGTERM);
      EXPECT_EQ(process_->Wait().exit, kDone);
    }
    const std::string& address() const { return address_; }

   private:
    std::unique_ptr<NexusProcess> process_;
    std::string address_;
  };
};

TEST_F(BackupCommand, ARestoredFolderAnswersAsTheOriginalAndIsSound) {
  Import("cpu,host=a usage=1.5 1700000000000000000\ncpu,host=b usage=2 1700000000000000001\n");
  const std::string expected = AnswerOf(data_);
  const std::string backup = Path("backup");
  EXPECT_THAT(Done({"backup", backup, "--data", data_}),
              AllOf(HasSubstr("backed up to LSN "), HasSubstr("1 layers of "),
                    HasSubstr(": 0 were there, 1 linked, 0 copied")));
  // One file under two names.
  EXPECT_EQ(fs::hard_link_count(LayersOf(backup).front()), 2u);
  Import("cpu,host=c usage=3 1700000000000000002\n");
  EXPECT_THAT(Done({"backup", backup, "--data", data_}), HasSubstr("2 layers of "));
  const std::string later = AnswerOf(data_);
  EXPECT_NE(later, expected);
  fs::remove_all(data_);
  const std::string restored = Path("restored");
  EXPECT_THAT(Done({"restore", backup, "--data", restored}),
              AllOf(HasSubstr("restored " + backup + " as of LSN "),
                    HasSubstr("1 tenants, 3 series, 2 layers of ")));
  EXPECT_EQ(AnswerOf(restored), later);
  Done({"scrub", "--data", restored});
  // Later writes win, and the backup does not notice.
  Done({"import", "--data", restored, "--format", "influx",
        File("more.lp", "cpu,host=a usage=99 1700000000000000000\n")});
  Done({"flush", "--data", restored});
  Done({"compact", "--data", restored});
  EXPECT_THAT(AnswerOf(restored), HasSubstr("[1700000000000000000,99]"));
  Done({"restore", backup, "--data", Path("again")});
  EXPECT_EQ(AnswerOf(Path("again")), later);
}

TEST_F(BackupCommand, WhatCannotBeIsSaidAndTold) {
  Import("cpu usage=1 1700000000000000000\n");
  const std::string backup = Path("backup");
  EXPECT_EQ(Nexus({"backup", "--data", data_}).exit, kUsage) << "no DEST";
  EXPECT_EQ(Nexus({"backup", backup}).exit, kUsage) << "of what?";
  EXPECT_EQ(Nexus({"restore", backup}).exit, kUsage) << "where to?";
  const Result nothing = Nexus({"restore", backup, "--data", Path("new")});
  EXPECT_EQ(nothing.exit, kUsage) << nothing.error;
  EXPECT_THAT(nothing.error, HasSubstr("no backup there"));
  File("letter.txt", "dear");
  const Result foreign = Nexus({"backup", directory_.string(), "--data", data_});
  EXPECT_NE(foreign.exit, kDone);
  Done({"backup", backup, "--data", data_});
  const Result full = Nexus({"restore", backup, "--data", data_});
  EXPECT_EQ(full.exit, kFailed) << full.error;
  EXPECT_THAT(full.error, HasSubstr("there is a database in this folder"));
  const fs::path layer = LayersOf(backup).front();
  fs::copy_file(layer, Path("copy"));  // its bytes are the original's, too
  fs::remove(layer);
  fs::copy_file(Path("copy"), layer);
  FlipByte(layer, static_cast<size_t>(fs::file_size(layer) / 2));
  const Result damaged = Nexus({"restore", backup, "--data", Path("new")});
  EXPECT_EQ(damaged.exit, kDamaged) << damaged.error;
  EXPECT_THAT(damaged.error, HasSubstr(layer.filename().string()));
  EXPECT_EQ(Nexus({"query", "--data", Path("new"), "cpu"}).exit, kUsage) << "half a database";
}

TEST_F(BackupCommand, ARunningServerIsBackedUpOnItsOwnMachine) {
  Import("cpu usage=1 1700000000000000000\n");
  const std::string backup = Path("backup");
  std::string expected;
  {
    const Served served(*this, {"--listen", "127.0.0.1:0"});
    const Result made = Nexus({"backup", backup, "--connect", served.address()});
    EXPECT_EQ(made.exit, kDone) << made.error;
    EXPECT_THAT(made.out, HasSubstr("backed up to LSN "));
    const Result relative = Nexus({"backup", "here", "--connect", served.address()});
    EXPECT_EQ(relative.exit, kUsage) << relative.error;
    EXPECT_THAT(relative.error, HasSubstr("absolute path"));
  }
  Done({"restore", backup, "--data", Path("restored")});
  EXPECT_EQ(AnswerOf(Path("restored")), AnswerOf(data_));
}

TEST_F(BackupCommand, AServerThatStrangersReachWritesOnlyWhereItIsTold) {
  Import("cpu usage=1 1700000000000000000\n");
  const std::string backup = Path("backups/one");
  {
    const Served served(*this, {"--listen", "0.0.0.0:0", "--insecure"});
    const Result refused = Nexus({"backup", backup, "--connect", served.address()});
    EXPECT_EQ(refused.exit, kUsage) << refused.error;
    EXPECT_THAT(refused.error, HasSubstr("backup_directory"));
    EXPECT_FALSE(fs::exists(backup));
  }
  const Served served(
      *this, {"--listen", "0.0.0.0:0", "--insecure", "--backup-directory", Path("backups")});
  EXPECT_EQ(Nexus({"backup", Path("elsewhere"), "--connect", served.address()}).exit, kUsage);
  EXPECT_FALSE(fs::exists(Path("elsewhere")));
  const Result made = Nexus({"backup", backup, "--connect", served.address()});
  EXPECT_EQ(made.exit, kDone) << made.error;
  EXPECT_TRUE(fs::exists(backup + "/BACKUP"));
}

}  // namespace
}  // namespace nexus::server
