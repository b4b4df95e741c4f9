// The plant's past in rows: (N, tags) in physical units with NaN for missing, and what is known of time.
#pragma once
#include <vector>

#include "emisopt/data/tag.hpp"

namespace emisopt {

struct History {
  TagMap tags;
  Matrix values;             // (N, tags.tags.size()), physical units, NaN = missing; categories as index
  std::vector<double> time;  // (N) seconds since 1970-01-01 UTC, strictly rising; empty: rows without stamps
  std::vector<char> gap;     // (N) 1: this row does not follow the one before (windows never cross it);
                             // row 0 has none before it and carries 0

  Index rows() const { return values.rows; }
  Index columns() const { return values.cols; }
  /// Rows [first, first + count) as a history of its own. Throws InputError when they are not all there.
  History slice(Index first, Index count) const;
  /// Appends one row of columns() values, cleaned as make_history(..., Use::live) does; opens a gap when the
  /// step is not one period or `breaks` says so. Throws InputError for time that does not rise, for a stamp
  /// that is missing where the rows before have one, and the reverse. On an error the history is as before.
  void append(const double* row, double time_s = kMissing, bool breaks = false);
  /// First row of the unbroken run that ends at `row` (included).
  Index run_start(Index row) const;
};

/// What a raw table is checked for. training: a signal that cannot be learnt from, or a value that no
/// analyser gives, is a mistake in the data and refused. live: it is a sensor that failed a minute ago; it
/// counts as missing and the loop goes on.
enum class Use { training, live };

/// Two rows follow each other when their stamps differ by one period, to within this share of it: historians
/// jitter by milliseconds to seconds.
inline constexpr double kPeriodTolerance = 0.02;

/// Checks and cleans a raw table: values (N, tags), time (N) or empty, gap (N) or empty: breaks known from
/// elsewhere, e.g. between two files. Missing codes, values outside the physical range and repetitions of a
/// frozen sensor (Tag::frozen_after; all but the first) become NaN, time
/// must rise (InputError names the row and both stamps), duplicates are refused, gaps are marked where the
/// step differs from tags.period; laboratory tags are left as sampled, a constant input is allowed.
/// Use::training throws InputError for all-NaN or constant output tags, for category indexes out of range and
/// for infinities; Use::live allows the first and makes NaN of the others.
/// Always InputError: no rows, stamps that are no finite numbers, stamps with tags.period 0. ShapeError:
/// sizes.
History make_history(TagMap tags, Matrix values, std::vector<double> time = {}, std::vector<char> gap = {},
                     Use use = Use::training);

/// How many cells of each tag are missing or were put aside by make_history; for reports.
std::vector<Index> missing_count(const History& history);

}  // namespace emisopt
