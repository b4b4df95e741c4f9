#include "emisopt/permit/verdict.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <numeric>

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

// The time that the averages above the limit stand for: a rolling mean for the step at whose end it is
// judged.
double hours_above(const RuleResult& result, int base_length_s) {
  constexpr double kHour = 3600;
  const Over over = result.rule->average.over;
  if (over == Over::operating_days) return 24.0 * static_cast<double>(result.above);
  if (over != Over::block && over != Over::day && over != Over::month)
    return base_length_s * static_cast<double>(result.above) / kHour;
  double hours = 0;
  for (std::size_t i = 0; i < result.averages->size(); ++i) {
    const Span window = result.averages->window(i);
    if (result.is_above(i)) hours += static_cast<double>(window.end - window.begin) / kHour;
  }
  return hours;
}

bool all_hold(const std::vector<PeriodCount>& periods) {
  return std::all_of(periods.begin(), periods.end(), [](const PeriodCount& p) { return p.holds; });
}

using Reasons = std::array<Index, kReasons>;
using Eight = double __attribute__((vector_size(64)));
using EightMarks = std::int64_t __attribute__((vector_size(64)));

// Every average counts that is valid: the usual case, in loops that the compiler makes vector code of, for
// the processor that it then runs on: counts and a maximum, which are the same at any width.
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]]
#endif
void judge_all(RuleResult& result, Reasons& reasons) {
  const Averages& averages = *result.averages;
  const std::size_t n = averages.size();
  const double limit = result.rule->limit;
  const double* value = averages.value.data();
  const Reason* why = averages.reason.data();
  char* judged = result.judged.data();
  constexpr std::size_t kLanes = 8, kStretch = 512;
  constexpr double kLowest = -std::numeric_limits<double>::infinity();
  Index above = 0;
  double worst = kLowest;
  std::size_t worst_from = n;  // the first stretch that has it
  for (std::size_t from = 0; from < n; from += kStretch) {
    const std::size_t to = std::min(n, from + kStretch), whole = to - (to - from) % kLanes;
    Eight highest = Eight{} + kLowest;
    EightMarks over = {};
    for (std::size_t i = from; i < whole; i += kLanes) {  // NaN, not valid: above nothing
      Eight values;
      std::memcpy(&values, value + i, sizeof values);
      highest = values > highest ? values : highest;
      over -= values > limit;
    }
    double highest_here = kLowest;
    for (std::size_t k = 0; k < kLanes; ++k) {
      highest_here = std::max(highest_here, highest[k]);
      above += over[k];
    }
    for (std::size_t i = whole; i < to; ++i) {
      highest_here = value[i] > highest_here ? value[i] : highest_here;
      above += value[i] > limit;
    }
    if (highest_here > worst) worst = highest_here, worst_from = from;
  }
  result.above = above;
  while (worst_from < n && value[worst_from] != worst) ++worst_from;  // the first of equals
  if (worst_from < n) result.worst = static_cast<Index>(worst_from);
  for (std::size_t from = 0; from < n; from += kStretch) {
    const std::size_t to = std::min(n, from + kStretch);
    std::uint8_t any = 0;
    for (std::size_t i = from; i < to; ++i) {
      const auto reason = static_cast<std::uint8_t>(why[i]);
      judged[i] = reason == 0;  // Reason::valid, as most are
      any |= reason;
    }
    if (any == 0) continue;
    for (std::size_t i = from; i < to; i += 8) {
      const auto first = static_cast<std::uint8_t>(why[i]);
      std::uint64_t eight = ~std::uint64_t{0};  // no reason
      if (i + 8 <= to) std::memcpy(&eight, why + i, sizeof eight);
      if (eight == 0) continue;
      if (eight == 0x0101010101010101u * first) {  // they come in stretches, too
        reasons[first] += 8;
        continue;
      }
      const std::size_t end = std::min(to, i + 8);
      for (std::size_t k = i; k < end; ++k) ++reasons[static_cast<std::size_t>(why[k])];
    }
  }
  reasons[static_cast<std::size_t>(Reason::valid)] = 0;
  const Index others = std::accumulate(reasons.begin(), reasons.end(), Index{0});
  const Index counted = static_cast<Index>(n) - others;
  reasons[static_cast<std::size_t>(Reason::valid)] = counted;
}

// Averages that count while the rule is in force, by civil period.
void judge_by_date(RuleResult& result, const Zone& zone, Reasons& reasons, Periods& periods,
                   Periods& availability) {
  const Rule& rule = *result.rule;
  const Averages& averages = *result.averages;
  double worst = -std::numeric_limits<double>::infinity();
  std::fill(result.judged.begin(), result.judged.end(), 0);
  for (std::size_t i = 0; i < averages.size(); ++i) {
    const Reason reason = averages.reason[i];
    const int day = zone.day(averages.windows->end[i] - 1);
    if (day < rule.from_day || day > rule.until_day) continue;
    ++reasons[static_cast<std::size_t>(reason)];
    const bool valid = reason == Reason::valid;
    if (reason != Reason::not_operating) availability.count(day, valid);
    if (!valid) continue;
    result.judged[i] = 1;
    const double value = averages.value[i];
    result.above += value > rule.limit;
    periods.count(day, !(value > rule.limit));  // without a limit nothing is above it
    if (value > worst) {
      worst = value;
      result.worst = static_cast<Index>(i);
    }
  }
}

}  // namespace

void judge(RuleResult& result, int base_length_s, const Zone& zone) {
  const Rule& rule = *result.rule;
  const bool dated = rule.from_day != Rule{}.from_day || rule.until_day != Rule{}.until_day;
  Periods periods(rule.allow);
  const Allowance available = rule.availability.value_or(Allowance{});
  Periods availability(available);
  Reasons reasons = {};

  result.judged.resize(result.averages->size());
  const bool by_date = dated || rule.allow.per != Per::whole || rule.availability;
  if (by_date)
    judge_by_date(result, zone, reasons, periods, availability);
  else
    judge_all(result, reasons);

  result.valid = reasons[static_cast<std::size_t>(Reason::valid)];
  for (std::size_t i = 0; i < reasons.size(); ++i) {
    if (static_cast<Reason>(i) != Reason::not_operating) result.total += reasons[i];
    if (static_cast<Reason>(i) != Reason::valid && reasons[i] > 0)
      result.reasons.emplace_back(static_cast<Reason>(i), reasons[i]);
  }
  result.hours_above = hours_above(result, base_length_s);

  result.periods = periods.take();
  if (!by_date && result.valid > 0)  // one period: all there is
    result.periods = {{"all", result.valid - result.above, result.above,
                       rule.allow.holds(result.valid - result.above, result.above)}};
  if (rule.availability) result.availability = availability.take();
  const bool holds = all_hold(result.periods) && all_hold(result.availability);
  result.verdict = !holds ? Verdict::broken : result.valid > 0 ? Verdict::holds : Verdict::not_judged;
}

void settle_alternatives(std::vector<RuleResult>& results) {
  for (RuleResult& one : results) {
    if (one.rule->either.empty() || one.verdict == Verdict::holds) continue;
    for (const RuleResult& other : results)
      if (other.rule->either == one.rule->either && other.tag == one.tag && other.verdict == Verdict::holds)
        one.held_by = other.rule->name;
  }
}

}  // namespace emisopt
