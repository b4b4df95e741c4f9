#include "emisopt/permit/substitution.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

constexpr std::string_view kWhere = "substitution";

struct Lookback {
  Index first = -1, last = -1;  // rows
  std::vector<double> values;
};

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v;
  return sum / static_cast<double>(values.size());
}

// The hours without data between two assured hours, and what they may rest on.
struct Gap {
  std::vector<Index> rows;  // operating hours without assured data
  Index before = -1, after = -1;
  Index lookback_begin = 0, lookback_end = 0;  // places in the list of assured rows
};

class Series {
 public:
  Series(const std::vector<double>& values, const std::vector<char>& operating,
         const std::vector<char>& assured, const std::vector<int>& load_range, const SubstitutionRule& rule)
      : values_(values), load_range_(load_range), rule_(rule) {
    const auto n = static_cast<Index>(values.size());
    assured_.resize(values.size());
    for (Index i = 0; i < n; ++i) {
      const auto row = static_cast<std::size_t>(i);
      assured_[row] = operating[row] && std::isfinite(values[row]) && (assured.empty() || assured[row]);
      if (assured_[row]) assured_rows_.push_back(i);
    }
    availability_ = monitor_availability(operating, assured_, rule.availability);
  }

  const std::vector<double>& availability() const { return availability_; }
  bool assured(Index row) const { return assured_[static_cast<std::size_t>(row)] != 0; }

  // Where the gap's lookback begins and ends: the last hours with data before it, none of them too old.
  void look_back(Gap& gap) const {
    const Index oldest = gap.rows.front() - rule_.availability.oldest_hours;
    const auto begin = assured_rows_.begin();
    const Index end = std::lower_bound(begin, assured_rows_.end(), gap.rows.front()) - begin;
    const Index young = std::lower_bound(begin, assured_rows_.end(), oldest) - begin;
    gap.lookback_end = end;
    gap.lookback_begin = std::max({Index{0}, end - rule_.lookback_hours, young});
  }

  Lookback values_of(const Gap& gap, int range) const {
    Lookback found;
    for (Index k = gap.lookback_begin; k < gap.lookback_end; ++k) {
      const Index row = assured_rows_[static_cast<std::size_t>(k)];
      if (range >= 0 && load_range_[static_cast<std::size_t>(row)] != range) continue;
      if (found.first < 0) found.first = row;
      found.last = row;
      found.values.push_back(values_[static_cast<std::size_t>(row)]);
    }
    return found;
  }

  // Of the hour's load range; where it has no data, of the next higher one that has.
  Lookback values_in_range(const Gap& gap, Index row) const {
    const int highest = *std::max_element(load_range_.begin(), load_range_.end());
    for (int range = load_range_[static_cast<std::size_t>(row)]; range <= highest; ++range) {
      Lookback found = values_of(gap, range);
      if (!found.values.empty()) return found;
    }
    return {};
  }

  bool initial(const Gap& gap) const {
    return gap.lookback_end < rule_.lookback_hours && gap.rows.front() < rule_.availability.oldest_hours;
  }

  double value(Index row) const { return row < 0 ? kMissing : values_[static_cast<std::size_t>(row)]; }

 private:
  const std::vector<double>& values_;
  const std::vector<int>& load_range_;
  const SubstitutionRule& rule_;
  std::vector<char> assured_;
  std::vector<Index> assured_rows_;
  std::vector<double> availability_;
};

void set_potential(SubstitutedHour& hour, const SubstitutionRule& rule) {
  hour.value = rule.max_potential;
  hour.method = SubstitutionMethod::max_potential;
}

void set_before_after(SubstitutedHour& hour, const SubstitutionRule& rule) {
  if (std::isnan(hour.before)) return set_potential(hour, rule);
  if (std::isnan(hour.after)) return;  // pending
  hour.value = (hour.before + hour.after) / 2;
  hour.method = SubstitutionMethod::before_after;
}

// 75.31(c), recalled: before 2,160 hours, the mean of the load range's hours so far.
void set_range_average(SubstitutedHour& hour, const std::vector<double>& lookback,
                       const SubstitutionRule& rule) {
  if (lookback.empty()) return set_potential(hour, rule);
  hour.value = hour.lookback_value = mean(lookback);
  hour.method = SubstitutionMethod::range_average;
}

void fill_gap(std::vector<SubstitutedHour>& hours, std::vector<double>& out, Gap& gap, const Series& series,
              const SubstitutionRule& rule) {
  series.look_back(gap);
  const bool initial = series.initial(gap);
  const Lookback all = rule.load_ranges ? Lookback{} : series.values_of(gap, -1);
  for (const Index row : gap.rows) {
    SubstitutedHour hour;
    hour.row = row;
    hour.original = out[static_cast<std::size_t>(row)];
    hour.availability = series.availability()[static_cast<std::size_t>(row)];
    hour.gap_first = gap.rows.front();
    hour.gap_hours = rule.count_operating_hours ? static_cast<Index>(gap.rows.size())
                                                : gap.rows.back() - gap.rows.front() + 1;
    hour.before_row = gap.before;
    hour.after_row = gap.after;
    hour.before = series.value(gap.before);
    hour.after = series.value(gap.after);
    hour.verified = rule.verified();
    Lookback lookback = rule.load_ranges ? series.values_in_range(gap, row) : all;
    hour.lookback_first = lookback.first;
    hour.lookback_last = lookback.last;
    hour.lookback_count = static_cast<Index>(lookback.values.size());
    if (!initial)
      apply_tier(hour, lookback.values, rule);
    else if (rule.load_ranges)
      set_range_average(hour, lookback.values, rule);
    else
      set_before_after(hour, rule);
    out[static_cast<std::size_t>(row)] = hour.value;
    hours.push_back(hour);
  }
}

void check(const std::vector<double>& values, const std::vector<char>& operating,
           const std::vector<char>& assured, const std::vector<int>& load_range, const SubstitutionRule& rule,
           const RowLabel& label) {
  const auto n = static_cast<long>(values.size());
  check_shape("substitution(operating)", {static_cast<long>(operating.size())}, {{"hours", n}});
  if (!assured.empty())
    check_shape("substitution(assured)", {static_cast<long>(assured.size())}, {{"hours", n}});
  if (!load_range.empty())
    check_shape("substitution(load_range)", {static_cast<long>(load_range.size())}, {{"hours", n}});
  const std::string where(kWhere);
  if (!rule.verified() && !rule.allow_unverified)
    throw InputError(
        where +
        ": the tiers of NOx and flow by load range (40 CFR 75.33(c)) were only recalled, not read; "
        "pass allow_unverified to use them, and mark what comes out");
  if (!(rule.max_potential > 0) || !std::isfinite(rule.max_potential))
    throw InputError(where + ": expected a finite max_potential > 0, got " + number_text(rule.max_potential));
  if (rule.lookback_hours < 1)
    throw InputError(where + ": expected lookback_hours >= 1, got " + std::to_string(rule.lookback_hours));
  if (rule.load_ranges && load_range.empty() && n > 0)
    throw InputError(where + ": expected the load range of each hour, got none");
  for (Index i = 0; i < n; ++i) {
    const auto row = static_cast<std::size_t>(i);
    const bool counted = operating[row] && (assured.empty() || assured[row]);
    if (counted && (values[row] < 0 || std::isinf(values[row])))
      refuse_row(kWhere, label, i, "a finite value >= 0", values[row]);
    if (label.time_s && i > 0 && label.time_s[i] - label.time_s[i - 1] != 3600)
      refuse_row(kWhere, label, i, "one hour after the row before (put missing hours in as NaN)",
                 label.time_s[i] - label.time_s[i - 1]);
    if (rule.load_ranges && operating[row] && load_range[row] < 0)
      refuse_row(kWhere, label, i, "a load range >= 0", load_range[row]);
  }
}

}  // namespace

double percentile(std::vector<double>& values, int percent, PercentileConvention convention) {
  if (values.empty() || percent < 1 || percent > 100)
    throw InputError("percentile: expected values and a percent of 1 to 100, got " +
                     std::to_string(values.size()) + " values and " + std::to_string(percent));
  const auto n = static_cast<Index>(values.size());
  const auto ranked = [&](Index rank) {  // 0 is the smallest
    std::nth_element(values.begin(), values.begin() + rank, values.end());
    return values[static_cast<std::size_t>(rank)];
  };
  // Whole numbers: 90 % of 720 is the 648th, whatever 0.9 is in binary.
  if (convention == PercentileConvention::nearest_rank) return ranked((percent * n + 99) / 100 - 1);
  const Index hundredths = percent * (n - 1), below = hundredths / 100;
  const double low = ranked(below);
  if (hundredths % 100 == 0) return low;
  const double high = *std::min_element(values.begin() + below + 1, values.end());
  return low + (high - low) * static_cast<double>(hundredths % 100) / 100;
}

std::string_view to_string(SubstitutionMethod method) {
  switch (method) {
    case SubstitutionMethod::pending:
      return "pending";
    case SubstitutionMethod::before_after:
      return "hour before and after";
    case SubstitutionMethod::percentile_90:
      return "90th percentile";
    case SubstitutionMethod::percentile_95:
      return "95th percentile";
    case SubstitutionMethod::maximum:
      return "maximum of lookback";
    case SubstitutionMethod::max_potential:
      return "maximum potential";
    case SubstitutionMethod::range_average:
      return "average of load range";
  }
  return "";
}

void apply_tier(SubstitutedHour& hour, std::vector<double>& lookback, const SubstitutionRule& rule) {
  if (hour.availability < 80 || lookback.empty()) return set_potential(hour, rule);
  if (hour.availability < 90) {
    hour.value = hour.lookback_value = *std::max_element(lookback.begin(), lookback.end());
    hour.method = SubstitutionMethod::maximum;
    return;
  }
  const bool best = hour.availability >= 95;
  if (hour.gap_hours <= (best ? 24 : 8)) {
    if (rule.load_ranges) return set_range_average(hour, lookback, rule);
    return set_before_after(hour, rule);
  }
  set_before_after(hour, rule);
  if (hour.method != SubstitutionMethod::before_after)
    return;  // pending: which one is greater is not known yet
  hour.lookback_value = percentile(lookback, best ? 90 : 95, rule.convention);
  if (hour.lookback_value <= hour.value) return;
  hour.value = hour.lookback_value;
  hour.method = best ? SubstitutionMethod::percentile_90 : SubstitutionMethod::percentile_95;
}

Substitution substitute_missing(const std::vector<double>& values, const std::vector<char>& operating,
                                const std::vector<char>& assured, const std::vector<int>& load_range,
                                const SubstitutionRule& rule, const RowLabel& label) {
  check(values, operating, assured, load_range, rule, label);
  const Series series(values, operating, assured, load_range, rule);
  Substitution result{values, series.availability(), {}};
  Gap gap;
  const auto n = static_cast<Index>(values.size());
  for (Index i = 0; i < n; ++i) {
    if (!series.assured(i)) {
      if (operating[static_cast<std::size_t>(i)]) gap.rows.push_back(i);
      continue;  // an hour without operation neither ends a gap nor needs a value
    }
    if (!gap.rows.empty()) {
      gap.after = i;
      fill_gap(result.hours, result.values, gap, series, rule);
      gap = {};
    }
    gap.before = i;
  }
  if (!gap.rows.empty()) fill_gap(result.hours, result.values, gap, series, rule);
  return result;
}

std::vector<double> remove_substitution(const std::vector<double>& values,
                                        const std::vector<SubstitutedHour>& hours, const RowLabel& label) {
  std::vector<double> out = values;
  for (const SubstitutedHour& hour : hours) {
    if (hour.row < 0 || hour.row >= static_cast<Index>(out.size()))
      throw InputError("remove_substitution: expected rows in [0, " + std::to_string(out.size()) + "), got " +
                       std::to_string(hour.row));
    double& value = out[static_cast<std::size_t>(hour.row)];
    const bool both_missing = std::isnan(value) && std::isnan(hour.value);
    if (!both_missing && std::bit_cast<std::uint64_t>(value) != std::bit_cast<std::uint64_t>(hour.value))
      refuse_row("remove_substitution", label, hour.row, "the substituted " + number_text(hour.value), value);
    value = hour.original;
  }
  return out;
}

}  // namespace emisopt
