// The upper bound: the same controller with perfect knowledge. It sees the plant's state, its true equations
// and every disturbance to come, no noise and no back-off; it starts also from the steady optimum of the
// whole box, so that no local optimum is taken for the best. No real plant could run it.
#pragma once
#include <memory>
#include <optional>

#include "emisopt/loop/closed_loop.hpp"
#include "emisopt/loop/permit_watch.hpp"
#include "emisopt/loop/plant_predictor.hpp"
#include "emisopt/plant/boiler.hpp"

namespace emisopt {

class Controller;

struct OracleConfig {
  int horizon = 24;  // rows
  int blocks = 5;
  int iterations = 2;       // Jacobians a tick
  int fresh_every = 12;     // ticks between starts from the steady optimum
  double margin = 0.002;    // share of each limit kept free: the inner steps of prediction and plant agree
  double fast_step_s = 60;  // integration step of the derivatives
  int threads = 2;
  std::optional<Permit> permit;  // held beside the limits, by the truth
  ComingOptions permit_options;
};

class OraclePolicy final : public Policy {
 public:
  /// limits: as judged; their quantiles do not matter here.
  OraclePolicy(std::vector<Limit> limits, const Prices& prices, const OracleConfig& config = {});
  ~OraclePolicy() override;
  std::string name() const override { return "oracle (true equations)"; }
  /// Throws InputError when the plant is not a Boiler.
  void attach(const Plant& plant, ConstView truth_before) override;
  Action decide(const Observation& seen) override;

 private:
  std::unique_ptr<Controller> make_controller(const std::vector<double>& safe, double trust) const;
  std::vector<double> steady_target();

  std::vector<LimitRow> rows(const std::vector<double>& newest);

  std::size_t own_;            // limits that are not the permit's
  std::vector<Limit> limits_;  // one's own, then the permit's
  std::optional<PermitWatch> permit_;
  Prices prices_;
  OracleConfig config_;
  PlantPredictor predictor_;
  const Boiler* plant_ = nullptr;
  std::unique_ptr<Controller> controller_;
  Matrix past_;               // (window, O) truth, newest last
  BoilerSetpoints target_{};  // steady optimum of the last search
  int ticks_ = 0;
};

}  // namespace emisopt
