// Limits from what held-out normal rows did, not from the rows that a model was fitted on: in-sample scores
// are too small, and limits from them alarm several times too often.
#pragma once
#include <string_view>
#include <vector>

namespace emisopt {

struct TailOptions {
  double tail = 0.1;         // share of the scores that the exponential tail is fitted on
  double set_aside = 0;      // largest share of all scores whose size does not count: faults in the reference
  double confidence = 0.95;  // one-sided, of the limit's own uncertainty; 0.5: the limit as estimated
};

/// The score that a healthy row exceeds with probability `rate`. Scores beyond the quantile 1 - tail are
/// taken as exponential (the peaks-over-threshold limit law with shape 0): the limit is u + b log(tail /
/// rate), with b the maximum-likelihood scale, the largest `set_aside` of all scores counting as "at least
/// this". Its standard error comes from leaving each block out in turn (jackknife); blocks are stretches of
/// time, so that scores that hang together count as what they are; the limit is raised by Student's quantile
/// of it. scores: per block, in any order, NaN left out. Throws InputError for a rate not in (0, tail], fewer
/// than 2 blocks, fewer than 20 scores.
double tail_limit(const std::vector<std::vector<double>>& scores, double rate,
                  const TailOptions& options = {}, std::string_view where = "tail_limit");

}  // namespace emisopt
