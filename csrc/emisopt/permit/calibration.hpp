// QAL2-style calibration of a monitor against the standard reference method, and the test of its variability.
//
//   y^ = a + b x             x: the monitor's signal, y: the reference
//   D_i = y_i - y^_i         s_D = sqrt(sum (D_i - mean D)^2 / (N - 1))
//   sigma0 = P/100 E / 1.96  E: daily emission limit value, P: its confidence interval in % of E
//   s_D <= sigma0 k_v        k_v = sqrt(chi2(0.5, N - 1) / (N - 1))
//
// EN 14181 itself was not read: the form is recalled and its verdict unverified. What is checked: P by
// pollutant (2000/76/EC annex III, 17. BImSchV annex 4), and k_v, whose recalled values 0.8326 (N = 3),
// 0.9161 (5) and 0.9761 (15) come out of its formula.
#pragma once
#include <string_view>
#include <vector>

#include "emisopt/permit/acceptance.hpp"

namespace emisopt {

struct CalibrationFunction {
  double intercept = 0, slope = 1;
  int n = 0;
  double r = 0;  // correlation; NaN where one side does not vary
};

/// Least squares of y on x; n >= 3. Throws InputError where x does not vary, ShapeError for lengths.
CalibrationFunction calibrate(const std::vector<double>& x, const std::vector<double>& y);
/// For readings that hardly vary: the line through (zero, 0) and the means. Throws InputError
/// where they meet.
CalibrationFunction calibrate_through_zero(const std::vector<double>& x, const std::vector<double>& y,
                                           double zero);

struct Variability {
  int n = 0;
  double mean_difference = 0, sd = 0;  // of D
  double sigma0 = 0, kv = 0;
  double allowed = 0;  // sigma0 * kv
};
/// x, y (N >= 3) in the unit of the limit, at reference conditions. Throws InputError for a limit that is not
/// positive, a confidence not in (0, 100) %, runs that are too few or not finite.
Variability variability(const CalibrationFunction& function, const std::vector<double>& x,
                        const std::vector<double>& y, double limit, double confidence_pct);

/// k_v of N pairs, N >= 2.
double variability_kv(int n);
/// Confidence interval of a validated value in % of the limit: CO 10, SO2 20, NOx 20, dust 30, TOC 30, HCl
/// 40, HF 40 (2000/76/EC annex III). Throws InputError for others.
double confidence_interval_pct(std::string_view pollutant);

}  // namespace emisopt
