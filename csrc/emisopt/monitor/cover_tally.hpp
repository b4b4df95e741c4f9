// How often intervals cover what came, over all rows and over any window of them, and how wide they are.
#pragma once
#include <vector>

#include "emisopt/base/types.hpp"
#include "emisopt/permit/exact_sum.hpp"

namespace emisopt {

/// One interval forecast's record. A mean over a year hides months of misses, so the least and the greatest
/// cover over any `window` rows in a row are kept beside it; sums are exact, so nothing drifts.
class CoverTally {
 public:
  /// window >= 1 rows. Throws InputError.
  explicit CoverTally(int window = 500);
  /// The next row: whether it lay inside, and the interval's width (finite). O(1), allocates nothing.
  void add(bool inside, double width);

  Index rows() const { return rows_; }
  double cover() const;        // share of all rows that lay inside; NaN without rows, and so below
  double width() const;        // mean over all rows
  double recent() const;       // cover of the newest window, of what there is of it at first
  double least() const;        // least cover of any full window; NaN before the first is full
  double greatest() const;     // and the greatest
  double least_width() const;  // mean width of the window with the least cover, the first of them
  double widest() const;       // greatest mean width of any full window

 private:
  Index window_, rows_ = 0, inside_ = 0;
  Index in_window_ = 0, least_ = 0, greatest_ = 0;
  ExactSum sum_, window_sum_;
  double least_width_ = kMissing, widest_ = kMissing;
  std::vector<char> ring_;
  std::vector<double> widths_;
};

/// Raw and corrected intervals between two levels side by side, per step and output.
class CoverageMonitor {
 public:
  /// levels (Q): of the fans that add() gets; low < 0.5 < high: two of them. Throws InputError.
  CoverageMonitor(int horizon, int outputs, std::vector<double> levels, double low = 0.1, double high = 0.9,
                  int window = 500);
  /// What came at a step (0-based) of an output, with its raw and its corrected fan (Q); NaN in one of them
  /// or in y: not counted.
  void add(int step, int output, double y, const double* raw, const double* corrected);

  const CoverTally& raw(int step, int output) const { return raw_[at(step, output)]; }
  const CoverTally& corrected(int step, int output) const { return corrected_[at(step, output)]; }
  int horizon() const { return horizon_; }
  int outputs() const { return outputs_; }
  double nominal() const { return levels_[high_] - levels_[low_]; }

 private:
  std::size_t at(int step, int output) const;

  int horizon_, outputs_;
  std::vector<double> levels_;
  std::size_t low_ = 0, high_ = 0;
  std::vector<CoverTally> raw_, corrected_;  // (H, O)
};

}  // namespace emisopt
