// Substitute values for hours without quality-assured data, 40 CFR 75 subpart D, and the record of each.
//
// SO2 (75.33(b), text seen), by the percent monitor availability (PMA) of the hour and the length of the gap:
//   PMA >= 95      <= 24 h  mean of the hour before and the hour after (HB/HA)
//                  >  24 h  the greater of the 90th percentile of the lookback and HB/HA
//   90 <= PMA < 95 <= 8 h   HB/HA
//                  >  8 h   the greater of the 95th percentile of the lookback and HB/HA
//   80 <= PMA < 90          the maximum of the lookback
//   PMA < 80                the maximum potential value
// Lookback: the last 720 quality-assured hours before the gap, none older than 26,280 clock hours. Before the
// first 720 quality-assured hours (and within three years of certification): HB/HA; without any hour before,
// the maximum potential value (75.31(b), text seen).
//
// NOx and flow (75.33(c)) use load ranges and 2,160 hours. The 2,160 h were seen, the tiers only recalled:
// the rule is marked unverified and runs with allow_unverified alone.
#pragma once
#include <string_view>
#include <vector>

#include "emisopt/permit/availability.hpp"
#include "emisopt/permit/rows.hpp"

namespace emisopt {

/// How "the 90th percentile of 720 values" is read. The regulation does not say.
enum class PercentileConvention {
  nearest_rank,  // the smallest value with at least p % of the values at or below it: rank ceil(p n / 100)
  linear,        // between ranks, position (n - 1) p / 100 from the smallest (spreadsheets, NumPy)
};

/// values may come in any order and are reordered. Throws InputError without values or for a
/// percent outside 1 to 100.
double percentile(std::vector<double>& values, int percent, PercentileConvention convention);

struct SubstitutionRule {
  double max_potential = kMissing;  // maximum potential concentration; must be given
  bool load_ranges = false;         // NOx and flow: by load range; unverified
  int lookback_hours = 720;         // quality-assured hours; also how many end the initial period
  AvailabilityRule availability;    // its oldest_hours bounds the lookback, too
  PercentileConvention convention = PercentileConvention::nearest_rank;
  bool count_operating_hours = true;  // length of a gap in operating hours; false: in clock hours. Recalled
  bool allow_unverified = false;

  bool verified() const { return !load_ranges; }
};

enum class SubstitutionMethod {
  pending,        // no answer yet: the hour after is still to come
  before_after,   // mean of the hour before and the hour after
  percentile_90,  // of the lookback
  percentile_95,
  maximum,  // of the lookback
  max_potential,
  range_average,  // mean of the lookback in the load range; unverified
};
std::string_view to_string(SubstitutionMethod method);

/// What one hour's value rests on.
struct SubstitutedHour {
  Index row = 0;
  double value = kMissing;     // NaN while pending
  double original = kMissing;  // what stood there: NaN, or a value that was not quality-assured
  SubstitutionMethod method = SubstitutionMethod::pending;
  double availability = kMissing;      // % at this hour
  Index gap_first = 0, gap_hours = 0;  // first row of the gap; its length as the rule counts it
  double before = kMissing, after = kMissing;
  Index before_row = -1, after_row = -1;
  Index lookback_first = -1, lookback_last = -1, lookback_count = 0;  // rows; how many values
  double lookback_value = kMissing;  // percentile, maximum or mean of the lookback, where it was asked for
  bool verified = true;
};

struct Substitution {
  std::vector<double> values;          // (n) substituted where an operating hour had no assured data
  std::vector<double> availability;    // (n) %
  std::vector<SubstitutedHour> hours;  // in order of rows
};

/// One tier of the table above. before or after may be NaN (none); lookback is reordered. Writes value,
/// method, lookback_value of `hour`, whose availability, gap_hours, before and after are given.
void apply_tier(SubstitutedHour& hour, std::vector<double>& lookback, const SubstitutionRule& rule);

/// values (n): one row per clock hour from initial certification on, NaN = missing. operating (n). assured
/// (n) or empty: every value of an operating hour is. load_range (n) or empty: which range each hour ran in.
/// label.time_s, where given, must go in steps of 3600 s. Throws InputError naming the row for a negative or
/// infinite value that counts, a step of another length, a load range below 0 in an operating hour; for a
/// rule without max_potential or load ranges; for an unverified rule that is not allowed. ShapeError for
/// lengths.
Substitution substitute_missing(const std::vector<double>& values, const std::vector<char>& operating,
                                const std::vector<char>& assured, const std::vector<int>& load_range,
                                const SubstitutionRule& rule, const RowLabel& label);

/// The values as they were before: bit for bit. Throws InputError naming a row whose value is not the one
/// that its record holds.
std::vector<double> remove_substitution(const std::vector<double>& values,
                                        const std::vector<SubstitutedHour>& hours, const RowLabel& label);

}  // namespace emisopt
