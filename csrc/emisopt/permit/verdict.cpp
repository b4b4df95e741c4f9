#include "emisopt/permit/verdict.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace emisopt {
namespace {

// Which period of `per` a civil day lies in, as a number that rises with time.
int period_of(Per per, int day) {
  switch (per) {
    case Per::whole:
      return 0;
    case Per::day:
      return day;
    case Per::month:
      return Zone::month(day);
    case Per::quarter:
      return Zone::month(day) / 3;
    case Per::year:
      return Zone::month(day) / 12;
  }
  return 0;
}

std::string label_of(Per per, int day) {
  const std::string date = date_text(day);
  switch (per) {
    case Per::whole:
      return "all";
    case Per::day:
      return date;
    case Per::month:
      return date.substr(0, 7);
    case Per::quarter:
      return date.substr(0, 4) + " Q" + std::to_string(Zone::month(day) % 12 / 3 + 1);
    case Per::year:
      return date.substr(0, 4);
  }
  return date;
}

// Counts good and bad averages by period; averages come in order of time.
class Periods {
 public:
  explicit Periods(const Allowance& allow) : allow_(allow) {}

  void count(int day, bool good) {
    const int period = period_of(allow_.per, day);
    if (counts_.empty() || period != period_) counts_.push_back({label_of(allow_.per, day), 0, 0, true});
    period_ = period;
    ++(good ? counts_.back().good : counts_.back().bad);
  }
  std::vector<PeriodCount> take() {
    for (PeriodCount& count : counts_) count.holds = allow_.holds(count.good, count.bad);
    return std::move(counts_);
  }

 private:
  const Allowance& allow_;
  std::vector<PeriodCount> counts_;
  int period_ = 0;
};

double hours_of(const Rule& rule, int base_length_s, Span span) {
  constexpr double kHour = 3600;
  switch (rule.average.over) {
    case Over::base:
    case Over::rolling:
    case Over::operating_periods:
      return base_length_s / kHour;
    case Over::block:
    case Over::day:
    case Over::month:
      return static_cast<double>(span.end - span.begin) / kHour;
    case Over::operating_days:
      return 24;
  }
  return 0;
}

bool all_hold(const std::vector<PeriodCount>& periods) {
  return std::all_of(periods.begin(), periods.end(), [](const PeriodCount& p) { return p.holds; });
}

}  // namespace

void judge(RuleResult& result, int base_length_s, const Zone& zone) {
  const Rule& rule = result.rule;
  const Averages& averages = *result.averages;
  const bool dated = rule.from_day != Rule{}.from_day || rule.until_day != Rule{}.until_day;
  const bool by_period = rule.allow.per != Per::whole;
  const bool needs_day = dated || by_period || rule.availability;
  Periods periods(rule.allow);
  const Allowance available = rule.availability.value_or(Allowance{});
  Periods availability(available);
  std::array<Index, kReasons> reasons = {};

  result.judged.assign(averages.size(), 0);
  for (std::size_t i = 0; i < averages.size(); ++i) {
    const Reason reason = averages.reason[i];
    const int day = needs_day ? zone.day(averages.end[i] - 1) : 0;
    if (dated && (day < rule.from_day || day > rule.until_day)) continue;
    ++reasons[static_cast<std::size_t>(reason)];
    if (reason == Reason::not_operating) continue;
    ++result.total;
    if (rule.availability) availability.count(day, reason == Reason::valid);
    if (reason != Reason::valid) continue;
    result.judged[i] = 1;
    ++result.valid;
    const double value = averages.value[i];
    const bool above = value > rule.limit;
    periods.count(day, !above);
    if (above) {
      ++result.above;
      result.hours_above += hours_of(rule, base_length_s, {averages.begin[i], averages.end[i]});
    }
    if (result.worst < 0 || value > averages.value[static_cast<std::size_t>(result.worst)])
      result.worst = static_cast<Index>(i);
  }
  for (std::size_t i = 1; i < reasons.size(); ++i)
    if (reasons[i] > 0) result.reasons.emplace_back(static_cast<Reason>(i), reasons[i]);

  result.periods = periods.take();
  result.availability = availability.take();
  const bool holds = all_hold(result.periods) && all_hold(result.availability);
  result.verdict = !holds ? Verdict::broken : result.valid > 0 ? Verdict::holds : Verdict::not_judged;
}

void settle_alternatives(std::vector<RuleResult>& results) {
  for (RuleResult& one : results) {
    if (one.rule.either.empty() || one.verdict == Verdict::holds) continue;
    for (const RuleResult& other : results)
      if (other.rule.either == one.rule.either && other.tag == one.tag && other.verdict == Verdict::holds)
        one.held_by = other.rule.name;
  }
}

}  // namespace emisopt
