// Page–Hinkley test on values as they are (Page 1954; Hinkley 1971): deviations from the running mean, summed
// with forgetting. Two implementations are matched: river's is two-sided and compares with the extreme of the
// sum, MOA's is one-sided and compares the sum itself; they alarm on different rows.
#pragma once
#include "emisopt/monitor/alarm.hpp"

namespace emisopt {

enum class DriftMode { up, down, both };

struct PageHinkleyOptions {
  Index min_instances = 30;   // values before the first test
  double delta = 0.005;       // deviation that is tolerated, in the values' unit
  double limit = 50;          // threshold, called lambda elsewhere, in the values' unit
  double alpha = 1 - 0.0001;  // forgetting per value
  DriftMode mode = DriftMode::both;
  DriftVariant variant = DriftVariant::river;  // moa: mode up only

  /// Throws InputError naming the field.
  void validate() const;
};

class PageHinkley {
 public:
  using Options = PageHinkleyOptions;
  static constexpr bool kHasLimit = true;

  explicit PageHinkley(const Options& options) : limit_(options.limit) {}

  bool update(const Options& options, double x) {
    return options.variant == DriftVariant::river ? update_river(options, x) : update_moa(options, x);
  }
  /// What is compared with the limit; 0 before `min_instances` values.
  double statistic() const { return rise_ > fall_ ? rise_ : fall_; }
  Alarm alarm(const Options& options) const;
  void set_limit(double limit) { limit_ = limit; }
  double limit() const { return limit_; }
  void reset() { *this = PageHinkley(limit_); }

 private:
  explicit PageHinkley(double limit) : limit_(limit) {}
  bool update_river(const Options& options, double x);
  bool update_moa(const Options& options, double x);

  double mean_ = 0, up_ = 0, down_ = 0, limit_;
  double low_ = std::numeric_limits<double>::infinity(), high_ = -1;  // extremes of up_, down_; as river's
  double rise_ = 0, fall_ = 0;
  Index count_ = 0, low_at_ = 0, high_at_ = 0;
  bool alarmed_ = false;
};

}  // namespace emisopt
