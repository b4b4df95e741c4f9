// The forecaster and the controller as a policy: what runs on a plant. Sees nothing but the Observation.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "emisopt/control/conformal_backoff.hpp"
#include "emisopt/control/controller.hpp"
#include "emisopt/control/forecast_predictor.hpp"
#include "emisopt/control/spike_gate.hpp"
#include "emisopt/loop/closed_loop.hpp"
#include "emisopt/loop/permit_watch.hpp"

namespace emisopt {

/// Another optimiser in the controller's place, for comparisons: a plan (H,U) for what the predictor says
/// (without the bias, (O), which is added to its values), the setpoints in force (U) and the rows to hold.
using PlanSolver = std::function<Matrix(Predictor& predictor, const std::vector<double>& applied,
                                        const std::vector<LimitRow>& rows, const std::vector<double>& bias)>;

struct MpcConfig {
  ControllerConfig controller;
  double move_weight = 60;   // EUR per (move / range)^2: a move of a tenth of the range costs 0.6 EUR
  std::vector<double> safe;  // (U) targets of SAFE_RAMP; empty: the setpoints in force at the start
  Envelope envelope;         // radius2 0: off (see training_envelope)
  double spike_width = 4;    // of the gate on lone readings (SpikeGate); 0: every reading is believed
  int threads = 0;           // of the forecaster; 0: the machine's
  /// (O) quantiles that limits and permit are held by in place of their own; empty: as each limit says.
  std::vector<double> quantiles;
  /// Back-off that learns; its state at the start. Empty: quantiles as the forecaster gives them.
  std::optional<ConformalBackoff> conformal;
  /// Rules that are held beside the limits.
  std::optional<Permit> permit;
  ComingOptions permit_options;
  double permit_margin = 0;  // share of each rule's limit kept free: the end of a long window has no recourse
  PlanSolver solver;         // empty: the controller itself; with one, its bias is additive or none
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
  std::vector<LimitRow> rows(const History& history, PlantState state, const Matrix& past);
  void learn_backoff(const History& history);
  Matrix past_outputs(const History& history) const;
  void observe(const Matrix& past);
  Decision step(Predictor& predictor, const Observation& seen, const Matrix& past,
                const std::vector<LimitRow>& rows);
  Controller& controller(const std::vector<double>& applied);

  TagMap tags_;
  std::size_t own_;  // limits that are not the permit's
  std::optional<PermitWatch> permit_;
  Index pushed_ = 0;           // rows that the permit has seen
  std::vector<Limit> limits_;  // one's own, then the permit's
  Prices prices_;
  MpcConfig config_;
  std::string name_;
  std::vector<Index> outputs_;  // tag ids
  int horizon_, window_ = 1;
  ForecastPredictor predictor_;
  std::optional<ConformalBackoff> backoff_;
  Index row_offset_ = 0;  // of the back-off's row numbers against those of the history
  std::unique_ptr<Controller> controller_;
  SpikeGate gate_;
  History cleaned_;                    // the history without the readings that the gate put aside
  std::vector<double> last_forecast_;  // (O) for the row now newest, made one row ago; empty: none
};

}  // namespace emisopt
