#include "emisopt/plant/instruments.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/base/types.hpp"

namespace emisopt {
namespace {
constexpr int kRowsPerDay = 288, kSamples = 15;
constexpr std::uint64_t kDraws = 128;  // reserved per row: every row starts at its own place in the stream

// columns: white, wander, wander_s, absolute, drift, quantum, top, calibration row, extractive
constexpr AnalyserModel kStackNox = {.010, .015, 120, 0, .005, .1, 1e300, 72, true};
constexpr AnalyserModel kInletNox = {.010, .015, 120, 0, .005, .1, 1e300, 78, true};
constexpr AnalyserModel kStackCo = {.015, .030, 120, 1.0, .005, .1, 1e300, 72, true};
constexpr AnalyserModel kCo2 = {.010, .010, 300, 0, 0, .1, 1e300, -1, false};
constexpr AnalyserModel kSlip = {.020, .030, 300, .15, .030, .01, 10, -1, false};
constexpr AnalyserModel kEfficiency = {.002, .0007, 900, .01, 0, .01, 1e300, -1, false};
constexpr AnalyserModel kFlow = {.005, .005, 300, 0, 0, .1, 1e300, -1, false};
constexpr AnalyserModel kLoad = {.001, 0, 120, 0, 0, .1, 1e300, -1, false};
constexpr AnalyserModel kAmbient = {0, 0, 120, .2, 0, .1, 1e300, -1, false};
constexpr AnalyserModel kOxygen = {.010, .008, 120, .02, 0, .01, 1e300, -1, false};
constexpr AnalyserModel kExitTemp = {.002, .003, 600, 2, 0, 1, 1e300, -1, false};
}  // namespace

double Analyser::read(double value, std::int64_t row, const InstrumentFaults& faults, double dust) {
  rng_.seek(static_cast<std::uint64_t>(row + (std::int64_t{1} << 32)) * kDraws);
  const double keep = std::exp(-20.0 / model_.wander_s), kick = std::sqrt(1 - keep * keep);
  double noise = 0;
  for (int i = 0; i < kSamples; ++i) {
    wander_ = keep * wander_ + kick * rng_.normal();
    noise += model_.wander * wander_;
  }
  noise = (noise + model_.white * std::sqrt(double(kSamples)) * rng_.normal()) / kSamples;
  drift_ += model_.drift_per_day / std::sqrt(double(kRowsPerDay)) * rng_.normal();
  const double additive = model_.absolute * rng_.normal();
  double shown = value * (1 + faults.noise * (noise + drift_)) + faults.noise * additive;
  const double u_drop = rng_.uniform(), u_spike = rng_.uniform(), u_freeze = rng_.uniform(),
               u_blow = rng_.uniform(), size = rng_.uniform(), u_flag = rng_.uniform();

  if (model_.extractive) {
    if (u_spike * kRowsPerDay < faults.spikes_per_day) shown *= 1.3 + 1.2 * size;
    if (u_blow * kRowsPerDay < faults.blowbacks_per_day && seen_)
      shown += (0.4 + 0.6 * size) * (last_ - shown);
    if (u_freeze * kRowsPerDay < faults.freezes_per_day) frozen_ = 2 + static_cast<int>(22 * size);
  }
  shown = std::clamp(shown, 0.0, model_.top);
  if (model_.quantum > 0) shown = std::round(shown / model_.quantum) * model_.quantum;

  const auto of_day = static_cast<int>(((row % kRowsPerDay) + kRowsPerDay) % kRowsPerDay);
  const int since = of_day - model_.calibration_row;
  if (faults.calibrations && model_.calibration_row >= 0 && since >= 0 && since < 4) {
    if (since == 0) {
      frozen_ = 2 + static_cast<int>(3 * size);
      flagged_ = u_flag < 0.4;  // otherwise the last value stands, as if measured
    }
    drift_ = 0;
    if (frozen_ > 0 && flagged_) {
      --frozen_;
      return kMissing;
    }
  }
  if (u_drop < faults.dropouts + dust) {
    frozen_ = std::max(0, frozen_ - 1);
    return kMissing;
  }
  if (frozen_ > 0 && seen_) {
    --frozen_;
    return last_;
  }
  seen_ = true;
  return last_ = shown;
}

void Laboratory::read(double nitrogen, double lhv, double time, double noise, double* n_result,
                      double* lhv_result) {
  *n_result = *lhv_result = kMissing;
  if (time >= next_sample_) {
    const double delay = rng_.uniform(2, 6) * 3600;
    const double n = nitrogen * (1 + 0.05 * noise * rng_.normal());
    const double h = lhv * (1 + 0.02 * noise * rng_.normal());
    pending_.push_back({time + delay, std::round(n * 1000) / 1000, std::round(h * 100) / 100});
    next_sample_ = time + rng_.uniform(4, 8) * 3600;
  }
  while (!pending_.empty() && pending_.front().due <= time) {
    *n_result = pending_.front().nitrogen;
    *lhv_result = pending_.front().lhv;
    pending_.pop_front();
  }
}

Instruments::Instruments(std::uint64_t seed, const InstrumentFaults& f)
    : faults(f),
      nox(kStackNox, seed, 50),
      co(kStackCo, seed, 51),
      co2(kCo2, seed, 52),
      slip(kSlip, seed, 53),
      efficiency(kEfficiency, seed, 54),
      nh3_flow(kFlow, seed, 55),
      load(kLoad, seed, 56),
      ambient(kAmbient, seed, 57),
      nox_in(kInletNox, seed, 58),
      o2(kOxygen, seed, 59),
      t_fe(kExitTemp, seed, 60),
      laboratory(seed) {}

}  // namespace emisopt
