// The kernel's files: readings of real snippets, and that no content does harm.

#include "server/proc_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <map>
#include <string>
#include <string_view>

namespace nexus::server {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

// metric{name="value",...} -> value; a reading given twice is a failure.
using Readings = std::map<std::string, double>;

// An AddReading that fills `readings`.
AddReading Into(Readings* readings) {
  return [readings](std::string_view metric, std::initializer_list<Label> labels, double value) {
    std::string key(metric);
    for (const Label& label : labels) key += " " + label.name + "=" + label.value;
    EXPECT_TRUE(readings->emplace(key, value).second) << key << " is given twice";
  };
}

template <typename Parse>
Readings Read(Parse parse, std::string_view text) {
  Readings readings;
  parse(text, Into(&readings));
  return readings;
}

Readings ReadPressure(std::string_view text) {
  return Read([](std::string_view t, const AddReading& add) { ParseProcPressure("io", t, add); },
              text);
}

constexpr std::string_view kStat =
    "cpu  20 4 6 800 10 0 2 0 0 0\n"
    "cpu0 1250 25 300 90000 125 0 75 5 10 0\n"
    "cpu1 0 0 0 100 0 0 0\n"
    "intr 114930548 113199788 3 0 5\n"
    "ctxt 1990473\n"
    "btime 1062191376\n"
    "processes 2915\n"
    "procs_running 1\n"
    "procs_blocked 0\n"
    "softirq 183433 0 21755 12 39\n";

constexpr std::string_view kMeminfo =
    "MemTotal:       24576000 kB\n"
    "MemAvailable:   12345678 kB\n"
    "Active(anon):       1024 kB\n"
    "HugePages_Total:       3\n"
    "a line without a colon 5 kB\n";

constexpr std::string_view kDiskstats =
    "   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
    "   1       0 ram0 0 0 0 0 0 0 0 0 0 0 0\n"
    " 259       0 nvme0n1 100 2 800 50 200 4 1600 75 1 120 125 0 0 0 0 9 8\n"
    " 259       1 short 1 2 3\n";

constexpr std::string_view kNetDev =
    "Inter-|   Receive                                                |  Transmit\n"
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop "
    "fifo colls carrier compressed\n"
    "    lo:  100 1 0 0 0 0 0 0 200 2 0 0 0 0 0 0\n"
    "  eth0:1234567 89 1 2 3 4 5 6 7654321 98 10 20 30 40 50 60\n";

constexpr std::string_view kPressure =
    "some avg10=1.50 avg60=0.25 avg300=0.00 total=2500000\n"
    "full avg10=0.00 avg60=0.00 avg300=0.00 total=1\n";

TEST(ProcStat, CpusByModeInSecondsAndTheCounters) {
  Readings readings = Read(&ParseProcStat, kStat);
  EXPECT_EQ(readings.size(), 10u + 7u + 7u) << "the line of all CPUs together is left out";
  EXPECT_EQ(readings["node_cpu_seconds_total cpu=0 mode=user"], 12.5);
  EXPECT_EQ(readings["node_cpu_seconds_total cpu=0 mode=idle"], 900);
  EXPECT_EQ(readings["node_cpu_seconds_total cpu=0 mode=guest"], 0.1);
  EXPECT_EQ(readings["node_cpu_seconds_total cpu=1 mode=idle"], 1);
  EXPECT_EQ(readings["node_intr_total"], 114930548);
  EXPECT_EQ(readings["node_context_switches_total"], 1990473);
  EXPECT_EQ(readings["node_boot_time_seconds"], 1062191376);
  EXPECT_EQ(readings["node_forks_total"], 2915);
  EXPECT_EQ(readings["node_procs_running"], 1);
  EXPECT_EQ(readings["node_procs_blocked"], 0);
  EXPECT_EQ(readings["node_softirqs_total"], 183433);
}

TEST(ProcMeminfo, KilobytesBecomeBytesAndCountsStay) {
  EXPECT_THAT(Read(&ParseProcMeminfo, kMeminfo),
              ElementsAre(Pair("node_memory_Active_anon_bytes", 1024.0 * 1024),
                          Pair("node_memory_HugePages_Total", 3),
                          Pair("node_memory_MemAvailable_bytes", 12345678.0 * 1024),
                          Pair("node_memory_MemTotal_bytes", 24576000.0 * 1024)));
}

TEST(ProcDiskstats, SectorsBecomeBytesMillisecondsSecondsAndUnusedDevicesAreLeftOut) {
  Readings readings = Read(&ParseProcDiskstats, kDiskstats);
  EXPECT_EQ(readings.size(), 11u);
  EXPECT_EQ(readings["node_disk_reads_completed_total device=nvme0n1"], 100);
  EXPECT_EQ(readings["node_disk_reads_merged_total device=nvme0n1"], 2);
  EXPECT_EQ(readings["node_disk_read_bytes_total device=nvme0n1"], 800 * 512);
  EXPECT_EQ(readings["node_disk_read_time_seconds_total device=nvme0n1"], 0.05);
  EXPECT_EQ(readings["node_disk_writes_completed_total device=nvme0n1"], 200);
  EXPECT_EQ(readings["node_disk_written_bytes_total device=nvme0n1"], 1600 * 512);
  EXPECT_EQ(readings["node_disk_io_now device=nvme0n1"], 1);
  EXPECT_EQ(readings["node_disk_io_time_weighted_seconds_total device=nvme0n1"], 0.125);
}

TEST(ProcDiskstats, LoopDeviceInUseIsKept) {
  EXPECT_EQ(Read(&ParseProcDiskstats, "7 0 loop0 5 0 10 0 0 0 0 0 0 0 0\n").size(), 11u);
}

TEST(ProcNetDev, DevicesWithAndWithoutABlankBehindTheColon) {
  Readings readings = Read(&ParseProcNetDev, kNetDev);
  EXPECT_EQ(readings.size(), 32u);
  EXPECT_EQ(readings["node_network_receive_bytes_total device=lo"], 100);
  EXPECT_EQ(readings["node_network_transmit_bytes_total device=lo"], 200);
  EXPECT_EQ(readings["node_network_receive_bytes_total device=eth0"], 1234567);
  EXPECT_EQ(readings["node_network_receive_multicast_total device=eth0"], 6);
  EXPECT_EQ(readings["node_network_transmit_compressed_total device=eth0"], 60);
}

TEST(ProcLoadavg, ThreeLoads) {
  EXPECT_THAT(
      Read(&ParseProcLoadavg, "0.20 0.18 12.5 1/80 11206\n"),
      ElementsAre(Pair("node_load1", 0.2), Pair("node_load15", 12.5), Pair("node_load5", 0.18)));
}

TEST(ProcPressure, PercentBecomesARatioAndMicrosecondsSeconds) {
  Readings readings = ReadPressure(kPressure);
  EXPECT_EQ(readings.size(), 8u);
  EXPECT_EQ(readings["node_pressure_io_ratio kind=some window=avg10"], 0.015);
  EXPECT_EQ(readings["node_pressure_io_ratio kind=some window=avg60"], 0.0025);
  EXPECT_EQ(readings["node_pressure_io_stalled_seconds_total kind=some"], 2.5);
  EXPECT_EQ(readings["node_pressure_io_stalled_seconds_total kind=full"], 1e-6);
}

TEST(ProcVmstat, OnlyTheFiguresThatTellSomething) {
  EXPECT_THAT(Read(&ParseProcVmstat, "nr_free_pages 5\npgfault 7\npswpin 0\nworkingset_nodes 3\n"),
              ElementsAre(Pair("node_vmstat_pgfault", 7), Pair("node_vmstat_pswpin", 0)));
}

TEST(ProcSelfStat, NameOfTheProcessMayHoldAnything) {
  std::string tail = " S 1 2 3 4 5 6 70 8 90 10 1100 1200 13 14 15 16 17 18 19 20480 50 99\n";
  for (const char* name : {"(nexus)", "(a b) c)", "()"}) {
    Readings readings = Read(&ParseProcSelfStat, "4242 " + std::string(name) + tail);
    EXPECT_EQ(readings["process_minor_faults_total"], 70) << name;
    EXPECT_EQ(readings["process_major_faults_total"], 90) << name;
    EXPECT_EQ(readings["process_cpu_seconds_total mode=user"], 11) << name;
    EXPECT_EQ(readings["process_cpu_seconds_total mode=system"], 12) << name;
    EXPECT_EQ(readings["process_threads"], 17) << name;
    EXPECT_EQ(readings["process_virtual_memory_bytes"], 20480) << name;
    EXPECT_EQ(readings["process_resident_memory_bytes"], 50 * 4096) << name;
  }
}

TEST(ProcSelfIo, BytesAndCalls) {
  EXPECT_THAT(
      Read(&ParseProcSelfIo,
           "rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 5\nwrite_bytes: 6\n"),
      ElementsAre(Pair("process_read_bytes_total", 5), Pair("process_read_calls_total", 3),
                  Pair("process_write_calls_total", 4), Pair("process_written_bytes_total", 6)));
}

TEST(ProcSmallFiles, OneFigureEach) {
  EXPECT_THAT(Read(&ParseProcUptime, "350735.47 234388.90\n"),
              ElementsAre(Pair("node_uptime_seconds", 350735.47)));
  EXPECT_THAT(Read(&ParseFileNr, "1952\t0\t9223372036854775807\n"),
              UnorderedElementsAre(Pair("node_filefd_allocated", 1952),
                                   Pair("node_filefd_maximum", 9223372036854775807.0)));
  EXPECT_THAT(Read(&ParseEntropy, "256\n"), ElementsAre(Pair("node_entropy_available_bits", 256)));
}

TEST(CpuOnline, CountsTheRanges) {
  EXPECT_EQ(Read(&ParseCpuOnline, "0\n")["node_cpus_online"], 1);
  EXPECT_EQ(Read(&ParseCpuOnline, "0-3\n")["node_cpus_online"], 4);
  EXPECT_EQ(Read(&ParseCpuOnline, "0-3,5,8-9\n")["node_cpus_online"], 7);
}

TEST(ProcParsers, FileThatIsMissingGivesNoReading) {
  for (auto parse : {&ParseProcStat, &ParseProcMeminfo, &ParseProcVmstat, &ParseProcDiskstats,
                     &ParseProcNetDev, &ParseProcLoadavg, &ParseProcSelfStat, &ParseProcSelfIo,
                     &ParseProcUptime, &ParseFileNr, &ParseEntropy, &ParseCpuOnline}) {
    EXPECT_THAT(Read(parse, ""), IsEmpty());
    EXPECT_THAT(Read(parse, "\n"), IsEmpty());
  }
  EXPECT_THAT(ReadPressure(""), IsEmpty());
}

TEST(ProcParsers, WhatIsNoNumberIsLeftOut) {
  EXPECT_THAT(Read(&ParseProcStat, "ctxt many\nbtime 0x10\nprocesses nan\nprocs_running inf\n"),
              IsEmpty());
  EXPECT_THAT(Read(&ParseProcStat, "processes 1e308\n"), IsEmpty());
  EXPECT_THAT(Read(&ParseProcLoadavg, "0.20 - 12.5 1/80 11206\n"),
              ElementsAre(Pair("node_load1", 0.2), Pair("node_load15", 12.5)));
  EXPECT_THAT(Read(&ParseCpuOnline, "3-1\n"), IsEmpty());
  EXPECT_THAT(Read(&ParseCpuOnline, "0-\n"), IsEmpty());
}

// Readings of any content are finite numbers; nothing else is promised for it.
void ParseAll(std::string_view text) {
  AddReading add = [](std::string_view metric, std::initializer_list<Label>, double value) {
    EXPECT_TRUE(std::isfinite(value)) << metric;
  };
  for (auto parse : {&ParseProcStat, &ParseProcMeminfo, &ParseProcVmstat, &ParseProcDiskstats,
                     &ParseProcNetDev, &ParseProcLoadavg, &ParseProcSelfStat, &ParseProcSelfIo,
                     &ParseProcUptime, &ParseFileNr, &ParseEntropy, &ParseCpuOnline}) {
    parse(text, add);
  }
  ParseProcPressure("cpu", text, add);
}

TEST(ProcParsers, EveryTruncationIsHarmless) {
  for (std::string_view text : {kStat, kMeminfo, kDiskstats, kNetDev, kPressure}) {
    // A copy of its own for each length, so that a read beyond it is seen by the sanitizer.
    for (size_t size = 0; size <= text.size(); size++) ParseAll(std::string(text.substr(0, size)));
  }
}

RC_GTEST_PROP(ProcParsers, GarbageIsHarmless, ()) {
  std::string text;
  for (const std::string& part : *rc::gen::container<std::vector<std::string>>(rc::gen::oneOf(
           rc::gen::element<std::string>("cpu", "cpu0", "ctxt", "some", "total=", ":", "(", ")",
                                         " ", "\n", "\t", "-", ",", "=", "kB", "1e308", "9", "nan"),
           rc::gen::string<std::string>()))) {
    text += part;
  }
  ParseAll(text);
}

}  // namespace
}  // namespace nexus::server
