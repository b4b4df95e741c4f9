#include "emisopt/permit/coming_rows.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/base/text.hpp"
#include "emisopt/permit/coming_windows.hpp"
#include "emisopt/permit/evaluation_state.hpp"

namespace emisopt {
namespace {

// One window as a row; false when it will not count. `mean` is what is known of it, NaN unless all is.
bool make_row(const Averaging& spec, const Outlook& ahead, const ComingWindow& w, RangeSum& sums,
              double bound, LimitRow& row, double& mean) {
  const Tallies& tallies = ahead.base().tallies();
  int valid = tallies[w.last].valid - tallies[w.first].valid;
  int operating = tallies[w.last].operating - tallies[w.first].operating;
  double known = w.first < w.last ? sums.value(w.first, w.last) : 0;
  Index first = 0, last = -1;
  for (std::size_t i = w.from; i < w.to; ++i) {
    const Cell& cell = ahead.cells()[i];
    operating += cell.operating;
    if (!cell.valid) continue;
    ++valid;
    known += cell.known;
    if (cell.share.empty()) continue;
    if (last < 0) first = cell.first_step;
    last = cell.first_step + static_cast<Index>(cell.share.size()) - 1;
  }
  const double room = w.room < 0 ? operating : w.room;
  if (valid == 0) return false;
  if (w.closes && spec.over != Over::base &&
      judge_average(spec, valid, operating, room, w.unseen) != Reason::valid)
    return false;
  row.first_step = static_cast<int>(first);
  row.end_step = static_cast<int>(last);
  row.coefficient.assign(static_cast<std::size_t>(last < 0 ? 0 : last - first + 1), 0);
  for (std::size_t i = w.from; i < w.to; ++i) {
    const Cell& cell = ahead.cells()[i];
    if (!cell.valid) continue;
    for (std::size_t k = 0; k < cell.share.size(); ++k)
      row.coefficient[static_cast<std::size_t>(cell.first_step - first) + k] += cell.share[k] / valid;
  }
  mean = last < 0 ? known / valid : kMissing;
  row.rhs = bound - known / valid;
  return true;
}

std::string quantity_name(const std::string& tag, const Rule& rule) {
  return tag + " [" + rule.unit + (rule.basis.moisture.empty() ? "" : ", " + rule.basis.moisture) + ", " +
         number_text(rule.basis.oxygen) + " % O2 of " + number_text(rule.basis.constant) + "]";
}

std::string where_of(const Rule& rule) { return "permit rule " + quote(rule.name); }

int place(const std::vector<std::string>& names, const std::string& name) {
  const auto found = std::find(names.begin(), names.end(), name);
  return found == names.end() ? -1 : static_cast<int>(found - names.begin());
}

// Why a rule is no linear row; "" when it is one.
std::string not_linear(const Rule& rule, const BaseSpec& base) {
  if (!rule.either.empty())
    return "one of the rules with either: " + quote(rule.either) +
           " must hold, which rows that must all hold cannot say; choose one by with_rules";
  if (std::isnan(rule.limit)) return "it has no limit";
  if (rule.basis.of_means && base.oxygen_column != BaseSpec::kNone)
    return "its means are corrected by a mean oxygen (of_means), which is not linear in the forecast";
  return "";
}

Source source_of(const std::string& tag, const ForecastNames& names, const Rule& rule) {
  if (const int at = place(names.outputs, tag); at >= 0) return Source::of_output(at);
  if (const int at = place(names.setpoints, tag); at >= 0) return Source::of_setpoint(at);
  if (const int at = place(names.disturbances, tag); at >= 0) return Source::of_disturbance(at);
  std::vector<std::string> all = names.outputs;
  all.insert(all.end(), names.setpoints.begin(), names.setpoints.end());
  all.insert(all.end(), names.disturbances.begin(), names.disturbances.end());
  throw InputError(where_of(rule) + ": its oxygen " + quote(tag) +
                   " is no output, setpoint or disturbance of the forecast" + did_you_mean(tag, all));
}

// Which civil period an average belongs to, by its end.
int period_of(Per per, int day) {
  const int month = Zone::month(day);
  return per == Per::whole     ? 0
         : per == Per::day     ? day
         : per == Per::month   ? month
         : per == Per::quarter ? month / 3
                               : month / 12;
}

}  // namespace

// ---- basis ---------------------------------------------------------------------------------------------

std::shared_ptr<BasisMap> Evaluator::basis_map(const ForecastNames& names) const {
  const State& s = *state_;
  std::vector<BasisMap::Quantity> quantities;
  for (const State::Pair& pair : s.pairs) {
    const Rule& rule = s.permit.rules[pair.rule];
    const BaseSpec& base = s.averages[pair.average]->base().spec();
    if (base.oxygen_column == BaseSpec::kNone || !not_linear(rule, base).empty()) continue;
    const std::string name = quantity_name(pair.tag, rule);
    const auto known = [&](const BasisMap::Quantity& q) { return q.name == name; };
    if (std::any_of(quantities.begin(), quantities.end(), known)) continue;
    const int output = place(names.outputs, pair.tag);
    if (output < 0) continue;  // coming() says so
    quantities.push_back(
        {output, source_of(base.oxygen_tag, names, rule), rule.basis.oxygen, rule.basis.constant, name});
  }
  return std::make_shared<BasisMap>(names.outputs, std::move(quantities));
}

// ---- rows -----------------------------------------------------------------------------------------------

PermitRows Evaluator::coming(const Ahead& ahead, const ForecastNames& names,
                             const ComingOptions& options) const {
  State& s = *state_;
  if (s.broken || s.finished || s.queue.seen() == 0)
    throw StateError(std::string("Evaluator.coming: expected a stream with rows that is not finished, got ") +
                     (s.broken     ? "a broken one"
                      : s.finished ? "a finished one"
                                   : "one without rows"));
  if (ahead.step_s < 1 || ahead.steps < 1)
    throw InputError("Evaluator.coming: expected steps of 1 s or more, 1 or more of them, got " +
                     std::to_string(ahead.steps) + " of " + std::to_string(ahead.step_s) + " s");
  const auto refuse = [](const std::string& what, const char* expected, double got) {
    throw InputError("Evaluator.coming: " + what + ": expected " + expected + ", got " + number_text(got));
  };
  if (!(options.quantile > 0 && options.quantile < 1))
    refuse("quantile", "above 0, below 1", options.quantile);
  if (options.spared_rank < 1) refuse("spared_rank", "1 or more", options.spared_rank);
  for (const auto& [rule, rank] : options.rank)
    if (rank < 1) refuse("rank of rule " + quote(rule), "1 or more", rank);
  const double sample_s = ahead.sample_s > 0 ? ahead.sample_s : s.options.period_s;
  if (!(sample_s > 0 && std::isfinite(sample_s)))
    throw InputError(
        "Evaluator.coming: the seconds between samples must be known: they say how much of an "
        "open hour is still to come; give sample_s, got " +
        number_text(sample_s));
  const Samples waiting = s.queue.waiting();
  const double newest = s.queue.newest();
  const double data_end = s.options.stamp == Stamp::start ? newest + 1e-6 : newest;
  if (static_cast<double>(ahead.from) < data_end)
    throw InputError("Evaluator.coming: the steps begin at " + time_text(static_cast<double>(ahead.from)) +
                     ", expected them after the data, which reach " + time_text(newest));
  s.zone.require(ahead.from, ahead.from + Second{ahead.step_s} * ahead.steps);

  const std::shared_ptr<BasisMap> basis = basis_map(names);
  PermitRows out;
  std::map<const BaseSeries*, std::unique_ptr<Outlook>> outlooks;
  std::map<std::size_t, int> tags_of_rule;
  for (const State::Pair& pair : s.pairs) ++tags_of_rule[pair.rule];

  for (const State::Pair& pair : s.pairs) {
    const Rule& rule = s.permit.rules[pair.rule];
    const AverageSeries& average = *s.averages[pair.average];
    const BaseSeries& base = average.base();
    std::string why = not_linear(rule, base.spec());
    const bool converted = base.spec().oxygen_column != BaseSpec::kNone;
    const int output = place(converted ? basis->names() : names.outputs,
                             converted ? quantity_name(pair.tag, rule) : pair.tag);
    if (why.empty() && output < 0)
      why =
          "tag " + quote(pair.tag) + " is no output of the forecast" + did_you_mean(pair.tag, names.outputs);
    if (!why.empty()) {
      if (!options.skip) throw InputError(where_of(rule) + ": " + why);
      out.left_out.emplace_back(rule.name, why);
      continue;
    }

    const auto ranked = options.rank.find(rule.name);
    Limit limit;
    limit.name = rule.name + (tags_of_rule[pair.rule] > 1 ? " (" + pair.tag + ")" : "") +
                 (rule.verified ? "" : " UNVERIFIED");
    limit.output = output;
    limit.limit = rule.limit + average.subtract();
    limit.rank = ranked == options.rank.end() ? 1 : ranked->second;
    limit.quantile = options.quantile;
    limit.min_valid = 0;
    const auto strict = static_cast<int>(out.limits.size());
    out.limits.push_back(limit);
    const bool allows = rule.allow.share < 1 || rule.allow.count > 0;
    if (allows) {
      limit.name += ", not all need hold yet";
      limit.rank = std::max(limit.rank, options.spared_rank);
      out.limits.push_back(limit);
    }

    std::unique_ptr<Outlook>& outlook = outlooks[&base];
    if (!outlook)
      outlook = std::make_unique<Outlook>(base, s.zone, ahead, sample_s, s.options.stamp, waiting);
    RangeSum sums(base);

    // Averages so far and to come, by civil period: what an allowance still bears.
    std::map<int, std::pair<Index, Index>> counts;  // good, bad
    if (allows) {
      const Averages& past = *average.averages();
      for (std::size_t i = 0; i < past.size(); ++i) {
        if (past.reason[i] != Reason::valid) continue;
        const int day = s.zone.day(past.windows->end[i] - 1);
        if (day < rule.from_day || day > rule.until_day) continue;
        auto& [good, bad] = counts[period_of(rule.allow.per, day)];
        ++(past.value[i] > rule.limit ? bad : good);
      }
    }
    const std::size_t begin = out.rows.size();
    for (const ComingWindow& window : coming_windows(average.spec(), *outlook, options.to_date)) {
      const int day = s.zone.day(window.span.end - 1);
      if (day < rule.from_day || day > rule.until_day) continue;
      LimitRow row;
      double mean = kMissing;
      row.limit = strict;
      row.closes = window.closes;
      if (!make_row(average.spec(), *outlook, window, sums, limit.limit, row, mean)) continue;
      auto& [good, bad] = counts[period_of(rule.allow.per, day)];
      if (row.coefficient.empty()) {  // all of it is known: it closed while its rows waited
        ++(mean > limit.limit ? bad : good);
        continue;
      }
      if (window.closes) ++good;
      if (base.spec().factor != 1)
        for (double& c : row.coefficient) c *= base.spec().factor;
      out.rows.push_back(std::move(row));
      out.about.push_back({pair.rule, pair.tag, window.span, window.closes, 0});
    }
    if (!allows) continue;
    for (std::size_t i = begin; i < out.rows.size(); ++i) {
      const auto& [good, bad] = counts[period_of(rule.allow.per, s.zone.day(out.about[i].window.end - 1))];
      int spare = 0;
      while (good - spare > 0 && rule.allow.holds(good - spare - 1, bad + spare + 1)) ++spare;
      out.about[i].spare = spare;
      if (spare > 0) out.rows[i].limit = strict + 1;
    }
  }
  return out;
}

}  // namespace emisopt
