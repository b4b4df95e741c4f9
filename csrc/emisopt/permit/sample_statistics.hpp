// Statistics of small samples as the test methods define them: 40 CFR 1065.602 (mean, standard deviation,
// root mean square, accuracy, unpaired and paired t-test, F-test) and 40 CFR 60 appendix C (pooled t-test).
// Their printed examples are tests. Values must be finite: a test run without a value is no run.
#pragma once
#include <string_view>
#include <vector>

namespace emisopt {

/// n values: mean, standard deviation with n - 1 (two passes), root mean square.
struct SampleStatistics {
  int n = 0;
  double mean = 0, sd = 0, rms = 0;
};
/// Throws InputError "where: ..." for fewer than `least` values or one that is not finite, naming its place.
SampleStatistics sample_statistics(const std::vector<double>& values, int least, std::string_view where);

/// |mean of the observed - reference|, 1065.602(e).
double accuracy(const std::vector<double>& observed, double reference);

struct TTest {
  double t = 0;    // the statistic, >= 0 (paired: the sign of the mean difference is dropped)
  double dof = 0;  // degrees of freedom, not whole for Welch's
  double p = 0;    // two-sided probability of a |t| at least as large without a difference
};
/// Welch's test of two independent samples, 1065.602(f)(1). Only n, mean and sd are looked at.
TTest welch_test(const SampleStatistics& reference, const SampleStatistics& y);
/// Both with one variance, 40 CFR 60 appendix C.
TTest pooled_test(const SampleStatistics& a, const SampleStatistics& b);
/// Mean difference of pairs against 0, 1065.602(f)(2). differences: at least 2.
TTest paired_test(const std::vector<double>& differences);

struct FTest {
  double f = 0;  // variance of y over variance of the reference, 1065.602(g)
  double p = 0;  // probability of an F at least as large with equal variances (one-sided)
};
FTest f_test(const SampleStatistics& reference, const SampleStatistics& y);

/// Pearson's r of pairs (n >= 3); NaN where one side does not vary. ShapeError for lengths that differ.
double correlation(const std::vector<double>& x, const std::vector<double>& y);

}  // namespace emisopt
