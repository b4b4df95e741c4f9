// The transformer as a Predictor: median and back-off quantile of a ForecastSession, per tick.
#pragma once
#include "emisopt/control/predictor.hpp"
#include "emisopt/model/forecaster.hpp"
#include "emisopt/permit/limit_row.hpp"

namespace emisopt {

/// The quantile each output (O) must be held by: the largest of its limits, 0.5 without one.
std::vector<double> backoff_quantiles(const std::vector<Limit>& limits, int outputs);

/// `upper` of output o is its quantile `upper_quantile[o]`, interpolated linearly between the two trained
/// levels that enclose it, and the outermost level beyond them: nothing is extrapolated.
class ForecastPredictor : public Predictor {
 public:
  /// upper_quantile (O), each in (0, 1). Throws InputError / ShapeError. threads 0: the machine's.
  ForecastPredictor(const Forecaster& forecaster, std::vector<double> upper_quantile, int threads = 0);

  /// Reads the history that ends at row `end` (exclusive); known (H,D): coming disturbances, NaN unknown, or
  /// empty. Throws as ForecastSession::set_history does; the tick set before then stays.
  void set_tick(const History& history, Index end, ConstView known, int hidden = 0);

  int horizon() const override { return horizon_; }
  int setpoints() const override { return setpoints_; }
  int outputs() const override { return static_cast<int>(mix_.size()); }
  ConstView known() const override { return known_; }
  void predict(View median, View upper, ConstView plan) override;
  void predict_batch(View median, View upper, ConstView plans, int batch) override;
  void jacobian(View median_jacobian, View upper_jacobian, ConstView plan) override;
  /// Forward through the network where moves are fewer than what limits and costs look at, else backward.
  void sensitivities(View median, View upper, ConstView plan, const std::vector<PlanMove>& moves) override;

 private:
  /// upper = (1 - share) * level[low] + share * level[high]; indexes into the trained levels.
  struct Mix {
    int low, high;
    double share;
  };

  /// median and upper from rows (needed*H*O, n) of all needed levels.
  void mix(View median, View upper, const Matrix& levels) const;

  ForecastSession session_;
  int horizon_, setpoints_, disturbances_;
  int levels_, median_level_;
  std::vector<Mix> mix_;         // (O)
  std::vector<int> needed_;      // levels that median and mixes use, rising
  std::vector<int> block_of_;    // (levels) place in needed_, -1: not needed
  Matrix known_;                 // (H,D) or empty
  Matrix quantiles_, jacobian_;  // (B*H, O*Q), (needed*H*O, H*U)
  Matrix sensitivities_;         // (needed*H*O, moves)
};

}  // namespace emisopt
