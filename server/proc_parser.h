// Parsers of the kernel's text files under /proc and /sys.
//
// Each takes a whole file and calls `add` for every reading in it; lines it does not understand are
// passed over. Sources: proc(5), Documentation/admin-guide/iostats.rst,
// Documentation/accounting/psi.rst. Threading: pure functions.

#ifndef NEXUS_SERVER_PROC_PARSER_H_
#define NEXUS_SERVER_PROC_PARSER_H_

#include <functional>
#include <initializer_list>
#include <string_view>

#include "base/labels.h"

namespace nexus::server {

using AddReading =
    std::function<void(std::string_view metric, std::initializer_list<Label> labels, double value)>;

void ParseProcStat(std::string_view text, const AddReading& add);       // /proc/stat
void ParseProcMeminfo(std::string_view text, const AddReading& add);    // /proc/meminfo
void ParseProcVmstat(std::string_view text, const AddReading& add);     // /proc/vmstat
void ParseProcDiskstats(std::string_view text, const AddReading& add);  // /proc/diskstats
void ParseProcNetDev(std::string_view text, const AddReading& add);     // /proc/net/dev
void ParseProcLoadavg(std::string_view text, const AddReading& add);    // /proc/loadavg
// /proc/pressure/<resource>
void ParseProcPressure(std::string_view resource, std::string_view text, const AddReading& add);
void ParseProcSelfStat(std::string_view text, const AddReading& add);  // /proc/self/stat
void ParseProcSelfIo(std::string_view text, const AddReading& add);    // /proc/self/io
void ParseProcUptime(std::string_view text, const AddReading& add);    // /proc/uptime
void ParseFileNr(std::string_view text, const AddReading& add);        // /proc/sys/fs/file-nr
void ParseEntropy(std::string_view text, const AddReading& add);       // .../random/entropy_avail
// /sys/devices/system/cpu/online: the number of CPUs
void ParseCpuOnline(std::string_view text, const AddReading& add);

}  // namespace nexus::server

#endif  // NEXUS_SERVER_PROC_PARSER_H_
