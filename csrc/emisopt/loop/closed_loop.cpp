#include "emisopt/loop/closed_loop.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "emisopt/control/cost_maps.hpp"
#include "emisopt/loop/plant_control.hpp"

namespace emisopt {
namespace {

struct Range {
  double low, high, rate;
};

std::vector<Range> setpoint_ranges(const TagMap& tags) {
  std::vector<Range> ranges;
  for (const Index i : tags.setpoints()) {
    const Tag& tag = tags.tags[static_cast<std::size_t>(i)];
    ranges.push_back({tag.low, tag.high, tag.rate});
  }
  return ranges;
}

// NaN bounds and rates are open, so every comparison is written to be false for them.
bool legal(double to, double from, const Range& r) {
  constexpr double kRounding = 1e-9;
  return std::isfinite(to) && !(to < r.low - kRounding) && !(to > r.high + kRounding) &&
         !(std::abs(to - from) > r.rate + kRounding);
}

double made_legal(double to, double from, const Range& r) {
  if (!std::isfinite(to)) return from;
  if (to - from > r.rate) to = from + r.rate;
  if (from - to > r.rate) to = from - r.rate;
  if (to < r.low) to = r.low;
  if (to > r.high) to = r.high;
  return to;
}

double quantile(std::vector<double> v, double q) {
  if (v.empty()) return 0;
  const auto k = static_cast<std::size_t>(std::ceil(q * static_cast<double>(v.size()))) - (q > 0 ? 1 : 0);
  std::nth_element(v.begin(), v.begin() + static_cast<Index>(k), v.end());
  return v[k];
}

}  // namespace

LoopLog run_closed_loop(const LoopStart& start, Policy& policy, const LoopOptions& options) {
  const std::unique_ptr<Plant> plant = start.plant->clone();
  const TagMap& tags = plant->tags();
  const std::vector<Range> ranges = setpoint_ranges(tags);
  const auto columns = static_cast<Index>(tags.tags.size());
  const auto outputs = static_cast<Index>(tags.outputs().size());
  const auto disturbances = static_cast<Index>(tags.disturbances().size());
  const auto setpoints = static_cast<Index>(ranges.size());

  LoopLog log;
  log.policy = policy.name();
  log.tags = tags;
  log.before = start.truth;
  log.applied_first = start.applied;
  log.setpoints = Matrix(options.rows, setpoints);
  log.measured = Matrix(options.rows, columns);
  log.truth = Matrix(options.rows, outputs);
  log.disturbances = Matrix(options.rows, disturbances);

  policy.attach(*plant, start.truth);
  History history = start.history;
  std::vector<double> applied = start.applied, row(static_cast<std::size_t>(columns));
  Matrix known(options.ahead, disturbances);
  PlantState state = PlantState::on;
  for (Index r = 0; r < options.rows; ++r) {
    plant->schedule(known.row(0), options.ahead);
    const auto before = std::chrono::steady_clock::now();
    Action action;
    if (plant->off_next()) {  // nothing to decide: the desk is left as it is
      action.setpoints = applied;
      action.status = Status::hold;
      action.reason = "the unit stands still";
    } else {
      action = policy.decide({history, known, applied, r > 0 ? row.data() : nullptr, state});
      const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - before;
      if (action.seconds == 0) action.seconds = taken.count();
    }

    action.setpoints.resize(ranges.size(), kMissing);
    for (std::size_t u = 0; u < ranges.size(); ++u)
      applied[u] = made_legal(action.setpoints[u], applied[u], ranges[u]);
    plant->advance(applied.data());
    plant->measure(row.data());
    plant->truth(log.truth.row(r));
    plant->true_disturbances(log.disturbances.row(r));
    if (options.tamper) options.tamper(r, row.data());
    std::copy(row.begin(), row.end(), log.measured.row(r));
    std::copy(applied.begin(), applied.end(), log.setpoints.row(r));
    log.time.push_back(history.time.back() + tags.period);
    history.append(row.data(), log.time.back());
    log.actions.push_back(std::move(action));
    log.state.push_back(state = plant->operation());
    if (options.progress && !options.progress(r + 1, options.rows)) break;
  }
  for (Matrix* m : {&log.setpoints, &log.measured, &log.truth, &log.disturbances}) {
    m->rows = log.rows();
    m->values.resize(static_cast<std::size_t>(m->rows * m->cols));
  }
  return log;
}

LoopSummary summarise(const LoopLog& log, const std::vector<Limit>& limits, const Prices& prices) {
  const Index n = log.rows(), outputs = log.truth.cols, warm = log.before.rows;
  const int efficiency = position(log.tags, log.tags.outputs(), "efficiency", "summarise");
  const int nh3 = position(log.tags, log.tags.outputs(), "nh3_flow", "summarise");
  const int load = position(log.tags, log.tags.disturbances(), "load", "summarise");
  const int nox =
      prices.nox_fee_eur_per_kg > 0 ? position(log.tags, log.tags.outputs(), "nox", "summarise") : 0;
  const double hours = log.tags.period / 3600, gas = FuelCostConfig{}.gas_nm3_mj;

  LoopSummary s;
  s.policy = log.policy;
  s.hours = static_cast<double>(n) * hours;
  for (Index r = 0; r < n; ++r) {
    if (std::isnan(log.truth(r, efficiency))) continue;  // the unit stood still
    const double heat_gj_h = 3.6 * log.disturbances(r, load) / (0.01 * log.truth(r, efficiency));
    s.fuel_eur += hours * prices.fuel_eur_per_gj * heat_gj_h;
    s.nh3_eur += hours * prices.nh3_eur_per_kg * log.truth(r, nh3);
    if (prices.nox_fee_eur_per_kg > 0)
      s.fee_eur += hours * prices.nox_fee_eur_per_kg * 1e-6 * log.truth(r, nox) * gas * 1e3 * heat_gj_h;
  }
  s.total_eur = s.fuel_eur + s.nh3_eur + s.fee_eur;

  // The hour before the run belongs to its first windows: it is the same for every policy.
  auto series = [&](Index output) {
    std::vector<double> v;
    for (Index r = 0; r < warm; ++r) v.push_back(log.before(r, output));
    for (Index r = 0; r < n; ++r) v.push_back(log.truth(r, output));
    return v;
  };
  const int hour = std::max(1, static_cast<int>(std::lround(1 / hours)));
  for (Index o = 0; o < outputs; ++o) {
    const std::vector<double> v = series(o);
    const std::vector<double> hourly = rolling_mean(v.data(), static_cast<Index>(v.size()), hour, 0);
    double sum = 0, worst = 0;
    Index running = 0;
    for (Index r = 0; r < n; ++r) {
      if (std::isnan(log.truth(r, o))) continue;
      sum += log.truth(r, o);
      ++running;
      worst = std::max(worst, hourly[static_cast<std::size_t>(warm + r)]);
    }
    s.mean.push_back(running > 0 ? sum / static_cast<double>(running) : 0);
    s.worst.push_back(worst);
  }
  for (const Limit& limit : limits) {
    check_limit(limit, static_cast<int>(outputs));
    const std::vector<double> v = series(limit.output);
    const std::vector<double> mean = rolling_mean(v.data(), static_cast<Index>(v.size()), limit.window, 0);
    LimitSummary l{limit.name, limit.rank, 0, 0};
    for (Index r = 0; r < n; ++r) {
      const double value = mean[static_cast<std::size_t>(warm + r)];
      if (std::isnan(value)) continue;
      l.worst = std::max(l.worst, value);
      if (value > limit.limit) l.hours_above += hours;
    }
    if (limit.rank == 1) s.hours_above_permit += l.hours_above;
    s.limits.push_back(std::move(l));
  }

  const std::vector<Range> ranges = setpoint_ranges(log.tags);
  std::vector<double> seconds, from = log.applied_first;
  s.status_count.assign(6, 0);
  for (Index r = 0; r < n; ++r) {
    const Action& action = log.actions[static_cast<std::size_t>(r)];
    seconds.push_back(action.seconds);
    ++s.status_count[static_cast<std::size_t>(action.status)];
    bool ok = true;
    for (std::size_t u = 0; u < ranges.size(); ++u) {
      ok = ok && legal(action.setpoints[u], from[u], ranges[u]);
      const double now = log.setpoints(r, static_cast<Index>(u));
      s.travel += std::abs(now - from[u]) / (ranges[u].high - ranges[u].low);
      from[u] = now;
    }
    s.illegal_moves += !ok;
  }
  s.p50_s = quantile(seconds, 0.50);
  s.p99_s = quantile(seconds, 0.99);
  s.max_s = quantile(seconds, 1.0);
  return s;
}

}  // namespace emisopt
