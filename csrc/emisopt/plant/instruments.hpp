// What the plant's instruments make of the truth: noise, drift, calibrations, freezes, dropouts, spikes, and
// a laboratory that is late. All draws are functions of (seed, row), never of the values measured.
#pragma once
#include <array>
#include <cstdint>
#include <deque>

#include "emisopt/base/rng.hpp"

namespace emisopt {

/// Shares and rates of what goes wrong; 0 switches a fault off.
struct InstrumentFaults {
  double noise = 1;              // scale of all random errors
  bool calibrations = true;      // daily, 10..20 min: frozen, or not reported
  double blowbacks_per_day = 6;  // 2..5 min of one row frozen
  double freezes_per_day = 0.1;  // 10..120 min
  double dropouts = 0.005;       // share of rows not reported
  double spikes_per_day = 1;
};

/// One continuous analyser, asked once a row with the true mean of the row.
struct AnalyserModel {
  double white = 0, wander = 0;  // sd per 20 s sample, relative; the wander is AR(1) with wander_s
  double wander_s = 120;
  double absolute = 0;       // sd of a row's additive noise, unit
  double drift_per_day = 0;  // sd of the random walk, relative to the value, recalibrated daily
  double quantum = 0;        // resolution, unit
  double top = 1e300;        // saturation, unit
  int calibration_row = -1;  // row of the day; -1: never calibrated
  bool extractive = true;    // has blowback, freezes and spikes
};

class Analyser {
 public:
  Analyser(const AnalyserModel& model, std::uint64_t seed, std::uint64_t stream)
      : model_(model), rng_(seed, stream) {}
  /// value: mean of the row; row: number since 2024-01-01; dust: extra probability of a dropout.
  double read(double value, std::int64_t row, const InstrumentFaults& faults, double dust = 0);

 private:
  AnalyserModel model_;
  Rng rng_;
  double wander_ = 0, drift_ = 0;
  double last_ = 0;  // the last value shown
  bool seen_ = false;
  int frozen_ = 0;        // rows left
  bool flagged_ = false;  // the calibration under way is reported as such
};

/// Samples the belt every 4..8 h and reports 2..6 h later, with error.
class Laboratory {
 public:
  explicit Laboratory(std::uint64_t seed) : rng_(seed, 40) {}
  /// nitrogen wt%, lhv MJ/kg of the belt now. Writes the results that arrive in this row, else NaN.
  void read(double nitrogen, double lhv, double time, double noise, double* n_result, double* lhv_result);

 private:
  struct Result {
    double due, nitrogen, lhv;
  };
  Rng rng_;
  double next_sample_ = -1e300;
  std::deque<Result> pending_;
};

/// The boiler's set of instruments.
struct Instruments {
  Instruments(std::uint64_t seed, const InstrumentFaults& faults);
  InstrumentFaults faults;
  Analyser nox, co, co2, slip, efficiency, nh3_flow, load, ambient, nox_in, o2, t_fe;
  Laboratory laboratory;
};

}  // namespace emisopt
