// The history: two crews with habits. Their moves depend on load and on the clock, hardly on the emissions of
// the last hours, so that what a model learns from them is the plant's answer and not the crews'.
#include <algorithm>
#include <cmath>

#include "emisopt/plant/operator.hpp"

namespace emisopt {
using namespace boiler;
namespace {
constexpr int kShiftRows = 96;  // 8 h

// One shift's habits and what the operator at the desk has changed since.
class Crew {
 public:
  explicit Crew(std::uint64_t seed) : rng_(seed, 70) {}
  bool tight() const { return tight_; }

  BoilerSetpoints decide(std::int64_t row, const double* seen, const BoilerSetpoints& applied,
                         const TagMap& tags) {
    if (row % kShiftRows == 0 || !started_) start_shift(row / kShiftRows);
    const double load = std::isfinite(seen[column(kLoad)]) ? seen[column(kLoad)] / 300 : load_;
    load_ = load;
    // A few manual moves a shift, each setpoint by itself.
    if (rng_.uniform() < 1.0 / 30) o2_bias_ = o2_habit_ + 0.25 * rng_.normal();
    if (rng_.uniform() < 1.0 / 26) ofa_bias_ = ofa_habit_ + 3.0 * rng_.normal();
    if (rng_.uniform() < 1.0 / 26) tilt_bias_ = tilt_habit_ + 4.5 * rng_.normal();
    if (rng_.uniform() < 1.0 / 18) nh3_bias_ = 0.055 * rng_.normal();
    watch(row, seen);

    BoilerSetpoints wanted;
    const double curve = tight_ ? tight_o2(load) : loose_o2(load);
    wanted[kO2Sp] = std::max(2.4, curve + o2_bias_ + (alarm_left_ > 0 ? 0.3 : 0));
    wanted[kOfaSp] = std::clamp((tight_ ? 17 : 12) + (tight_ ? 8 : 16) * (load - 0.5) + ofa_bias_, 7.0, 28.0);
    wanted[kTiltSp] = std::clamp((tight_ ? 5.0 : 2.0) * (1 - load) / 0.5 + tilt_bias_, -16.0, 16.0);
    // NH3 by feed-forward on load: the inlet NOx that the crew expects, not the one measured.
    const double expected = 400 - (tight_ ? 330 : 130) * (1 - load);
    wanted[kNh3Sp] = std::clamp(1 - nox_aim_ / expected + nh3_bias_ + nh3_trim_, 0.45, 0.97);
    // Round as on a desk, and leave small differences alone.
    const std::array<double, kSetpoints> grid = {0.05, 0.5, 0.005, 1.0}, dead = {0.08, 0.8, 0.012, 1.5};
    for (std::size_t u = 0; u < kSetpoints; ++u)
      wanted[u] =
          std::abs(wanted[u] - applied[u]) < dead[u] ? applied[u] : std::round(wanted[u] / grid[u]) * grid[u];
    return limit_move(tags, wanted, applied);
  }

 private:
  void start_shift(std::int64_t shift) {
    started_ = true;
    // Four teams rotate: tight and loose alternate, and swap places every five days.
    tight_ = ((shift + shift / 15) & 1) == 0;
    o2_habit_ = tight_ ? 0.05 + 0.25 * rng_.normal() : -0.2 + 0.3 * rng_.normal();
    ofa_habit_ = (tight_ ? 2.0 : 2.5) * rng_.normal();
    tilt_habit_ = (tight_ ? -2.0 : 1.0) + 4 * rng_.normal();
    nox_aim_ = tight_ ? rng_.uniform(70, 105) : rng_.uniform(45, 85);  // mg/Nm3
    o2_bias_ = o2_habit_;
    ofa_bias_ = ofa_habit_;
    tilt_bias_ = tilt_habit_;
  }
  // Alarms, and one look at the hourly NOx in mid-shift: the only feedback from emissions to NH3.
  void watch(std::int64_t row, const double* seen) {
    const double co = seen[column(kCo)], nox = seen[column(kNox)], inlet = seen[column(kNoxIn)];
    if (std::isfinite(co)) co_mean_ += (co - co_mean_) / 4;
    if (alarm_left_ > 0) --alarm_left_;
    if (co_mean_ > (tight_ ? 250 : 200) && alarm_left_ == 0) alarm_left_ = 6;
    if (std::isfinite(nox)) nox_mean_ += (nox - nox_mean_) / 12;
    if (std::isfinite(inlet)) inlet_ = inlet;
    nh3_trim_ *= 0.99;
    if (row % kShiftRows == 40 && nox_mean_ > 130)
      nh3_trim_ = std::clamp((nox_mean_ - 110) / inlet_, 0.0, 0.1);
  }

  Rng rng_;
  bool tight_ = true, started_ = false;
  double o2_habit_ = 0, ofa_habit_ = 0, tilt_habit_ = 0, nox_aim_ = 80;
  double o2_bias_ = 0, ofa_bias_ = 0, tilt_bias_ = 0, nh3_bias_ = 0, nh3_trim_ = 0;
  double load_ = 0.8, co_mean_ = 50, nox_mean_ = 80, inlet_ = 300;
  int alarm_left_ = 0;
};

// Pseudo-random binary sequences, one per setpoint, held 20..60 min.
class Dither {
 public:
  explicit Dither(std::uint64_t seed) : rng_(seed, 71) {}
  BoilerSetpoints next() {
    constexpr std::array<double, kSetpoints> kSize = {0.3, 3, 0.04, 2};
    BoilerSetpoints out;
    for (std::size_t u = 0; u < kSetpoints; ++u) {
      if (left_[u]-- <= 0) {
        left_[u] = 3 + static_cast<int>(rng_.below(9));
        sign_[u] = rng_.uniform() < 0.5 ? -1 : 1;
      }
      out[u] = kSize[u] * sign_[u];
    }
    return out;
  }

 private:
  Rng rng_;
  std::array<int, kSetpoints> left_{}, sign_{1, 1, 1, 1};
};
}  // namespace

SimulatedHistory simulate_history(const HistoryConfig& config, const std::function<bool(double)>& progress) {
  Boiler plant(config.boiler);
  Crew crew(config.boiler.seed);
  Dither dither(config.boiler.seed);
  const Index rows = static_cast<Index>(config.days) * 288;
  std::vector<double> values, truth, time;
  std::vector<char> tight;
  values.reserve(static_cast<std::size_t>(rows * kColumns));
  truth.reserve(static_cast<std::size_t>(rows * kOutputs));

  BoilerSetpoints applied = {3.5, 18, 0.75, 0};
  std::array<double, kColumns> row;
  std::array<double, kOutputs> y;
  row.fill(kMissing);
  for (Index r = 0; r < rows; ++r) {
    if (progress && r % 288 == 0 && !progress(double(r) / double(rows))) break;
    const auto number = static_cast<std::int64_t>(std::llround(plant.time() / kPeriod));
    applied = crew.decide(number, row.data(), applied, plant.tags());
    BoilerSetpoints command = applied;
    if (config.dither > 0) {
      const BoilerSetpoints kick = dither.next();
      for (std::size_t u = 0; u < kSetpoints; ++u) {
        const Tag& tag = plant.tags().tags[u];
        command[u] = std::clamp(applied[u] + config.dither * kick[u], tag.low, tag.high);
      }
    }
    plant.advance(command.data());
    plant.measure(row.data());
    plant.truth(y.data());
    values.insert(values.end(), row.begin(), row.end());
    truth.insert(truth.end(), y.begin(), y.end());
    time.push_back(kEpoch + plant.time());
    tight.push_back(crew.tight());
  }
  const auto n = static_cast<Index>(tight.size());
  Matrix table, judged;
  table.values = std::move(values);
  judged.values = std::move(truth);
  table.rows = judged.rows = n;
  table.cols = kColumns;
  judged.cols = kOutputs;
  return {make_history(plant.tags(), std::move(table), std::move(time)), std::move(judged), std::move(tight)};
}

}  // namespace emisopt
