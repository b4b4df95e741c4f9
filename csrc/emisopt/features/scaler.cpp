#include "emisopt/features/scaler.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "emisopt/base/error.hpp"

namespace emisopt {
namespace {

// Quantile of a sorted sample by linear interpolation between order statistics (Hyndman, Fan 1996, type 7).
double quantile(const std::vector<double>& sorted, double p) {
  const double at = p * static_cast<double>(sorted.size() - 1);
  const auto i = static_cast<std::size_t>(at);
  const double right = sorted[std::min(i + 1, sorted.size() - 1)];
  return sorted[i] + (at - static_cast<double>(i)) * (right - sorted[i]);
}

// A tenth of the median of the positive values: small enough to keep a log's relative view of the bulk, large
// enough that an analyser's zero is not minus infinity. 0 when there is no positive value.
double log_offset(const std::vector<double>& sorted) {
  const auto first = std::upper_bound(sorted.begin(), sorted.end(), 0.0);
  if (first == sorted.end()) return 0;
  return 0.1 * quantile(std::vector<double>(first, sorted.end()), 0.5);
}

bool skewed(const std::vector<double>& sorted) {
  const double median = quantile(sorted, 0.5);
  return quantile(sorted, 0.995) - median > kSkewed * (median - quantile(sorted, 0.005));
}

TagScale fit_tag(const Tag& tag, std::vector<double> sample, Index rows) {
  const auto where = [&] { return "Scaler.fit: tag '" + tag.name + "'"; };
  const auto among = [&] { return " in the " + std::to_string(rows) + " training rows"; };
  if (sample.empty())
    throw InputError(where() + ": expected measured values, every value is missing" + among() +
                     "; drop the tag or train on rows that hold it");
  std::sort(sample.begin(), sample.end());
  if (sample.front() == sample.back())
    throw InputError(where() + ": expected a signal that moves, it is constant at " +
                     std::to_string(sample.front()) + " " + tag.unit + among() +
                     "; drop the tag or train on rows where it varies");

  TagScale scale;
  scale.low = quantile(sample, 0.005);
  scale.high = quantile(sample, 0.995);
  scale.log = tag.scale == Scale::log ||
              (tag.scale == Scale::automatic && tag.role == Role::emission && sample.front() >= 0 &&
               skewed(sample) && log_offset(sample) > 0);  // a tenth of the smallest doubles is 0
  if (scale.log) {
    if (tag.role == Role::setpoint)
      throw InputError(where() + ": expected scale linear for a setpoint, got log");
    scale.offset = log_offset(sample);
    if (scale.offset <= 0)
      throw InputError(where() + ": expected positive values for scale log, the largest is " +
                       std::to_string(sample.back()) + " " + tag.unit + "; use scale linear");
    for (double& y : sample) y = std::log(std::max(y, 0.0) + scale.offset);
  }
  // Two passes: a pressure may sit at 1013 hPa with a spread of 0.3.
  const double n = static_cast<double>(sample.size());
  double sum = 0, squares = 0;
  for (double g : sample) sum += g;
  scale.mean = sum / n;
  for (double g : sample) squares += (g - scale.mean) * (g - scale.mean);
  scale.sd = std::sqrt(squares / n);
  return scale;
}

}  // namespace

double TagScale::normalise(double y) const {
  // max: a reading below zero is an analyser's zero drift, not a concentration. NaN passes through either
  // way.
  const double g = log ? std::log((y < 0 ? 0.0 : y) + offset) : y;
  return (g - mean) / sd;
}

double TagScale::physical(double z) const {
  const double g = z * sd + mean;
  return log ? std::exp(g) - offset : g;
}

double TagScale::slope(double z) const { return log ? sd * std::exp(z * sd + mean) : sd; }

Scaler Scaler::fit(const History& history, Index rows) { return fit(history, rows, {}); }

Scaler Scaler::fit(const History& history, Index rows, const std::vector<const TagScale*>& fixed) {
  if (rows < 2 || rows > history.rows())
    throw InputError("Scaler.fit(rows): expected 2.." + std::to_string(history.rows()) +
                     " training rows of the history, got " + std::to_string(rows));
  Scaler scaler;
  scaler.tags.reserve(history.tags.tags.size());
  for (std::size_t c = 0; c < history.tags.tags.size(); ++c) {
    const Tag& tag = history.tags.tags[c];
    if (tag.kind == Kind::categorical || tag.role == Role::cost) {
      scaler.tags.emplace_back();
      continue;
    }
    if (c < fixed.size() && fixed[c] != nullptr) {
      scaler.tags.push_back(*fixed[c]);
      continue;
    }
    std::vector<double> sample;
    sample.reserve(static_cast<std::size_t>(rows));
    for (Index r = 0; r < rows; ++r)
      if (const double y = history.values(r, static_cast<Index>(c)); std::isfinite(y)) sample.push_back(y);
    scaler.tags.push_back(fit_tag(tag, std::move(sample), rows));
  }
  return scaler;
}

Matrix Scaler::normalise(const History& history, Index first, Index count) const {
  Matrix z(count, history.columns());
  for (Index r = 0; r < count; ++r)
    for (Index c = 0; c < z.cols; ++c)
      z(r, c) = tags[static_cast<std::size_t>(c)].normalise(history.values(first + r, c));
  return z;
}

}  // namespace emisopt
