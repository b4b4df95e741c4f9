// A permit limit as rows that are linear in the forecast: the same rows are checked for compliance,
// forecast as probabilities and handed to the controller. One averaging code, not three.
#pragma once
#include <string>
#include <vector>

#include "emisopt/base/types.hpp"

namespace emisopt {

/// A limit on one forecast output (or mapped quantity). window 1 is a spot limit; window n a rolling mean
/// over n rows, judged at every row, over the valid rows only.
struct Limit {
  std::string name;        // e.g. "NOx 1 h", for people and reports
  int output = 0;          // which column of the forecast
  double limit = 0;        // in the output's unit
  int window = 1;          // rows
  int rank = 1;            // 1 is most important
  double quantile = 0.95;  // the forecast quantile that must hold (back-off); 0.5: the median
  double min_valid = 0.5;  // share of rows of the window that must be valid for the mean to count
};

/// sum_k coefficient[k] * y(first_step + k) <= rhs, k over future steps; the known past is in rhs.
struct LimitRow {
  int limit = 0;                    // which Limit
  int end_step = 0;                 // the future step (0-based) at whose end the window closes
  int first_step = 0;               // first future step inside the window
  std::vector<double> coefficient;  // per future step first_step..end_step; a mean: 1/(valid past + future)
  double rhs = 0;                   // limit - (sum of known past in window) / count
  bool closes = true;               // false: the window goes on beyond the horizon, this is its mean to date
};

/// Throws InputError naming limit and field: output in [0, outputs), finite limit, window and rank >= 1,
/// quantile in (0, 1), min_valid in [0, 1].
void check_limit(const Limit& limit, int outputs);

/// How many rows of a window must be valid for its mean to count: ceil(min_valid * window), at least 1.
int required_valid(int window, double min_valid);

/// Rows for each limit and each window that closes in steps 0..horizon-1, in that order (limit, end_step).
/// past (N, O): measured outputs up to now, newest last; a value that is not finite is invalid and left out
/// of the mean, and so are the rows before the first. Future rows all count as valid. A window that stays
/// below min_valid even so is not judged and yields no row. Throws InputError for a bad limit or horizon < 1.
std::vector<LimitRow> limit_rows(const std::vector<Limit>& limits, ConstView past, int horizon);
/// The same into the first of `rows`, on their memory; how many they are. What lies beyond is of no meaning.
std::size_t limit_rows(std::vector<LimitRow>& rows, const std::vector<Limit>& limits, ConstView past,
                       int horizon);

/// Throws InputError for a row whose limit is none of `limits`, or whose steps leave [0, horizon).
void check_rows(const std::vector<LimitRow>& rows, std::size_t limits, int horizon);

/// Appends rows whose limits stand in a list from place `offset` on.
void append_rows(std::vector<LimitRow>& rows, const std::vector<LimitRow>& more, int offset);

/// The rolling mean of `values` (N) over `window` rows, NaN where fewer than min_valid of it are valid; rows
/// before the first are invalid. One pass with compensated sums. Every value is added, none is ever
/// subtracted again, so neither drift nor a past spike outlives the window. Throws InputError for window < 1.
std::vector<double> rolling_mean(const double* values, Index n, int window, double min_valid);

}  // namespace emisopt
