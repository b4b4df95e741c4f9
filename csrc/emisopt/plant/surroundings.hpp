// Everything that happens to the boiler whatever its setpoints: dispatch, weather, coal deliveries, unseen
// wander. Pure functions of (seed, time): copies agree, the future can be asked for, and two policies on one
// seed meet exactly the same disturbances.
#pragma once
#include <cstdint>
#include <vector>

#include "emisopt/base/rng.hpp"

namespace emisopt {

/// Unit-variance noise: normal knots every `spacing` seconds, straight lines between.
class ValueNoise {
 public:
  ValueNoise(std::uint64_t seed, std::uint64_t stream, double spacing_s)
      : rng_(seed, stream), spacing_(spacing_s) {}
  double at(double time);

 private:
  double knot(std::int64_t k);
  Rng rng_;
  double spacing_;
  std::int64_t first_ = INT64_MIN;  // knot that left_ belongs to
  double left_ = 0, right_ = 0;
};

/// From `time` (s) on, this grade is fed to the bunkers.
struct FuelChange {
  double time = 0;
  int grade = 0;
};

/// The unit stands still from `from` to `to` (s); then it starts up.
struct Stop {
  double from = 0, to = 0;
};

class Surroundings {
 public:
  /// A start-up: three hours at half load, one to what is asked for.
  static constexpr double kStartUp = 4 * 3600;

  /// `fuel_plan` (rising times): replaces the random deliveries; empty: 12..36 h campaigns of A, B and C.
  /// `stops` rise and lie apart.
  explicit Surroundings(std::uint64_t seed, std::vector<FuelChange> fuel_plan = {}, double unseen = 1,
                        std::vector<Stop> stops = {});

  bool off(double time) const;
  bool starting(double time) const;
  double dispatch(double time);          // share of full load, the programme known ahead
  double load(double time);              // what the grid takes: dispatch and control reserve
  double ambient_forecast(double time);  // degC, known ahead
  double ambient(double time);           // degC
  int grade(double time) const;          // on the belt, known ahead
  double n_factor(double time);          // of the coal on the belt: nitrogen against its grade
  double lhv_factor(double time);        // of the coal on the belt: heating value against its grade
  double spread(double time);            // burner balance: factor on s0
  double nox_factor(double time);        // factor on fuel NO
  double o2_bias(double time);           // probe reading minus true oxygen, % points
  double feed_factor(double time);       // NH3 metering: true over indicated flow

 private:
  std::uint64_t seed_;
  double most_load(double time) const;  // share of full load that a start-up allows

  std::vector<FuelChange> fuel_plan_;
  std::vector<Stop> stops_;
  double unseen_;
  ValueNoise dispatch_, day_, reserve_, weather_, gust_, nitrogen_, heating_;
  ValueNoise spread_slow_, spread_fast_, nox_slow_, nox_fast_, probe_, puff_, metering_;
};

}  // namespace emisopt
