// A forecast of what a permit counts: outputs through an OutputMap, with their exact sensitivities.
#pragma once
#include <memory>

#include "emisopt/control/predictor.hpp"
#include "emisopt/permit/conversion_map.hpp"

namespace emisopt {

/// Outputs q (Q) = map(y, u, d) of another predictor, step by step; d: its known(). The median is the map of
/// the median; the upper value of a quantity is its map where each output that raises it stands at its upper
/// value and each that lowers it at its median, which is not too low for a map that rises in its outputs.
class MappedPredictor : public Predictor {
 public:
  /// base must outlive this. Throws InputError when there is no map, or it reads other outputs, setpoints or
  /// disturbances than base has.
  MappedPredictor(Predictor& base, std::shared_ptr<const SizedMap> map);

  int horizon() const override { return base_.horizon(); }
  int setpoints() const override { return base_.setpoints(); }
  int outputs() const override { return static_cast<int>(map_->names().size()); }
  ConstView known() const override { return base_.known(); }
  void predict(View median, View upper, ConstView plan) override;
  void predict_batch(View median, View upper, ConstView plans, int batch) override;
  void jacobian(View median_jacobian, View upper_jacobian, ConstView plan) override;
  bool gradient(View gradient, ConstView seed_median, ConstView seed_upper, ConstView plan) override;
  void sensitivities(View median, View upper, ConstView plan, const std::vector<PlanMove>& moves) override;

 private:
  const double* disturbance(Index step) const;
  /// dq_j/dy into dy_, dq_j/du into du_, at y.
  void slopes(int quantity, const double* y, const double* u, const double* d);
  /// Where quantity j has its upper value, into at_; uses dy_.
  void upper_point(int quantity, const double* median, const double* upper, const double* u, const double* d);

  /// By the chain rule from jac_median_, jac_upper_ of the base; direct(t, k, f): calls f(column) for each
  /// column that setpoint k of step t belongs to.
  template <class Direct>
  void chain(View median, View upper, ConstView plan, Direct direct);
  void fit(Index columns);

  Predictor& base_;
  std::shared_ptr<const SizedMap> map_;
  Matrix median_, upper_, jac_median_, jac_upper_;
  Matrix seed_median_, seed_upper_, direct_;  // of gradient()
  std::vector<double> seed_, q_, dy_, du_, at_, raises_, none_;
};

}  // namespace emisopt
