// Puts a lone reading aside that lies far from what was forecast: analysers spike, stacks seldom do.
#pragma once
#include <vector>

#include "emisopt/base/types.hpp"
#include "emisopt/monitor/lone_reading.hpp"

namespace emisopt {

/// An innovation gate with a patience of one row. A reading beyond the band median +- width * (upper -
/// median) of the forecast made for its row is put aside; the next one beyond the band on the same side is
/// believed, so that a true jump costs one row of delay. An output whose upper quantile is its median (no
/// limit on it) has no band and is never gated.
class SpikeGate {
 public:
  /// width: 0 switches the gate off. Throws InputError below 0 or not finite.
  explicit SpikeGate(int outputs, double width = 4);

  /// The forecast (O) for the row that comes next, as Decision::median and ::upper have it in row 0.
  void expect(const double* median, const double* upper);
  /// The newest reading (O), NaN = none. Without a forecast for this row everything is believed.
  void judge(const double* measured);
  /// A row came that does not follow the one before: earlier verdicts no longer have a place.
  void forget();
  /// y (N, O), newest last: NaN in each reading that was put aside.
  void apply(View y) const;
  /// Whether one of the newest `rows` rows has a reading put aside.
  bool any(Index rows) const;

 private:
  struct Aside {
    int output;
    Index age;  // rows since; 0 is the newest
  };
  double width_;
  std::vector<double> low_, high_;  // (O) the band of the coming row; NaN: none
  std::vector<LoneReading> lone_;   // (O) where the reading before was
  std::vector<Aside> aside_;
};

}  // namespace emisopt
