#include "emisopt/permit/evaluation.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"
#include "emisopt/permit/evaluation_state.hpp"
#include "emisopt/permit/verdict.hpp"

namespace emisopt {
namespace {

std::string where_of(const Rule& rule) { return "permit rule " + quote(rule.name); }

std::size_t column_of(const std::vector<std::string>& columns, const std::string& tag,
                      const std::string& where) {
  const auto found = std::find(columns.begin(), columns.end(), tag);
  if (found == columns.end())
    throw InputError(where + ": the data have no column " + quote(tag) + did_you_mean(tag, columns));
  return static_cast<std::size_t>(found - columns.begin());
}

// The signals that a rule is judged on.
std::vector<const Signal*> signals_of(const Rule& rule, const std::vector<Signal>& signals) {
  std::vector<const Signal*> out;
  std::string other;  // a signal of the pollutant in another unit
  std::vector<std::string> known;
  for (const Signal& signal : signals) {
    known.push_back(signal.pollutant);
    if (signal.is_judged_by(rule))
      out.push_back(&signal);
    else if (signal.pollutant == rule.pollutant && (rule.tag.empty() || signal.tag == rule.tag))
      other = "tag " + quote(signal.tag) + " is in " + signal.unit;
  }
  if (!out.empty()) return out;
  if (!other.empty())
    throw InputError(where_of(rule) + ": expected " + rule.unit + ", but " + other +
                     "; units are not mixed: convert the column first");
  throw InputError(where_of(rule) + ": no signal measures " + rule.pollutant +
                   (rule.tag.empty() ? "" : " as tag " + quote(rule.tag)) +
                   (known.empty() ? "; name the signals" : did_you_mean(rule.pollutant, known)) +
                   "; or leave the rule out");
}

// A column in another unit than the rules that would judge it: silence would read as a verdict on it.
void require_judged(const Signal& signal, const Permit& permit) {
  const Rule* other = nullptr;
  for (const Rule& rule : permit.rules) {
    if (signal.is_judged_by(rule)) return;
    if (rule.pollutant == signal.pollutant && (rule.tag.empty() || rule.tag == signal.tag)) other = &rule;
  }
  if (other && other->unit != signal.unit)
    throw InputError(where_of(*other) + ": expected " + other->unit + ", but tag " + quote(signal.tag) +
                     " is in " + signal.unit +
                     ", and no rule judges it; units are not mixed: convert the column first, or leave the "
                     "signal out");
}

void check_moisture(const Rule& rule, const Signal& signal) {
  const std::string& wanted = rule.basis.moisture;
  if (wanted.empty() || signal.moisture == wanted) return;
  throw InputError(where_of(rule) + ": expected " + wanted + " gas, tag " + quote(signal.tag) +
                   (signal.moisture.empty() ? " does not say; give its moisture: dry or wet"
                                            : " is " + signal.moisture + "; convert the column first"));
}

BaseSpec spec_of(const Rule& rule, const Signal& signal, const std::vector<std::string>& columns,
                 const EvaluationOptions& options) {
  check_moisture(rule, signal);
  BaseSpec spec;
  spec.tag = signal.tag;
  spec.rule = rule.name;
  spec.column = column_of(columns, signal.tag, "permit signal " + quote(signal.tag));
  spec.base = rule.base;
  spec.exclude = rule.exclude;
  spec.period_s = options.period_s;
  spec.negative_is_missing = options.negative_is_missing;

  const double reference = rule.basis.oxygen;
  if (std::isnan(reference)) {
    if (!std::isnan(signal.oxygen))
      throw InputError(where_of(rule) + ": judges values as measured, tag " + quote(signal.tag) + " is at " +
                       number_text(signal.oxygen) +
                       " % oxygen; give the rule a basis or the column as measured");
  } else if (!signal.oxygen_tag.empty()) {
    spec.oxygen_tag = signal.oxygen_tag;
    spec.oxygen_column =
        column_of(columns, signal.oxygen_tag, "permit signal " + quote(signal.tag) + ": oxygen");
    spec.basis = rule.basis;
  } else if (!std::isnan(signal.oxygen)) {
    if (signal.oxygen >= rule.basis.constant)
      throw InputError("permit signal " + quote(signal.tag) + ": oxygen: expected below the constant " +
                       number_text(rule.basis.constant) + ", got " + number_text(signal.oxygen));
    if (signal.oxygen != reference)
      spec.factor = (rule.basis.constant - reference) / (rule.basis.constant - signal.oxygen);
  } else {
    throw InputError(where_of(rule) + ": judges at " + number_text(reference) + " % oxygen, tag " +
                     quote(signal.tag) +
                     " does not say; give its oxygen: a column, or the reference it is at");
  }

  const bool counted = rule.base.length_s == 0 || rule.base.validity.need == Need::share;
  if (counted && !(options.period_s > 0 && std::isfinite(options.period_s)))
    throw InputError(where_of(rule) +
                     ": counts samples, so the seconds between them must be known: give period, got " +
                     number_text(options.period_s));
  if (spec.base.length_s == 0) {  // each sample is a base mean of its own
    const double length = options.period_s;
    if (length != std::floor(length) || length > 3600 || 3600 % static_cast<int>(length) != 0)
      throw InputError(where_of(rule) + ": judges each sample, so their period must divide an hour; got " +
                       number_text(length) + " s");
    spec.base.length_s = static_cast<int>(length);
  }
  return spec;
}

}  // namespace

Evaluator::Evaluator(const Permit& permit, std::vector<Signal> signals, std::vector<std::string> columns,
                     Zone zone, const EvaluationOptions& options) {
  permit.validate();
  zone.validate();
  const std::vector<std::string> unverified = permit.unverified();
  if (!options.allow_unverified && !unverified.empty()) {
    std::string names;
    for (std::size_t i = 0; i < unverified.size() && i < 5; ++i)
      names += (i ? ", " : "") + quote(unverified[i]);
    if (unverified.size() > 5) names += " and " + std::to_string(unverified.size() - 5) + " more";
    throw InputError("permit " + quote(permit.name) + ": nobody has read the limit of rule " + names +
                     " in its source: read it and say verified: true, or allow_unverified to see it marked");
  }
  if (signals.empty()) signals = permit.signals;
  for (const Signal& signal : signals) signal.validate();
  state_ = std::make_unique<State>(permit, std::move(columns), std::move(zone), options);
  State& s = *state_;
  for (std::size_t r = 0; r < permit.rules.size(); ++r) {
    const Rule& rule = permit.rules[r];
    for (const Signal* signal : signals_of(rule, signals)) {
      const BaseSeries& base = s.base(spec_of(rule, *signal, s.columns, options));
      s.pairs.push_back({r,
                         s.average(rule.average, base, rule.confidence_percent > 0 ? rule.confidence() : 0),
                         s.average(Averaging{}, base, 0), signal->tag});
    }
  }
  for (const Signal& signal : signals) require_judged(signal, permit);
}

Evaluator::~Evaluator() = default;
Evaluator::Evaluator(Evaluator&&) noexcept = default;
Evaluator& Evaluator::operator=(Evaluator&&) noexcept = default;

void Evaluator::push(const Samples& rows) {
  State& s = *state_;
  s.require_open();
  s.require_columns(rows);
  Samples numbered = rows;
  if (!numbered.numbers) numbered.first_number += s.queue.seen();
  s.queue.push(numbered, [&](const Samples& ready) {
    s.broken = true;  // until these rows are through
    s.process(ready);
    s.broken = false;
  });
}

void Evaluator::finish() {
  State& s = *state_;
  s.require_open();
  if (s.queue.seen() == 0)
    throw InputError("permit " + quote(s.permit.name) + ": the data have no rows: nothing to judge");
  s.broken = true;
  s.queue.finish([&](const Samples& ready) { s.process(ready); });
  s.finish();
  s.broken = false;
  s.finished = true;
}

double Evaluator::newest() const { return state_->queue.newest(); }

Evaluation Evaluator::run(const Samples& rows) {
  State& s = *state_;
  s.require_open();
  s.require_columns(rows);
  if (!s.queue.accept_all(rows)) {
    push(rows);
    finish();
    return result();
  }
  s.broken = true;
  std::vector<RuleResult> results = s.run(rows);
  s.broken = false;
  s.finished = true;
  Evaluation out = s.heading();
  out.results = std::move(results);
  settle_alternatives(out.results);
  return out;
}

Evaluation Evaluator::result() const {
  const State& s = *state_;
  if (s.broken) throw StateError("Evaluator: an earlier push failed amid its rows; there is no result");
  Evaluation out = s.heading();
  std::vector<std::shared_ptr<const Averages>> made(s.averages.size());
  const auto averages = [&](std::size_t i) {
    if (!made[i]) {
      const auto& own = s.averages[i]->averages();
      made[i] = own;
      if (!s.finished) {  // a stream goes on writing into its own
        auto copy = std::make_shared<Averages>(*own);
        copy->windows = std::make_shared<Windows>(*own->windows);
        copy->windows->begin.resize(copy->size());
        copy->windows->end.resize(copy->size());
        made[i] = copy;
      }
    }
    return made[i];
  };
  for (const State::Pair& pair : s.pairs)
    out.results.push_back(s.judged(pair, averages(pair.average), averages(pair.base_average)));
  settle_alternatives(out.results);
  return out;
}

Evaluation evaluate(const Permit& permit, std::vector<Signal> signals, std::vector<std::string> columns,
                    Zone zone, const EvaluationOptions& options, const Samples& rows) {
  Evaluator evaluator(permit, std::move(signals), std::move(columns), std::move(zone), options);
  return evaluator.run(rows);
}

// ---- results --------------------------------------------------------------------------------------------

const char* to_string(Verdict verdict) {
  return verdict == Verdict::holds ? "holds" : verdict == Verdict::broken ? "broken" : "not judged";
}

bool RuleResult::is_above(std::size_t average) const {
  return judged[average] && averages->value[average] > rule->limit;
}

// Here and not where an evaluation ends: Python's bindings are compiled without the optimisation that passes
// over the million numbers whose end needs nothing.
Evaluation::Evaluation() = default;
Evaluation::~Evaluation() = default;
Evaluation::Evaluation(const Evaluation&) = default;
Evaluation::Evaluation(Evaluation&&) noexcept = default;
Evaluation& Evaluation::operator=(const Evaluation&) = default;
Evaluation& Evaluation::operator=(Evaluation&&) noexcept = default;

Verdict Evaluation::verdict() const {
  bool unjudged = false;
  for (const RuleResult& result : results) {
    if (!result.held_by.empty()) continue;
    if (result.verdict == Verdict::broken) return Verdict::broken;
    unjudged |= result.verdict == Verdict::not_judged;
  }
  return unjudged ? Verdict::not_judged : Verdict::holds;
}

std::string Evaluation::to_json() const {
  const auto counts = [](const std::vector<PeriodCount>& periods) {
    Json::Array list;
    for (const PeriodCount& p : periods)
      list.emplace_back(Json::Object{{"period", p.label},
                                     {"good", static_cast<std::int64_t>(p.good)},
                                     {"bad", static_cast<std::int64_t>(p.bad)},
                                     {"holds", p.holds}});
    return list;
  };
  Json::Array list;
  for (const RuleResult& r : results) {
    Json::Object one{{"rule", r.rule->name},
                     {"tag", r.tag},
                     {"limit", Json::number_or_null(r.rule->limit)},
                     {"unit", r.rule->unit},
                     {"verified", r.rule->verified},
                     {"verdict", emisopt::to_string(r.verdict)},
                     {"held_by", r.held_by},
                     {"averages", static_cast<std::int64_t>(r.total)},
                     {"valid", static_cast<std::int64_t>(r.valid)},
                     {"above", static_cast<std::int64_t>(r.above)},
                     {"hours_above", r.hours_above},
                     {"negative_samples_left_out", static_cast<std::int64_t>(r.negatives)},
                     {"periods", counts(r.periods)},
                     {"availability", counts(r.availability)}};
    Json::Object reasons;
    for (const auto& [reason, count] : r.reasons)
      reasons.emplace(emisopt::to_string(reason), static_cast<std::int64_t>(count));
    one.emplace("not_valid", std::move(reasons));
    if (r.worst >= 0) {
      const auto i = static_cast<std::size_t>(r.worst);
      one.emplace("worst", Json::Object{{"value", r.averages->value[i]},
                                        {"begin_s", r.averages->windows->begin[i]},
                                        {"end_s", r.averages->windows->end[i]}});
    }
    list.emplace_back(std::move(one));
  }
  return Json(Json::Object{{"permit", permit},
                           {"permit_hash", permit_hash()},
                           {"zone", zone},
                           {"rows", static_cast<std::int64_t>(rows)},
                           {"verdict", emisopt::to_string(verdict())},
                           {"results", std::move(list)}})
      .write();
}

}  // namespace emisopt
