// Adaptive conformal correction of quantile forecasts: what came widens or narrows what is forecast next, per
// output, step, side and level, and never before its label is in.
//
// A level tau on side s of the median m is moved to m + f (q - m), where
//
//   log f = theta + I + follow * x
//   theta   follows the newest scores: a step of pinball descent on each label, judged by the corrector as it
//           is now (quantile tracking; Angelopoulos, Candes, Tibshirani 2023), both sides together, because
//           errors that jump from side to side must not narrow the other
//   I       sums the misses of the intervals as they were issued, side by side (adaptive conformal inference;
//           Gibbs, Candes 2021): it alone bounds the long-run cover, whatever the data do and however late
//           their labels come
//   x       log of the recent |y - m| in units of the forecast's half width (half-life `memory` rows): errors
//           come in bursts, and a burst is seen long before theta has counted enough misses
//
// Widths are tempered first, (width / usual width)^temper: the spread of a forecast's own widths is partly
// noise. What was chosen, on what and against what: docs/monitor_coverage.md.
#pragma once
#include <string>
#include <vector>

#include "emisopt/base/safetensors.hpp"
#include "emisopt/base/types.hpp"

namespace emisopt {

class CoverageMonitor;

struct CoverageConfig {
  int outputs = 1, horizon = 1;
  std::vector<double> levels;  // rising, in (0, 1), 0.5 among them and at least one on either side
  int delay = 0;               // rows after its own at which a label can come at the earliest
  int lateness = 168;          // further rows that it may take; later ones are refused by name
  double scale_gain = 0.02;    // of theta, per label; 0: off
  double side_gain = 0.01;     // of I, per label; 0: off
  double memory = 12;          // rows: half-life of the recent error size
  double follow = 0.8;         // share of the recent error size that widths follow; 0: off
  double temper = 0.5;         // 1: widths keep their own spread; 0: all become the usual width
  double width_gain = 0.01;    // of the usual width, per forecast
  bool move_median = false;    // shift the whole fan by a tracked median error
  double median_gain = 0.02;   // of that shift, in half widths per label

  /// Throws InputError naming the field.
  void validate() const;
};

/// One corrector for all outputs and steps. No call allocates but the constructor, save and load; each costs
/// O(H O Q). The same calls in the same order give the same bits, in one run or over a save and a load.
class ConformalCorrector {
 public:
  explicit ConformalCorrector(CoverageConfig config);
  const CoverageConfig& config() const { return config_; }

  /// Corrects a forecast and remembers it until its labels come. row: the first row that it forecasts, 0 or
  /// more; rows rise from call to call, gaps are fine. raw, corrected (H, O*Q), physical units, level by
  /// level for each output; they may be the same memory. A step of an output with a NaN stays NaN: no
  /// forecast. A fan without width is passed on as it is. Throws InputError for a row that does not rise,
  /// quantiles that cross or are infinite (nothing is remembered then), ShapeError.
  void issue(Index row, ConstView raw, View corrected);
  /// The same correction without remembering: candidate plans, pictures.
  void correct(ConstView raw, View corrected) const;

  /// The labels y (O) of a row, NaN: still missing. `now`: the newest row that has happened, at least the
  /// last row() issued. Labels may come in any order and twice; what is known already is passed over.
  /// Returns how many (step, output) pairs learnt. `watch`, if given, counts them too.
  /// Throws InputError, and learns nothing, for a label that comes before row + delay, or after row + delay
  /// + lateness; of a row that no forecast was issued for; that is infinite, or another one than before.
  Index observe(Index row, const double* y, Index now, CoverageMonitor* watch = nullptr);

  /// Whether a remembered forecast holds this row.
  bool covers(Index row) const;
  /// Last row issued; -1 before the first.
  Index row() const { return last_; }
  /// exp(theta + I) of a level: 1 at the beginning. follow and temper come on top, forecast by forecast.
  double factor(int step, int output, int level) const;
  /// What widths of this step are multiplied by because of recent errors.
  double burst(int step, int output) const;

  SafeTensors state() const;
  static ConformalCorrector from_state(const SafeTensors& state, const std::string& where);
  void save(const std::string& path) const;  // atomic; FileError
  static ConformalCorrector load(const std::string& path);

 private:
  std::size_t at(Index step, Index output) const {
    return static_cast<std::size_t>(step * config_.outputs + output);
  }
  std::size_t slot_of(Index row, Index capacity) const {
    return static_cast<std::size_t>((row % capacity + capacity) % capacity);
  }
  double feature(std::size_t cell) const;
  double tempering(std::size_t cell, double width) const;
  void fan(double* out, const double* raw, std::size_t cell, double x, double scale) const;
  bool usable(const double* raw) const;
  void check(ConstView raw) const;
  void check_fan_shape(const char* what, Index rows, Index cols) const;
  void check_label(Index row, const double* y, Index now) const;
  /// kept: the (slot, step, output) that the forecast lies at.
  void learn(std::size_t cell, std::size_t kept, double y);

  CoverageConfig config_;
  Index levels_ = 0, middle_ = 0, low_ = 0, high_ = 0;  // how many; the median; the reference interval
  std::vector<Index> mirror_;                           // (Q) the level on the other side, -1: none
  double usual_error_ = 1;  // E |y - m| in half widths for a normal error: where x is 0

  std::vector<double> theta_, side_;                   // (H, O, Q)
  std::vector<double> error_, width_, shift_, spare_;  // (H, O) x 3; spare_ (Q)

  Index last_ = -1;
  Index capacity_ = 0;                  // forecasts remembered
  std::vector<std::int64_t> slot_row_;  // (capacity) row issued, or none
  std::vector<double> raw_, issued_;    // (capacity, H, O, Q)
  std::vector<double> x_, scale_;       // (capacity, H, O) at issue
  Index label_capacity_ = 0;
  std::vector<std::int64_t> label_row_;  // (label capacity)
  std::vector<double> label_;            // (label capacity, O)
};

/// The past as the corrector would have seen it: before each forecast the labels that are in by then, after
/// the last one the rest. origins (n), rising: first row of each forecast; raw, corrected (n*H, O*Q), which
/// may be the same memory; truth (N, O) by row, from row 0 on, NaN: missing. Label t is in before origin k
/// when t + delay < k. Throws what issue() throws, ShapeError.
void replay(ConformalCorrector& corrector, const std::vector<Index>& origins, ConstView raw, ConstView truth,
            View corrected, CoverageMonitor* watch = nullptr);

}  // namespace emisopt
