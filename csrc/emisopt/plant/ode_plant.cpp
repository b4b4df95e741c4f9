#include "emisopt/plant/ode_plant.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {

Tag plain_tag(std::string name, std::string unit, Role role, double low, double high, double rate) {
  Tag t;
  t.name = std::move(name);
  t.unit = std::move(unit);
  t.role = role;
  t.low = low;
  t.high = high;
  t.rate = rate;
  return t;
}
namespace {
constexpr std::uint64_t kInfluenceStream = 40, kNoiseStream = 90;
constexpr std::size_t kMostInfluences = 8;
constexpr int kRestRows = 100000;  // after which what still moves is said not to come to rest
}  // namespace

OdePlant::OdePlant(TagMap tags, std::vector<double> state, std::vector<double> floor, int steps,
                   const std::vector<Wander>& wanders, double wander, std::vector<double> noise,
                   std::uint64_t seed)
    : x_(std::move(state)),
      floor_(std::move(floor)),
      steps_(steps),
      wander_(wander),
      noise_(std::move(noise)),
      seed_(seed) {
  if (!(wander >= 0 && wander <= 3))
    throw InputError(tags.plant + " (wander): expected a factor of 0..3, got " + number_text(wander));
  for (const double deviation : noise_)
    if (!(deviation >= 0 && std::isfinite(deviation)))
      throw InputError(tags.plant + " (noise): expected 0 or more, got " + number_text(deviation));
  if (steps < 1)
    throw InputError(tags.plant + " (steps): expected at least 1 a row, got " + std::to_string(steps));
  tags.validate();
  width_y_ = tags.outputs().size();
  width_d_ = tags.disturbances().size();
  tags_ = std::make_shared<const TagMap>(std::move(tags));
  if (wanders.size() > kMostInfluences)
    throw InputError("OdePlant(wanders): expected at most " + std::to_string(kMostInfluences) + ", got " +
                     std::to_string(wanders.size()));
  std::uint64_t stream = kInfluenceStream;
  for (const Wander& w : wanders) {
    influences_.push_back({w, ValueNoise(seed, stream, w.slow_s > 0 ? w.slow_s : 1),
                           ValueNoise(seed, stream + 1, w.fast_s > 0 ? w.fast_s : 1)});
    stream += 2;
  }
  truth_.assign(width_y_, kMissing);
  disturbance_.assign(width_d_, kMissing);
  setpoint_.assign(tags_->setpoints().size(), kMissing);
}

void OdePlant::influences(double time, double* w) const {
  for (const Influence& i : influences_)
    *w++ = i.scale.mean + wander_ * (i.scale.slow * i.slow.at(time) + i.scale.fast * i.fast.at(time));
}

// One evaluation: dx (X), then outputs (O), then disturbances (D), so that one rule integrates all three.
void OdePlant::stage(const double* x, double* out, const double* u, double time) const {
  std::array<double, kMostInfluences> w;
  influences(time, w.data());
  equations(x, u, w.data(), out, out + x_.size());
  disturbances(x, w.data(), out + x_.size() + width_y_);
}

void OdePlant::advance(const double* setpoints) {
  for (std::size_t u = 0; u < setpoint_.size(); ++u)
    if (!std::isfinite(setpoints[u]))
      throw InputError(tags_->plant + " (setpoints): expected finite numbers, got " +
                       number_text(setpoints[u]) + " for the one at " + std::to_string(u));
  const std::size_t n = x_.size(), width = n + width_y_ + width_d_;
  const double dt = tags_->period / steps_;
  std::vector<double> k(4 * width), at(n), sum(width_y_ + width_d_, 0.0);
  for (int s = 0; s < steps_; ++s) {
    // From the row's number, not summed: the same moments for every step length that divides a row.
    const double t = tags_->period * (static_cast<double>(row_) + static_cast<double>(s) / steps_);
    const double part[4] = {0, 0.5, 0.5, 1};
    for (int q = 0; q < 4; ++q) {
      for (std::size_t i = 0; i < n; ++i)
        at[i] = q == 0 ? x_[i]
                       : std::max(floor_[i],
                                  x_[i] + part[q] * dt * k[static_cast<std::size_t>(q - 1) * width + i]);
      stage(at.data(), &k[static_cast<std::size_t>(q) * width], setpoints, t + part[q] * dt);
    }
    const auto mean = [&](std::size_t i) {
      return (k[i] + 2 * (k[width + i] + k[2 * width + i]) + k[3 * width + i]) / 6;
    };
    for (std::size_t i = 0; i < n; ++i) x_[i] = std::max(floor_[i], x_[i] + dt * mean(i));
    for (std::size_t i = n; i < width; ++i) sum[i - n] += mean(i) / steps_;
  }
  std::copy_n(sum.begin(), width_y_, truth_.begin());
  std::copy_n(sum.begin() + static_cast<std::ptrdiff_t>(width_y_), width_d_, disturbance_.begin());
  std::copy_n(setpoints, setpoint_.size(), setpoint_.begin());
  ++row_;
  time_ = tags_->period * static_cast<double>(row_);
}

// Each row has its own place in the stream: readings do not depend on how often they were asked for.
void OdePlant::measure(double* row) {
  Rng rng(seed_, kNoiseStream);
  rng.seek(static_cast<std::uint64_t>(row_) * 2 * tags_->tags.size());
  std::size_t u = 0, d = 0, y = 0;
  for (std::size_t i = 0; i < tags_->tags.size(); ++i) {
    const Role role = tags_->tags[i].role;
    const double value = role == Role::setpoint      ? setpoint_[u++]
                         : role == Role::disturbance ? disturbance_[d++]
                                                     : truth_[y++];
    row[i] = value + noise_[i] * rng.normal();
  }
}

void OdePlant::truth(double* outputs) const { std::copy(truth_.begin(), truth_.end(), outputs); }
void OdePlant::true_disturbances(double* d) const { std::copy(disturbance_.begin(), disturbance_.end(), d); }
void OdePlant::schedule(double* known, int rows) const {
  std::fill_n(known, static_cast<std::size_t>(rows) * width_d_, kMissing);
}

void OdePlant::set_state(const std::vector<double>& state) {
  const std::string where = tags_->plant + " (state): expected ";
  if (state.size() != x_.size())
    throw InputError(where + std::to_string(x_.size()) + " numbers, got " + std::to_string(state.size()));
  for (std::size_t i = 0; i < state.size(); ++i)
    if (!(std::isfinite(state[i]) && state[i] >= floor_[i]))
      throw InputError(where + "at least " + number_text(floor_[i]) + " at place " + std::to_string(i) +
                       ", got " + number_text(state[i]));
  x_ = state;
}

void OdePlant::rates(const double* setpoints, double* slopes, double* outputs) const {
  std::vector<double> out(x_.size() + width_y_ + width_d_);
  stage(x_.data(), out.data(), setpoints, time_);
  std::copy_n(out.begin(), x_.size(), slopes);
  std::copy_n(out.begin() + static_cast<std::ptrdiff_t>(x_.size()), width_y_, outputs);
}

// By the same rule with the influences of this moment held, until nothing moves in the tenth digit.
void OdePlant::settle(const double* setpoints) {
  const std::unique_ptr<Plant> copy = clone();
  auto& still = static_cast<OdePlant&>(*copy);
  std::array<double, kMostInfluences> w;
  influences(time_, w.data());
  for (std::size_t i = 0; i < influences_.size(); ++i) still.influences_[i].scale = {w[i], 0, 1, 0, 1};
  for (int row = 0; row < kRestRows; ++row) {
    const std::vector<double> before = still.x_;
    still.advance(setpoints);
    double moved = 0;
    for (std::size_t i = 0; i < before.size(); ++i)
      moved = std::max(moved, std::abs(still.x_[i] - before[i]) / (1 + std::abs(before[i])));
    if (moved < 1e-12) {
      x_ = still.x_;
      return;
    }
  }
  throw InputError(tags_->plant + " (settle): the states do not come to rest at these setpoints");
}

}  // namespace emisopt
