// A plant that a few ordinary differential equations describe: states by Runge-Kutta's fourth-order rule, the
// truth of a row as the integral of the outputs by the same rule. Base of the literature's plants.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "emisopt/plant/plant.hpp"
#include "emisopt/plant/surroundings.hpp"

namespace emisopt {

/// A tag with a range and, for setpoints, a rate; all else as Tag has it.
Tag plain_tag(std::string name, std::string unit, Role role, double low, double high, double rate = kMissing);

/// X states, U setpoints, D disturbances, O outputs; W unmeasured influences stand behind the disturbances.
class OdePlant : public Plant {
 public:
  const TagMap& tags() const override { return *tags_; }
  /// Throws InputError when a setpoint is not finite. Bounds are the caller's affair.
  void advance(const double* setpoints) override;
  void measure(double* row) override;
  void truth(double* outputs) const override;
  void true_disturbances(double* disturbances) const override;
  /// Nothing is known ahead: NaN.
  void schedule(double* known, int rows) const override;
  double time() const override { return time_; }

  const std::vector<double>& state() const { return x_; }
  /// Throws InputError when the length is wrong or a number is not finite or below what the equations bear.
  void set_state(const std::vector<double>& state);
  /// Brings the states to rest at `setpoints` (U) under the disturbances of this moment. Throws InputError
  /// when they do not come to rest.
  void settle(const double* setpoints);
  /// dx/dt per second (X) and outputs (O) at the present state and moment, for checks of the equations.
  void rates(const double* setpoints, double* slopes, double* outputs) const;
  std::uint64_t seed() const { return seed_; }

 protected:
  struct Wander {  // of one influence around its mean: slow and fast, unit variance each
    double mean = 0, slow = 0, slow_s = 0, fast = 0, fast_s = 0;
  };
  /// `wanders`: D measured disturbances that move by themselves, then the unmeasured influences. wander:
  /// factor on all of them. noise (tags): standard deviation of each reading, in its unit.
  OdePlant(TagMap tags, std::vector<double> state, std::vector<double> floor, int steps,
           const std::vector<Wander>& wanders, double wander, std::vector<double> noise, std::uint64_t seed);
  OdePlant(const OdePlant&) = default;

  /// dx (X) per second and outputs y (O) at state x, setpoints u and influences w (D + W).
  virtual void equations(const double* x, const double* u, const double* w, double* dx, double* y) const = 0;
  /// Measured disturbances (D) from states and influences.
  virtual void disturbances(const double* x, const double* w, double* d) const = 0;

 private:
  struct Influence {
    Wander scale;
    mutable ValueNoise slow, fast;
  };
  void influences(double time, double* w) const;
  void stage(const double* x, double* dx_y, const double* u, double time) const;

  std::shared_ptr<const TagMap> tags_;  // shared by clones: immutable
  std::vector<double> x_, floor_;
  int steps_;  // of Runge-Kutta per row
  std::vector<Influence> influences_;
  double wander_;
  std::vector<double> noise_;
  std::uint64_t seed_;
  double time_ = 0;
  std::int64_t row_ = 0;
  std::size_t width_y_, width_d_;
  std::vector<double> truth_, disturbance_, setpoint_;
};

}  // namespace emisopt
