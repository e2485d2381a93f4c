// RememberingMachine: a Machine that knows what was appended to its log and what was acknowledged,
// and holds the log to it.

#ifndef NEXUS_TESTS_WAL_REMEMBERING_MACHINE_H_
#define NEXUS_TESTS_WAL_REMEMBERING_MACHINE_H_

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "tests/wal/harness.h"

namespace nexus::wal {

class RememberingMachine : public Machine {
 public:
  using Machine::Machine;

  // Reads the log that was opened and checks it against what was written.
  std::vector<std::string> CheckedTexts() {
    CursorOptions from;
    from.from = trimmed;
    StatusOr<std::vector<TextRecord>> records = RecordsOf(scan, from);
    EXPECT_TRUE(records.ok()) << records.status();
    if (!records.ok()) return {};
    std::vector<std::string> seen;
    std::set<std::string> present;
    for (const TextRecord& record : *records) {
      EXPECT_TRUE(std::find(texts.begin(), texts.end(), record.text) != texts.end()) << "invented";
      EXPECT_TRUE(present.insert(record.text).second) << "twice";
      seen.push_back(record.text);
    }
    for (const std::string& text : acknowledged) {
      EXPECT_TRUE(present.contains(text)) << "lost " << text.substr(0, 10);
    }
    return seen;
  }
  // The text of the next record: unique, about that long.
  std::string NextText(size_t bytes = 2500) {
    texts.push_back(fmt::format("{} {}", texts.size(), std::string(bytes, 'x')));
    return texts.back();
  }
  AppendResult Append() {
    AppendResult result = Machine::Append(NextText());
    EXPECT_GE(result.begin, highest) << "an LSN was given out twice";
    highest = result.end;
    return result;
  }
  AppendResult AppendDurable() {
    AppendResult result = Append();
    NEXUS_CHECK(Sync().ok());
    acknowledged.push_back(texts.back());
    return result;
  }

  // After whatever happened: opens, and what it shows survives writing on and another power cut.
  void ExpectRecovers() {
    ASSERT_OK(Open());
    std::vector<std::string> seen = CheckedTexts();
    Crash(sim::CrashKind::kPowerCut);
    ASSERT_OK(Open());
    EXPECT_EQ(CheckedTexts(), seen);
    AppendDurable();
    Crash(sim::CrashKind::kPowerCut);
    ASSERT_OK(Open());
    seen.push_back(texts.back());
    EXPECT_EQ(CheckedTexts(), seen);
  }

  std::vector<std::string> texts;         // submitted
  std::vector<std::string> acknowledged;  // without what was trimmed
  Lsn trimmed;
  Lsn highest;
};

}  // namespace nexus::wal

#endif  // NEXUS_TESTS_WAL_REMEMBERING_MACHINE_H_
