#pragma once
// What one measurement says, and how it is taken: the median of several runs, with the least and the most.
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "octavo/progress.h"
#include "octavo/status.h"

namespace octavo::bench {

struct Row {
  std::string work;    // gemm, attention, prefill, decode, engine, prefix, load, memory, quantize, rules
  std::string shape;   // "qwen3-0.6b", "6144x1024"
  std::string dtype;   // "int8", "bf16"
  std::string isa;     // kernels::isa_name
  std::string kernel;  // what runs
  int threads = 0;
  int64_t m = 0, batch = 0, context = 0;  // 0 where they mean nothing
  double value = 0;                       // median
  std::string unit;                       // tok/s, TOPS, GB/s, s, GiB, %
  double min = 0, max = 0;
  double limit = 0;      // in `unit`; 0: none is known
  std::string limit_of;  // "int8 peak", "read bandwidth"
  double share = 0;      // of the limit; for seconds, limit / value
  int n_runs = 0;
  int64_t extrapolated_from = 0;  // layers that ran, where the model has more; else 0
};

struct Repetitions {
  int n = 5;
  double seconds = 20;  // no further run begins after these, but for the second
};

// Runs `once` (which gives seconds) as often as asked, and once before if `warm_up`. Fails as soon as a run
// does, or when progress says so.
Result<std::vector<double>> repeat(const Repetitions& repetitions, bool warm_up, Progress* progress,
                                   const std::function<Result<double>()>& once);

// value, min and max from the seconds of each run: work / seconds; then share from the limit.
void set_rate(Row& row, double work, const std::vector<double>& seconds, double limit);
// The seconds themselves.
void set_seconds(Row& row, const std::vector<double>& seconds, double limit);

double median(std::vector<double> values);  // of at least one

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(Clock::now() - begin_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point begin_ = Clock::now();
};

}  // namespace octavo::bench
