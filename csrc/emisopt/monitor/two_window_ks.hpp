// A Kolmogorov–Smirnov detector that draws nothing: the newest `recent` values against a reference of
// `reference` values (the first ones after a start or an alarm; Kifer, Ben-David and Gehrke 2004). The
// distance is exact for every value and is kept up to date in O(log reference): a tree over the reference's
// gaps holds sums and extremes of prefix sums, so one value coming and one going change two paths.
#pragma once
#include <cstdint>
#include <vector>

#include "emisopt/monitor/alarm.hpp"

namespace emisopt {

struct TwoWindowKsOptions {
  int reference = 500;
  int recent = 100;
  double limit = 0.25;  // alarm when the distance exceeds it; for a run length: run_length_study.hpp

  /// Throws InputError naming the field.
  void validate() const;
};

class TwoWindowKs {
 public:
  using Options = TwoWindowKsOptions;
  static constexpr bool kHasLimit = true;

  explicit TwoWindowKs(const Options& options);

  bool update(const Options& options, double x);
  /// Distance of the two empirical distributions, 0 to 1; 0 until both windows are full.
  double statistic() const { return distance_; }
  /// Size: mean of the newest values less mean of the reference; delay: the newest.
  Alarm alarm(const Options& options) const;
  void set_limit(double limit) { limit_ = limit; }
  double limit() const { return limit_; }
  void reset();

 private:
  struct Node {
    std::int32_t sum = 0, low = 0, high = 0;  // of the weights below; extremes of the prefix sums
  };
  void lay_out(const Options& options);
  int bin_of(double x) const;
  void add(int bin, std::int32_t weight);

  std::vector<double> reference_;  // as they come; from lay_out() on distinct and ascending
  std::vector<Node> tree_;         // heap order: node i has 2i and 2i + 1; leaves from leaves_ on
  std::vector<std::int32_t> bin_;  // ring of the newest values' bins
  std::vector<double> newest_;     // and the values, for the size
  int leaves_ = 0, seen_ = 0, at_ = 0, count_ = 0;
  double reference_mean_ = 0, distance_ = 0, limit_;
  bool start_anew_ = false;
};

}  // namespace emisopt
