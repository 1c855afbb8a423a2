// Every kernel against ref, and what the system around this process allows. Called by cli/cmd_selftest.cc.
#include "octavo/selftest.h"

#include <cmath>
#include <fstream>

#include "base/cgroup.h"
#include "base/memory.h"
#include "base/threads.h"
#include "kernels/isa.h"
#include "kernels/selftest.h"

namespace octavo {

namespace {

// "always [madvise] never": the one in brackets.
std::string huge_pages() {
  std::ifstream file("/sys/kernel/mm/transparent_hugepage/enabled");
  std::string text;
  if (!std::getline(file, text)) return "unknown";
  const size_t begin = text.find('['), end = text.find(']');
  if (begin == std::string::npos || end == std::string::npos || end < begin) return "unknown";
  return text.substr(begin + 1, end - begin - 1);
}

}  // namespace

Result<SelftestReport> run_selftest() {
  SelftestReport report;
  OCTAVO_ASSIGN_OR_RETURN(const kernels::Isa isa, kernels::active_isa());
  report.isa = kernels::isa_name(isa);
  for (const kernels::Isa one : kernels::cpu_isas()) report.isas.emplace_back(kernels::isa_name(one));
  report.cores = base::available_cores();
  const base::CgroupLimits limits = base::cgroup_limits();
  if (std::isfinite(limits.cores)) report.cgroup_cores = limits.cores;
  constexpr uint64_t kNoLimit = uint64_t{1} << 60;  // version 1 says so by a number near 2^63
  if (limits.free_memory_bytes < kNoLimit) report.cgroup_free_bytes = limits.free_memory_bytes;
  report.available_bytes = base::available_memory_bytes();
  report.huge_pages = huge_pages();
  report.passed = true;
  for (const kernels::SelftestResult& result : kernels::run_selftest()) {
    report.kernels.push_back(
        {result.operation, kernels::isa_name(result.isa), result.n_cases, result.n_different});
    report.passed = report.passed && result.n_different == 0;
  }
  return report;
}

}  // namespace octavo
