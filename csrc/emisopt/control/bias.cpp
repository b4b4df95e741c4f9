#include "emisopt/control/bias.hpp"

#include <algorithm>
#include <cmath>

namespace emisopt {
namespace {

constexpr int kFrozenAfter = 3;        // repeats of the very same value that mean a frozen sensor
constexpr double kClip = 4;            // innovations beyond this many spreads are cut there
constexpr double kSpreadGain = 0.05;   // per tick
constexpr double kFirstSpread = 0.1;   // of the forecast's size: before anything is known
constexpr double kLeastSpread = 0.01;  // of the forecast's size: quiet times do not lock the filter
constexpr double kLargestLog = 1.0;    // a factor stays within e^-1 .. e: beyond, the model is wrong

}  // namespace

BiasFilter::BiasFilter(int outputs, ControllerConfig::Bias kind, double gain) : kind_(kind), gain_(gain) {
  value_.resize(static_cast<std::size_t>(outputs));
  spread_.resize(value_.size());
  last_.resize(value_.size());
  same_.resize(value_.size());
  reset();
}

void BiasFilter::reset() {
  std::fill(value_.begin(), value_.end(), neutral());
  std::fill(spread_.begin(), spread_.end(), kMissing);
  std::fill(last_.begin(), last_.end(), kMissing);
  std::fill(same_.begin(), same_.end(), 0);
}

void BiasFilter::observe(const double* forecast, const double* measured, bool calibrating) {
  if (kind_ == ControllerConfig::Bias::none) return;
  for (std::size_t o = 0; o < value_.size(); ++o) {
    const double f = forecast[o], y = measured[o];
    if (!std::isfinite(y)) continue;
    same_[o] = y == last_[o] ? same_[o] + 1 : 0;
    last_[o] = y;
    if (calibrating || !std::isfinite(f) || same_[o] >= kFrozenAfter) continue;
    const bool factor = kind_ == ControllerConfig::Bias::multiplicative;
    if (factor && !(f > 0 && y > 0)) continue;

    const double innovation = factor ? std::log(y / f) : y - f;
    double unit = factor ? 1 : std::max(std::abs(f), std::abs(value_[o]));
    if (unit == 0) unit = std::abs(y);
    if (std::isnan(spread_[o])) spread_[o] = kFirstSpread * unit;
    const double spread = std::max(spread_[o], kLeastSpread * unit);
    const double cut = std::clamp(innovation, -kClip * spread, kClip * spread);
    spread_[o] += kSpreadGain * (std::abs(cut) - spread_[o]);
    if (factor)
      value_[o] = std::exp(std::clamp(std::log(value_[o]) + gain_ * cut, -kLargestLog, kLargestLog));
    else
      value_[o] += gain_ * cut;
  }
}

void BiasFilter::apply(View y) const {
  if (kind_ == ControllerConfig::Bias::none) return;
  const bool factor = kind_ == ControllerConfig::Bias::multiplicative;
  for (Index t = 0; t < y.rows; ++t)
    for (std::size_t o = 0; o < value_.size(); ++o) {
      double& v = y(t, static_cast<Index>(o));
      v = factor ? v * value_[o] : v + value_[o];
    }
}

double BiasFilter::slope(int o) const {
  return kind_ == ControllerConfig::Bias::multiplicative ? value_[static_cast<std::size_t>(o)] : 1;
}

}  // namespace emisopt
