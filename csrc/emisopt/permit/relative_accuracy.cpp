#include "emisopt/permit/relative_accuracy.hpp"

#include <cmath>
#include <string>

#include "emisopt/base/distribution.hpp"
#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

void require_pairs(const char* where, const std::vector<double>& reference,
                   const std::vector<double>& monitor) {
  check_shape(where, {static_cast<long>(monitor.size())}, {{"runs", static_cast<long>(reference.size())}});
}

std::vector<double> differences(const std::vector<double>& reference, const std::vector<double>& monitor) {
  std::vector<double> d(reference.size());
  for (std::size_t i = 0; i < d.size(); ++i) d[i] = reference[i] - monitor[i];
  return d;
}

void require_positive(const char* where, const char* what, double value) {
  if (!(value > 0) || !std::isfinite(value))
    throw InputError(std::string(where) + ": expected " + what + " > 0, got " + number_text(value));
}

}  // namespace

RelativeAccuracy relative_accuracy(const std::vector<double>& reference, const std::vector<double>& monitor,
                                   const RelativeAccuracyConfig& config) {
  constexpr const char* where = "relative_accuracy";
  require_pairs("relative_accuracy(monitor)", reference, monitor);
  if (config.least_runs < 2)
    throw InputError(std::string(where) + ": expected least_runs >= 2, got " +
                     std::to_string(config.least_runs));
  const SampleStatistics r = sample_statistics(reference, config.least_runs, "relative_accuracy(reference)"),
                         m = sample_statistics(monitor, config.least_runs, "relative_accuracy(monitor)"),
                         d = sample_statistics(differences(reference, monitor), config.least_runs, where);
  RelativeAccuracy result;
  result.n = d.n;
  result.mean_reference = r.mean;
  result.mean_monitor = m.mean;
  result.mean_difference = d.mean;
  result.sd = d.sd;
  result.t = student_quantile(0.975, d.n - 1);
  if (config.t_decimals >= 0) {
    const double scale = std::pow(10, config.t_decimals);
    result.t = std::round(result.t * scale) / scale;
  }
  result.confidence = result.t * d.sd / std::sqrt(d.n);
  const double denominator = config.denominator.value_or(r.mean);
  require_positive(where, config.denominator ? "a denominator" : "a mean of the reference", denominator);
  result.relative_accuracy_pct = 100 * (std::abs(d.mean) + std::abs(result.confidence)) / denominator;
  result.biased = d.mean > std::abs(result.confidence);
  if (result.biased) {
    require_positive(where, "a mean of the monitor", m.mean);
    result.bias_factor = 1 + std::abs(d.mean) / m.mean;
  }
  return result;
}

double audit_accuracy_pct(const std::vector<double>& reference, const std::vector<double>& monitor) {
  require_pairs("audit_accuracy_pct(monitor)", reference, monitor);
  const double r = sample_statistics(reference, 1, "audit_accuracy_pct(reference)").mean;
  require_positive("audit_accuracy_pct", "a mean of the reference", r);
  return 100 * (sample_statistics(monitor, 1, "audit_accuracy_pct(monitor)").mean - r) / r;
}

MethodComparison compare_methods(const std::vector<double>& reference, const std::vector<double>& monitor,
                                 int least_runs) {
  require_pairs("compare_methods(monitor)", reference, monitor);
  const int least = least_runs < 3 ? 3 : least_runs;
  const SampleStatistics r = sample_statistics(reference, least, "compare_methods(reference)"),
                         m = sample_statistics(monitor, least, "compare_methods(monitor)");
  const std::vector<double> d = differences(reference, monitor);
  MethodComparison result;
  result.n = r.n;
  result.f = f_test(r, m).f;
  result.f_critical = f_quantile(0.95, r.n - 1, r.n - 1);
  result.t = paired_test(d).t;
  result.t_critical = student_quantile(0.975, r.n - 1);
  result.r = correlation(reference, monitor);
  result.mean_difference = sample_statistics(d, least, "compare_methods").mean;
  return result;
}

std::vector<AcceptanceLimit> ps16_limits(double mean_reference_ppm, double f_critical) {
  require_positive("ps16_limits", "a mean of the reference in ppm", mean_reference_ppm);
  const std::string source = "40 CFR 60 appendix B, PS-16 (recalled)";
  std::vector<AcceptanceLimit> limits;
  if (mean_reference_ppm > 100)
    limits.push_back({"relative_accuracy_pct", 10, true, source, false});
  else if (mean_reference_ppm >= 10)
    limits.push_back({"relative_accuracy_pct", 20, true, source, false});
  else
    limits.push_back({"absolute_mean_difference", 2, true, source, false});
  limits.push_back({"f", f_critical, true, source, false});
  limits.push_back({"r", 0.8, false, source, false});
  return limits;
}

}  // namespace emisopt
