// Of many tags tested at once some look changed by chance. These rules bound the expected share of such among
// all that are called changed (the false discovery rate, FDR).
#pragma once
#include <vector>

#include "emisopt/base/types.hpp"

namespace emisopt {

/// Which hypotheses Benjamini and Hochberg (1995) reject at FDR `level`, for independent or positively
/// dependent p-values. NaN is no test: never rejected, not counted. Throws InputError for p outside [0, 1] or
/// level outside (0, 1).
std::vector<char> benjamini_hochberg(const std::vector<double>& p_values, double level);

/// The same for e-values (Wang and Ramdas 2022), whatever their dependence: numbers >= 0, infinity allowed,
/// whose expectation is at most 1 when nothing has changed.
std::vector<char> e_benjamini_hochberg(const std::vector<double>& e_values, double level);

/// LORD++ (Ramdas, Yang, Wainwright and Jordan 2017): tests that come one after another for ever, each
/// decided when it comes; FDR at most `level` at any time for independent p-values. Every discovery earns
/// room for later ones.
class LordPlusPlus {
 public:
  /// start_wealth: share of the level to begin with, in (0, 1). Throws InputError.
  explicit LordPlusPlus(double level, double start_wealth = 0.5);

  /// Whether this p-value, in [0, 1], is a discovery. NaN is no test. Throws InputError and stays as it is.
  bool test(double p_value);
  /// Level of the next test.
  double next_level() const;
  Index tests() const { return tests_; }
  Index discoveries() const { return static_cast<Index>(found_.size()); }

 private:
  double level_, start_;
  Index tests_ = 0;
  std::vector<Index> found_;  // numbers of the tests, from 1
};

/// LORD's weights: log(max(j, 2)) / (j exp(sqrt(log j))), j from 1, scaled to a sum of at most 1.
double lord_weight(Index j);

}  // namespace emisopt
