// What a sensor check found: which tag, from when to when, what it showed and what the others say.
#pragma once
#include "emisopt/base/types.hpp"

namespace emisopt {

/// range, frozen, stuck: run_check.hpp. spike: one or two rows away from the tag's own past and its
/// neighbours. disagrees: away from them for longer. drift: a small lasting difference, found by the longest
/// memory. process: rows disagree, but no few sensors explain it, so none is accused.
enum class FindingKind { range, frozen, stuck, spike, disagrees, drift, process };
const char* to_string(FindingKind kind);

struct Finding {
  FindingKind kind = FindingKind::range;
  Index tag = -1;                     // column; -1: kind process
  Index first_row = 0, last_row = 0;  // disagrees and drift by a mean: first_row is where it seems to begin
  Index alarm_row = 0;                // row at whose arrival it was found
  double averaged = 1;                // rows that value and expected are means of
  double value = kMissing;            // reading at the alarm (spike: the farthest one), physical
  double expected = kMissing;  // by the other tags (a change: and the tag's usual difference from them)
  double sd = kMissing;        // of a reading about what is expected, in health, physical
  double strength = kMissing;  // statistic over its limit at the alarm; NaN: a run of rows
  bool open = true;            // goes on in the newest row
};

}  // namespace emisopt
