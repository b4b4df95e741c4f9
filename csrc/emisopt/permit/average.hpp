// Averages over base means: rolling windows, civil blocks, days and months, the last operating hours and
// days. Each is the mean over a range of base means, and its sum the difference of two exact sums: it costs
// the same at any length and carries nothing of what lies outside it.
#pragma once
#include <deque>
#include <memory>
#include <vector>

#include "emisopt/permit/base_mean.hpp"

namespace emisopt {

/// Begin and end of averages, in order of their end; the first of a stream may begin before its samples.
/// Those that the clock alone decides (base periods, rolling windows) are the same for all columns and
/// shared.
struct Windows {
  RawVector<Second> begin, end;
  RawVector<std::size_t> first;   // rolling: the first base mean in each
  std::vector<std::size_t> runs;  // rolling: where windows of another length than the one before begin
  std::size_t head = 0;           // of the newest
};

/// Averages of one kind, in order of their end.
struct Averages {
  std::shared_ptr<Windows> windows;
  RawVector<double> value;  // NaN where it does not count
  RawVector<Reason> reason;
  RawVector<int> used;  // valid base means in the window

  std::size_t size() const { return value.size(); }
  Span window(std::size_t i) const { return {windows->begin[i], windows->end[i]}; }
};

/// Exact sums over ranges of base means whose ends never go back.
class RangeSum {
 public:
  explicit RangeSum(const BaseSeries& base) : base_(base) {}
  /// Of the valid base means [first, last), correctly rounded.
  double value(std::size_t first, std::size_t last);

 private:
  const BaseSeries& base_;
  ExactSum odd_;                     // of those that Units cannot hold and that lie in the range
  std::size_t head_ = 0, tail_ = 0;  // which of base_.odd() that are
};

/// Whether an average over `valid` of `operating` base means counts. periods: how many the window has room
/// for; unseen: of these, how many the data did not reach: they may have been operation.
Reason judge_average(const Averaging& averaging, int valid, int operating, double periods, double unseen);

class AverageSeries {
 public:
  /// `subtract` (confidence interval) is taken off every value. `windows`: those of another series with the
  /// same clock and averaging when by_clock(averaging), else new ones.
  AverageSeries(const Averaging& averaging, const BaseSeries& base, const Zone& zone, double subtract,
                std::shared_ptr<Windows> windows);
  static bool by_clock(const Averaging& averaging) {
    return averaging.over == Over::base || averaging.over == Over::rolling;
  }

  /// Sets out the windows of base periods that have closed: before advance(), for all columns together.
  void lay_out(std::size_t closed);
  /// Goes over the base means that have closed since. `last`: no more will come, so what is open is closed.
  /// Different series may do so at the same time.
  void advance(bool last);

  const Averaging& spec() const { return spec_; }
  const BaseSeries& base() const { return base_; }
  double subtract() const { return subtract_; }
  /// Grows with advance(); complete after advance(true).
  const std::shared_ptr<Averages>& averages() const { return out_; }

 private:
  // Base means [first, last), and how many of them are valid and of operating time.
  struct Range {
    std::size_t first = 0, last = 0;
    int valid = 0, operating = 0;
  };

  Range range(std::size_t first, std::size_t last) const;
  void advance_by_clock();
  void roll(std::size_t count);
  void copy_base(std::size_t count);
  bool roll_run(const std::size_t* first, std::size_t end);
  void roll_each(std::size_t end);
  void roll_operating(std::size_t i);
  void take(std::size_t i);
  void close_group(std::size_t last);
  void close_day(std::size_t last);
  Span group_of(std::size_t i) const;
  std::size_t last_of_group() const;
  /// periods: how many the window has room for; unseen: of these, how many the stream did not reach.
  Reason judge(const Range& range, double periods, double unseen) const;
  void put(std::size_t i, const Range& range, Reason reason);
  void emit(Span span, const Range& range, Reason reason);

  Averaging spec_;
  const BaseSeries& base_;
  const Zone& zone_;
  double subtract_;
  double room_;  // base periods in a rolling window
  RangeSum sum_;
  std::shared_ptr<Averages> out_;

  std::size_t done_ = 0;          // base means gone over
  std::deque<std::size_t> used_;  // operating_periods: the base means in the window
  Span group_;                    // block, day, month, and the day of operating_days: its time,
  std::size_t group_first_ = 0;   // its first base mean,
  bool group_open_ = false;       // and whether there is one
  struct Day {
    std::size_t first;  // base mean
    Second begin;
  };
  std::deque<Day> days_;  // operating_days: the days in the window
};

}  // namespace emisopt
