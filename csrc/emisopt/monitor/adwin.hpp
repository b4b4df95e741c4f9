// ADWIN2 (Bifet and Gavaldà 2007): a window that grows while its halves look alike and drops its oldest part
// when some cut says they do not. Exponential histogram in flat rows of buckets: row i holds up to
// max_buckets + 1 buckets of 2^i values. Cuts are tried every `clock` values.
#pragma once
#include <cstdint>
#include <vector>

#include "emisopt/monitor/alarm.hpp"

namespace emisopt {

/// Matched implementations differ in three ways. river: a side of a cut has at least min_window values, a
/// change in either direction alarms, and the window starts anew after one. moa: a side has more than
/// min_window + 1 values, only a risen mean alarms, and the window goes on with what was kept. (MOA's int
/// products overflow beyond 2^16 values a bucket; ours do not.)
struct AdwinOptions {
  double delta = 0.002;  // confidence of a cut
  int clock = 32;        // values between tests
  int max_buckets = 5;   // per size, 2 to 16
  int min_window = 5;    // values that a side of a cut needs
  int grace = 10;        // no test before the window holds more than this
  DriftVariant variant = DriftVariant::river;

  /// Throws InputError naming the field.
  void validate() const;
};

class Adwin {
 public:
  using Options = AdwinOptions;
  static constexpr bool kHasLimit = false;

  explicit Adwin(const Options& options);

  bool update(const Options& options, double x) {
    if (start_anew_) reset(options);
    const bool tests = --until_test_ <= 0;
    if (tests) mean_before_ = mean();
    insert(x);
    return tests && test(options);
  }
  /// |change of the mean| of the last alarm.
  double statistic() const { return size_ < 0 ? -size_ : size_; }
  /// Mean of what is kept less mean of what was dropped; the delay is what is kept.
  Alarm alarm(const Options&) const {
    return {size_ > 0 ? 1 : size_ < 0 ? -1 : 0, statistic(), size_, static_cast<Index>(width_)};
  }
  void reset(const Options& options);

  /// Values in the window, and their mean (NaN for none).
  double width() const { return width_; }
  double mean() const { return total_ / width_; }

 private:
  // Buckets of one size in a ring: cells_ holds, per row, totals and then sums of squared deviations.
  struct Row {
    std::uint8_t first = 0, used = 0;
  };
  double* totals(std::size_t row) { return cells_.data() + row * 2 * room_; }
  double* variances(std::size_t row) { return totals(row) + room_; }
  std::size_t place(const Row& row, int k) const {
    return (row.first + static_cast<unsigned>(k)) & (room_ - 1);
  }
  // Variances of row 0 stay zero: a value has none.
  void insert(double x) {
    Row& row = rows_[0];
    cells_[place(row, row.used)] = x;
    ++row.used;
    const double before = width_;
    width_ += 1;
    if (before > 0) {
      const double d = x - total_ / before;
      variance_ += before * d * d / width_;
    }
    total_ += x;
    if (row.used == full_) merge_full_rows();
  }
  bool test(const Options& options);
  void add_row();
  void merge_full_rows();
  void drop_oldest();
  bool reduce(const Options& options);
  bool finds_cut(const Options& options);

  int full_;          // buckets at which a row is merged: max_buckets + 1
  std::size_t room_;  // cells of a ring, a power of two
  std::vector<double> cells_;
  std::vector<Row> rows_;  // rows_[i]: buckets of 2^i values
  double width_ = 0, total_ = 0, variance_ = 0;
  double size_ = 0, mean_before_ = 0;  // change at the last alarm; mean before the value just tested
  int until_test_;
  bool start_anew_ = false;
};

}  // namespace emisopt
