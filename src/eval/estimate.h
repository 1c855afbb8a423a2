#pragma once
// A mean and how far to trust it.
#include <span>

namespace octavo::eval {

struct MeanEstimate {
  double mean = 0;
  double half_width = 0;  // of the 95 % confidence interval; infinite with fewer than two samples
};

// Samples are taken as independent draws of about normal spread (a window's mean is one sample): Student's t
// with n - 1 degrees of freedom.
MeanEstimate estimate_mean(std::span<const double> samples);

// The 97.5 % quantile of Student's t; degrees_of_freedom >= 1. Within 0.1 % of the tables.
double t_quantile_975(long degrees_of_freedom);

}  // namespace octavo::eval
