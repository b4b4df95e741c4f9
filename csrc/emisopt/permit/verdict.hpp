// From averages to a verdict: what counts, what is above, how often that may be.
#pragma once
#include "emisopt/permit/evaluation.hpp"

namespace emisopt {

/// Fills counts, periods and verdict of `result` from its rule, averages and base.
/// base_length_s: of the rule's base period.
void judge(RuleResult& result, int base_length_s, const Zone& zone);
/// Names, for every rule that does not hold, an alternative (same Rule::either and tag) that does.
void settle_alternatives(std::vector<RuleResult>& results);

}  // namespace emisopt
