// Reading this machine. See host_sampler.h.

#include "server/host_sampler.h"

#include <utility>

#include "io/file_util.h"
#include "server/proc_parser.h"

namespace nexus::server {
namespace {

// The largest of these files, /proc/stat with its interrupt counts, has some 20 KiB on big
// machines.
constexpr uint64_t kProcFileBytesMax = 4 << 20;

struct Source {
  const char* path;
  void (*parse)(std::string_view text, const AddReading& add);
};

constexpr Source kSources[] = {
    {"/proc/meminfo", &ParseProcMeminfo},
    {"/proc/vmstat", &ParseProcVmstat},
    {"/proc/diskstats", &ParseProcDiskstats},
    {"/proc/net/dev", &ParseProcNetDev},
    {"/proc/loadavg", &ParseProcLoadavg},
    {"/proc/uptime", &ParseProcUptime},
    {"/proc/self/stat", &ParseProcSelfStat},
    {"/proc/self/io", &ParseProcSelfIo},
    {"/proc/sys/fs/file-nr", &ParseFileNr},
    {"/proc/sys/kernel/random/entropy_avail", &ParseEntropy},
    {"/sys/devices/system/cpu/online", &ParseCpuOnline},
};

}  // namespace

HostSampler::HostSampler(io::Disk* disk, std::string root, std::string host)
    : disk_(disk), root_(std::move(root)), host_(std::move(host)) {}

std::string HostSampler::ReadFile(std::string_view path) const {
  StatusOr<std::string> text =
      io::ReadWholeFileBlocking(disk_, root_ + std::string(path), kProcFileBytesMax);
  return text.ok() ? *std::move(text) : std::string();
}

void HostSampler::Take(std::string_view metric, std::initializer_list<Label> labels, double value) {
  std::string key(metric);
  for (const Label& label : labels) key += '\xFF' + label.name + '\xFE' + label.value;
  auto place = places_.find(key);
  if (place == places_.end()) {
    std::vector<Label> all(labels);
    if (!host_.empty()) all.push_back({"host", host_});
    StatusOr<Labels> made = Labels::Make(std::string(metric), std::move(all));
    // A device name that is no UTF-8: nothing can name such a series.
    if (!made.ok()) return;
    place = places_.emplace(std::move(key), static_cast<uint32_t>(readings_.series.size())).first;
    readings_.series.push_back(*std::move(made));
  }
  readings_.present.push_back(place->second);
  readings_.values.push_back(value);
}

StatusOr<const HostReadings*> HostSampler::Sample() {
  readings_.present.clear();
  readings_.values.clear();
  auto add = [this](std::string_view metric, std::initializer_list<Label> labels, double value) {
    Take(metric, labels, value);
  };
  std::string stat = ReadFile("/proc/stat");
  if (stat.empty()) return Unavailable("cannot read {}/proc/stat: is /proc mounted?", root_);
  ParseProcStat(stat, add);
  for (const Source& source : kSources) source.parse(ReadFile(source.path), add);
  for (const char* resource : {"cpu", "io", "memory"}) {
    ParseProcPressure(resource, ReadFile(std::string("/proc/pressure/") + resource), add);
  }
  return &readings_;
}

}  // namespace nexus::server
