#pragma once
// What the control groups around this process allow: the limits a container or batch system sets.
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace octavo::base {

struct CgroupLimits {
  double cores = std::numeric_limits<double>::infinity();
  // Memory that may still be taken: limit - used + page cache that the kernel can drop.
  uint64_t free_memory_bytes = std::numeric_limits<uint64_t>::max();
};

// The tightest limits on the way from this process's group up to the root, versions 1 and 2.
CgroupLimits cgroup_limits();
// The same for the text of a /proc/<pid>/cgroup and the folder where the groups are mounted.
CgroupLimits cgroup_limits(std::string_view membership, const std::string& mount);

}  // namespace octavo::base
