#include "emisopt/loop/mpc_policy.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/loop/plant_control.hpp"

namespace emisopt {
namespace {

// Stands in when no forecast can be issued: the controller's own ladder then holds, and later ramps to
// safety.
class NoForecast final : public Predictor {
 public:
  NoForecast(int horizon, int setpoints, int outputs)
      : horizon_(horizon), setpoints_(setpoints), outputs_(outputs) {}
  int horizon() const override { return horizon_; }
  int setpoints() const override { return setpoints_; }
  int outputs() const override { return outputs_; }
  void predict(View median, View upper, ConstView) override { fill(median, upper); }
  void jacobian(View median, View upper, ConstView) override { fill(median, upper); }

 private:
  static void fill(View a, View b) {
    for (Index r = 0; r < a.rows; ++r) std::fill_n(a.row(r), a.cols, kMissing);
    for (Index r = 0; r < b.rows; ++r) std::fill_n(b.row(r), b.cols, kMissing);
  }
  int horizon_, setpoints_, outputs_;
};

}  // namespace

MpcPolicy::MpcPolicy(const Forecaster& forecaster, std::vector<Limit> limits, const Prices& prices,
                     const MpcConfig& config, std::string name)
    : tags_(forecaster.tags),
      limits_(std::move(limits)),
      prices_(prices),
      config_(config),
      name_(std::move(name)),
      outputs_(tags_.outputs()),
      horizon_(forecaster.config.horizon),
      predictor_(forecaster, backoff_quantiles(limits_, static_cast<int>(outputs_.size())), config.threads),
      gate_(static_cast<int>(outputs_.size()), config.spike_width) {
  for (const Limit& l : limits_) window_ = std::max(window_, l.window);
}

Controller& MpcPolicy::controller(const std::vector<double>& applied) {
  if (!controller_)
    controller_ = std::make_unique<Controller>(
        plant_setpoints(tags_, config_.safe.empty() ? applied : config_.safe, config_.move_weight), limits_,
        plant_objective(tags_, prices_), horizon_, static_cast<int>(outputs_.size()), config_.controller,
        config_.envelope);
  return *controller_;
}

// The history without lone spikes. Frozen readings are no longer in it: the tag map's frozen_after has put
// them aside.
const History& MpcPolicy::believed(const History& history) {
  std::vector<double> newest;
  for (const Index column : outputs_) newest.push_back(history.values(history.rows() - 1, column));
  gate_.judge(newest.data());
  if (!gate_.any(history.rows())) return history;
  cleaned_ = history;
  Matrix outputs(history.rows(), static_cast<Index>(outputs_.size()));
  gate_.apply(outputs.view());
  for (Index r = 0; r < outputs.rows; ++r)
    for (Index o = 0; o < outputs.cols; ++o)
      if (std::isnan(outputs(r, o))) cleaned_.values(r, outputs_[static_cast<std::size_t>(o)]) = kMissing;
  return cleaned_;
}

// The newest outputs (window, O).
Matrix MpcPolicy::past_outputs(const History& history) const {
  const Index have = std::min<Index>(window_, history.rows()), first = history.rows() - have;
  Matrix past(have, static_cast<Index>(outputs_.size()));
  for (Index r = 0; r < have; ++r)
    for (Index o = 0; o < past.cols; ++o)
      past(r, o) = history.values(first + r, outputs_[static_cast<std::size_t>(o)]);
  return past;
}

void MpcPolicy::observe(const Matrix& past) {
  if (last_forecast_.empty() || past.rows == 0) return;
  controller_->observe(last_forecast_.data(), past.row(past.rows - 1));
  last_forecast_.clear();
}

Action MpcPolicy::decide(const Observation& seen) {
  const auto outputs = static_cast<int>(outputs_.size());
  const auto setpoints = static_cast<int>(seen.applied.size());
  Controller& control = controller(seen.applied);
  const History& history = believed(seen.history);
  const Matrix past = past_outputs(history);
  observe(past);

  std::string trouble;
  Decision d;
  if (seen.known.rows < horizon_) {
    trouble = "expected a schedule of " + std::to_string(horizon_) + " rows, got " +
              std::to_string(seen.known.rows);
  } else {
    try {
      predictor_.set_tick(history, history.rows(), seen.known.slice(0, horizon_));
      d = control.step(predictor_, seen.applied, past);
    } catch (const InputError& e) {
      trouble = e.what();
    }
  }
  if (!trouble.empty()) {
    NoForecast none(horizon_, setpoints, outputs);
    d = control.step(none, seen.applied, past);
    d.reason = "no forecast: " + trouble;
  }
  if (is_ok(d.status)) {
    last_forecast_.assign(d.median.row(0), d.median.row(0) + outputs);
    gate_.expect(d.median.row(0), d.upper.row(0));
  }

  Action action;
  action.setpoints = std::move(d.move);
  action.status = d.status;
  action.reason = std::move(d.reason);
  action.slacks = std::move(d.slacks);
  action.plan = std::move(d.plan);
  action.median = d.median;
  action.low = std::move(d.median);
  action.high = std::move(d.upper);
  return action;
}

}  // namespace emisopt
