// Control group limits, read from /proc/self/cgroup and the files under /sys/fs/cgroup; used by threads.cc,
// memory.cc. A container often sees its group as the root, or sees a path of the host that is not mounted:
// every ancestor is tried.
#include "base/cgroup.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>

namespace octavo::base {

namespace {

// These files have no size to ask for, so base/file.h does not serve.
std::optional<std::string> read_text(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// The first number in `text`; nothing for "max" and -1.
std::optional<uint64_t> first_number(std::string_view text) {
  uint64_t value = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), value).ec != std::errc()) return std::nullopt;
  return value;
}

std::optional<uint64_t> read_number(const std::string& path) {
  const auto text = read_text(path);
  return text ? first_number(*text) : std::nullopt;
}

// The value of "key value" lines.
uint64_t stat_entry(const std::string& path, const std::string& key) {
  std::istringstream lines(read_text(path).value_or(""));
  std::string name;
  uint64_t value = 0;
  while (lines >> name >> value) {
    if (name == key) return value;
  }
  return 0;
}

void limit_cores(CgroupLimits& limits, std::optional<uint64_t> quota_us, std::optional<uint64_t> period_us) {
  if (quota_us && period_us && *quota_us > 0 && *period_us > 0) {
    limits.cores = std::min(limits.cores, static_cast<double>(*quota_us) / static_cast<double>(*period_us));
  }
}

void limit_memory(CgroupLimits& limits, std::optional<uint64_t> limit, std::optional<uint64_t> used,
                  uint64_t droppable) {
  if (!limit || !used) return;
  const uint64_t held = *used - std::min(*used, droppable);
  limits.free_memory_bytes = std::min(limits.free_memory_bytes, *limit - std::min(*limit, held));
}

void limit_by_v2(CgroupLimits& limits, const std::string& folder) {
  const std::string cpu = read_text(folder + "/cpu.max").value_or("");
  const size_t space = cpu.find(' ');
  if (space != std::string::npos) {
    limit_cores(limits, first_number(cpu), first_number(std::string_view(cpu).substr(space + 1)));
  }
  limit_memory(limits, read_number(folder + "/memory.max"), read_number(folder + "/memory.current"),
               stat_entry(folder + "/memory.stat", "inactive_file"));
}

void limit_by_v1(CgroupLimits& limits, const std::string& controllers, const std::string& folder) {
  if (controllers.find("memory") != std::string::npos) {
    limit_memory(limits, read_number(folder + "/memory.limit_in_bytes"),
                 read_number(folder + "/memory.usage_in_bytes"),
                 stat_entry(folder + "/memory.stat", "total_inactive_file"));
  } else {
    limit_cores(limits, read_number(folder + "/cpu.cfs_quota_us"),
                read_number(folder + "/cpu.cfs_period_us"));
  }
}

}  // namespace

CgroupLimits cgroup_limits(std::string_view membership, const std::string& mount) {
  CgroupLimits limits;
  std::istringstream lines{std::string(membership)};
  std::string line;
  while (std::getline(lines, line)) {  // "0::/path" or "4:cpu,cpuacct:/path"
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool v1_of_use = controllers.find("memory") != std::string::npos || controllers == "cpu" ||
                           controllers == "cpu,cpuacct" || controllers == "cpuacct,cpu";
    if (!controllers.empty() && !v1_of_use) continue;
    const std::string root = controllers.empty() ? mount : mount + "/" + controllers;
    std::string path = line.substr(second + 1);
    while (true) {
      while (!path.empty() && path.back() == '/') path.pop_back();
      if (controllers.empty()) {
        limit_by_v2(limits, root + path);
      } else {
        limit_by_v1(limits, controllers, root + path);
      }
      if (path.empty()) break;
      const size_t slash = path.rfind('/');
      path.resize(slash == std::string::npos ? 0 : slash);
    }
  }
  return limits;
}

CgroupLimits cgroup_limits() {
  return cgroup_limits(read_text("/proc/self/cgroup").value_or(""), "/sys/fs/cgroup");
}

}  // namespace octavo::base
