// EWMA chart of standardised values: z = (1 - w) z + w x, alarm when |z| exceeds L sqrt(w / (2 - w)), its
// asymptotic limit (Roberts 1959; Lucas and Saccucci 1990). Average run lengths: run_length.hpp.
#pragma once
#include <cmath>

#include "emisopt/monitor/alarm.hpp"

namespace emisopt {

struct EwmaOptions {
  double weight = 0.1;  // of the newest value, in (0, 1]
  double limit = 2.8;   // L, in standard deviations of z

  /// Throws InputError naming the field.
  void validate() const;
};

class Ewma {
 public:
  using Options = EwmaOptions;
  static constexpr bool kHasLimit = true;

  explicit Ewma(const Options& options) : deviation_(std::sqrt(options.weight / (2 - options.weight))) {
    set_limit(options.limit);
  }

  bool update(const Options& options, double x) {
    if (alarmed_) reset();
    const double before = z_;
    z_ += options.weight * (x - z_);
    count_ = 1 + (count_ & -Index{(before > 0) == (z_ > 0)});
    return alarmed_ = std::abs(z_) > bound_;
  }
  /// |z| in its own standard deviations.
  double statistic() const { return std::abs(z_) / deviation_; }
  /// Rows since z last changed its sign; the size is z itself, which lags behind a change.
  Alarm alarm(const Options&) const { return {z_ > 0 ? 1 : -1, statistic(), z_, count_}; }
  void set_limit(double limit) { limit_ = limit, bound_ = limit * deviation_; }
  double limit() const { return limit_; }
  void reset() { z_ = 0, count_ = 0, alarmed_ = false; }

 private:
  double z_ = 0, deviation_, limit_ = 0, bound_ = 0;
  Index count_ = 0;
  bool alarmed_ = false;
};

}  // namespace emisopt
