// Cholesky factor of a matrix that gains and loses members: the Gram matrix of a working set. Private to qp.
#pragma once
#include <vector>

#include "emisopt/base/types.hpp"
#include "kernels/dense.hpp"

namespace emisopt::detail {

/// L L' = G, of members 0 .. size-1 in order of joining. Nothing allocates after construction.
class GramFactor {
 public:
  explicit GramFactor(int capacity);
  int size() const { return size_; }
  int capacity() const { return capacity_; }
  void clear() { size_ = ahead_ = 0; }

  /// Joins a member with products `g` (size) with the others and `square` with itself, unless its part that
  /// is new is below `least` of the square. False: not joined, and meets() can be asked.
  bool append(const double* g, double square, double least);
  /// After a refused append: (L L')^-1 g, the combination of members that makes up the refused one.
  void meets(double* combination) const;

  /// (size, size) to fill the lower triangle of, then factorised in one go by seal(). Returns -1, or the
  /// first member that depends on those before it: the factor is then spoiled.
  View open(int size);
  /// Fills what open() gave with the products of `rows` (size, length).
  void gram(const double* rows, long stride, int length);
  int seal(double least);

  void drop(int member);
  void raise(int member, double amount);  // its square grows
  bool lower(int member, double amount);  // ... or falls; false, and nothing changed: it would be dependent
  /// x (size) = G^-1 right. L^-1 right is kept from the last call for members 0 .. i-1 where stale(i) says that
  /// `right` has changed from i on; what happens to the factor is taken into account here.
  void solve(double* x, const double* right);
  /// The same in place, nothing kept.
  void solve(double* x) const;
  void stale(int from) { ahead_ = from < ahead_ ? from : ahead_; }

 private:
  double* row(int i) { return factor_.data() + static_cast<Index>(i) * stride_; }
  const double* row(int i) const { return factor_.data() + static_cast<Index>(i) * stride_; }

  const kernels::DenseTable& table_;
  int capacity_, size_ = 0, ahead_ = 0;  // half_ holds L^-1 right up to ahead_
  long stride_;
  std::vector<double> factor_, joined_, half_, squares_, work_;
};

}  // namespace emisopt::detail
