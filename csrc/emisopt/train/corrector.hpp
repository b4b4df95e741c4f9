// A closed-form forecaster that follows the plant: what operation implies, corrected by the newest labels.
#pragma once
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "emisopt/train/corrector_columns.hpp"
#include "emisopt/train/label_window.hpp"
#include "emisopt/train/operation_map.hpp"
#include "emisopt/train/recursive_least_squares.hpp"

namespace emisopt {

/// What the defaults were chosen on, and their figures: docs/learning.md.
struct CorrectorConfig {
  /// gp: a Gaussian process over operation x time on the newest labels. rls: recursive least squares with
  /// forgetting, linear in operation: a hundredth of the work, less exact.
  enum class Method { gp, rls };
  Method method = Method::gp;
  int delay = 0;      // rows by which labels come late, >= 0
  int window = 1000;  // gp: labels kept, 2..5000
  std::vector<KernelTerm> kernel = {{0.06, 1500, 0}, {0.76, 4500, 1.5}, {0.09, 155, 2.5}, {0.09, 2.3, 0.85}};
  /// gp: one more term where rows have stamps and a day has at least four of them, its time and period in
  /// days; variance 0: none.
  KernelTerm daily = {0.1, 60, 1.5, 1, 0.5};
  std::vector<KernelTerm> patterns;  // more of the kind of `daily`
  double noise = 0.01;               // gp: variance of what no term explains, > 0
  double spike = 3;          // standard deviations beyond which a label that surprises counts no more, > 0
  int refactor = 1000;       // gp: labels after which the factor is made anew, >= 1
  double forgetting = 0.99;  // rls: per label, in (0.5, 1]
  double prior = 3;          // rls: precision of a weight around 0, in labels, > 0
  OperationMapConfig map;
  std::vector<int> lags = {0};    // rows back at which operation is looked at
  bool calendar = true;           // hour and weekday beside operation, where rows have stamps
  bool calendar_distance = true;  // whether they count in the distance of two rows
  double utc_offset = 0;          // hours by which the plant's clock is ahead of the stamps, -14..14
  void validate() const;          // InputError "CorrectorConfig.field: expected ..., got ..."
};
/// The kernel's variances, the noise and all residuals are in units of the outputs' variance on the training
/// rows, in log space for the outputs that the scaler takes the log of.

/// z = map(operation) + w(operation, time), z normalised as the network's (features/scaler.hpp). The map is
/// fitted once on training rows; w follows the labels of the stream, each handed in when its time has come.
/// To be used beside a network (blend) or under it (an input); a network that sees the labels itself is not
/// helped by a correction on top. All answers depend on the sequence of labels alone, bit for bit. Not
/// thread-safe, const members included: they cache.
class Corrector {
 public:
  /// Learns on rows [0, rows) of the history and reads no other; the labels of the newest `delay` of them
  /// have not arrived yet and are not read either. Throws InputError for a bad config, for what Scaler::fit
  /// refuses, and for a plant without outputs.
  static Corrector fit(const History& history, Index rows, const CorrectorConfig& config = {});
  /// The same for a plant of which `source`, learnt on another one, knows something: tags are matched and
  /// scales adopted as model/transplant.hpp does, and the map of operation is shrunk towards the source's
  /// with `pull` times the penalties. The labels of the source stay there.
  static Corrector transfer(const Corrector& source, const History& history, Index rows,
                            const CorrectorConfig& config, double pull = 1,
                            const std::vector<std::pair<std::string, std::string>>& match = {});

  const CorrectorConfig& config() const { return config_; }
  const TagMap& tags() const { return tags_; }
  const Scaler& scaler() const { return scaler_; }
  const CorrectorColumns& columns() const { return columns_; }
  const std::vector<Index>& outputs() const { return outputs_; }
  Index labels() const { return labels_; }  // rows with at least one value taken so far

  /// Takes in what was measured in the row of time `t` (corrector_columns.hpp: row_time): operation x
  /// (columns, normalised), outputs y (O, physical, NaN = missing; infinite counts as missing). `now` is the
  /// time of the first row that is not over. Labels may come in any order; one of a time seen before replaces
  /// it; one older than a full window is not taken (false), nor one without any value. Throws InputError for
  /// t or now that is not finite, for `now` that goes back, and for a label that comes before t + 1 + delay.
  bool observe(double t, const double* x, const double* y, double now);
  /// The same for a row of a history with the tags of fit; `now` a row of it, too, and the delay counted
  /// in its rows, whatever the stamps say. `first`, here and below: the number of the history's first row,
  /// which is what tells rows without stamps apart when older ones have been dropped.
  bool observe(const History& history, Index row, Index now, Index first = 0);

  /// All labels of the history's rows < now - delay that are newer than the newest taken, at most two windows
  /// of them; returns how many were taken. Rows from `now` on are not read.
  Index catch_up(const History& history, Index now, Index first = 0);
  /// Forgets all labels and the clock, keeps what fit learnt of operation: to live through a past again.
  void restart();

  /// Normalised mean (n, O) and, unless null, variance (n, O; of a new measurement, noise included) at times
  /// t (n) and operations x (n, columns).
  void predict(View mean, View* variance, const double* t, ConstView x) const;
  /// d mean / d x at one row: out (O, columns), normalised; exact.
  void slope(View out, double t, const double* x) const;
  /// out (n, O*Q), physical quantiles of normal distributions in the scaler's space; levels in (0, 1).
  void quantiles(View out, ConstView mean, ConstView variance, const std::vector<double>& levels) const;

  /// The H rows after a history: plan (H, U), known (H, D), physical, NaN: held at the newest value.
  /// mean, variance (H, O), normalised; variance may be null.
  void forecast(View mean, View* variance, const History& history, ConstView plan, ConstView known,
                Index first = 0) const;
  /// out (H*O, H*U): d physical median / d setpoint, row t*O+o, column s*U+u; exactly 0 for s > t, and where
  /// the plan is NaN or beyond kOperationClip.
  void jacobian(View out, const History& history, ConstView plan, ConstView known, Index first = 0) const;

  /// Goes through rows [begin, end) of a history as a plant would: before origin k all labels of rows
  /// < k - delay that are new are taken in, then the rows k + lead - 1 are forecast with the setpoints and
  /// known-ahead disturbances that came there, other disturbances held at their newest value before k. mean,
  /// variance (origins, leads*O), normalised; origins are begin, begin + stride, ...; rows beyond the history
  /// are NaN. Throws InputError.
  void replay(View mean, View* variance, const History& history, Index begin, Index end, Index stride,
              const std::vector<int>& leads);

  /// The whole state in one file, atomically; load gives the same bits in all that follows. FileError.
  void save(const std::string& path) const;
  static Corrector load(const std::string& path);

 private:
  struct Group {
    std::vector<Index> outputs;  // places among the outputs, rising
    LabelWindow window;
  };
  static Corrector learn(const History& history, Index rows, const CorrectorConfig& config,
                         const std::function<void(Corrector&, Index)>& start, double pull);
  OperationKernel kernel() const;
  bool accept(double t, const double* x, const double* y, double now);
  void take(double t, const double* x, const double* z);
  Index first_new(const History& history, Index now, Index first) const;
  void take_gp(double t, const double* x, const std::vector<double>& residual);
  void take_rls(const double* x, const std::vector<double>& residual);
  void innovate(Index output, double innovation);
  void tidy();
  void check_tags(const History& history, const char* where) const;
  Index output_count() const { return static_cast<Index>(outputs_.size()); }
  const TagScale& output_scale(Index o) const {
    return scaler_.tags[static_cast<std::size_t>(outputs_[static_cast<std::size_t>(o)])];
  }

  CorrectorConfig config_;
  TagMap tags_;
  Scaler scaler_;
  CorrectorColumns columns_;
  std::vector<Index> outputs_;  // tags
  OperationMap map_;
  std::vector<Group> groups_;               // gp: outputs known in the same rows share a window
  std::vector<RecursiveLeastSquares> rls_;  // rls: one per output
  std::vector<double> spread_;              // (O) running mean of squared innovations, 1 when well set
  static constexpr double kNever = -1e300;
  double now_ = kNever;
  double newest_ = kNever;  // time of the newest label handed in
  Index labels_ = 0, since_refactor_ = 0;
};

const char* to_string(CorrectorConfig::Method);

}  // namespace emisopt
