// The plant's past in rows: (N, tags) in physical units with NaN for missing, and what is known of time.
#pragma once
#include <vector>

#include "emisopt/data/tag.hpp"

namespace emisopt {

struct History {
  TagMap tags;
  Matrix values;               // (N, tags.tags.size()), physical units, NaN = missing; categories as index
  std::vector<double> time;    // (N) seconds since 1970-01-01 UTC, strictly rising; empty: rows without stamps
  std::vector<char> gap;       // (N) 1: this row does not follow the one before (windows never cross it)

  index rows() const { return values.rows; }
  index columns() const { return values.cols; }
  /// Rows [first, first + count) as a history of its own.
  History slice(index first, index count) const;
  /// Appends one row; checks width and rising time; opens a gap when the step is not one period.
  void append(const double* row, double time_s = kMissing);
  /// First row of the unbroken run that ends at `row` (included).
  index run_start(index row) const;
};

/// Checks and cleans a raw table: missing codes and values outside the physical range become NaN, time must
/// rise (InputError names the row and both stamps), duplicates are refused, gaps are marked where the step
/// differs from tags.period; laboratory tags are left as sampled. Throws InputError for all-NaN or constant
/// output tags, for category indexes out of range, for infinities.
History make_history(TagMap tags, Matrix values, std::vector<double> time = {});

/// How many cells of each tag are missing or were put aside by make_history; for reports.
std::vector<index> missing_count(const History& history);

}  // namespace emisopt
