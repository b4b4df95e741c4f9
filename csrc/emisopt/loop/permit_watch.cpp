#include "emisopt/loop/permit_watch.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/permit/evaluation.hpp"

namespace emisopt {
namespace {

std::vector<std::string> columns_of(const Permit& permit) {
  std::vector<std::string> names;
  for (const Signal& s : permit.signals) names.push_back(s.tag);
  return names;
}

Evaluator evaluator_for(const Permit& permit, double period_s) {
  EvaluationOptions options;
  options.period_s = period_s;
  options.stamp = Stamp::end;
  return Evaluator(permit, {}, columns_of(permit), {}, options);
}

// Not plant_control's position(): the controller's header and the permit's both have a Reason.
int output_of(const TagMap& tags, const std::string& name, const char* where) {
  const Index tag = tags.require(name, where);
  const std::vector<Index> outputs = tags.outputs();
  const auto at = std::find(outputs.begin(), outputs.end(), tag);
  if (at == outputs.end()) throw InputError(std::string(where) + ": tag '" + name + "' is no output");
  return static_cast<int>(at - outputs.begin());
}

void push_row(Evaluator& evaluator, double time, const std::vector<double>& values, PlantState state) {
  Samples samples;
  samples.rows = 1;
  samples.time = Stamps(&time);
  for (const double& v : values) samples.columns.push_back(&v);
  const auto plant = static_cast<std::uint8_t>(state);
  samples.plant = &plant;
  evaluator.push(samples);
}

}  // namespace

struct PermitWatch::State {
  State(const Permit& permit, const TagMap& tags, const ComingOptions& chosen)
      : options(chosen), period_s(tags.period), evaluator(evaluator_for(permit, tags.period)) {
    for (const Index i : tags.outputs()) names.outputs.push_back(tags.tags[static_cast<std::size_t>(i)].name);
    for (const Signal& s : permit.signals)
      column.push_back(static_cast<std::size_t>(output_of(tags, s.tag, "PermitWatch(permit)")));
    // The limits are asked of an evaluation of nothing, so that they are known before the first row.
    Evaluator empty = evaluator_for(permit, period_s);
    push_row(empty, period_s, std::vector<double>(permit.signals.size(), kMissing), PlantState::on);
    limits = empty.coming(ahead(period_s, 1), names, options).limits;
  }

  Ahead ahead(double from, int steps) const {
    return {std::llround(from), static_cast<int>(std::lround(period_s)), steps, period_s};
  }

  ComingOptions options;
  double period_s;
  ForecastNames names;
  std::vector<std::size_t> column;  // of each signal, in the outputs
  double newest = -HUGE_VAL;
  std::vector<Limit> limits;
  Evaluator evaluator;
};

PermitWatch::PermitWatch(const Permit& permit, const TagMap& tags, const ComingOptions& options)
    : state_(std::make_unique<State>(permit, tags, options)) {}
PermitWatch::~PermitWatch() = default;
PermitWatch::PermitWatch(PermitWatch&&) noexcept = default;

const std::vector<Limit>& PermitWatch::limits() const { return state_->limits; }

void PermitWatch::push(double time, const double* outputs, PlantState state) {
  State& s = *state_;
  if (!(time > s.newest)) return;
  std::vector<double> values;
  for (const std::size_t c : s.column)
    values.push_back(std::isfinite(outputs[c]) ? std::max(outputs[c], 0.0) : kMissing);
  push_row(s.evaluator, time, values, state);
  s.newest = time;
}

std::vector<LimitRow> PermitWatch::rows(int steps) const {
  const State& s = *state_;
  if (!std::isfinite(s.newest)) return {};
  return s.evaluator.coming(s.ahead(s.newest, steps), s.names, s.options).rows;
}

std::vector<PermitSummary> judge_permit(const LoopLog& log, const Permit& permit) {
  const Index warm = log.before.rows, n = log.rows();
  const std::vector<Index> outputs = log.tags.outputs();
  std::vector<double> time;
  std::vector<std::uint8_t> plant;
  const double first = n > 0 ? log.time.front() : 0;
  for (Index r = 0; r < warm + n; ++r) {
    time.push_back(first + static_cast<double>(r - warm) * log.tags.period);
    plant.push_back(
        static_cast<std::uint8_t>(r < warm ? PlantState::on : log.state[static_cast<std::size_t>(r - warm)]));
  }
  std::vector<std::vector<double>> columns;
  Samples samples;
  samples.rows = warm + n;
  samples.time = Stamps(time.data());
  samples.plant = plant.data();
  for (const Signal& s : permit.signals) {
    const int o = output_of(log.tags, s.tag, "judge_permit(permit)");
    std::vector<double>& column = columns.emplace_back();
    for (Index r = 0; r < warm; ++r) column.push_back(log.before(r, o));
    for (Index r = 0; r < n; ++r) {
      const double seen = log.measured(r, outputs[static_cast<std::size_t>(o)]);
      column.push_back(std::isnan(seen) ? kMissing : log.truth(r, o));
    }
  }
  for (const std::vector<double>& c : columns) samples.columns.push_back(c.data());
  const Evaluation result = evaluator_for(permit, log.tags.period).run(samples);
  std::vector<PermitSummary> out;
  for (const RuleResult& r : result.results) {
    PermitSummary s{r.rule->name,  r.valid,         r.above,
                    r.hours_above, r.worst_value(), r.verdict != Verdict::broken};
    const Allowance& allow = r.rule->allow;
    if (allow.share < 1 || allow.count > 0) {
      Index beyond = 0;
      for (const PeriodCount& p : r.periods) {
        const double spared = std::floor((1 - allow.share) * static_cast<double>(p.good + p.bad) + 1e-9);
        beyond += std::max<Index>(0, p.bad - static_cast<Index>(spared) - allow.count);
      }
      s.hours_above =
          r.above > 0 ? r.hours_above * static_cast<double>(beyond) / static_cast<double>(r.above) : 0;
    }
    out.push_back(std::move(s));
  }
  return out;
}

}  // namespace emisopt
