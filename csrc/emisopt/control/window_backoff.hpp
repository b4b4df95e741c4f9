// Back-off of averaging windows that learns: how far the mean over what is left of a window ends above what
// the chosen plan was held to.
//
// Quantiles of single rows say little about a mean: errors of neighbouring rows go together, and a controller
// looks again before the window closes. So for each averaging limit, each number of rows up to a window's end
// and each number of coming rows in it, the errors
//
//   e = sum_k c_k (y_k - f_k) / sum_k c_k - s    c: the row's coefficients, f: the forecast it was held by,
//                                                s >= 0: what the plan left free of the row, as a mean
//
// of windows whose rows have been observed are kept, the newest `memory` of them, and the row is held at
//
//   sum_k c_k f_k <= rhs - b sum_k c_k           b = min(most |limit|, max(0, (n q + n0 prior |limit|) / (n +
//   n0)))
//
// with q their quantile (the order statistic ceil((n + 1) quantile), so that a new error is above it in
// 1 - quantile of cases when errors are exchangeable), n how many there are, n0 = prior_count. The window
// ends above its limit exactly when e > b (unless the plan broke the row): q is the back-off at which a share
// of 1 - quantile of the windows does. s is in e because a plan may leave room that later ones use, which is
// no error. Later moves are decided anew, so an error is one after recourse: what a controller that looks
// again has to keep free.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "emisopt/base/safetensors.hpp"
#include "emisopt/base/types.hpp"
#include "emisopt/permit/limit_row.hpp"

namespace emisopt {

struct WindowBackoffConfig {
  double quantile =
      0.97;          // of the errors; 1 - quantile: share of windows that may end above what was kept free
  double prior = 0;  // back-off before anything was learnt, share of the limit
  double prior_count = 10;  // errors that the prior weighs as much as
  double most = 0.2;        // upper bound of b, share of the limit
  int memory = 500;         // errors kept for each remaining length
  int lateness = 12;        // rows after its own that a label may still come

  /// Throws InputError naming the field.
  void validate() const;
};

class WindowBackoff {
 public:
  /// limits: all that rows may belong to, as the controller has them; outputs: columns of its forecast, of
  /// which the measured ones come first. Throws InputError.
  WindowBackoff(std::vector<Limit> limits, int horizon, int outputs, WindowBackoffConfig config = {});

  int horizon() const { return horizon_; }
  int outputs() const { return outputs_; }
  const std::vector<Limit>& limits() const { return limits_; }
  const WindowBackoffConfig& config() const { return config_; }

  /// Whether a row is one of an average: several coming rows, or one beside a measured past; what is wholly
  /// to come and closes beyond the horizon is left alone, since there is time to look again.
  static bool averages(const LimitRow& row);
  /// b of the rows that close `end_step` + 1 rows ahead with `coming` rows of them to come, in the output's
  /// unit.
  double back_off(int limit, int end_step, int coming) const;
  /// How many errors it rests on.
  int learnt(int limit, int end_step, int coming) const;
  /// Takes b times the share that is still to come off the right-hand side of each row of an average. Throws
  /// InputError as check_rows.
  void tighten(std::vector<LimitRow>& rows) const;

  /// Remembers the rows as they were before tighten(), and the forecast (H, O) of the plan that was chosen
  /// for them. row: of its first step; rows rise, gaps are fine. A row whose forecast is not finite is not
  /// learnt from. Throws InputError for a row that does not rise or a limit that there is not, ShapeError.
  void issue(Index row, const std::vector<LimitRow>& rows, ConstView median, ConstView upper);
  /// What came in a row (O' measured outputs, at most O), NaN: nothing yet. What is known already, rows that
  /// no forecast was issued for and labels that come later than `lateness` are passed over. A window is
  /// learnt from as soon as all its rows are known, or after `lateness` by those that are, if they are half
  /// its weight. Returns how many windows taught.
  Index observe(Index row, const double* y, int measured);

  Index row() const { return last_; }  // last row issued; -1: none
  /// The oldest row whose labels would still be taken; -1: none was issued.
  Index oldest() const;
  /// From here on rows are strangers to all that is remembered.
  Index next_row() const { return last_ < 0 ? 0 : last_ + horizon_ + config_.lateness; }

  /// All that a back-off depends on: the same calls after a save and a load give the same bits.
  SafeTensors state() const;
  std::string hash() const { return state().content_hash(); }
  static WindowBackoff from_state(const SafeTensors& state, const std::string& where);
  void save(const std::string& path) const { state().save(path); }  // atomic; FileError
  static WindowBackoff load(const std::string& path) { return from_state(SafeTensors::load(path), path); }

 private:
  // Errors of one limit, lead and remaining length: a ring, oldest first from `next` on once it is full.
  struct Errors {
    std::vector<double> value;
    int next = 0;
    double bound = 0;  // their quantile
  };
  struct Window {
    Index row = 0;  // of its first coming row
    std::int64_t limit = 0, lead = 0;
    double left = 0;  // free of the row as it was held, as a mean
    std::vector<double> weight, forecast;
  };
  std::size_t place(int limit, int end_step, int coming) const {
    return static_cast<std::size_t>((limit * horizon_ + end_step) * horizon_ + coming - 1);
  }
  const Errors* errors(int limit, int end_step, int coming) const;
  void learn(const Window& window, double error);
  void refresh(Errors& errors);
  Index settle();
  void read(const SafeTensors& state, const std::string& where);
  double label(Index row, Index output) const;

  std::vector<Limit> limits_;
  int horizon_, outputs_;
  WindowBackoffConfig config_;
  std::vector<int> index_;  // (limits, H, H) in errors_, -1: none seen
  std::vector<Errors> errors_;
  std::vector<Window> open_;             // in the order of issue
  std::vector<std::int64_t> label_row_;  // (ring) row that a slot of label_ is of, -1: none
  std::vector<double> label_;            // (ring, O)
  Index last_ = -1, newest_ = -1;        // issued, observed
  std::vector<double> sorted_;
};

}  // namespace emisopt
