#include "emisopt/monitor/sensor_scale.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace emisopt {
namespace {
constexpr double kSkewed = 3, kOffsetShare = 0.1, kQuartiles = 1.349,
                 kTwentieth = 1.645;  // of a normal distribution, in sd
}

double quantile(std::vector<double>& values, double q) {
  if (values.empty()) return kMissing;
  const double place = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::ptrdiff_t>(place);
  std::nth_element(values.begin(), values.begin() + below, values.end());
  const double low = values[static_cast<std::size_t>(below)];
  if (below + 1 == static_cast<std::ptrdiff_t>(values.size())) return low;
  const double high = *std::min_element(values.begin() + below + 1, values.end());
  return low + (place - static_cast<double>(below)) * (high - low);
}

double SensorScale::normal(double x) const {
  const double g = log && !std::isnan(x) ? std::log(std::max(x, 0.0) + offset) : x;
  return (g - centre) / spread;
}

double SensorScale::physical(double z) const {
  const double g = z * spread + centre;
  return log ? std::exp(g) - offset : g;
}

double SensorScale::slope(double z) const { return log ? spread * std::exp(z * spread + centre) : spread; }

SensorScale SensorScale::fit(const Tag& tag, std::vector<double> x) {
  SensorScale scale;
  std::erase_if(x, [](double v) { return std::isnan(v); });
  if (x.size() < 2) {
    scale.spread = 0;
    return scale;
  }
  const double low = quantile(x, 0.005), middle = quantile(x, 0.5), high = quantile(x, 0.995);
  const double least = *std::min_element(x.begin(), x.end());
  const bool skewed = tag.role == Role::emission && least >= 0 && high - middle > kSkewed * (middle - low);
  if (tag.scale == Scale::log || (tag.scale == Scale::automatic && skewed)) {
    std::vector<double> positive;
    std::copy_if(x.begin(), x.end(), std::back_inserter(positive), [](double v) { return v > 0; });
    if (!positive.empty()) {
      scale.log = true;
      scale.offset = kOffsetShare * quantile(positive, 0.5);
      for (double& v : x) v = std::log(std::max(v, 0.0) + scale.offset);
    }
  }
  scale.centre = quantile(x, 0.5);
  scale.spread = (quantile(x, 0.75) - quantile(x, 0.25)) / kQuartiles;
  // A tag that stands still for half of the time has its quartiles in one place.
  for (const double tail : {0.05, 0.005, 0.0})
    if (scale.spread <= 1e-12 * std::abs(scale.centre))
      scale.spread = (quantile(x, 1 - tail) - quantile(x, tail)) / (2 * kTwentieth);
  if (scale.spread <= 1e-12 * std::abs(scale.centre)) scale.spread = 0;
  return scale;
}

}  // namespace emisopt
