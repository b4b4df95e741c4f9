// The benchmark reactor of Klatt and Engell: a cooled, continuously stirred tank in which cyclopentadiene (A)
// becomes cyclopentenol (B), the product, with two unwanted ways on (van de Vusse: A -> B -> C, 2 A -> D).
// Equations, numbers and sources: docs/plants.md. No data of a real unit. Row period 60 s.
#pragma once
#include "emisopt/plant/ode_plant.hpp"

namespace emisopt {

namespace cstr {
enum StateIndex { kA, kB, kReactor, kJacket, kStates };
enum SetpointIndex { kFeed, kHeat, kSetpoints };
enum OutputIndex { kProduct, kByC, kByD, kTemperature, kOutputs };
enum DisturbanceIndex {
  kConcentrationIn,
  kTemperatureIn,
  kConcentrationA,
  kJacketTemperature,
  kDisturbances
};
}  // namespace cstr

/// Tags: feed, heat; c_in, t_in, c_a, t_jacket; product, by_c, by_d, t_reactor.
TagMap cstr_tags();

class Cstr final : public OdePlant {
 public:
  /// seed: of feed, fouling and noise. wander: factor on how far feed and fouling move (0: not at all).
  /// noise: factor on the readings' noise. steps: of integration per row. Starts at rest at the published
  /// operating point.
  explicit Cstr(std::uint64_t seed = 0, double wander = 1, double noise = 1, int steps = 60);
  std::unique_ptr<Plant> clone() const override { return std::make_unique<Cstr>(*this); }

 protected:
  void equations(const double* x, const double* u, const double* w, double* dx, double* y) const override;
  void disturbances(const double* x, const double* w, double* d) const override;
};

}  // namespace emisopt
