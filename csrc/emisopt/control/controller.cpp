// The ladder of outcomes, and what outlives a tick: the last good plan, the bias, the count of failures.
#include "emisopt/control/controller.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/control/sqp.hpp"
#include "emisopt/control/window_backoff.hpp"

namespace emisopt {
namespace {

using Stop = SqpOutcome::Stop;

constexpr std::size_t kReason = 128;  // characters of a reason, once and for each limit

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

ControllerConfig checked(ControllerConfig c) {
  const auto require = [](bool holds, const char* field, double got) {
    if (!holds)
      throw InputError(std::string("ControllerConfig: expected ") + field + ", got " + std::to_string(got));
  };
  require(c.blocks >= 1, "blocks >= 1", c.blocks);
  require(c.max_iterations >= 1, "max_iterations >= 1", c.max_iterations);
  require(!std::isnan(c.deadline_s), "deadline_s to be a number", c.deadline_s);
  require(std::isfinite(c.slack_l1) && c.slack_l1 >= 0, "slack_l1 >= 0", c.slack_l1);
  require(c.trust > 0 && c.trust <= 1, "trust in (0, 1]", c.trust);
  require(c.kkt_tolerance > 0, "kkt_tolerance > 0", c.kkt_tolerance);
  require(c.limit_margin >= 0 && c.limit_margin < 1, "limit_margin in [0, 1)", c.limit_margin);
  require(c.max_hold >= 0, "max_hold >= 0", c.max_hold);
  require(c.bias_gain > 0 && c.bias_gain <= 1, "bias_gain in (0, 1]", c.bias_gain);
  require(std::isnan(c.max_move) || (c.max_move > 0 && c.max_move <= 1),
          "max_move in (0, 1], or NaN for none", c.max_move);
  require(c.adjoint_steps >= 0, "adjoint_steps >= 0", c.adjoint_steps);
  require(std::isfinite(c.target_weight) && c.target_weight >= 0, "target_weight >= 0", c.target_weight);
  if (!c.clock) c.clock = steady_seconds;
  return c;
}

// The cap of trust in the model is one more rate.
std::vector<Setpoint> capped(std::vector<Setpoint> setpoints, double max_move) {
  if (std::isnan(max_move)) return setpoints;
  for (Setpoint& s : setpoints) {
    const double most = max_move * (s.high - s.low);
    if (!(s.rate <= most)) s.rate = most;
  }
  return setpoints;
}

std::vector<Limit> checked(std::vector<Limit> limits, int outputs) {
  for (const Limit& l : limits) check_limit(l, outputs);
  return limits;
}

}  // namespace

struct Controller::State {
  State(std::vector<Setpoint> s, std::vector<Limit> l, Objective objective, int horizon, int outputs,
        ControllerConfig c, Envelope envelope, std::vector<Interlock> interlocks)
      : config(checked(std::move(c))),
        moves(capped(std::move(s), config.max_move), horizon, config.blocks, std::move(interlocks)),
        limits(checked(std::move(l), outputs)),
        economics(std::move(objective), std::move(envelope), moves, outputs),
        sqp(moves, limits, economics, config, outputs),
        bias(outputs, config.bias, config.bias_gain),
        outputs(outputs) {}

  void check_shapes(const Predictor& predictor, const std::vector<double>& applied, ConstView past) const;
  bool command_before(std::vector<double>& before, const std::vector<double>& applied,
                      std::string& trouble) const;
  void hold(const std::vector<char>& manual, const std::vector<double>& before);
  std::span<const Matrix> starts(const std::vector<double>& before);
  void slacks(std::vector<Slack>& list, std::span<const LimitRow> rows, const PlanPoint& p) const;
  void accept(Decision& d, const SqpOutcome& out, std::span<const LimitRow> rows);
  void decide(Decision& d, Predictor& predictor, const std::vector<double>& applied,
              std::span<const LimitRow> rows, const TickInput& input);
  void fall_back(Decision& d, const std::vector<double>& before, bool plan_usable, std::string reason);

  ControllerConfig config;
  Moves moves;
  std::vector<Limit> limits;
  Economics economics;
  Sqp sqp;
  BiasFilter bias;
  int outputs;

  Matrix good_plan;             // (H,U) of the last good decision; empty: none
  Matrix good_blocks;           // (blocks, U) that it was made of
  int good_age = 0;             // ticks since
  bool warm = false;            // the last decision was good
  int failures = 0;             // consecutive
  std::vector<double> command;  // (U) last move returned; empty: none
  std::vector<int> still;       // (U) ticks since each setpoint was moved; counts from commands only
  std::vector<double> target;   // (U) of the steady-state layer; empty: none
  // Of the last tick, for explain(): what it began from and what it found.
  std::vector<double> last_before;
  std::span<const LimitRow> last_rows;  // of own_rows or given_rows
  PlanPoint last_point;
  bool explainable = false;
  // Memory that a tick needs, made once.
  std::vector<double> before;
  std::string trouble;
  std::vector<LimitRow> own_rows, given_rows;
  std::vector<Matrix> start_list;
  std::vector<int> held;
  Matrix shifted;
};

void Controller::State::check_shapes(const Predictor& predictor, const std::vector<double>& applied,
                                     ConstView past) const {
  const long h = moves.horizon(), u = moves.setpoints(), o = outputs;
  if (predictor.horizon() != h || predictor.setpoints() != u || predictor.outputs() != o)
    check_shape("Controller.step(predictor)",
                {predictor.horizon(), predictor.setpoints(), predictor.outputs()},
                {{"H", h}, {"U", u}, {"O", o}});
  if (static_cast<long>(applied.size()) != u)
    check_shape("Controller.step(applied)", {static_cast<long>(applied.size())}, {{"U", u}});
  if (past.rows > 0 && past.cols != o)
    check_shape("Controller.step(past)", {static_cast<long>(past.rows), static_cast<long>(past.cols)},
                {{"N", -1}, {"O", o}});
  const ConstView known = predictor.known();
  const long width = economics.known_width();
  if (known.size() > 0 && (known.rows != h || (width > 0 && known.cols != width)))
    check_shape("Controller.step(predictor.known)",
                {static_cast<long>(known.rows), static_cast<long>(known.cols)},
                {{"H", h}, {"D", width > 0 ? width : -1}});
}

// The command that rates count from. A missing one is replaced by our own last command; without one there is
// nothing to be gradual from, and the safe setpoint stands in.
bool Controller::State::command_before(std::vector<double>& before, const std::vector<double>& applied,
                                       std::string& trouble) const {
  before = applied;
  for (int u = 0; u < moves.setpoints(); ++u) {
    const auto at = static_cast<std::size_t>(u);
    if (std::isfinite(applied[at])) continue;
    before[at] = command.empty() ? moves.safe(u) : command[at];
    if (trouble.empty())
      trouble = "applied value of setpoint '" + moves.setpoint(u).name + "' is not a number; " +
                (command.empty() ? "its safe value" : "the last command") + " stands in";
  }
  return trouble.empty();
}

// What stays where it is: what an operator has in hand, and what moved less than its hold_rows ago. A command
// outside the bounds has to come back, however short ago it was given.
void Controller::State::hold(const std::vector<char>& manual, const std::vector<double>& before) {
  std::vector<int>& steps = held;
  steps.assign(static_cast<std::size_t>(moves.setpoints()), 0);
  bool any = false;
  for (std::size_t u = 0; u < steps.size(); ++u) {
    const Setpoint& s = moves.setpoint(static_cast<int>(u));
    const bool inside = before[u] >= s.low && before[u] <= s.high;
    if (!manual.empty() && manual[u])
      steps[u] = moves.horizon();
    else if (s.hold_rows > 0 && inside && !still.empty() && still[u] < s.hold_rows)
      steps[u] = s.hold_rows - still[u];
    any |= steps[u] > 0;
  }
  if (!any) steps.clear();
  moves.hold(steps);
}

// The previous plan one row on, and one block on (when the last tick was good); hold; and a steady ramp: to
// where the previous plan ended, else to the safe setpoints. Legal block values each. Blocks grow along the
// horizon, so one row on leaves most of them where they were: right for a plan that has arrived, but a plan
// that moves at its rate starts each tick one move behind in every later block. One block on, the last one
// continued, it keeps moving.
std::span<const Matrix> Controller::State::starts(const std::vector<double>& from) {
  std::size_t count = 0;
  const auto add = [&](auto value) {
    if (start_list.size() == count) start_list.emplace_back(moves.blocks(), moves.setpoints());
    Matrix& x = start_list[count++];
    for (int b = 0; b < moves.blocks(); ++b)
      for (int u = 0; u < moves.setpoints(); ++u) x(b, u) = value(b, u);
    moves.legalise_blocks(x, from.data());
  };
  if (warm) {
    shape(shifted, moves.blocks(), moves.setpoints());
    moves.sample(shifted, good_plan, 1);
    add([&](int b, int u) { return shifted(b, u); });
    const int last = moves.blocks() - 1;
    add([&](int b, int u) {
      if (b < last) return good_blocks(b + 1, u);
      return last > 0 ? 2 * good_blocks(last, u) - good_blocks(last - 1, u) : good_blocks(last, u);
    });
  }
  add([&](int, int u) { return from[static_cast<std::size_t>(u)]; });
  add([&](int, int u) { return warm ? good_plan(good_plan.rows - 1, u) : moves.safe(u); });
  if (warm && !target.empty()) add([&](int, int u) { return target[static_cast<std::size_t>(u)]; });
  return {start_list.data(), count};
}

// From the trajectory of the plan itself, not from the QP's linear slack; against the limit, not its margin.
void Controller::State::slacks(std::vector<Slack>& list, std::span<const LimitRow> rows,
                               const PlanPoint& p) const {
  list.resize(limits.size());
  for (Slack& s : list) s.amount = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto at = static_cast<std::size_t>(rows[i].limit);
    const double size = std::abs(limits[at].limit) > 0 ? std::abs(limits[at].limit) : 1;
    const double beyond = p.excess[i] - config.limit_margin;
    if (beyond <= 1e-9) continue;
    Slack& s = list[at];
    if (s.amount == 0) s.first_step = rows[i].end_step;
    s.limit = limits[at].name;
    s.output = limits[at].output;
    if (beyond * size > s.amount) {
      s.amount = beyond * size;
      s.worst_first = rows[i].first_step;
      s.worst_step = rows[i].end_step;
    }
    s.last_step = rows[i].end_step;
  }
  std::erase_if(list, [](const Slack& s) { return s.amount == 0; });
}

void Controller::State::accept(Decision& d, const SqpOutcome& out, std::span<const LimitRow> rows) {
  const PlanPoint& p = out.best;
  d.plan = p.plan;
  d.median = p.median;
  d.upper = p.upper;
  d.cost = p.cost.money;
  slacks(d.slacks, rows, p);
  d.move.assign(p.plan.row(0), p.plan.row(0) + moves.setpoints());

  const char* stopped = "";
  const char* detail = "";
  switch (out.stop) {
    case Stop::converged:
    case Stop::forecast_nan:
      break;
    case Stop::iterations:
      stopped = "stopped by the iteration budget";
      break;
    case Stop::no_descent:
      stopped = "no further decrease found";
      break;
    case Stop::deadline:
      stopped = "stopped by the deadline";
      break;
    case Stop::jacobian_nan:
      stopped = "predictor returned a NaN sensitivity for ";
      detail = out.detail.c_str();
      break;
    case Stop::qp_failed:
      stopped = "QP ";
      detail = out.detail.c_str();
      break;
    case Stop::threw:
      stopped = "predictor failed: ";
      detail = out.detail.c_str();
      break;
  }
  d.reason.reserve(kReason * (1 + limits.size()));
  if (!d.slacks.empty()) {
    d.status = Status::limit_slacked;
    d.reason = "cannot hold";
    for (const Slack& s : d.slacks) {
      d.reason.append(&s == d.slacks.data() ? " " : ", ").append(s.limit).append(" (by ");
      d.reason.append(std::to_string(s.amount)).append(", steps ").append(std::to_string(s.first_step));
      d.reason.append("..").append(std::to_string(s.last_step)).append(")");
    }
    if (*stopped) d.reason.append("; ");
  } else {
    d.status = out.stop == Stop::converged ? Status::optimal : Status::feasible_deadline;
    d.reason.clear();
  }
  d.reason.append(stopped).append(detail);
  good_plan = d.plan;
  good_blocks = p.x;
  good_age = 0;
  warm = true;
  failures = 0;
}

// No usable answer this tick. Depends on commands only, never on measurements or on this tick's forecasts.
void Controller::State::fall_back(Decision& d, const std::vector<double>& before, bool plan_usable,
                                  std::string reason) {
  warm = explainable = false;
  sqp.forget();
  target.clear();
  ++failures;
  d.median = d.upper = Matrix(moves.horizon(), outputs, kMissing);
  d.cost = d.kkt = kMissing;
  d.slacks.clear();
  d.plan = Matrix(moves.horizon(), moves.setpoints());
  const auto follow = [&](auto wanted) {
    for (Index t = 0; t < d.plan.rows; ++t)
      for (int u = 0; u < moves.setpoints(); ++u) d.plan(t, u) = wanted(t, u);
    moves.legalise_plan(d.plan, before.data());
    d.move.assign(d.plan.row(0), d.plan.row(0) + moves.setpoints());
  };
  if (failures > config.max_hold) {
    d.status = Status::safe_ramp;
    follow([&](Index, int u) { return moves.safe(u); });
    reason += "; failed " + std::to_string(failures) + " ticks in a row, ramping to the safe setpoints";
  } else if (plan_usable && good_age < good_plan.rows) {
    d.status = Status::previous_plan_shifted;
    follow([&](Index t, int u) { return good_plan(std::min(t + good_age, good_plan.rows - 1), u); });
    reason += "; using the plan of " + std::to_string(good_age) + " ticks ago";
  } else {
    d.status = Status::hold;
    follow([&](Index, int u) { return before[static_cast<std::size_t>(u)]; });
    reason += "; holding the last command";
  }
  d.reason = std::move(reason);
}

Controller::Controller(std::vector<Setpoint> setpoints, std::vector<Limit> limits, Objective objective,
                       int horizon, int outputs, ControllerConfig config, Envelope envelope,
                       std::vector<Interlock> interlocks) {
  if (outputs < 1) throw InputError("Controller: expected outputs >= 1, got " + std::to_string(outputs));
  state_ = std::make_unique<State>(std::move(setpoints), std::move(limits), std::move(objective), horizon,
                                   outputs, std::move(config), std::move(envelope), std::move(interlocks));
}
Controller::~Controller() = default;
Controller::Controller(Controller&&) noexcept = default;

Decision Controller::step(Predictor& predictor, const std::vector<double>& applied, ConstView past) {
  Decision d;
  step(d, predictor, applied, past);
  return d;
}

Decision Controller::step(Predictor& predictor, const std::vector<double>& applied, ConstView past,
                          const std::vector<LimitRow>& rows, const TickInput& input) {
  Decision d;
  step(d, predictor, applied, past, rows, input);
  return d;
}

void Controller::step(Decision& d, Predictor& predictor, const std::vector<double>& applied, ConstView past) {
  State& s = *state_;
  s.check_shapes(predictor, applied, past);
  s.economics.set_tick({}, s.target, s.config.target_weight);
  const std::size_t count = limit_rows(s.own_rows, s.limits, past, s.moves.horizon());
  s.decide(d, predictor, applied, {s.own_rows.data(), count}, {});
}

void Controller::step(Decision& d, Predictor& predictor, const std::vector<double>& applied, ConstView past,
                      const std::vector<LimitRow>& rows, const TickInput& input) {
  State& s = *state_;
  s.check_shapes(predictor, applied, past);
  check_rows(rows, s.limits.size(), s.moves.horizon());
  if (const WindowBackoff* w = input.windows;
      w && (w->limits().size() != s.limits.size() || w->horizon() != s.moves.horizon() ||
            w->outputs() != s.outputs))
    check_shape(
        "Controller.step(windows)", {static_cast<long>(w->limits().size()), w->horizon(), w->outputs()},
        {{"limits", static_cast<long>(s.limits.size())}, {"H", s.moves.horizon()}, {"outputs", s.outputs}});
  const auto per_setpoint = [&](const char* what, std::size_t got) {
    if (got > 0 && got != static_cast<std::size_t>(s.moves.setpoints()))
      check_shape(std::string("Controller.step(") + what + ")", {static_cast<long>(got)},
                  {{"U", s.moves.setpoints()}});
  };
  per_setpoint("manual", input.manual.size());
  per_setpoint("steady_target", input.steady_target.size());
  // What may throw comes first: a tick that is refused leaves the last one to be explained.
  s.economics.set_tick(input, input.steady_target.empty() ? s.target : input.steady_target,
                       s.config.target_weight);
  s.given_rows = rows;
  if (input.windows) input.windows->tighten(s.given_rows);
  s.decide(d, predictor, applied, s.given_rows, input);
  // A row that is decided twice keeps its first forecast.
  if (input.windows && is_ok(d.status) && input.row > input.windows->row())
    input.windows->issue(input.row, rows, d.median, d.upper);
}

void Controller::State::decide(Decision& d, Predictor& predictor, const std::vector<double>& applied,
                               std::span<const LimitRow> rows, const TickInput& input) {
  TimeBudget time(config.clock, config.deadline_s, input.replay);
  ++good_age;

  d.status = Status::hold;
  d.cost = d.kkt = 0;
  d.iterations = d.adjoint = 0;
  d.reason.clear();
  trouble.clear();
  const bool sound = command_before(before, applied, trouble);
  hold(input.manual, before);
  if (!sound) {
    fall_back(d, before, false, trouble);
  } else {
    const SqpOutcome& out = sqp.solve({predictor, before, rows, starts(before), bias, time});
    d.kkt = out.kkt;
    d.iterations = out.iterations;
    d.adjoint = out.adjoint;
    const bool broke =
        out.stop == Stop::jacobian_nan || out.stop == Stop::qp_failed || out.stop == Stop::threw;
    if (!out.found)
      fall_back(d, before, false,
                out.stop == Stop::threw ? "predictor failed: " + out.detail
                                        : "predictor returned NaN for " + out.detail);
    else if (broke && out.solved == 0)
      fall_back(d, before, true,
                out.stop == Stop::qp_failed      ? "QP " + out.detail
                : out.stop == Stop::jacobian_nan ? "predictor returned a NaN sensitivity for " + out.detail
                                                 : "predictor failed: " + out.detail);
    else {
      accept(d, out, rows);
      explainable = out.solved > 0;
      last_before = before;
      last_rows = rows;
      last_point = out.best;
      if (out.solved > 0 && !time.work().stopped) sqp.steady_target(target, out.best, rows);
    }
  }

  // The last word before a move leaves: whatever happened above, it is legal.
  moves.legalise(d.move.data(), before.data());
  still.resize(d.move.size(), 1 << 20);
  for (std::size_t u = 0; u < d.move.size(); ++u) still[u] = d.move[u] != before[u] ? 1 : still[u] + 1;
  command = d.move;
  d.seconds = time.elapsed();
  d.work = time.work();
}

bool Controller::prepare(Predictor& predictor) {
  State& s = *state_;
  if (!s.warm || s.command.empty()) return false;
  s.moves.hold({});
  return s.sqp.prepare(predictor, s.starts(s.command).front(), s.command, s.bias);
}

Explanation Controller::explain(Predictor& predictor, const std::vector<double>& move) {
  State& s = *state_;
  if (!s.explainable)
    throw StateError(
        "Controller.explain: expected a last step that solved for its plan, got none; step first");
  if (!move.empty()) {
    check_shape("Controller.explain(move)", {static_cast<long>(move.size())}, {{"U", s.moves.setpoints()}});
    for (int u = 0; u < s.moves.setpoints(); ++u)
      if (!std::isfinite(move[static_cast<std::size_t>(u)]))
        throw InputError("Controller.explain(move): expected a number for setpoint '" +
                         s.moves.setpoint(u).name + "', got " +
                         std::to_string(move[static_cast<std::size_t>(u)]));
  }
  TimeBudget time(s.config.clock, HUGE_VAL);
  const SqpTick tick{predictor, s.last_before, s.last_rows, {}, s.bias, time};
  Explanation e;
  e.reasons = s.sqp.reasons(tick);
  std::vector<int> held;
  const double now = s.sqp.total(s.last_point);
  const std::vector<PlanPoint> points = s.sqp.alternatives(s.last_point, tick, move, held);
  for (std::size_t i = 0; i < points.size(); ++i) {
    const PlanPoint& p = points[i];
    if (!p.finite) continue;
    e.alternatives.push_back({held[i] < 0 ? "" : s.moves.setpoint(held[i]).name,
                              {p.plan.row(0), p.plan.row(0) + s.moves.setpoints()},
                              p.cost.money,
                              s.sqp.total(p) - now,
                              {}});
    s.slacks(e.alternatives.back().slacks, s.last_rows, p);
  }
  std::stable_sort(
      e.alternatives.begin(), e.alternatives.end(), [](const Alternative& a, const Alternative& b) {
        return a.slacks.size() != b.slacks.size() ? a.slacks.size() < b.slacks.size() : a.extra < b.extra;
      });
  return e;
}

const std::vector<double>& Controller::steady_target() const { return state_->target; }

void Controller::observe(const double* forecast, const double* measured, bool calibrating) {
  state_->bias.observe(forecast, measured, calibrating);
}

const std::vector<double>& Controller::bias() const { return state_->bias.values(); }

void Controller::reset() {
  State& s = *state_;
  s.bias.reset();
  s.sqp.forget();
  s.warm = false;
  s.good_plan = Matrix();
  s.good_age = s.failures = 0;
  s.command.clear();
  s.still.clear();
  s.target.clear();
  s.explainable = false;
}

}  // namespace emisopt
