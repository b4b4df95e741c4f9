// Is the process as a whole as it was? Distances of lagged, filtered rows from normal operation, with limits
// from held-out stretches of the normal rows.
#pragma once
#include <string>
#include <vector>

#include "emisopt/monitor/gaussian_model.hpp"

namespace emisopt {

struct ProcessMonitorOptions {
  int lags = 1;                         // rows before the newest that are looked at with it
  std::vector<double> memory = {1, 9};  // rows that each statistic averages over; 1: the row itself
  double false_alarms = 0.01;           // share of healthy rows in alarm, all statistics together
  int blocks = 5;                       // stretches of the normal rows; each is held out once
  double confidence = 0.95;             // that the share is not exceeded, as far as the blocks tell
};

/// One statistic: an exponentially weighted mean with weight 2 / (memory + 1) of the lagged standardised
/// rows, and its squared shrunk Mahalanobis distance over the number of columns (MEWMA: Lowry et al. 1992;
/// lagged rows: Ku et al. 1995; the covariance is that of the filtered rows themselves, so their
/// autocorrelation is in it).
struct ProcessStatistic {
  double memory = 1;
  ShrunkPrecision precision;  // (d (lags + 1))^2
  double limit = 0;
};

/// What a stream of rows has left behind.
struct ProcessState {
  Matrix past;      // (lags, d) standardised rows, newest first
  Matrix filtered;  // (statistics, d (lags + 1))
  Index seen = 0;   // rows since the start or the last gap
};

class ProcessMonitor {
 public:
  /// Normal rows (N, d), physical, NaN = missing; gap (N) or empty: rows that do not follow the one before.
  /// Throws InputError for options out of range, fewer than 20 rows a block, and as GaussianModel::fit.
  static ProcessMonitor fit(ConstView rows, const std::vector<char>& gap,
                            const std::vector<std::string>& names, const ProcessMonitorOptions& options = {});

  ProcessState start() const;
  /// Takes rows (N, d) in time order; score (N, statistics): statistic over its limit, above 1 is an alarm,
  /// NaN where more than half of the row is missing (the row is passed over). Missing cells count as
  /// expected. contribution: null, or (N, d): of the statistic that is highest against its limit, by how much
  /// its distance falls when the tag is left out; NaN where the score is.
  void push(ProcessState& state, ConstView rows, const char* gap, View score,
            double* contribution = nullptr) const;

  Index size() const { return scale_.size(); }
  const std::vector<ProcessStatistic>& statistics() const { return statistics_; }
  const ProcessMonitorOptions& options() const { return options_; }

 private:
  void fit_statistics(ConstView rows, const std::vector<char>& gap, Index skip, Index skip_end,
                      const std::vector<std::string>& names);
  bool take(ProcessState& state, const double* row, bool gap) const;

  ProcessMonitorOptions options_;
  GaussianModel scale_;
  std::vector<ProcessStatistic> statistics_;
};

}  // namespace emisopt
