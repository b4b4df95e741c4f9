#include "emisopt/plant/operator.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/plant/smooth.hpp"

namespace emisopt {
using namespace boiler;
namespace {
template <std::size_t N>
double interpolate(const std::array<double, N>& x, const std::array<double, N>& y, double at) {
  if (at <= x.front()) return y.front();
  for (std::size_t i = 1; i < N; ++i)
    if (at <= x[i]) return y[i - 1] + (y[i] - y[i - 1]) * (at - x[i - 1]) / (x[i] - x[i - 1]);
  return y.back();
}
constexpr double kFullMw = 300;
// Furnace exit temperature (degC) at which the reheater needs no spray.
double reheat_target(double load) { return 1205 - 380 * (1 - load); }
}  // namespace

double loose_o2(double load) { return interpolate<4>({.45, .50, .75, 1.0}, {5.9, 5.6, 4.4, 3.8}, load); }
double tight_o2(double load) { return interpolate<4>({.49, .64, .93, 1.0}, {4.4, 3.6, 3.2, 3.1}, load); }

BoilerSetpoints limit_move(const TagMap& tags, const BoilerSetpoints& wanted,
                           const BoilerSetpoints& applied) {
  BoilerSetpoints out;
  for (std::size_t u = 0; u < out.size(); ++u) {
    const Tag& tag = tags.tags[u];
    const double step = std::clamp(wanted[u] - applied[u], -tag.rate, tag.rate);
    out[u] = std::clamp(applied[u] + step, tag.low, tag.high);
  }
  return out;
}

BoilerSetpoints Operator::decide(const double* row, const BoilerSetpoints& applied) {
  static const TagMap kTags = boiler_tags();
  const OperatorRules& r = rules_;
  auto known = [row](auto which) { return std::isfinite(row[column(which)]); };
  if (known(kLoad)) load_ = row[column(kLoad)] / kFullMw;
  if (known(kNoxIn)) nox_in_ = row[column(kNoxIn)];
  if (known(kTfe)) t_fe_ = row[column(kTfe)];
  if (known(kCo)) co_mean_ = co_mean_ < 0 ? row[column(kCo)] : co_mean_ + (row[column(kCo)] - co_mean_) / 6;
  const double target = r.nox_target * r.nox_limit;
  if (known(kNox)) {
    hour_sum_ += row[column(kNox)];
    ++hour_rows_;
  }
  if (++count_ % 12 == 0 && hour_rows_ > 0) {
    // Once an hour, by what the hour averaged; half of the error, so that two corrections do not overshoot.
    trim_ = std::clamp(trim_ + r.nh3_trim * (hour_sum_ / hour_rows_ - target) / nox_in_, -0.15, 0.15);
    hour_sum_ = 0;
    hour_rows_ = 0;
  }
  if (co_mean_ > r.co_alarm * r.co_limit && alarm_left_ <= 0) alarm_left_ = 6;
  const bool alarm = alarm_left_-- > 0;

  BoilerSetpoints wanted = applied;
  auto move = [&wanted](SetpointIndex u, double to, double dead) {
    double& w = wanted[static_cast<std::size_t>(u)];
    if (std::abs(to - w) > dead) w = to;
  };
  move(kO2Sp, tight_o2(load_) + r.o2_offset + (alarm ? 0.3 : 0), r.dead_o2);
  move(kOfaSp, interpolate<2>({.5, 1.0}, {12, 20}, load_) + r.ofa_offset, r.dead_ofa);
  const double off = t_fe_ < 0 ? 0 : t_fe_ - reheat_target(load_);
  move(kTiltSp, std::clamp(r.tilt - r.reheat_gain * off, -15.0, 15.0), r.dead_tilt);
  move(kNh3Sp, std::clamp(1 - target / nox_in_ + trim_, r.nh3_min, r.nh3_max), r.dead_nh3);
  return limit_move(kTags, wanted, applied);
}

}  // namespace emisopt
