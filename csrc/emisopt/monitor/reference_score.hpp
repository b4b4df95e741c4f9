// Values of one tag as scores that a control chart can judge: what an autoregression, fitted on a reference
// period, did not foresee (pre-whitening), as the normal score that it would have among the reference's. In
// control the scores are close to independent standard normal, whatever the tag's unit, distribution and
// memory. A shift of the level by d moves the mean of the unforeseen by d (1 - sum phi): slow tags give a
// chart less to see, which is in their nature. Scores saturate at that of the reference's extremes.
#pragma once
#include <vector>

#include "emisopt/base/types.hpp"

namespace emisopt {

struct ReferenceOptions {
  int max_order = 8;         // of the autoregression; the order is chosen by BIC
  Index least_values = 100;  // unforeseen values of a reference; with fewer a tag is not judged

  /// Throws InputError naming the field.
  void validate() const;
};

/// What the reference taught of one tag.
struct ReferenceScore {
  enum class State { judged, too_few, constant };
  State state = State::too_few;
  double mean = kMissing;
  double spread = kMissing;         // standard deviation of the unforeseen, in the tag's unit
  std::vector<double> phi;          // autoregression, phi[0] of the value before
  std::vector<double> knot, score;  // ascending; piecewise linear from the unforeseen to its score

  /// Fits on `n` values, NaN = missing, `step` apart; gap[r] != 0: row r does not follow row r - 1 (nullptr:
  /// all follow). Finite values only, else.
  static ReferenceScore fit(const double* x, Index n, Index step, const char* gap, const ReferenceOptions& o);
  /// 1 - sum phi: what a lasting shift of the level leaves in the unforeseen.
  double gain() const;
  double score_of(double unforeseen) const;
};

/// Turns the rows of one tag into scores as they come. A score needs as many values without a gap before it
/// as the autoregression is long; without them it is missing.
class ScoreStream {
 public:
  /// out[r] = score of x[r], NaN where it is missing or the tag is not judged.
  void run(const ReferenceScore& reference, const double* x, Index n, Index step, const char* gap,
           double* out, Index out_step);

 private:
  std::vector<double> recent_;  // deviations from the mean, newest first; shorter than phi after a gap
};

}  // namespace emisopt
