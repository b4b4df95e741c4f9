// How people run the boiler: rules tied to load for a closed loop, and two crews with habits for a history.
#pragma once
#include <array>
#include <cstdint>
#include <functional>

#include "emisopt/data/history.hpp"
#include "emisopt/plant/boiler.hpp"

namespace emisopt {

/// Deterministic rules on measured rows: tables over load, a reheat loop, NH3 by feed-forward and an hourly
/// look at NOx. The offsets, the NOx target and the alarm are what a plant tunes. Units as the tags.
struct OperatorRules {
  double nox_limit = 100, co_limit = 125;  // mg/Nm3, 1 h
  double o2_offset = 0;                    // on tight_o2(load)
  double ofa_offset = 0;                   // on 12 % at half load .. 20 % at full load
  double tilt = 0;                         // offset; the reheat loop adds to it
  double reheat_gain = 0.04;               // degrees of tilt per K of furnace exit temperature off its target
  double nox_target = 0.70;                // share of nox_limit that NH3 aims at
  double nh3_min = 0.35, nh3_max = 0.95;
  double nh3_trim = 0.5;  // share of the hourly NOx error corrected once an hour; 0: feed-forward only
  double co_alarm = 1.0;  // share of co_limit (30 min mean) above which O2 is raised by 0.3 for half an hour
  double dead_o2 = 0.1, dead_ofa = 1, dead_nh3 = 0.01, dead_tilt = 2;
};

/// Excess O2 (%) that the two crews aim at over load (share of full). The tight one has the shape of a real
/// 216 MW unit's medians (IDAES data set: 4.8, 3.2, 2.9, 2.8 at these loads), moved to this boiler's CO knee.
double loose_o2(double load);
double tight_o2(double load);

class Operator {
 public:
  explicit Operator(const OperatorRules& rules) : rules_(rules) {}
  /// row (boiler::kColumns): the newest measured row, NaN where missing. Returns setpoints inside bounds and
  /// rates of the tags, counted from `applied`.
  BoilerSetpoints decide(const double* row, const BoilerSetpoints& applied);

 private:
  OperatorRules rules_;
  int count_ = 0, alarm_left_ = 0;
  double co_mean_ = -1, trim_ = 0;
  double load_ = 1, nox_in_ = 300, t_fe_ = -1, hour_sum_ = 0;
  int hour_rows_ = 0;
};

/// Clips `wanted` to bounds and to one row's rates from `applied`.
BoilerSetpoints limit_move(const TagMap& tags, const BoilerSetpoints& wanted, const BoilerSetpoints& applied);

struct HistoryConfig {
  BoilerConfig boiler;  // seed, plant, faults
  int days = 90;
  double dither = 0;  // 1: PRBS of O2 +-0.3, OFA +-3, NH3 +-0.04, tilt +-2, 20..60 min; 0: none
};

struct SimulatedHistory {
  History history;
  Matrix truth;             // (N, boiler::kOutputs) noise-free row means; for judging only
  std::vector<char> tight;  // (N) 1: rows of the tight crew
};

/// Months of operation by two crews, eight-hour shifts. `progress` is called about once a simulated day with
/// the share done; returning false stops early (the rows so far are returned).
SimulatedHistory simulate_history(const HistoryConfig& config,
                                  const std::function<bool(double)>& progress = {});

}  // namespace emisopt
