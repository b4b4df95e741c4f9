// Which number stands in which column of the network's two inputs. Everything here is in normalised units
// (features/scaler.hpp): the layout is a pure function of tags and shapes and has seen no data.
#pragma once
#include <string>
#include <vector>

#include "emisopt/base/types.hpp"
#include "emisopt/data/history.hpp"
#include "emisopt/features/scaler.hpp"

namespace emisopt {

/// Measured values count at most this many standard deviations; a plan is never clipped, because its gradient
/// would vanish there.
inline constexpr double kClip = 8.0;

/// Rows in which the last value's lead over the anchor fades: the skip path mixes these ways back, so that
/// one row ahead can be the last value and ten rows ahead the anchor.
inline constexpr int kFadeRows[] = {1, 3, 10};

/// What a context says of each tag in one number, normalised, per tag; NaN where no value is known.
struct ContextSummary {
  std::vector<double> anchor;  // exponentially weighted mean of the known values; of a category the last
  std::vector<double> last;    // newest known value
  /// (season, 3 * outputs): of the known values at that place in the season their mean, spread (mean absolute
  /// deviation from it) and the newest; NaN where none is known. No rows without a season.
  Matrix seasonal;
};

/// Columns of one history row, in this order (a token is `patch` rows side by side):
///   per output       [z - anchor, known]            per continuous input  [z - anchor, z, known]
///   per categorical  [one-hot]                      laboratory tags: one more column, their age
///   [hour sin, cos, weekday sin, cos] when rows have stamps, [row / context]
/// Columns of one future row:
///   per setpoint and per disturbance known ahead    [z, z - anchor, known], categorical [one-hot, known]
///   per other disturbance                           [last, last - anchor], categorical [one-hot of the last]
///   per output                                      [anchor, (last - anchor) e^(-step / r) for r of
///   kFadeRows] calendar as above, [(step + 1) / horizon, e^(-step / r) for r of kFadeRows], step from 0
///   per output, with a season     [mean - anchor, newest - anchor, spread, known] of the context's values at
///   the same place in the season per output, where a prior is given (model/prior_columns.hpp)    [its
///   change]
/// last is the newest known value of the context. A measured value that is missing is put at its anchor, a
/// coming one that is not known at the last, each with known = 0: the best guess that the history allows.
/// A disturbance that is not known ahead has no column for coming values, so none can leak.
/// A laboratory value is held from its row on within the context, never before; age = log(1 + rows) scaled
/// to 1 at the context's length.
class FeatureLayout {
 public:
  FeatureLayout() = default;
  /// Throws InputError for a tag map without outputs. Roles and kinds that do not go together are refused by
  /// TagMap::validate, sizes by ForecasterConfig::validate.
  /// season: rows of a cycle, e.g. a day, whose course over the context is written beside the coming rows; 0:
  /// none. prior: keep a column per output for a mechanistic prior, which fill_future leaves alone.
  FeatureLayout(const TagMap& tags, int context, int horizon, int patch, double anchor_tau,
                bool prior = false, int season = 0);

  int context() const { return context_; }
  int horizon() const { return horizon_; }
  int patch() const { return patch_; }
  int history_tokens() const { return context_ / patch_; }
  int history_width() const { return history_row_ * patch_; }  // per token
  int future_width() const { return future_row_; }
  double period() const { return period_; }                       // seconds between rows; 0: no stamps
  const std::vector<Index>& outputs() const { return outputs_; }  // tag ids
  const std::vector<Index>& setpoints() const { return setpoints_; }
  const std::vector<Index>& disturbances() const { return disturbances_; }
  /// What each column holds, e.g. "o2_sp z - anchor"; sizes are those of one history row and one future row.
  std::vector<std::string> history_names() const;
  std::vector<std::string> future_names() const;

  /// From z (context, tags); the weight of a value in an anchor is e^(-age / anchor_tau). Of outputs the
  /// newest `hidden` rows are not looked at.
  ContextSummary summarise(ConstView z, int hidden = 0) const;
  /// Writes x (history_tokens, history_width) from z (context, tags). time0: stamp of the first row, s.
  template <class T>
  void fill_history(T* x, ConstView z, const ContextSummary& summary, double time0, int hidden = 0) const;
  /// Writes x (horizon, future_width) from a plan (H, U) and coming disturbances (H, D), normalised; NaN in
  /// either: unknown at that step. plan null: future operation unknown, all of it. known may be empty.
  /// time0: stamp of the first future row, s.
  template <class T>
  void fill_future(T* x, const ContextSummary& summary, const ConstView* plan, ConstView known,
                   double time0) const;

  /// The two columns of a future row that setpoint u feeds; d column / d z is 1 in both.
  struct PlanColumns {
    int level, change;
  };
  PlanColumns plan_columns(int setpoint) const;
  /// First of the four columns of a future row that hold the season of output `output`; -1: there is no
  /// season.
  int season_column(int output) const { return season_ > 0 ? seasonal_ + 4 * output : -1; }
  /// Column of a future row that holds the prior's change of output `output`; -1: there is no prior.
  int prior_column(int output) const { return prior_ < 0 ? -1 : prior_ + output; }

 private:
  // Where a tag stands in a row, and what it needs to be written.
  struct Slot {
    Index tag = 0;
    int source = 0;      // column of the plan or of the known disturbances
    int column = 0;      // first column in the row
    int categories = 0;  // > 0: one-hot
    bool laboratory = false, ahead = false;
    std::string name;
    std::vector<std::string> labels;  // of the categories
  };
  template <class T>
  void fill_calendar(T* x, double time) const;
  void summarise_season(ContextSummary& summary, ConstView z, int hidden) const;

  int context_ = 0, horizon_ = 0, patch_ = 1, history_row_ = 0, future_row_ = 0;
  double anchor_tau_ = 6, period_ = 0;
  std::vector<Index> outputs_, setpoints_, disturbances_;
  std::vector<Slot> history_outputs_, history_inputs_;  // columns of a history row
  std::vector<Slot> future_inputs_;                     // setpoints, then disturbances
  int history_calendar_ = 0, future_levels_ = 0, future_calendar_ = 0, future_step_ = 0;  // first columns
  int prior_ = -1, season_ = 0, seasonal_ = 0;
  Index tags_ = 0;
};

}  // namespace emisopt
