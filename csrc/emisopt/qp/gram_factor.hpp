// Inverse Cholesky factor of a matrix that gains and loses members: the Gram matrix of a working set. Private
// to qp.
#pragma once
#include <vector>

#include "emisopt/base/types.hpp"
#include "kernels/dense.hpp"

namespace emisopt::detail {

/// T' T = G^-1, T lower triangular, of members 0 .. size-1 in order of joining. With T instead of the factor
/// of G itself a solve is two products, which do not wait for one division after the other, and a member
/// leaves by rotations of rows. Nothing allocates after construction.
class GramFactor {
 public:
  explicit GramFactor(int capacity);
  int size() const { return size_; }
  int capacity() const { return capacity_; }
  void clear();

  /// A row with products `g` (size) with the members: combination = G^-1 g, the members' share of it. Returns
  /// g' G^-1 g, the square of that share.
  double share(const double* g);
  /// Adds the share of another row.
  double add_share(const double* g);
  const double* combination() const { return combination_.data(); }  // (size)
  /// Lets the row join whose combination is known; `square`: that of what is new in it, beside the members.
  /// False: no room.
  bool join(double square);

  /// (size, size) to fill the lower triangle of, then factorised in one go by seal(). Returns -1, or the
  /// first member that depends on those before it: the factor is then spoiled, and open() must follow.
  View open(int size);
  /// Fills what open() gave with the products of `rows` (size, length).
  void gram(const double* rows, long stride, int length);
  int seal(double least);

  void drop(int member);
  void raise(int member, double amount);  // its square grows
  bool lower(int member, double amount);  // ... or falls; false, and nothing changed: it would be dependent
  /// x (size) = G^-1 right. T right is kept from the last call where stale(i) has not said that `right`
  /// changed from i on; what happens to T is taken into account here.
  void solve(double* x, const double* right);
  void stale(int from) { ahead_ = from < ahead_ ? from : ahead_; }
  /// The same in place, nothing kept.
  void solve(double* x);

 private:
  double* row(int i) { return inverse_.data() + static_cast<Index>(i) * stride_; }
  const double* row(int i) const { return inverse_.data() + static_cast<Index>(i) * stride_; }
  void gather(double* y, const double* x, int from) const;  // y_i = (T x)_i, i = from .. size-1
  void spread(double* y, const double* x) const;            // y = T' x

  const kernels::DenseTable& table_;
  int capacity_, size_ = 0, ahead_ = 0;  // half_ holds T right up to ahead_
  long stride_;
  std::vector<double> factor_, inverse_;  // (capacity, stride); inverse_ is 0 beyond T
  std::vector<double> joined_, combination_, half_, squares_, turns_, carry_, work_;
};

}  // namespace emisopt::detail
