// Mean and 95 % interval: mean ± t(0.975, n-1) * s / sqrt(n). With the few windows of a short text 1.96 would
// promise too much (n = 3: the right factor is 4.3). Used by eval/perplexity.cc.
#include "eval/estimate.h"

#include <array>
#include <cmath>
#include <limits>

#include "base/check.h"

namespace octavo::eval {

double t_quantile_975(long degrees_of_freedom) {
  OCTAVO_CHECK(degrees_of_freedom >= 1);
  constexpr std::array<double, 10> kExact = {12.706205, 4.302653, 3.182446, 2.776445, 2.570582,
                                             2.446912,  2.364624, 2.306004, 2.262157, 2.228139};
  if (degrees_of_freedom <= 10) return kExact[static_cast<size_t>(degrees_of_freedom - 1)];
  // Cornish-Fisher expansion in 1/n (Abramowitz and Stegun 26.7.5), z the normal quantile.
  constexpr double z = 1.959963985;
  constexpr double z3 = z * z * z, z5 = z3 * z * z, z7 = z5 * z * z;
  const auto n = static_cast<double>(degrees_of_freedom);
  return z + (z3 + z) / (4 * n) + (5 * z5 + 16 * z3 + 3 * z) / (96 * n * n) +
         (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384 * n * n * n);
}

MeanEstimate estimate_mean(std::span<const double> samples) {
  OCTAVO_CHECK(!samples.empty());
  const auto n = static_cast<double>(samples.size());
  double mean = 0;
  for (const double x : samples) mean += x;
  mean /= n;
  if (samples.size() == 1) return {mean, std::numeric_limits<double>::infinity()};
  double squares = 0;
  for (const double x : samples) squares += (x - mean) * (x - mean);
  const double standard_error = std::sqrt(squares / (n - 1) / n);
  return {mean, t_quantile_975(static_cast<long>(samples.size()) - 1) * standard_error};
}

}  // namespace octavo::eval
