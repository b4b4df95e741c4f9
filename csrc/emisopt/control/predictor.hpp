// What the controller optimises over: values and exact sensitivities of a forecast to the plan.
// The transformer implements it (control/forecast_predictor.hpp); so does the simulator for the oracle
// (loop/).
#pragma once
#include <vector>

#include "emisopt/base/types.hpp"
#include "emisopt/model/plan_move.hpp"

namespace emisopt {

/// One tick's forecast function. All physical units. H steps, U setpoints, O outputs, D known disturbances.
class Predictor {
 public:
  virtual ~Predictor() = default;
  virtual int horizon() const = 0;
  virtual int setpoints() const = 0;
  virtual int outputs() const = 0;
  /// median (H,O) and upper (H,O; the quantile used for back-off) for a plan (H,U).
  virtual void predict(View median, View upper, ConstView plan) = 0;
  /// Several plans at once: plans (B*H, U) -> median, upper (B*H, O). The default loops over predict.
  virtual void predict_batch(View median, View upper, ConstView plans, int batch);
  /// median_jacobian, upper_jacobian (H*O, H*U): row t*O+o, column s*U+u; exactly 0 for s > t.
  virtual void jacobian(View median_jacobian, View upper_jacobian, ConstView plan) = 0;
  /// The same by moves: column k is the sum of the Jacobian's over setpoint moves[k] in its steps. median,
  /// upper (H*O, moves). The default takes jacobian() and adds up.
  virtual void sensitivities(View median, View upper, ConstView plan, const std::vector<PlanMove>& moves);
  /// Known disturbances (H,D) of this tick, for OutputMaps in the objective; may be empty.
  virtual ConstView known() const { return {}; }
};

}  // namespace emisopt
