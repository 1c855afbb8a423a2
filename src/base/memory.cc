// Memory of this process and machine, from /proc and the control groups; used by reports and by checks before
// loading.
#include "base/memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

#include "base/cgroup.h"

namespace octavo::base {

namespace {

// Bytes of a "Name:  123 kB" line; `fallback` when there is none.
uint64_t proc_entry(const char* path, const std::string& name, uint64_t fallback) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    if (line.compare(0, name.size(), name) == 0 && line.size() > name.size() && line[name.size()] == ':') {
      return 1024 * std::strtoull(line.c_str() + name.size() + 1, nullptr, 10);
    }
  }
  return fallback;
}

}  // namespace

uint64_t resident_bytes() { return proc_entry("/proc/self/status", "VmRSS", 0); }

uint64_t peak_resident_bytes() { return proc_entry("/proc/self/status", "VmHWM", 0); }

bool reset_peak_resident() {
  std::ofstream file("/proc/self/clear_refs");
  file << "5" << std::flush;  // Documentation/filesystems/proc.rst
  return file.good();
}

uint64_t available_memory_bytes() {
  const uint64_t machine = proc_entry("/proc/meminfo", "MemAvailable", std::numeric_limits<uint64_t>::max());
  return std::min(machine, cgroup_limits().free_memory_bytes);
}

}  // namespace octavo::base
