// A predictor that fails on purpose, for tests of the failure contract: a wrong gain, numbers that are none,
// calls that end in an exception. It also takes the time of the tiles of work that a deadline cannot cut.
#pragma once
#include <cstdint>

#include "emisopt/base/rng.hpp"
#include "emisopt/control/predictor.hpp"

namespace emisopt {

struct Faults {
  double gain = 1;  // of the answer to what a plan changes from holding; 1: as the base says
  double nan_forecast = 0, nan_sensitivity = 0, interrupt = 0;  // shares of the calls
  std::uint64_t seed = 0;
};

class FaultyPredictor final : public Predictor {
 public:
  /// base must outlive this. Throws InputError for shares outside [0, 1] or a gain that is not finite.
  FaultyPredictor(Predictor& base, const Faults& faults);

  /// A new tick: the setpoints (U) in force, from which the gain counts.
  void set_held(const std::vector<double>& applied);
  /// The longest call of the base since the last set_held(), in seconds of CPU time of the calling thread.
  double longest() const { return longest_; }

  int horizon() const override { return base_.horizon(); }
  int setpoints() const override { return base_.setpoints(); }
  int outputs() const override { return base_.outputs(); }
  ConstView known() const override { return base_.known(); }
  void predict(View median, View upper, ConstView plan) override;
  void predict_batch(View median, View upper, ConstView plans, int batch) override;
  void jacobian(View median_jacobian, View upper_jacobian, ConstView plan) override;
  void sensitivities(View median, View upper, ConstView plan, const std::vector<PlanMove>& moves) override;
  bool gradient(View gradient, ConstView seed_median, ConstView seed_upper, ConstView plan) override;

 private:
  bool strikes(double share) { return share > 0 && rng_.uniform() < share; }
  void interrupt();
  void spoil(View slopes);
  template <class Call>
  auto timed(const Call& call);

  Predictor& base_;
  Faults faults_;
  Rng rng_;
  Matrix held_median_, held_upper_;  // (H,O) under the plan that holds; empty: no gain
  double longest_ = 0;
};

}  // namespace emisopt
