// Repeats a measurement and sums it up. The median, because a neighbour on the machine makes some runs slow
// and none fast. Called by every file of bench/.
#include "bench/row.h"

#include <algorithm>

#include "base/check.h"

namespace octavo::bench {

Result<std::vector<double>> repeat(const Repetitions& repetitions, bool warm_up, Progress* progress,
                                   const std::function<Result<double>()>& once) {
  if (warm_up) OCTAVO_RETURN_IF_ERROR(once().status());
  const Stopwatch watch;
  std::vector<double> seconds;
  for (int i = 0; i < repetitions.n; ++i) {
    if (i >= 2 && watch.seconds() > repetitions.seconds) break;
    if (progress != nullptr && progress->cancelled()) return cancelled("the measurement was interrupted");
    OCTAVO_ASSIGN_OR_RETURN(const double run, once());
    seconds.push_back(run);
  }
  return seconds;
}

double median(std::vector<double> values) {
  OCTAVO_CHECK(!values.empty());
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

void set_rate(Row& row, double work, const std::vector<double>& seconds, double limit) {
  const auto [least, most] = std::minmax_element(seconds.begin(), seconds.end());
  row.value = work / median(seconds);
  row.min = work / *most;
  row.max = work / *least;
  row.limit = limit;
  row.share = limit > 0 ? row.value / limit : 0;
  row.n_runs = static_cast<int>(seconds.size());
}

void set_seconds(Row& row, const std::vector<double>& seconds, double limit) {
  const auto [least, most] = std::minmax_element(seconds.begin(), seconds.end());
  row.value = median(seconds);
  row.min = *least;
  row.max = *most;
  row.unit = "s";
  row.limit = limit;
  row.share = row.value > 0 ? limit / row.value : 0;
  row.n_runs = static_cast<int>(seconds.size());
}

}  // namespace octavo::bench
