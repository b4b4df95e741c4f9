// What a plant's sensors look like in health, learned from a reference period: ranges and runs per tag, what
// the tags say of each other, and how far a healthy one strays.
#pragma once
#include <cstdint>
#include <vector>

#include "emisopt/data/tag.hpp"
#include "emisopt/monitor/factor_model.hpp"
#include "emisopt/monitor/run_check.hpp"
#include "emisopt/monitor/sensor_scale.hpp"

namespace emisopt {

struct SensorOptions {
  double false_alarms = 0.1;    // per tag in 30 days, all checks together, as far as the reference tells
  double rows_per_month = 720;  // rows in 30 days
  std::vector<double> memory = {12, 144};  // rows of the means that look for lasting differences, rising
  double baseline = 1000;                  // rows of the mean that those are compared with
  int factors = 0;                         // common causes; 0: chosen on the last fifth of the reference
  int blocks = 5;                          // stretches of the reference; each is held out once
  int settle_rows = 1;                     // not judged after a calibration or maintenance ends
  double most_accused = 0.25;              // share of the judged tags; when more disagree, the process did
  double confidence = 0.8;                 // of each limit's own uncertainty, see tail_limit.hpp

  /// Throws InputError naming the field.
  void validate() const;
};

/// How far residuals of a healthy tag go, in the units of Reconstruction's sd.
struct ResidualLimits {
  double spread = 1;          // of the residual itself, as a standard deviation
  double jump = 0;            // of one row against the tag's usual residual
  std::vector<double> shift;  // of the mean over each memory, then of each mean less the baseline
};

struct SensorModel {
  TagMap tags;
  SensorOptions options;
  std::vector<RunLimits> runs;      // (C) in tag order
  std::vector<Index> modelled;      // (T) columns that are reconstructed: continuous, no cost, not constant,
                                    // known in a fifth of the reference
  std::vector<char> judged;         // (T) 1: a measurement; 0: a setpoint, which only informs the others
  std::vector<SensorScale> scales;  // (T)
  FactorModel factors;              // of the normalised tags; no tags when fewer than two are modelled
  std::vector<ResidualLimits> limits;  // (T)

  /// Learns from reference rows (N, C), physical, NaN = missing; status (N, C) or null: cells that are not 0
  /// (calibration, maintenance, invalid) are not learned from; gap (N) or empty. Readings out of range, runs
  /// that are a freeze by what was learned, and cells far from what the others say are left out.
  /// Throws InputError: options; a reference too short for its blocks and memories; no tag to judge.
  static SensorModel fit(const TagMap& tags, ConstView values, const std::uint8_t* status,
                         const std::vector<char>& gap, const SensorOptions& options);

  Index columns() const { return static_cast<Index>(runs.size()); }
  Index size() const { return static_cast<Index>(modelled.size()); }  // T
  /// Whole row (C) to normalised tags (T); cells that are not finite become NaN.
  void normalise(const double* row, double* z) const;
  /// expected, sd (N, C), physical: what the other tags say of each one, and how far a healthy reading is
  /// from it as a standard deviation; NaN for tags that are not modelled. Cells that status flags, out of
  /// range or frozen do not inform. Rows (N, C), status (N, C) or null, gap (N) or null.
  void reconstruct(ConstView rows, const std::uint8_t* status, const char* gap, View expected, View sd) const;
  /// Most tags that may be accused at once.
  Index most_accused() const;
};

}  // namespace emisopt
