// Which targets weigh more: rare exceedances, which a mean over all rows hardly sees.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "emisopt/model/forecaster.hpp"

namespace emisopt {

/// A target above its output's threshold counts `weight` times. This is a weight by outcome: it makes the
/// forecaster care for peaks and at the same time lifts its quantiles (Lerch et al. 2017, "forecaster's
/// dilemma"); a weight by level (kernels::CompileOptions.level_weights) does not. Use it where a missed peak
/// costs more than a false alarm, and let a conformal correction restore the coverage.
struct Emphasis {
  double weight = 1;
  std::vector<double> above;  // per output, physical; +inf: no target weighs more. Empty: none does

  bool active() const { return weight != 1 && !above.empty(); }
};

/// Thresholds: a limit by name where `limits` has one, else the `quantile` of the output's known values in
/// rows [0, rows) (0: none). Throws InputError for a limit of something that is no output.
Emphasis make_emphasis(const Forecaster& forecaster, const History& history, Index rows, double weight,
                       double quantile, const std::vector<std::pair<std::string, double>>& limits);

/// Weights of quantile levels within the pinball loss, by what they look at: "all" gives {}, "upper" 0.1 +
/// 0.9 tau^2, "lower" the mirror image, "both" 0.1 + 0.9 (2 tau - 1)^2 (Gneiting, Ranjan 2011, table 4; the
/// 0.1 keeps every level in training). Any such weight is a proper score. Throws InputError for another word.
std::vector<double> tail_weights(const std::string& tail, const std::vector<double>& levels);

}  // namespace emisopt
