// The simulated plant as a Predictor: what a forecast with perfect knowledge would say. For the oracle.
#pragma once
#include <memory>
#include <vector>

#include "emisopt/control/predictor.hpp"
#include "emisopt/plant/plant.hpp"

namespace emisopt {

class PlantPredictor final : public Predictor {
 public:
  /// horizon in rows; block_starts: the steps at which plans may change, rising from 0; threads >= 1.
  PlantPredictor(int horizon, std::vector<int> block_starts, int threads);

  /// The plant as it stands now. `fast`: the same state with a coarser integration, for derivatives only;
  /// null: `now` serves. known (H,D): the disturbances that will come, for the cost map.
  void set(std::unique_ptr<Plant> now, std::unique_ptr<Plant> fast, Matrix known);

  int horizon() const override { return horizon_; }
  int setpoints() const override { return setpoints_; }
  int outputs() const override { return outputs_; }
  ConstView known() const override { return known_; }
  /// Median and upper are both the truth. One simulation of H rows.
  void predict(View median, View upper, ConstView plan) override;
  void predict_batch(View median, View upper, ConstView plans, int batch) override;
  /// Finite differences of whole blocks: the answer to moving setpoint u throughout block b stands in the
  /// column of the block's first step, the block's other columns are 0. Exact for plans that are constant in
  /// blocks, the only ones that a controller with these blocks makes.
  void jacobian(View median_jacobian, View upper_jacobian, ConstView plan) override;

 private:
  void simulate(const Plant& from, ConstView plan, int first, View out) const;
  template <class Work>
  void parallel(int jobs, const Work& work) const;

  int horizon_, setpoints_ = 0, outputs_ = 0, threads_;
  std::vector<int> block_starts_;
  std::vector<double> step_;  // (U) of the finite differences
  std::unique_ptr<Plant> now_, fast_;
  Matrix known_;
};

}  // namespace emisopt
