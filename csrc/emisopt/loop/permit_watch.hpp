// A permit beside a closed loop: what it still asks of the coming rows, and its verdict on a run.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "emisopt/loop/closed_loop.hpp"
#include "emisopt/permit/coming_rows.hpp"
#include "emisopt/permit/permit.hpp"

namespace emisopt {

/// Follows a run row by row. The permit's signals name outputs of the tag map.
class PermitWatch {
 public:
  /// Throws InputError as Evaluator does, and for a rule that is no linear row.
  PermitWatch(const Permit& permit, const TagMap& tags, const ComingOptions& options = {});
  ~PermitWatch();
  PermitWatch(PermitWatch&&) noexcept;

  /// One for each rule and tag, in the order that rows() refers to; `output` is a column of the outputs.
  const std::vector<Limit>& limits() const;
  /// A row that ended at `time` (s since 1970) and its outputs (O), NaN: not valid. Rows rise; one that does
  /// not is passed over.
  void push(double time, const double* outputs, PlantState state);
  /// What the permit asks of the next `steps` rows; nothing before the first row.
  std::vector<LimitRow> rows(int steps) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// How a run kept one rule, by the truth.
struct PermitSummary {
  std::string rule;
  Index averages = 0, above = 0;  // that count; of these, above the limit
  double hours_above = 0;         // of the time that those above stand for; where a share may be above, only
                                  // what goes beyond that share
  double worst = kMissing;
  bool holds = true;
};

/// The permit judged on the noise-free outputs of a run and of the rows before it. A row whose measurement
/// is missing does not count, as it would not for an inspector; a row in start-up is one by the permit's
/// rules.
std::vector<PermitSummary> judge_permit(const LoopLog& log, const Permit& permit);

}  // namespace emisopt
