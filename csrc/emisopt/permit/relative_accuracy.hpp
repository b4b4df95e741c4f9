// Comparing a monitor with a reference method run by run: relative accuracy with bias (RATA), the F-test,
// t-test and correlation that a predictive system (PEMS) is held to, and the short audit.
//
//   d_i = RM_i - CEM_i      CC = t(0.975, n-1) sd(d) / sqrt(n)      RA = (|mean d| + |CC|) / mean RM  100 %
//   bias: mean d > |CC| (the monitor reads low);  BAF = 1 + |mean d| / mean CEM
//
// RA: EPA, Monitoring Insights, 10 May 2022 (read). The bias test and BAF (40 CFR 75 appendix A, 7.6) were
// recalled; that CEM * BAF has the mean of the reference is checked by arithmetic.
#pragma once
#include <optional>
#include <vector>

#include "emisopt/permit/acceptance.hpp"
#include "emisopt/permit/sample_statistics.hpp"

namespace emisopt {

struct RelativeAccuracyConfig {
  int least_runs = 9;                 // fewer are refused
  std::optional<double> denominator;  // instead of the mean of the reference, e.g. the emission standard
  int t_decimals = 3;                 // t as printed tables have it (2.306); negative: not rounded
};

struct RelativeAccuracy {
  int n = 0;
  double mean_reference = 0, mean_monitor = 0;
  double mean_difference = 0;  // reference - monitor
  double sd = 0, t = 0, confidence = 0;
  double relative_accuracy_pct = 0;
  bool biased = false;     // the monitor reads low beyond what chance explains
  double bias_factor = 1;  // multiply the monitor's values; 1 without bias
};

/// reference and monitor (n): one value per run. Throws ShapeError for lengths, InputError for runs that are
/// too few or not finite, a denominator or a mean of the monitor that is not positive where it divides.
RelativeAccuracy relative_accuracy(const std::vector<double>& reference, const std::vector<double>& monitor,
                                   const RelativeAccuracyConfig& config = {});

/// 100 (mean monitor - mean reference) / mean reference, %: the accuracy of a short audit.
double audit_accuracy_pct(const std::vector<double>& reference, const std::vector<double>& monitor);

/// F, t and r of pairs, and the critical values at 95 %.
struct MethodComparison {
  int n = 0;
  double f = 0, f_critical = 0;  // variance of the monitor over that of the reference; F(0.95, n-1, n-1)
  double t = 0, t_critical = 0;  // paired; t(0.975, n-1)
  double r = 0;
  double mean_difference = 0;  // reference - monitor
};
MethodComparison compare_methods(const std::vector<double>& reference, const std::vector<double>& monitor,
                                 int least_runs);

/// 40 CFR 60 appendix B, Performance Specification 16, as recalled (unverified): relative accuracy at most 10
/// % where the mean of the reference is above 100 ppm, 20 % from 10 to 100 ppm, a mean difference of 2 ppm
/// below; F at most its critical value; r at least 0.8.
std::vector<AcceptanceLimit> ps16_limits(double mean_reference_ppm, double f_critical);

}  // namespace emisopt
