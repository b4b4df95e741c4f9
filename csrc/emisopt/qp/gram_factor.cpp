// Adding a member borders the factor; taking one out closes the gap by a rank-one update of what lies below
// (Gill, Golub, Murray, Saunders 1974).
#include "emisopt/qp/gram_factor.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/qp/dense.hpp"

namespace emisopt::detail {

GramFactor::GramFactor(int capacity)
    : table_(kernels::dense_table()), capacity_(capacity), stride_(capacity + (capacity % 64 == 0 ? 8 : 0)) {
  const auto n = static_cast<std::size_t>(capacity);
  factor_.resize(n * static_cast<std::size_t>(stride_));
  joined_.resize(n + 1);
  half_.resize(n + 1);
  squares_.resize(n);
  work_.resize(static_cast<std::size_t>(kernels::dense_work(capacity)));
}

bool GramFactor::append(const double* g, double square, double least) {
  double* next = joined_.data();
  std::copy_n(g, size_, next);
  table_.trsv(next, factor_.data(), stride_, size_);
  const double pivot = square - dense::dot(next, next, size_);
  if (!(pivot > least * square) || size_ == capacity_) return false;
  std::copy_n(next, size_, row(size_));
  row(size_)[size_] = std::sqrt(pivot);
  ++size_;
  return true;
}

void GramFactor::meets(double* combination) const {
  std::copy_n(joined_.begin(), size_, combination);
  table_.trsv_transposed(combination, factor_.data(), stride_, size_);
}

View GramFactor::open(int size) {
  size_ = size;
  ahead_ = 0;
  return {factor_.data(), size, size, stride_};
}

void GramFactor::gram(const double* rows, long stride, int length) {
  table_.syrk(factor_.data(), stride_, rows, stride, nullptr, size_, length, false, work_.data());
}

int GramFactor::seal(double least) {
  for (int i = 0; i < size_; ++i) squares_[static_cast<std::size_t>(i)] = row(i)[i];
  int bad = table_.potrf(factor_.data(), stride_, size_, work_.data());
  const int checked = bad < 0 ? size_ : bad;
  for (int i = 0; i < checked; ++i)
    if (!(row(i)[i] * row(i)[i] > least * squares_[static_cast<std::size_t>(i)])) return i;
  return bad;
}

void GramFactor::drop(int member) {
  const int below = size_ - 1 - member;
  double* column = joined_.data();
  for (int r = 0; r < below; ++r) {
    const double* from = row(member + 1 + r);
    double* to = row(member + r);
    column[r] = from[member];
    std::copy_n(from, member, to);
    std::copy_n(from + member + 1, r + 1, to + member);
  }
  --size_;
  stale(member);
  if (below > 0) table_.update(row(member) + member, stride_, column, below, work_.data());
}

void GramFactor::raise(int member, double amount) {
  stale(member);
  double* column = joined_.data();
  std::fill_n(column, size_ - member, 0.0);
  column[0] = std::sqrt(amount);
  table_.update(row(member) + member, stride_, column, size_ - member, work_.data());
}

bool GramFactor::lower(int member, double amount) {
  stale(member);
  double* column = joined_.data();
  std::fill_n(column, size_ - member, 0.0);
  column[0] = std::sqrt(amount);
  return table_.downdate(row(member) + member, stride_, column, size_ - member, work_.data());
}

void GramFactor::solve(double* x, const double* right) {
  const int left = size_ - ahead_;
  if (left > 0) {
    double* half = half_.data() + ahead_;
    if (ahead_ > 0) {
      table_.gemv(half, row(ahead_), stride_, half_.data(), left, ahead_);
      for (int i = 0; i < left; ++i) half[i] = right[ahead_ + i] - half[i];
    } else {
      std::copy_n(right, size_, half);
    }
    table_.trsv(half, row(ahead_) + ahead_, stride_, left);
    ahead_ = size_;
  }
  std::copy_n(half_.begin(), size_, x);
  table_.trsv_transposed(x, factor_.data(), stride_, size_);
}

void GramFactor::solve(double* x) const {
  table_.trsv(x, factor_.data(), stride_, size_);
  table_.trsv_transposed(x, factor_.data(), stride_, size_);
}

}  // namespace emisopt::detail
