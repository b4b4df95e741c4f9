// Selective catalytic reduction: cells in series along the gas, streams side by side that differ in NH3.
// The gas is quasi-steady, the ammonia stored on the catalyst (coverage 0..1) is the state.
#pragma once
#include <array>

namespace emisopt {

struct ScrParameters {
  double kr = 3.6;                 // NO conversion strength of the whole bed at 638 K, design gas flow
  double ka = 50.0;                // NH3 uptake (mass transfer) of the whole bed
  double affinity_per_ppm = 0.25;  // Ka at 638 K
  double storage_ppm_s = 2.5e4;    // Om of the whole bed, effective
  double maldistribution = 0.07;   // sd of the local NH3/NO ratio, relative
  double ageing_hours = 30000;     // of kr
};

class Scr {
 public:
  static constexpr int kCells = 5, kStreams = 3;

  explicit Scr(const ScrParameters& parameters) : p_(parameters) {}
  /// What enters and the state of the bed. ppm are wet, at actual oxygen.
  struct Inlet {
    double no_ppm = 0, nh3_ppm = 0, temp_k = 638;
    double gas = 1;    // flow, of design
    double hours = 0;  // age of the catalyst
  };
  struct Outlet {
    double no_ppm = 0, nh3_ppm = 0;
  };
  /// Advances the coverage by dt seconds and returns the mean outlet of the step.
  Outlet step(const Inlet& in, double dt);
  /// Moves the coverage to equilibrium for a constant inlet and returns the outlet there.
  Outlet settle(const Inlet& in);

 private:
  ScrParameters p_;
  std::array<std::array<double, kCells>, kStreams> theta_{};
};

}  // namespace emisopt
