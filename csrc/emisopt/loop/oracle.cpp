#include "emisopt/loop/oracle.hpp"

#include <algorithm>

#include "emisopt/base/error.hpp"
#include "emisopt/control/controller.hpp"
#include "emisopt/control/moves.hpp"
#include "emisopt/loop/plant_control.hpp"
#include "emisopt/loop/steady_optimum.hpp"

namespace emisopt {
using namespace boiler;
namespace {

std::vector<int> block_starts(int horizon, int blocks) {
  std::vector<int> starts;
  int at = 0;
  for (const int length : block_lengths(horizon, blocks)) {
    starts.push_back(at);
    at += length;
  }
  return starts;
}

// For the choice between two plans: first the limits by rank, then the money.
double badness(const Decision& d, const std::vector<Limit>& limits) {
  double sum = d.cost;
  for (const Slack& s : d.slacks)
    for (const Limit& l : limits)
      if (l.name == s.limit) sum += (l.rank == 1 ? 1e6 : 1e4) * s.amount / l.limit;
  return is_ok(d.status) ? sum : 1e300;
}

}  // namespace

OraclePolicy::OraclePolicy(std::vector<Limit> limits, const Prices& prices, const OracleConfig& config)
    : own_(limits.size()),
      limits_(std::move(limits)),
      prices_(prices),
      config_(config),
      predictor_(config.horizon, block_starts(config.horizon, config.blocks), config.threads) {
  if (config_.permit) {
    const PermitWatch watch(*config_.permit, boiler_tags(), config_.permit_options);
    limits_.insert(limits_.end(), watch.limits().begin(), watch.limits().end());
  }
  for (Limit& l : limits_) l.quantile = 0.5;
}
OraclePolicy::~OraclePolicy() = default;

std::unique_ptr<Controller> OraclePolicy::make_controller(const std::vector<double>& safe,
                                                          double trust) const {
  ControllerConfig c;
  c.blocks = config_.blocks;
  c.max_iterations = config_.iterations;
  c.deadline_s = 60;
  c.limit_margin = config_.margin;
  c.trust = trust;
  c.kkt_tolerance = 1e-6;
  return std::make_unique<Controller>(plant_setpoints(plant_->tags(), safe, 0), limits_,
                                      plant_objective(plant_->tags(), prices_), config_.horizon,
                                      int{kOutputs}, c);
}

void OraclePolicy::attach(const Plant& plant, ConstView truth_before) {
  plant_ = dynamic_cast<const Boiler*>(&plant);
  if (!plant_) throw InputError("OraclePolicy: expected a Boiler, got another plant");
  int window = 1;
  for (const Limit& l : limits_) window = std::max(window, l.window);
  if (config_.permit) {
    permit_.emplace(*config_.permit, plant.tags(), config_.permit_options);
    const double start = kEpoch + plant.time();
    for (Index r = 0; r < truth_before.rows; ++r)
      permit_->push(start - static_cast<double>(truth_before.rows - 1 - r) * kPeriod, truth_before.row(r),
                    PlantState::on);
  }
  past_ = Matrix(window, kOutputs, kMissing);
  const Index have = std::min<Index>(window, truth_before.rows);
  for (Index r = 0; r < have; ++r)
    std::copy_n(truth_before.row(truth_before.rows - have + r), int{kOutputs}, past_.row(window - have + r));
  ticks_ = 0;
  controller_ = make_controller({}, 0.1);
}

// Where the plant would best stand if the conditions of half an hour ahead stayed.
std::vector<double> OraclePolicy::steady_target() {
  constexpr int kAhead = 6;
  Matrix coming(kAhead, kDisturbances);
  plant_->true_future(coming.row(0), kAhead);
  Boiler copy = *plant_;
  BoilerPoint p;
  p.fuel = copy.fuel_burnt();
  p.load = coming(kAhead - 1, kLoad) / plant_->parameters().furnace.full_load_mw;
  p.ambient_c = coming(kAhead - 1, kAmbient);
  p.slag = plant_->slag();
  p.catalyst_hours = plant_->parameters().catalyst_age_h + plant_->time() / 3600;
  SteadyLimits limits{1e9, 1e9, 1e9};
  for (const Limit& l : limits_) {
    const double limit = l.limit * (1 - config_.margin);
    if (l.output == kNox) limits.nox = limit;
    if (l.output == kCo) limits.co = limit;
    if (l.output == kSlip) limits.slip = limit;
  }
  const bool whole_box = ticks_ % (4 * config_.fresh_every) == 0;
  target_ = steady_optimum(plant_->parameters(), p, limits, whole_box ? nullptr : &target_).setpoints;
  return {target_.begin(), target_.end()};
}

// Own limits by the true past, those of the permit by what it has counted.
std::vector<LimitRow> OraclePolicy::rows(const std::vector<double>& newest) {
  const std::vector<Limit> own(limits_.begin(), limits_.begin() + static_cast<Index>(own_));
  std::vector<LimitRow> rows = limit_rows(own, past_, config_.horizon);
  if (!permit_) return rows;
  permit_->push(kEpoch + plant_->time(), newest.data(), plant_->operation());
  append_rows(rows, permit_->rows(config_.horizon), static_cast<int>(own_));
  return rows;
}

Action OraclePolicy::decide(const Observation& seen) {
  std::vector<double> newest(past_.row(past_.rows - 1), past_.row(past_.rows - 1) + past_.cols);
  if (ticks_ > 0) {
    std::copy(past_.values.begin() + past_.cols, past_.values.end(), past_.values.begin());
    plant_->truth(newest.data());
    std::copy(newest.begin(), newest.end(), past_.row(past_.rows - 1));
  }
  const std::vector<LimitRow> asked = rows(newest);
  auto fast = std::make_unique<Boiler>(*plant_);
  fast->set_inner_step(config_.fast_step_s);
  Matrix coming(config_.horizon, kDisturbances);
  plant_->true_future(coming.row(0), config_.horizon);
  predictor_.set(plant_->clone(), std::move(fast), std::move(coming));

  Decision d = controller_->step(predictor_, seen.applied, past_, asked);
  if (ticks_ % config_.fresh_every == 0) {
    // A new controller knows no previous plan: it starts from holding and from a ramp to `safe`.
    std::unique_ptr<Controller> fresh = make_controller(steady_target(), 0.25);
    Decision other = fresh->step(predictor_, seen.applied, past_, asked);
    if (badness(other, limits_) < badness(d, limits_)) {
      d = std::move(other);
      controller_ = std::move(fresh);
    }
  }
  ++ticks_;

  Action action;
  action.setpoints = d.move;
  action.status = d.status;
  action.reason = d.reason;
  action.slacks = d.slacks;
  action.plan = d.plan;
  action.median = action.low = action.high = d.median;
  return action;
}

}  // namespace emisopt
