// Which number stands in which column of the network's two inputs, and how physical values get there.
// Everything that depends on data (scales) is fixed on training rows; at run time only history is read.
#pragma once
#include <string>
#include <vector>

#include "emisopt/data/history.hpp"

namespace emisopt {

/// Per tag: physical -> normalised. z = (g(y) - mean) / sd with g the identity or log(y + offset).
struct TagScale {
  bool log = false;
  double offset = 0;           // of the log
  double mean = 0, sd = 1;
  double low = kMissing, high = kMissing;  // 0.5 % and 99.5 % of the training rows, physical: the hull's box
  double normalise(double y) const;
  double physical(double z) const;
  double slope(double z) const;            // d physical / d z
};

struct Scaler {
  std::vector<TagScale> tags;  // in TagMap order
  /// Fits on rows [0, rows) of the history only. Scale::automatic: log when the tag is an emission, never
  /// negative and skewed. Throws InputError naming an all-NaN or constant tag.
  static Scaler fit(const History& history, index rows);
};

/// The layout: a pure function of tags and shapes.
///   history row (per time step): per output [z - anchor | known], per input [z - anchor_x, z | known]
///     (categorical: one-hot), hour and weekday as sine/cosine when rows have stamps, age of lab samples
///   future row: per setpoint [z, z - anchor_x], per disturbance [z, z - anchor_x | known] (0, 0, 0 when its
///     coming value is unknown), categorical one-hot (+ known), calendar, step/H
/// anchor of an output: exponentially weighted mean of its known context values (time constant anchor_tau
/// rows); anchor_x likewise for inputs. Both are functions of the history alone.
class FeatureLayout {
 public:
  FeatureLayout() = default;
  FeatureLayout(const TagMap& tags, int context, int horizon, int patch, double anchor_tau);

  int context() const { return context_; }
  int horizon() const { return horizon_; }
  int patch() const { return patch_; }
  int history_tokens() const { return context_ / patch_; }
  int history_width() const { return history_row_ * patch_; }   // per token
  int future_width() const { return future_row_; }
  const std::vector<index>& outputs() const { return outputs_; }      // tag ids
  const std::vector<index>& setpoints() const { return setpoints_; }
  const std::vector<index>& disturbances() const { return disturbances_; }

  /// Anchors in normalised units: (outputs + inputs). Rows first..first+context-1 of history; NaN when an
  /// output was never known in the context.
  std::vector<double> anchors(const History& history, const Scaler& scaler, index first) const;
  /// Fills (history_tokens, history_width). `hidden` newest rows have their outputs masked (label delay).
  void fill_history(float* x, const History& history, const Scaler& scaler, index first,
                    const std::vector<double>& anchors, int hidden = 0) const;
  /// Fills (horizon, future_width) from a plan (H,U) and known disturbances (H,D), physical; NaN in a
  /// disturbance: unknown. `plan` may be null: unknown future operation (all future inputs unknown).
  /// time0: stamp of the first future row, NaN without stamps.
  void fill_future(float* x, const Scaler& scaler, const std::vector<double>& anchors, const ConstView* plan,
                   ConstView known, double time0, double period) const;
  /// d future_row / d plan(h,u): the columns that setpoint u feeds and their constant slopes.
  struct Column { int column; double slope; };
  const std::vector<Column>& plan_columns(int setpoint, const Scaler& scaler) const;

 private:
  int context_ = 0, horizon_ = 0, patch_ = 1, history_row_ = 0, future_row_ = 0;
  double anchor_tau_ = 6;
  std::vector<index> outputs_, setpoints_, disturbances_;
};

}  // namespace emisopt
