#include "emisopt/permit/calibration.hpp"

#include <cmath>

#include "emisopt/base/distribution.hpp"
#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"
#include "emisopt/permit/sample_statistics.hpp"

namespace emisopt {
namespace {

constexpr int kLeastPairs = 3;
constexpr double kCoverage = 1.96;  // of 95 % in a normal distribution, as the directives' % are given

void require_pairs(const char* where, const std::vector<double>& x, const std::vector<double>& y) {
  check_shape(where, {static_cast<long>(y.size())}, {{"pairs", static_cast<long>(x.size())}});
}

}  // namespace

CalibrationFunction calibrate(const std::vector<double>& x, const std::vector<double>& y) {
  require_pairs("calibrate(y)", x, y);
  const SampleStatistics sx = sample_statistics(x, kLeastPairs, "calibrate(x)"),
                         sy = sample_statistics(y, kLeastPairs, "calibrate(y)");
  if (!(sx.sd > 0))
    throw InputError("calibrate: expected readings that differ, got " + number_text(sx.mean) +
                     " alone; take the line through zero");
  double products = 0, squares = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    products += (x[i] - sx.mean) * (y[i] - sy.mean);
    squares += (x[i] - sx.mean) * (x[i] - sx.mean);
  }
  CalibrationFunction f;
  f.slope = products / squares;
  f.intercept = sy.mean - f.slope * sx.mean;
  f.n = sx.n;
  f.r = correlation(x, y);
  return f;
}

CalibrationFunction calibrate_through_zero(const std::vector<double>& x, const std::vector<double>& y,
                                           double zero) {
  require_pairs("calibrate_through_zero(y)", x, y);
  const SampleStatistics sx = sample_statistics(x, kLeastPairs, "calibrate_through_zero(x)"),
                         sy = sample_statistics(y, kLeastPairs, "calibrate_through_zero(y)");
  if (!std::isfinite(zero) || sx.mean == zero)
    throw InputError("calibrate_through_zero: expected a zero reading other than the mean reading " +
                     number_text(sx.mean) + ", got " + number_text(zero));
  CalibrationFunction f;
  f.slope = sy.mean / (sx.mean - zero);
  f.intercept = -f.slope * zero;
  f.n = sx.n;
  f.r = correlation(x, y);
  return f;
}

Variability variability(const CalibrationFunction& function, const std::vector<double>& x,
                        const std::vector<double>& y, double limit, double confidence_pct) {
  require_pairs("variability(y)", x, y);
  sample_statistics(x, kLeastPairs, "variability(x)");
  if (!(limit > 0) || !std::isfinite(limit))
    throw InputError("variability: expected a limit > 0, got " + number_text(limit));
  if (!(confidence_pct > 0 && confidence_pct < 100))
    throw InputError("variability: expected a confidence interval in (0, 100) %, got " +
                     number_text(confidence_pct));
  std::vector<double> d(x.size());
  for (std::size_t i = 0; i < d.size(); ++i) d[i] = y[i] - (function.intercept + function.slope * x[i]);
  const SampleStatistics s = sample_statistics(d, kLeastPairs, "variability(y)");
  Variability v;
  v.n = s.n;
  v.mean_difference = s.mean;
  v.sd = s.sd;
  v.sigma0 = confidence_pct / 100 * limit / kCoverage;
  v.kv = variability_kv(s.n);
  v.allowed = v.sigma0 * v.kv;
  return v;
}

double variability_kv(int n) {
  if (n < 2) throw InputError("variability_kv: expected n >= 2, got " + std::to_string(n));
  return std::sqrt(chi2_quantile(0.5, n - 1) / (n - 1));
}

double confidence_interval_pct(std::string_view pollutant) {
  static const std::map<std::string, double, std::less<>> table = {
      {"CO", 10}, {"SO2", 20}, {"NOx", 20}, {"dust", 30}, {"TOC", 30}, {"HCl", 40}, {"HF", 40}};
  const auto found = table.find(pollutant);
  if (found != table.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [name, percent] : table) names.push_back(name);
  throw InputError("confidence_interval_pct: expected a pollutant of 2000/76/EC annex III, got " +
                   quote(pollutant) + did_you_mean(pollutant, names));
}

}  // namespace emisopt
