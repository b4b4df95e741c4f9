// Two-sided tabular CUSUM of standardised values: C+ = max(0, C+ + x - k), C- = max(0, C- - x - k); alarm
// when one of them exceeds h (Page 1954; notation of Montgomery, Introduction to Statistical Quality Control,
// ch. 9). Average run lengths: run_length.hpp.
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "emisopt/monitor/alarm.hpp"

namespace emisopt {

struct CusumOptions {
  double slack = 0.5;  // k: half the shift that is looked for, in standard deviations
  double limit = 5;    // h, in standard deviations

  /// Throws InputError naming the field.
  void validate() const;
};

class Cusum {
 public:
  using Options = CusumOptions;
  static constexpr bool kHasLimit = true;

  explicit Cusum(const Options& options) : limit_(options.limit) {}

  /// Takes one finite value; true: alarm, described by alarm(). The next value starts from zero.
  bool update(const Options& options, double x) {
    if (alarmed_) reset();
    // Without branches: which side is above zero is a coin's throw, and a wrong guess costs more than the
    // rest. (t + |t|) / 2 is max(t, 0) to the bit, and GCC cannot make a jump of it.
    const double up = up_ + (x - options.slack), down = down_ - (x + options.slack);
    up_ = 0.5 * (up + std::abs(up));
    down_ = 0.5 * (down + std::abs(down));
    up_count_ = (up_count_ + 1) & -Index{std::bit_cast<std::uint64_t>(up_) != 0};
    down_count_ = (down_count_ + 1) & -Index{std::bit_cast<std::uint64_t>(down_) != 0};
    return alarmed_ = statistic() > limit_;
  }
  double statistic() const { return std::max(up_, down_); }
  /// The larger side: rows since it last was zero, and the mean of x over them.
  Alarm alarm(const Options& options) const;
  void set_limit(double limit) { limit_ = limit; }
  double limit() const { return limit_; }
  void reset() { up_ = down_ = 0, up_count_ = down_count_ = 0, alarmed_ = false; }

 private:
  double up_ = 0, down_ = 0, limit_;
  Index up_count_ = 0, down_count_ = 0;
  bool alarmed_ = false;
};

}  // namespace emisopt
