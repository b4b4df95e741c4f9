#include "emisopt/permit/sample_statistics.hpp"

#include <cmath>
#include <string>

#include "emisopt/base/distribution.hpp"
#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"
#include "emisopt/base/types.hpp"

namespace emisopt {
namespace {

double two_sided(double t, double dof) { return 2 * student_cdf(-std::abs(t), dof); }

void require_spread(bool spread, const char* where) {
  if (!spread)
    throw InputError(std::string(where) + ": expected values that differ, got a standard deviation of 0");
}

double variance_of_mean(const SampleStatistics& s) { return s.sd * s.sd / s.n; }

}  // namespace

SampleStatistics sample_statistics(const std::vector<double>& values, int least, std::string_view where) {
  if (static_cast<int>(values.size()) < least)
    throw InputError(std::string(where) + ": expected at least " + std::to_string(least) + " values, got " +
                     std::to_string(values.size()));
  SampleStatistics s;
  s.n = static_cast<int>(values.size());
  double sum = 0, square_sum = 0, spread = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i]))
      throw InputError(std::string(where) + ": run " + std::to_string(i) + ": expected a finite value, got " +
                       number_text(values[i]));
    sum += values[i];
    square_sum += values[i] * values[i];
  }
  if (values.empty()) return s;
  s.mean = sum / s.n;
  s.rms = std::sqrt(square_sum / s.n);
  for (const double v : values) spread += (v - s.mean) * (v - s.mean);
  s.sd = s.n > 1 ? std::sqrt(spread / (s.n - 1)) : kMissing;
  return s;
}

double accuracy(const std::vector<double>& observed, double reference) {
  return std::abs(sample_statistics(observed, 1, "accuracy").mean - reference);
}

TTest welch_test(const SampleStatistics& reference, const SampleStatistics& y) {
  const double a = variance_of_mean(reference), b = variance_of_mean(y);
  require_spread(a + b > 0, "welch_test");
  TTest test;
  test.t = std::abs(reference.mean - y.mean) / std::sqrt(a + b);
  test.dof = (a + b) * (a + b) / (a * a / (reference.n - 1) + b * b / (y.n - 1));
  test.p = two_sided(test.t, test.dof);
  return test;
}

TTest pooled_test(const SampleStatistics& a, const SampleStatistics& b) {
  TTest test;
  test.dof = a.n + b.n - 2;
  const double variance = ((a.n - 1) * a.sd * a.sd + (b.n - 1) * b.sd * b.sd) / test.dof;
  require_spread(variance > 0, "pooled_test");
  test.t = std::abs(b.mean - a.mean) / std::sqrt(variance * (1.0 / a.n + 1.0 / b.n));
  test.p = two_sided(test.t, test.dof);
  return test;
}

TTest paired_test(const std::vector<double>& differences) {
  const SampleStatistics d = sample_statistics(differences, 2, "paired_test");
  require_spread(d.sd > 0, "paired_test");
  TTest test;
  test.t = std::abs(d.mean) / (d.sd / std::sqrt(d.n));
  test.dof = d.n - 1;
  test.p = two_sided(test.t, test.dof);
  return test;
}

FTest f_test(const SampleStatistics& reference, const SampleStatistics& y) {
  require_spread(reference.sd > 0, "f_test");
  FTest test;
  test.f = y.sd * y.sd / (reference.sd * reference.sd);
  // The upper tail of F(a, b) is the lower one of 1/F with (b, a): small probabilities keep their digits.
  test.p = test.f > 0 ? f_cdf(1 / test.f, reference.n - 1, y.n - 1) : 1;
  return test;
}

double correlation(const std::vector<double>& x, const std::vector<double>& y) {
  check_shape("correlation(y)", {static_cast<long>(y.size())}, {{"n", static_cast<long>(x.size())}});
  const SampleStatistics a = sample_statistics(x, 3, "correlation(x)"),
                         b = sample_statistics(y, 3, "correlation(y)");
  if (!(a.sd > 0 && b.sd > 0)) return kMissing;
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += (x[i] - a.mean) * (y[i] - b.mean);
  return sum / ((a.n - 1) * a.sd * b.sd);
}

}  // namespace emisopt
