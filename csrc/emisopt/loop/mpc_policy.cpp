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

std::vector<Limit> joined(std::vector<Limit> own, const std::optional<PermitWatch>& permit,
                          const std::vector<double>& quantiles, std::size_t outputs) {
  if (permit) own.insert(own.end(), permit->limits().begin(), permit->limits().end());
  if (quantiles.empty()) return own;
  check_shape("MpcConfig.quantiles", {static_cast<long>(quantiles.size())},
              {{"O", static_cast<long>(outputs)}});
  for (Limit& l : own) l.quantile = quantiles.at(static_cast<std::size_t>(l.output));
  return own;
}

}  // namespace

MpcPolicy::MpcPolicy(const Forecaster& forecaster, std::vector<Limit> limits, const Prices& prices,
                     const MpcConfig& config, std::string name)
    : tags_(forecaster.tags),
      own_(limits.size()),
      permit_(config.permit
                  ? std::optional<PermitWatch>(std::in_place, *config.permit, tags_, config.permit_options)
                  : std::nullopt),
      limits_(joined(std::move(limits), permit_, config.quantiles, tags_.outputs().size())),
      prices_(prices),
      config_(config),
      name_(std::move(name)),
      outputs_(tags_.outputs()),
      horizon_(forecaster.config.horizon),
      predictor_(forecaster, backoff_quantiles(limits_, static_cast<int>(outputs_.size())), config.threads),
      backoff_(config.conformal),
      gate_(static_cast<int>(outputs_.size()), config.spike_width) {
  for (const Limit& l : limits_) window_ = std::max(window_, l.window);
  if (!(config_.permit_margin >= 0 && config_.permit_margin < 1))
    throw InputError("MpcPolicy(permit_margin): expected a share in [0, 1), got " +
                     std::to_string(config_.permit_margin));
  if (config_.solver && config_.controller.bias == ControllerConfig::Bias::multiplicative)
    throw InputError("MpcPolicy(solver): expected an additive bias or none, got a multiplicative one");
  if (!backoff_) return;
  row_offset_ = backoff_->next_row();
  const std::vector<double> held = backoff_quantiles(limits_, static_cast<int>(outputs_.size()));
  if (backoff_->quantiles() != held)
    throw InputError("MpcPolicy(conformal): expected a back-off made for the limits' quantiles, got another");
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

// Own limits by the measured past, those of the permit by what it has counted.
std::vector<LimitRow> MpcPolicy::rows(const History& history, PlantState state, const Matrix& past) {
  const std::vector<Limit> own(limits_.begin(), limits_.begin() + static_cast<Index>(own_));
  std::vector<LimitRow> rows = limit_rows(own, past, horizon_);
  if (!permit_) return rows;
  std::vector<double> y(outputs_.size());
  for (Index r = pushed_; r < history.rows(); ++r) {
    for (std::size_t o = 0; o < y.size(); ++o) y[o] = history.values(r, outputs_[o]);
    const bool newest = r + 1 == history.rows();
    const bool off = !newest && pushed_ > 0 && r >= pushed_;  // rows without a decision: it stood still
    permit_->push(history.time[static_cast<std::size_t>(r)], y.data(),
                  newest ? state
                  : off  ? PlantState::off
                         : PlantState::on);
  }
  pushed_ = history.rows();
  std::vector<LimitRow> permits = permit_->rows(horizon_);
  for (LimitRow& row : permits)
    row.rhs -= config_.permit_margin * std::abs(permit_->limits()[static_cast<std::size_t>(row.limit)].limit);
  append_rows(rows, permits, static_cast<int>(own_));
  return rows;
}

// Labels that have come since, those of late rows too.
void MpcPolicy::learn_backoff(const History& history) {
  if (!backoff_) return;
  std::vector<double> y(outputs_.size());
  for (Index row = std::max(backoff_->oldest(), row_offset_); row < row_offset_ + history.rows(); ++row) {
    const Index r = row - row_offset_;
    for (std::size_t o = 0; o < y.size(); ++o) y[o] = history.values(r, outputs_[o]);
    backoff_->observe(row, y.data());
  }
}

void MpcPolicy::observe(const Matrix& past) {
  if (last_forecast_.empty() || past.rows == 0) return;
  controller_->observe(last_forecast_.data(), past.row(past.rows - 1));
  last_forecast_.clear();
}

Decision MpcPolicy::step(Predictor& predictor, const Observation& seen, const Matrix& past,
                         const std::vector<LimitRow>& rows) {
  if (!config_.solver) return controller_->step(predictor, seen.applied, past, rows);
  const std::vector<double>& bias = controller_->bias();
  Decision d;
  d.plan = config_.solver(predictor, seen.applied, rows, bias);
  check_shape("MpcConfig.solver", {static_cast<long>(d.plan.rows), static_cast<long>(d.plan.cols)},
              {{"H", horizon_}, {"U", static_cast<long>(seen.applied.size())}});
  d.move.assign(d.plan.row(0), d.plan.row(0) + d.plan.cols);
  d.median = d.upper = Matrix(horizon_, static_cast<Index>(outputs_.size()));
  predictor.predict(d.median, d.upper, d.plan);
  for (Matrix* y : {&d.median, &d.upper})
    for (Index t = 0; t < y->rows; ++t)
      for (Index o = 0; o < y->cols; ++o) (*y)(t, o) += bias[static_cast<std::size_t>(o)];
  d.status = Status::feasible_deadline;
  d.reason = "solved elsewhere";
  return d;
}

Action MpcPolicy::decide(const Observation& seen) {
  const auto outputs = static_cast<int>(outputs_.size());
  const auto setpoints = static_cast<int>(seen.applied.size());
  Controller& control = controller(seen.applied);
  const History& history = believed(seen.history);
  const Matrix past = past_outputs(history);
  observe(past);
  learn_backoff(history);
  const std::vector<LimitRow> asked = rows(history, seen.state, past);

  std::string trouble;
  Decision d;
  if (seen.known.rows < horizon_) {
    trouble = "expected a schedule of " + std::to_string(horizon_) + " rows, got " +
              std::to_string(seen.known.rows);
  } else {
    try {
      predictor_.set_tick(history, history.rows(), seen.known.slice(0, horizon_));
      if (backoff_) {
        ConformalPredictor held(predictor_, *backoff_);
        d = step(held, seen, past, asked);
      } else {
        d = step(predictor_, seen, past, asked);
      }
    } catch (const InputError& e) {
      trouble = e.what();
    }
  }
  if (!trouble.empty()) {
    NoForecast none(horizon_, setpoints, outputs);
    d = control.step(none, seen.applied, past, asked);
    d.reason = "no forecast: " + trouble;
  }
  if (is_ok(d.status)) {
    last_forecast_.assign(d.median.row(0), d.median.row(0) + outputs);
    gate_.expect(d.median.row(0), d.upper.row(0));
    if (backoff_) backoff_->issue(row_offset_ + history.rows(), d.median, d.upper);
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
