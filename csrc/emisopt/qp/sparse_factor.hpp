// B = L D L' of a sparse symmetric matrix in the order given, L by rows. Made for chains and bands, where the
// order of time is a good one: there is no reordering. Private to qp.
#pragma once
#include <vector>

#include "emisopt/base/types.hpp"

namespace emisopt::detail {

class SparseFactor {
 public:
  /// `couplings`: entries below the diagonal that L may have, and that couple() may be told of.
  SparseFactor(int max_order, int couplings);

  /// A matrix of order n and no couplings; then couple() for each (i, j) that may differ from 0, i != j,
  /// repeats allowed; then analyse(). False: more entries than there is room for.
  void begin(Index n);
  bool couple(Index i, Index j);
  bool analyse();
  /// Where in couplings() the entry (i, j), i != j, is.
  std::size_t place(Index i, Index j) const;

  /// Values, by the caller: those of the diagonal, and those below it at their places; all are overwritten by
  /// factorise(). A pinned row and column count as those of the identity, and solutions are 0 there.
  std::vector<double> diagonal, couplings;  // (n), (places())
  std::vector<char> pinned;                 // (n)
  std::size_t places() const { return column_.size(); }
  /// False: a pivot is not positive.
  bool factorise();

  /// Row i of L without its unit diagonal: columns, rising, and values.
  Index row_entries(Index i, const int*& columns, const double*& values) const {
    const auto first = start_[static_cast<std::size_t>(i)];
    columns = column_.data() + first;
    values = couplings.data() + first;
    return static_cast<Index>(start_[static_cast<std::size_t>(i) + 1] - first);
  }
  const double* inverse() const { return inverse_.data(); }  // (n) of D; 0 where pinned
  void forward(double* x) const;                             // x (n) = L^-1 x
  void backward(double* x) const;                            // x (n) = L'^-1 x

 private:
  Index n_ = 0;
  struct Pair {
    int row, column;
  };
  std::vector<Pair> pairs_;
  std::vector<std::size_t> start_, fill_;  // (n + 1)
  std::vector<int> column_, parent_, mark_, sorted_;
  std::vector<double> inverse_, work_;
};

}  // namespace emisopt::detail
