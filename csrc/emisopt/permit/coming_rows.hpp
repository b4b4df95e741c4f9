// What a permit still asks of the coming steps: each limit as rows that are linear in the forecast. They are
// made from the state of the evaluation, so what is known of a window (closed base means, the open hour,
// which of it counts) is what the verdict will count, and what leaves the window is left out of it.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "emisopt/permit/basis_map.hpp"
#include "emisopt/permit/limit_row.hpp"
#include "emisopt/permit/zone.hpp"

namespace emisopt {

/// The forecast's steps on the clock, and the names of what it knows. Step k covers [from + k step_s,
/// from + (k + 1) step_s), UTC seconds.
struct Ahead {
  Second from = 0;
  int step_s = 0, steps = 0;
  double sample_s = 0;  // seconds between the samples to come; 0: the evaluation's period_s
};

struct ForecastNames {
  std::vector<std::string> outputs, setpoints, disturbances;
};

struct ComingOptions {
  std::map<std::string, int> rank;  // by rule; others: 1
  int spared_rank = 3;              // of averages that may be above, while an allowance is not used up
  double quantile = 0.95;           // the forecast quantile that must hold
  bool to_date = true;              // windows that end beyond the horizon: their mean to its end, too
  bool skip = false;                // leave out rules that are no linear rows, rather than refuse them
};

struct ComingRow {
  std::size_t rule = 0;  // of the permit
  std::string tag;
  Span window;
  bool closes = true;  // within the horizon; else a mean to date
  int spare = 0;       // averages of this civil period that may still be above the limit
};

struct PermitRows {
  /// One for each rule and tag, and a second with spared_rank where the rule allows some above. `output` is a
  /// quantity of basis_map(): outputs first, then converted ones. `limit` has the confidence interval added,
  /// so that it is a limit on the plain average; `window` says nothing; the name of one that nobody read
  /// in its source ends in UNVERIFIED.
  std::vector<Limit> limits;
  std::vector<LimitRow> rows;                                 // LimitRow::limit is a place in `limits`
  std::vector<ComingRow> about;                               // of each row
  std::vector<std::pair<std::string, std::string>> left_out;  // rule, why: with ComingOptions::skip
};

}  // namespace emisopt
