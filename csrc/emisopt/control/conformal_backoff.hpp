// Back-off that learns whether it was enough: the upper quantile that limits are held by, widened or narrowed
// step by step by the adaptive conformal correction of `monitor`.
//
// What it learns from are the forecasts of the plans that were chosen, and what then came. Later moves are
// decided anew, so an error h rows ahead is one after recourse: what a controller that will look again has to
// keep free, not what a plan left alone would miss by.
#pragma once
#include <string>
#include <vector>

#include "emisopt/control/predictor.hpp"
#include "emisopt/monitor/coverage.hpp"

namespace emisopt {

/// Gains as CoverageConfig has them; `temper` is 1, so that a factor does not depend on the plan.
struct ConformalConfig {
  double scale_gain = 0.02;       // per label
  double side_gain = 0.01;        // per label; bounds the long-run share of misses, whatever the data do
  double memory = 12;             // rows: half-life of the recent error size
  double follow = 0.8;            // share of it that the back-off follows; 0: off
  int lateness = 12;              // rows after its own that a label may still come
  double least = 0.25, most = 4;  // bounds of a factor

  /// Throws InputError naming the field.
  void validate() const;
};

class ConformalBackoff {
 public:
  /// quantiles (O): what each output's upper value is meant to be; at most 0.5: that output is left alone.
  /// Throws InputError.
  ConformalBackoff(std::vector<double> quantiles, int horizon, ConformalConfig config = {});

  int outputs() const { return static_cast<int>(quantiles_.size()); }
  int horizon() const { return horizon_; }
  const std::vector<double>& quantiles() const { return quantiles_; }
  const ConformalConfig& config() const { return config_; }

  /// What distances of the upper value from the median are multiplied by, for the forecast that comes next.
  double factor(int step, int output) const {
    return factor_[static_cast<std::size_t>(step * outputs() + output)];
  }
  /// Remembers the forecast of the plan that was chosen, (H,O) as the controller held its limits by it: the
  /// factors in force are taken out again. row: of its first step; rows rise, gaps are fine. A step without
  /// a number or without width is not learnt from. Throws InputError for a row that does not rise.
  void issue(Index row, ConstView median, ConstView upper);
  /// What came in a row (O), NaN: nothing yet. Rows that no forecast was issued for, labels that come later
  /// than `lateness` and those known already are passed over. Returns how many (step, output) pairs learnt.
  Index observe(Index row, const double* y);
  /// Last row issued; -1: none.
  Index row() const { return last_; }
  /// The oldest row whose labels would still be taken; -1: none was issued.
  Index oldest() const;
  /// From here on rows are strangers to all that is remembered: where another run may begin to number its
  /// own.
  Index next_row() const { return last_ < 0 ? 0 : last_ + horizon_ + config_.lateness; }

  /// All that a factor depends on: the same calls after a save and a load give the same bits.
  SafeTensors state() const;
  /// SHA-256 of state(), for logs: two equal ones make the same decisions.
  std::string hash() const { return state().content_hash(); }
  static ConformalBackoff from_state(const SafeTensors& state, const std::string& where);
  void save(const std::string& path) const { state().save(path); }  // atomic; FileError
  static ConformalBackoff load(const std::string& path) { return from_state(SafeTensors::load(path), path); }

 private:
  void refresh();

  std::vector<double> quantiles_;
  int horizon_;
  ConformalConfig config_;
  std::vector<ConformalCorrector> corrector_;  // of each output with back-off, in order
  std::vector<int> place_;                     // (O) in corrector_, -1: none
  std::vector<double> factor_;                 // (H, O)
  Index last_ = -1;
};

/// Another predictor with its upper values by a ConformalBackoff. `base` and `backoff` must outlive this.
class ConformalPredictor final : public Predictor {
 public:
  /// Throws ShapeError when horizon or outputs differ.
  ConformalPredictor(Predictor& base, const ConformalBackoff& backoff);

  int horizon() const override { return base_.horizon(); }
  int setpoints() const override { return base_.setpoints(); }
  int outputs() const override { return base_.outputs(); }
  ConstView known() const override { return base_.known(); }
  void predict(View median, View upper, ConstView plan) override;
  void predict_batch(View median, View upper, ConstView plans, int batch) override;
  void jacobian(View median_jacobian, View upper_jacobian, ConstView plan) override;
  bool gradient(View gradient, ConstView seed_median, ConstView seed_upper, ConstView plan) override;
  void sensitivities(View median, View upper, ConstView plan, const std::vector<PlanMove>& moves) override;

 private:
  /// Rows run over (step, output); columns belong together.
  void widen(ConstView median, View upper) const;

  Predictor& base_;
  const ConformalBackoff& backoff_;
  Matrix seed_median_, seed_upper_;
};

}  // namespace emisopt
