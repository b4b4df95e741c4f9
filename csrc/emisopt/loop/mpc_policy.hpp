// The forecaster and the controller as a policy: what runs on a plant. Sees nothing but the Observation.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "emisopt/control/controller.hpp"
#include "emisopt/control/forecast_predictor.hpp"
#include "emisopt/control/spike_gate.hpp"
#include "emisopt/loop/closed_loop.hpp"

namespace emisopt {

struct MpcConfig {
  ControllerConfig controller;
  double move_weight = 60;   // EUR per (move / range)^2: a move of a tenth of the range costs 0.6 EUR
  std::vector<double> safe;  // (U) targets of SAFE_RAMP; empty: the setpoints in force at the start
  Envelope envelope;         // radius2 0: off (see training_envelope)
  double spike_width = 4;    // of the gate on lone readings (SpikeGate); 0: every reading is believed
  int threads = 0;           // of the forecaster; 0: the machine's
};

class MpcPolicy final : public Policy {
 public:
  /// The forecaster is copied. Throws InputError for limits or setpoints that do not fit its tags.
  MpcPolicy(const Forecaster& forecaster, std::vector<Limit> limits, const Prices& prices,
            const MpcConfig& config = {}, std::string name = "MPC");
  std::string name() const override { return name_; }
  /// Never throws on bad measurements: a history that cannot be forecast from ends in HOLD, then SAFE_RAMP.
  Action decide(const Observation& seen) override;

 private:
  const History& believed(const History& history);
  Matrix past_outputs(const History& history) const;
  void observe(const Matrix& past);
  Controller& controller(const std::vector<double>& applied);

  TagMap tags_;
  std::vector<Limit> limits_;
  Prices prices_;
  MpcConfig config_;
  std::string name_;
  std::vector<Index> outputs_;  // tag ids
  int horizon_, window_ = 1;
  ForecastPredictor predictor_;
  std::unique_ptr<Controller> controller_;
  SpikeGate gate_;
  History cleaned_;                    // the history without the readings that the gate put aside
  std::vector<double> last_forecast_;  // (O) for the row now newest, made one row ago; empty: none
};

}  // namespace emisopt
