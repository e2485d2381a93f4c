// CSV: records, cells, header, rows, and the names of metrics.

#include "server/csv_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace nexus::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Cells = std::vector<std::string>;

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kTime = 1714566600 * kSecond;  // 2024-05-01T12:30:00Z

std::string MessageOf(const Status& status) { return std::string(FromAbsl(status.message())); }

Cells Split(std::string_view record) {
  Cells cells;
  Status status = SplitCsvRecord(record, &cells);
  EXPECT_TRUE(status.ok()) << status;
  return cells;
}

std::string SplitError(std::string_view record) {
  Cells cells;
  return MessageOf(SplitCsvRecord(record, &cells));
}

// The records that lines make, each as "<line>:<record>".
std::vector<std::string> RecordsOf(const std::vector<std::string>& lines) {
  std::vector<std::string> found;
  CsvRecords records([&](std::string_view record, uint64_t line) {
    found.push_back(std::to_string(line) + ":" + std::string(record));
    return OkStatus();
  });
  for (size_t i = 0; i < lines.size(); i++) EXPECT_TRUE(records.Line(lines[i], i + 1).ok());
  EXPECT_TRUE(records.End().ok());
  return found;
}

class CsvRowTest : public testing::Test {
 protected:
  CsvRowTest() { Header("timestamp,value,usage"); }
  void Header(std::string_view line) {
    Status status = reader_.ReadHeader(line);
    EXPECT_TRUE(status.ok()) << status;
  }
  // The values of a row by column name.
  std::vector<std::pair<std::string, double>> Read(std::string_view line) {
    Status status = reader_.ReadRow(line, &row_);
    EXPECT_TRUE(status.ok()) << line << ": " << status;
    std::vector<std::pair<std::string, double>> values;
    for (const CsvValue& value : row_.values) {
      values.emplace_back(reader_.value_columns()[value.column], value.value);
    }
    return values;
  }
  std::string ErrorOf(std::string_view line) {
    Status status = reader_.ReadRow(line, &row_);
    EXPECT_TRUE(status.ok() || absl::IsInvalidArgument(status)) << status;
    return MessageOf(status);
  }
  CsvReader reader_;
  CsvRow row_;
};

TEST(CsvCells, AreBetweenCommas) {
  EXPECT_EQ(Split("a,b,c"), (Cells{"a", "b", "c"}));
  EXPECT_EQ(Split(",,"), (Cells{"", "", ""}));
  EXPECT_EQ(Split(""), (Cells{""}));
  EXPECT_EQ(Split("a,b\r"), (Cells{"a", "b"}));
}

TEST(CsvCells, QuotesKeepCommasNewlinesAndDoubledQuotes) {
  EXPECT_EQ(Split(R"("a,b",c)"), (Cells{"a,b", "c"}));
  EXPECT_EQ(Split(R"("say ""hi""","""",x)"), (Cells{"say \"hi\"", "\"", "x"}));
  EXPECT_EQ(Split("\"two\nlines\",2\r"), (Cells{"two\nlines", "2"}));
  EXPECT_EQ(Split("\"\""), (Cells{""}));
}

TEST(CsvCells, QuoteWithinACellIsText) { EXPECT_EQ(Split("5\" pipe,1"), (Cells{"5\" pipe", "1"})); }

TEST(CsvCells, WrongQuotesAreRefusedByColumn) {
  EXPECT_EQ(SplitError("a,\"b"), "column 3: the quote is not closed");
  EXPECT_EQ(SplitError("a,\"b\"\""), "column 3: the quote is not closed");
  EXPECT_EQ(SplitError("\"a\"b,c"), "column 4: expected a comma behind the closing quote");
}

RC_GTEST_PROP(CsvCells, WhatIsQuotedIsReadBack, ()) {
  auto cells = *rc::gen::nonEmpty(rc::gen::container<Cells>(
      rc::gen::container<std::string>(rc::gen::elementOf(std::string("ab,\"\n\r ")))));
  std::string record;
  for (const std::string& cell : cells) {
    if (&cell != &cells.front()) record += ',';
    record += '"';
    for (char c : cell) record += c == '"' ? "\"\"" : std::string(1, c);
    record += '"';
  }
  Cells read;
  RC_ASSERT(SplitCsvRecord(record, &read).ok());
  RC_ASSERT(read == cells);
  // Cut into lines and joined again it is the same one record.
  std::vector<std::string> lines{""};
  for (char c : record) {
    if (c == '\n') {
      lines.emplace_back();
    } else {
      lines.back() += c;
    }
  }
  RC_PRE(lines.size() < CsvRecords::kRecordLinesMax);
  RC_ASSERT(RecordsOf(lines) == std::vector<std::string>{"1:" + record});
}

TEST(CsvRecords, EndWithTheirLineUnlessAQuoteIsOpen) {
  EXPECT_THAT(RecordsOf({"a,b", "\"c", "d\",e", "", "f"}),
              ElementsAre("1:a,b", "2:\"c\nd\",e", "4:", "5:f"));
  EXPECT_THAT(RecordsOf({"5\" pipe,1", "x"}), ElementsAre("1:5\" pipe,1", "2:x"));
}

TEST(CsvRecords, QuoteThatIsNeverClosedCostsOneLine) {
  EXPECT_THAT(RecordsOf({"a", "\"b", "c", "d"}), ElementsAre("1:a", "2:\"b", "3:c", "4:d"));
  std::vector<std::string> lines{"\"open"};
  lines.resize(CsvRecords::kRecordLinesMax + 20, "1,2");
  lines.push_back("3,\"4\n5\"");
  std::vector<std::string> records = RecordsOf(lines);
  ASSERT_EQ(records.size(), lines.size());
  EXPECT_EQ(records[0], "1:\"open");
  EXPECT_EQ(records[99], "100:1,2");
  EXPECT_EQ(records.back(), std::to_string(lines.size()) + ":3,\"4\n5\"");
}

TEST(CsvRecords, StopAtTheFirstError) {
  int calls = 0;
  CsvRecords records([&](std::string_view, uint64_t) {
    calls++;
    return Unavailable("the disk is gone");
  });
  EXPECT_TRUE(absl::IsUnavailable(records.Line("a", 1)));
  EXPECT_TRUE(records.Line("\"b", 2).ok()) << "held";
  EXPECT_TRUE(records.Line("c", 3).ok()) << "held";
  EXPECT_TRUE(absl::IsUnavailable(records.End()));
  EXPECT_EQ(calls, 2);
}

TEST(CsvHeader, NamesTheValueColumnsInOrder) {
  CsvReader reader;
  ASSERT_TRUE(reader.ReadHeader("b,timestamp,\"a, c\"\r").ok());
  EXPECT_EQ(reader.value_columns(), (Cells{"b", "a, c"}));
}

TEST(CsvHeader, ByteOrderMarkIsNoPartOfTheFirstName) {
  CsvReader reader;
  ASSERT_TRUE(reader.ReadHeader("\xEF\xBB\xBFtimestamp,value").ok());
  ASSERT_TRUE(reader.ReadHeader("\xEF\xBB\xBF\"timestamp\",value").ok());
}

TEST(CsvHeader, IsRefusedByReason) {
  CsvReader reader;
  auto error = [&](std::string_view line) { return MessageOf(reader.ReadHeader(line)); };
  EXPECT_THAT(error("time,value"), HasSubstr("no column called \"timestamp\""));
  EXPECT_THAT(error(""), HasSubstr("no column called \"timestamp\""));
  EXPECT_THAT(error("timestamp"), HasSubstr("no column beside \"timestamp\""));
  EXPECT_THAT(error("timestamp,a,a"), HasSubstr("names \"a\" twice"));
  EXPECT_THAT(error("timestamp,a,timestamp"), HasSubstr("names \"timestamp\" twice"));
  EXPECT_THAT(error("timestamp,,a"), HasSubstr("column 2 of the header row has no name"));
  EXPECT_THAT(error("timestamp,\"a"), HasSubstr("line 1: column 11: the quote is not closed"));
}

TEST_F(CsvRowTest, ValuesStandUnderTheirColumns) {
  EXPECT_THAT(Read("2024-05-01T12:30:00Z,1.5,-2e3"),
              ElementsAre(std::pair("value", 1.5), std::pair("usage", -2000.0)));
  EXPECT_EQ(row_.timestamp_ns, kTime);
}

TEST_F(CsvRowTest, EmptyCellHasNoSampleAndEmptyLineNone) {
  EXPECT_THAT(Read("2024-05-01T12:30:00Z,,3"), ElementsAre(std::pair("usage", 3.0)));
  EXPECT_TRUE(Read("2024-05-01T12:30:00Z,,").empty());
  EXPECT_TRUE(Read("").empty());
  EXPECT_TRUE(Read("\r").empty());
}

TEST_F(CsvRowTest, TimestampsOfAllKindsMeanTheSameInstant) {
  for (const char* text :
       {"2024-05-01T12:30:00Z", "2024-05-01T14:30:00+02:00", "2024-05-01 12:30:00", "1714566600",
        "1714566600000", "1714566600000000", "1714566600000000000", "\"2024-05-01 12:30:00\""}) {
    Read(std::string(text) + ",1,2");
    EXPECT_EQ(row_.timestamp_ns, kTime) << text;
  }
  Read("2024-05-01 12:30:00.25,1,2");
  EXPECT_EQ(row_.timestamp_ns, kTime + kSecond / 4);
}

TEST_F(CsvRowTest, IsRefusedByReason) {
  EXPECT_EQ(ErrorOf("2024-05-01T12:30:00Z,1"), "2 cells, expected 3");
  EXPECT_EQ(ErrorOf("2024-05-01T12:30:00Z,1,2,3"), "4 cells, expected 3");
  EXPECT_EQ(ErrorOf("2024-05-01T12:30:00Z,1,x"), "column \"usage\": \"x\" is not a number");
  EXPECT_EQ(ErrorOf("2024-05-01T12:30:00Z,1 ,2"), "column \"value\": \"1 \" is not a number");
  EXPECT_THAT(ErrorOf("yesterday,1,2"), HasSubstr("yesterday"));
  EXPECT_THAT(ErrorOf("now,1,2"), HasSubstr("now"));
  EXPECT_THAT(ErrorOf(",1,2"), HasSubstr("not a time"));
  EXPECT_THAT(ErrorOf("2024-05-01T12:30:00Z,\"1,2"), HasSubstr("the quote is not closed"));
}

TEST_F(CsvRowTest, NothingIsLeftOfTheRowBefore) {
  Read("2024-05-01T12:30:00Z,1,2");
  ErrorOf("2024-05-01T12:30:00Z,1,x");
  EXPECT_THAT(Read("2024-05-01T12:30:00Z,7,"), ElementsAre(std::pair("value", 7.0)));
}

TEST(CsvMetric, IsTheNameForValueAndNameColumnElse) {
  EXPECT_EQ(CsvMetric("cpu", "value"), "cpu");
  EXPECT_EQ(CsvMetric("cpu", "usage"), "cpu_usage");
  EXPECT_EQ(CsvMetric("cpu", "Value"), "cpu_Value");
}

}  // namespace
}  // namespace nexus::server
