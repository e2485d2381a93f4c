// The kernel's formats. See proc_parser.h.

#include "server/proc_parser.h"

#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

namespace nexus::server {
namespace {

// USER_HZ, the unit of times in /proc: 100 on every architecture Linux has kept.
constexpr double kTicksPerSecond = 100;
constexpr double kPageBytes = 4096;
constexpr double kSectorBytes = 512;  // of /proc/diskstats, whatever the device has

std::optional<double> Number(std::string_view text) {
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  // The kernel writes no "inf" or "nan", which from_chars knows, and nothing above 64 bits, so that
  // a number in another unit is finite, too.
  if (!(std::abs(value) <= 0x1p64)) return std::nullopt;
  return value;
}

// Fields between blanks.
std::vector<std::string_view> Fields(std::string_view line) {
  std::vector<std::string_view> fields;
  size_t at = 0;
  while (true) {
    at = line.find_first_not_of(" \t", at);
    if (at == std::string_view::npos) return fields;
    size_t end = std::min(line.find_first_of(" \t", at), line.size());
    fields.push_back(line.substr(at, end - at));
    at = end;
  }
}

template <typename Visit>
void VisitLines(std::string_view text, Visit&& visit) {
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    visit(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

void AddNumber(const AddReading& add, std::string_view metric, std::initializer_list<Label> labels,
               std::string_view text, double unit = 1) {
  if (std::optional<double> value = Number(text)) add(metric, labels, *value * unit);
}

// One CPU's line: "cpu0 user nice system idle iowait irq softirq steal guest guest_nice".
void ParseCpuLine(const std::vector<std::string_view>& fields, const AddReading& add) {
  static constexpr std::array<const char*, 10> kModes = {
      "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guest_nice"};
  std::string cpu(fields[0].substr(3));
  for (size_t i = 0; i < kModes.size() && i + 1 < fields.size(); i++) {
    AddNumber(add, "node_cpu_seconds_total", {{"cpu", cpu}, {"mode", kModes[i]}}, fields[i + 1],
              1 / kTicksPerSecond);
  }
}

}  // namespace

void ParseProcStat(std::string_view text, const AddReading& add) {
  VisitLines(text, [&](std::string_view line) {
    std::vector<std::string_view> fields = Fields(line);
    if (fields.size() < 2) return;
    std::string_view name = fields[0];
    if (name.starts_with("cpu") && name.size() > 3) ParseCpuLine(fields, add);
    if (name == "intr") AddNumber(add, "node_intr_total", {}, fields[1]);
    if (name == "ctxt") AddNumber(add, "node_context_switches_total", {}, fields[1]);
    if (name == "btime") AddNumber(add, "node_boot_time_seconds", {}, fields[1]);
    if (name == "processes") AddNumber(add, "node_forks_total", {}, fields[1]);
    if (name == "procs_running") AddNumber(add, "node_procs_running", {}, fields[1]);
    if (name == "procs_blocked") AddNumber(add, "node_procs_blocked", {}, fields[1]);
    if (name == "softirq") AddNumber(add, "node_softirqs_total", {}, fields[1]);
  });
}

void ParseProcMeminfo(std::string_view text, const AddReading& add) {
  VisitLines(text, [&](std::string_view line) {
    std::vector<std::string_view> fields = Fields(line);
    if (fields.size() < 2 || !fields[0].ends_with(':')) return;
    // "Active(anon):" becomes node_memory_Active_anon_bytes.
    std::string name;
    for (char c : fields[0].substr(0, fields[0].size() - 1)) {
      if (c != ')') name += c == '(' ? '_' : c;
    }
    bool in_kib = fields.size() >= 3 && fields[2] == "kB";
    AddNumber(add, "node_memory_" + name + (in_kib ? "_bytes" : ""), {}, fields[1],
              in_kib ? 1024 : 1);
  });
}

void ParseProcVmstat(std::string_view text, const AddReading& add) {
  static constexpr std::array<std::string_view, 14> kKept = {
      "pgpgin",         "pgpgout",       "pswpin",       "pswpout",    "pgfault",
      "pgmajfault",     "pgfree",        "oom_kill",     "nr_dirtied", "nr_written",
      "pgsteal_kswapd", "pgscan_kswapd", "nr_writeback", "nr_dirty"};
  VisitLines(text, [&](std::string_view line) {
    std::vector<std::string_view> fields = Fields(line);
    if (fields.size() != 2) return;
    for (std::string_view kept : kKept) {
      if (fields[0] == kept) AddNumber(add, "node_vmstat_" + std::string(kept), {}, fields[1]);
    }
  });
}

void ParseProcDiskstats(std::string_view text, const AddReading& add) {
  struct Column {
    const char* metric;
    double unit;
  };
  static constexpr std::array<Column, 11> kColumns = {{
      {"node_disk_reads_completed_total", 1},
      {"node_disk_reads_merged_total", 1},
      {"node_disk_read_bytes_total", kSectorBytes},
      {"node_disk_read_time_seconds_total", 0.001},
      {"node_disk_writes_completed_total", 1},
      {"node_disk_writes_merged_total", 1},
      {"node_disk_written_bytes_total", kSectorBytes},
      {"node_disk_write_time_seconds_total", 0.001},
      {"node_disk_io_now", 1},
      {"node_disk_io_time_seconds_total", 0.001},
      {"node_disk_io_time_weighted_seconds_total", 0.001},
  }};
  VisitLines(text, [&](std::string_view line) {
    std::vector<std::string_view> fields = Fields(line);
    if (fields.size() < 3 + kColumns.size()) return;
    // RAM disks and loop devices that nobody uses would only make series.
    bool virtual_device = fields[2].starts_with("ram") || fields[2].starts_with("loop");
    if (virtual_device && fields[3] == "0") return;
    std::string device(fields[2]);
    for (size_t i = 0; i < kColumns.size(); i++) {
      AddNumber(add, kColumns[i].metric, {{"device", device}}, fields[3 + i], kColumns[i].unit);
    }
  });
}

void ParseProcNetDev(std::string_view text, const AddReading& add) {
  static constexpr std::array<const char*, 16> kColumns = {
      "receive_bytes",  "receive_packets",  "receive_errs",       "receive_drop",
      "receive_fifo",   "receive_frame",    "receive_compressed", "receive_multicast",
      "transmit_bytes", "transmit_packets", "transmit_errs",      "transmit_drop",
      "transmit_fifo",  "transmit_colls",   "transmit_carrier",   "transmit_compressed"};
  VisitLines(text, [&](std::string_view line) {
    size_t colon = line.find(':');
    if (colon == std::string_view::npos) return;
    std::vector<std::string_view> name = Fields(line.substr(0, colon));
    std::vector<std::string_view> fields = Fields(line.substr(colon + 1));
    if (name.size() != 1 || fields.size() < kColumns.size()) return;
    std::string device(name[0]);
    for (size_t i = 0; i < kColumns.size(); i++) {
      AddNumber(add, "node_network_" + std::string(kColumns[i]) + "_total", {{"device", device}},
                fields[i]);
    }
  });
}

void ParseProcLoadavg(std::string_view text, const AddReading& add) {
  std::vector<std::string_view> fields = Fields(text);
  if (fields.size() < 3) return;
  AddNumber(add, "node_load1", {}, fields[0]);
  AddNumber(add, "node_load5", {}, fields[1]);
  AddNumber(add, "node_load15", {}, fields[2]);
}

// Lines "some avg10=0.00 avg60=0.00 avg300=0.00 total=0" and "full ...".
void ParseProcPressure(std::string_view resource, std::string_view text, const AddReading& add) {
  VisitLines(text, [&](std::string_view line) {
    std::vector<std::string_view> fields = Fields(line);
    if (fields.size() < 2) return;
    std::string kind(fields[0]);
    for (std::string_view field : fields) {
      size_t equals = field.find('=');
      if (equals == std::string_view::npos) continue;
      std::string_view key = field.substr(0, equals);
      std::string_view value = field.substr(equals + 1);
      std::string prefix = "node_pressure_" + std::string(resource);
      if (key == "total") {
        AddNumber(add, prefix + "_stalled_seconds_total", {{"kind", kind}}, value, 1e-6);
      } else {
        AddNumber(add, prefix + "_ratio", {{"kind", kind}, {"window", std::string(key)}}, value,
                  0.01);
      }
    }
  });
}

// Field numbers of proc(5); the name in parentheses may hold blanks, so count from behind it.
void ParseProcSelfStat(std::string_view text, const AddReading& add) {
  size_t name_end = text.rfind(')');
  if (name_end == std::string_view::npos) return;
  std::vector<std::string_view> fields = Fields(text.substr(name_end + 1));
  constexpr size_t kFirst = 3;  // fields[0] is field 3, the state
  if (fields.size() < 24 - kFirst + 1) return;
  auto field = [&](size_t number) { return fields[number - kFirst]; };
  AddNumber(add, "process_minor_faults_total", {}, field(10));
  AddNumber(add, "process_major_faults_total", {}, field(12));
  AddNumber(add, "process_cpu_seconds_total", {{"mode", "user"}}, field(14), 1 / kTicksPerSecond);
  AddNumber(add, "process_cpu_seconds_total", {{"mode", "system"}}, field(15), 1 / kTicksPerSecond);
  AddNumber(add, "process_threads", {}, field(20));
  AddNumber(add, "process_virtual_memory_bytes", {}, field(23));
  AddNumber(add, "process_resident_memory_bytes", {}, field(24), kPageBytes);
}

void ParseProcSelfIo(std::string_view text, const AddReading& add) {
  VisitLines(text, [&](std::string_view line) {
    std::vector<std::string_view> fields = Fields(line);
    if (fields.size() != 2) return;
    if (fields[0] == "read_bytes:") AddNumber(add, "process_read_bytes_total", {}, fields[1]);
    if (fields[0] == "write_bytes:") AddNumber(add, "process_written_bytes_total", {}, fields[1]);
    if (fields[0] == "syscr:") AddNumber(add, "process_read_calls_total", {}, fields[1]);
    if (fields[0] == "syscw:") AddNumber(add, "process_write_calls_total", {}, fields[1]);
  });
}

void ParseProcUptime(std::string_view text, const AddReading& add) {
  std::string_view line = text.substr(0, text.find('\n'));
  std::vector<std::string_view> fields = Fields(line);
  if (!fields.empty()) AddNumber(add, "node_uptime_seconds", {}, fields[0]);
}

void ParseFileNr(std::string_view text, const AddReading& add) {
  std::string_view line = text.substr(0, text.find('\n'));
  std::vector<std::string_view> fields = Fields(line);
  if (fields.size() < 3) return;
  AddNumber(add, "node_filefd_allocated", {}, fields[0]);
  AddNumber(add, "node_filefd_maximum", {}, fields[2]);
}

void ParseEntropy(std::string_view text, const AddReading& add) {
  AddNumber(add, "node_entropy_available_bits", {}, text.substr(0, text.find('\n')));
}

// A list of ranges: "0-3,5".
void ParseCpuOnline(std::string_view text, const AddReading& add) {
  double count = 0;
  std::string_view line = text.substr(0, text.find('\n'));
  if (line.empty()) return;
  while (!line.empty()) {
    size_t end = std::min(line.find(','), line.size());
    std::string_view range = line.substr(0, end);
    size_t dash = range.find('-');
    std::optional<double> first = Number(range.substr(0, dash));
    std::optional<double> last =
        dash == std::string_view::npos ? first : Number(range.substr(dash + 1));
    if (!first.has_value() || !last.has_value() || *last < *first) return;
    count += *last - *first + 1;
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  add("node_cpus_online", {}, count);
}

}  // namespace nexus::server
