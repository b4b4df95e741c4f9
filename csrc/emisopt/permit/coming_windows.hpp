// The windows that a permit's averages will have over coming steps: what of them is known, and by how much
// each step counts. Private to coming_rows.cpp.
#pragma once
#include <vector>

#include "emisopt/permit/average.hpp"
#include "emisopt/permit/coming_rows.hpp"

namespace emisopt {

/// A base period that the data have not closed: its mean is known + sum over steps of share * y.
struct Cell {
  Span span;
  int day = 0;
  bool operating = true, valid = true;
  bool closes = true;  // before the end of the horizon
  double known = 0;
  Index first_step = 0;
  std::vector<double> share;  // per step from first_step on
};

/// One column on one base period: what is closed, what waits, what is to come.
class Outlook {
 public:
  /// waiting: rows that the queue has not handed over yet. All but `waiting` must outlive this.
  Outlook(const BaseSeries& base, const Zone& zone, const Ahead& ahead, double sample_s, Stamp stamp,
          const Samples& waiting);

  /// Base periods without a closed mean, in order and without a gap, to the end of the steps.
  const std::vector<Cell>& cells() const { return cells_; }
  const BaseSeries& base() const { return base_; }
  const Zone& zone() const { return zone_; }
  Second end() const { return end_; }
  std::size_t closed() const { return base_.values().size(); }  // base means that the series has
  Second begin_of(std::size_t closed_mean) const { return base_.clock().periods()[closed_mean].begin; }
  int day_of(std::size_t closed_mean) const { return base_.clock().days()[closed_mean]; }
  /// First closed mean that begins at or after an instant.
  std::size_t first_from(Second begin) const;

 private:
  void add(Span span, int day, const BaseSeries* closed, std::size_t place, const BaseSeries* open,
           double sample_s, Stamp stamp);

  const BaseSeries& base_;
  const Zone& zone_;
  const Ahead& ahead_;
  Second end_;
  std::vector<Cell> cells_;
};

/// A window over closed base means [first, last) and cells [from, to).
struct ComingWindow {
  std::size_t first = 0, last = 0, from = 0, to = 0;
  Span span;
  double room = 0,
         unseen = 0;   // base periods that it has room for (-1: that operate), that lie before the data
  bool closes = true;  // within the steps; else its mean to date is asked, whatever counts
};

/// In order of time; those whose cells the steps do not touch, too.
std::vector<ComingWindow> coming_windows(const Averaging& averaging, const Outlook& outlook, bool to_date);

}  // namespace emisopt
