// What one reading and the few before it say of a sensor without looking at any other: out of its physical
// range, frozen, stuck at an end of its range.
#pragma once
#include <vector>

#include "emisopt/data/frozen_run.hpp"
#include "emisopt/data/tag.hpp"

namespace emisopt {

/// What a tag's readings are held against. Rows of 0 switch a check off.
struct RunLimits {
  double low = kMissing, high = kMissing;        // physical range, from the tag; NaN: open
  double least = kMissing, greatest = kMissing;  // of the reference's readings in range
  int frozen_rows = 0;                           // so many readings in a row with one value are a freeze
  int stuck_rows = 0;    // the same for a value at either end, of the range or of what was seen
  double tolerance = 0;  // readings within it count as one value

  /// Learns from reference readings x (N), NaN = missing or not to be judged; gap (N) or empty. `rate`: runs
  /// of a healthy sensor that may be taken for a freeze, per row.
  ///   tolerance    a thousandth of the usual step from row to row: below any quantisation, above rounding
  ///   frozen_rows  so many readings as at most `rate` runs per row reach, if a healthy run goes on with the
  ///                probability with which readings nearly repeat (steps of the display's size are about as
  ///                likely as none; freezes have no part in that), or with the one that the reference's runs,
  ///                or their longest tenth, show; at least 3, and a fifth more than the longest run. The
  ///                longest runs, 2 % of the rows at most, may be freezes that went unnoticed: of them only
  ///                is known that they are as long as the longest of the others
  /// A setpoint, a category and a laboratory value stand still in health: they are held against the range
  /// only. Tag::frozen_after, where given, is taken instead of what would be learned.
  static RunLimits learn(const Tag& tag, const std::vector<double>& x, const std::vector<char>& gap,
                         double rate);

  bool at_end(double x) const {
    return x <= low + tolerance || x >= high - tolerance || x <= least + tolerance ||
           x >= greatest - tolerance;
  }
};

enum class ReadingState : unsigned char { good, missing, range, frozen, stuck };

/// Judges the readings of one tag as they come.
class RunCheck {
 public:
  /// `row` rises. A reading that is no finite number is missing.
  ReadingState push(const RunLimits& limits, double x, Index row);
  /// First row of the run that the newest reading goes on with.
  Index run_start() const { return run_.first; }
  /// What comes next does not follow: a gap, or the end of a calibration.
  void forget() { run_.forget(); }

 private:
  FrozenRun run_;
};

}  // namespace emisopt
