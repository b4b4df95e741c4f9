// Averages over base means: rolling windows, civil blocks, days and months, the last operating hours and
// days. Each base mean enters a window once and leaves it once, exactly, so a window costs the same at any
// length and carries nothing of what has left it.
#pragma once
#include <deque>
#include <memory>
#include <vector>

#include "emisopt/permit/base_mean.hpp"

namespace emisopt {

/// Averages of one kind, in order of their end.
struct Averages {
  std::vector<Second> begin, end;  // of the window; the first of a stream may begin before its samples
  std::vector<double> value;       // NaN where it does not count
  std::vector<Reason> reason;
  std::vector<int> used;  // valid base means in the window

  std::size_t size() const { return value.size(); }
};

class AverageSeries {
 public:
  /// `subtract` (confidence interval) is taken off every value.
  AverageSeries(const Averaging& averaging, const BaseSeries& base, const Zone& zone, double subtract)
      : spec_(averaging), base_(base), zone_(zone), subtract_(subtract) {}

  /// Goes over the base means that have closed since. `last`: no more will come, so what is open is closed.
  void advance(bool last);

  const Averaging& spec() const { return spec_; }
  const BaseSeries& base() const { return base_; }
  double subtract() const { return subtract_; }
  /// Grows with advance(); complete after advance(true).
  const std::shared_ptr<Averages>& averages() const { return out_; }

 private:
  // Exact sum and counts of some base means.
  struct Part {
    ExactSum sum;
    int valid = 0, operating = 0;

    void add(double value, Reason reason);
    void drop(double value, Reason reason);
  };

  void take(std::size_t i);
  void roll(std::size_t i);
  void roll_operating(std::size_t i);
  void close_group();
  void close_day(Span day);
  Span group_of(std::size_t i) const;
  /// periods: how many the window has room for; unseen: of these, how many the stream did not reach.
  Reason judge(const Part& part, double periods, double unseen) const;
  void emit(Span span, int used, Reason reason, double mean);
  void emit(Span span, const Part& part, Reason reason);

  Averaging spec_;
  const BaseSeries& base_;
  const Zone& zone_;
  double subtract_;
  std::shared_ptr<Averages> out_ = std::make_shared<Averages>();

  std::size_t done_ = 0;          // base means gone over
  Part window_;                   // rolling, operating_*
  std::size_t head_ = 0;          // rolling: first base mean in the window
  std::deque<std::size_t> used_;  // operating_periods: the base means in the window
  Part group_;                    // block, day, month, and the day of operating_days
  Span group_span_;
  int group_seen_ = 0;
  bool group_open_ = false;
  struct Day {
    Part part;
    Second begin;
  };
  std::deque<Day> days_;  // operating_days: the days in the window
};

}  // namespace emisopt
