// Offset-free prediction: a filtered correction per output, learnt from what the forecast missed.
#pragma once
#include <vector>

#include "emisopt/control/controller.hpp"

namespace emisopt {

/// One value per output: an offset, or a factor. An integrator on the innovation (measured against the
/// forecast *as reported*, correction included), so its fixed point has no offset. Spikes are clipped at a
/// few times the usual innovation; a sensor that repeats itself, is missing or calibrating does not move it.
class BiasFilter {
 public:
  BiasFilter(int outputs, ControllerConfig::Bias kind, double gain);

  /// forecast, measured (O), both for the same row.
  void observe(const double* forecast, const double* measured, bool calibrating);
  /// y (rows, O) corrected in place.
  void apply(View y) const;
  /// d corrected / d raw of output o: the factor, or 1.
  double slope(int o) const;
  const std::vector<double>& values() const { return value_; }
  void reset();

 private:
  double neutral() const { return kind_ == ControllerConfig::Bias::multiplicative ? 1 : 0; }

  ControllerConfig::Bias kind_;
  double gain_;
  std::vector<double> value_;   // (O) offset or factor
  std::vector<double> spread_;  // (O) running size of the innovation; NaN before the first
  std::vector<double> last_;    // (O) last measurement
  std::vector<int> same_;       // (O) how often in a row it has come
};

}  // namespace emisopt
