// Run lengths by simulation: of detectors that have no equation, and of any detector on values that are not
// independent and normal, by AR(1) noise or by resampling blocks of what was measured (moving-block
// bootstrap, Künsch 1989).
#pragma once
#include <cstdint>
#include <vector>

#include "emisopt/monitor/drift_bank.hpp"

namespace emisopt {

/// Where simulated values come from. ar1: x_t = phi x_{t-1} + sqrt(1 - phi^2) e_t, variance 1. blocks: runs
/// of `block` successive values of `series`, each begun at random.
struct ValueSource {
  enum class Kind { normal, uniform, ar1, blocks };
  Kind kind = Kind::normal;
  double phi = 0;
  std::vector<double> series;  // finite
  Index block = 0;

  /// Throws InputError naming the field.
  void validate() const;
};

struct RunLength {
  double mean = 0;   // values per alarm, from one start to the next; infinity without an alarm
  Index alarms = 0;  // that it rests on: relative error about 1 / sqrt(alarms)
};

/// Mean run lengths of several detectors on one and the same simulated stream of `values` values; each begins
/// anew after an alarm. Same seed, same answer. Throws InputError.
std::vector<RunLength> simulated_run_lengths(const std::vector<DetectorOptions>& detectors,
                                             const ValueSource& source, Index values, std::uint64_t seed);

/// By what factor the limit in `options`, which is meant to give `run_length`, must grow to give it on this
/// source; at least 1, infinity where 16 does not suffice. Meant for run lengths that the source can show, as
/// inflation of the limits for rarer alarms, too. `values`: at least 20 run lengths. Throws InputError.
double limit_inflation(const DetectorOptions& options, double run_length, const ValueSource& source,
                       Index values, std::uint64_t seed);

}  // namespace emisopt
