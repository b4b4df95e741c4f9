// Rows in which a sensor shows one value: the run that a freeze is judged by.
#pragma once
#include <cmath>

#include "emisopt/base/types.hpp"

namespace emisopt {

/// Rows without a value belong to the run: a hanging analyser drops out, too.
struct FrozenRun {
  double value = kMissing;  // of the run's first row
  Index first = -1;         // its row; -1: no value came yet
  Index readings = 0;       // of the run, without the rows that miss one

  /// Takes the reading of `row` (rising); readings within `tolerance` of the run's first value go on with it.
  /// Returns the rows from the first to this one, 0 for a missing reading.
  Index push(double reading, Index row, double tolerance = 0) {
    if (std::isnan(reading)) return 0;
    if (first < 0 || !(std::abs(reading - value) <= tolerance)) {
      value = reading;
      first = row;
      readings = 0;
    }
    ++readings;
    return row - first + 1;
  }
  /// The next row does not follow the one before.
  void forget() { *this = {}; }
};

}  // namespace emisopt
