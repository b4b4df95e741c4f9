// What a simulated plant offers. Synthetic by definition: only `loop`, tests and demos may include it.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "emisopt/data/tag.hpp"
#include "emisopt/permit/samples.hpp"

namespace emisopt {

class Plant {
 public:
  virtual ~Plant() = default;
  virtual const TagMap& tags() const = 0;            // roles, units, ranges, rates; synthetic = true
  virtual std::unique_ptr<Plant> clone() const = 0;  // a copy with its full state, noise stream included
  /// Applies setpoints (U) for one row (tags().period seconds) and advances.
  virtual void advance(const double* setpoints) = 0;
  /// The row that a historian would hold for the period just ended: all tags, NaN when not reported.
  virtual void measure(double* row) = 0;
  /// Noise-free outputs (O), mean over the period just ended: the judge's truth, never shown to a controller.
  virtual void truth(double* outputs) const = 0;
  /// True disturbances (D), mean over the same period, NaN where the plant has none; for the judge's
  /// accounts.
  virtual void true_disturbances(double* disturbances) const = 0;
  /// Disturbances marked known_ahead for the next `rows` rows: (rows, D), in tag order.
  virtual void schedule(double* known, int rows) const = 0;
  virtual double time() const = 0;  // seconds since the start of the simulation
  /// What the unit did in the row just ended, and whether it stands still in the next one.
  virtual PlantState operation() const { return PlantState::on; }
  virtual bool off_next() const { return false; }
};

}  // namespace emisopt
