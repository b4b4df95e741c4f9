// Which readings outside a band are believed: a lone one is a spike, a second on the same side a jump.
#pragma once
#include <cmath>

namespace emisopt {

/// Patience of one row: a reading beyond the band is lone unless the one before it was beyond on the same
/// side. A missing reading confirms nothing and forgets nothing.
class LoneReading {
 public:
  /// Whether `reading` is a lone one beyond [low, high]; a bound that is NaN is open.
  bool push(double reading, double low, double high) {
    const int side = reading > high ? 1 : reading < low ? -1 : 0;  // NaN compares false
    const bool lone = side != 0 && side_ != side;
    if (!std::isnan(reading)) side_ = side;
    return lone;
  }
  /// Where the last reading was: -1 below, 1 above, 0 inside its band.
  int side() const { return side_; }
  /// The next reading does not follow the one before.
  void forget() { side_ = 0; }

 private:
  int side_ = 0;
};

}  // namespace emisopt
