#include "emisopt/train/sliding_cholesky.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

// Four partial sums: the compiler may vectorise them without reordering a sum behind our back.
double dot(const double* a, const double* b, Index n) {
  double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  Index i = 0;
  for (; i + 4 <= n; i += 4) {
    s0 += a[i] * b[i];
    s1 += a[i + 1] * b[i + 1];
    s2 += a[i + 2] * b[i + 2];
    s3 += a[i + 3] * b[i + 3];
  }
  for (; i < n; ++i) s0 += a[i] * b[i];
  return (s0 + s1) + (s2 + s3);
}

}  // namespace

SlidingCholesky::SlidingCholesky(Index capacity, Index sides) : capacity_(capacity), sides_(sides) {
  if (capacity < 1 || capacity > 20000)
    throw InputError("SlidingCholesky(capacity): expected 1..20000 rows, got " + std::to_string(capacity));
  if (sides < 0) throw InputError("SlidingCholesky(sides): expected 0 or more, got " + std::to_string(sides));
  values_.resize(static_cast<std::size_t>(stride() * stride()));
  side_ = Matrix(sides, stride());
}

double SlidingCholesky::append(double* covariance, double variance, double least, const double* right) {
  if (size_ == capacity_)
    throw StateError("SlidingCholesky.append: expected a free row, all " + std::to_string(capacity_) +
                     " are in use");
  forward(covariance);
  const double rest = std::max(variance - dot(covariance, covariance, size_), least);
  const double pivot = std::sqrt(rest);
  for (Index j = 0; j < size_; ++j) values_[place(size_, j)] = covariance[j];
  values_[place(size_, size_)] = pivot;
  for (Index s = 0; s < sides_; ++s)
    side_at(s)[size_] = (right[s] - dot(covariance, side_at(s), size_)) / pivot;
  ++size_;
  return rest;
}

double SlidingCholesky::limit_newest(Index s, double bound) {
  double* b = side_at(s);
  const Index n = size_ - 1;
  b[n] = std::clamp(b[n], -bound, bound);
  double right = 0;
  for (Index j = 0; j <= n; ++j) right += values_[place(n, j)] * b[j];
  return right;
}

void SlidingCholesky::remove(Index p) {
  if (p < 0 || p >= size_)
    throw InputError("SlidingCholesky.remove(row): expected 0.." + std::to_string(size_ - 1) + ", got " +
                     std::to_string(p));
  // L L' + x x' of the rows after p, where x is the column that leaves; of each side its entry at p.
  std::vector<double> x(column(p) + 1, column(p) + (size_ - p)), left;
  for (Index s = 0; s < sides_; ++s) left.push_back(side_at(s)[p]);
  for (Index k = p + 1; k < size_; ++k) {
    double* l = column(k);
    double* rest = x.data() + (k - p - 1);
    const double pivot = std::hypot(l[0], rest[0]);
    const double cosine = l[0] / pivot, sine = rest[0] / pivot;
    l[0] = pivot;
    const auto rotate = [&](double& a, double& b) {
      const double old = a;
      a = cosine * old + sine * b;
      b = cosine * b - sine * old;
    };
    for (Index i = 1; i < size_ - k; ++i) rotate(l[i], rest[i]);
    for (Index s = 0; s < sides_; ++s) rotate(side_at(s)[k], left[static_cast<std::size_t>(s)]);
  }
  close(p);
}

// Moves what stands behind row and column p over them.
void SlidingCholesky::close(Index p) {
  if (p == 0 && first_ + 1 < kSlack) {
    ++first_;
    --size_;
    return;
  }
  const Index back = p == 0 ? first_ + 1 : 0;  // the oldest leaves: everything moves to the beginning again
  if (p == 0) {
    for (Index j = 1; j < size_; ++j) {
      const double* from = column(j);
      std::copy(from, from + (size_ - j), values_.data() + (j - 1) * (stride() + 1));
    }
    for (Index s = 0; s < sides_; ++s)
      std::copy(side_.row(s) + back, side_.row(s) + back + size_ - 1, side_.row(s));
    first_ = 0;
    --size_;
    return;
  }
  for (Index j = 0; j < p; ++j) {
    double* c = column(j);
    std::copy(c + (p - j + 1), c + (size_ - j), c + (p - j));
  }
  for (Index j = p; j + 1 < size_; ++j) {
    const double* from = column(j + 1);
    std::copy(from, from + (size_ - j - 1), column(j));
  }
  for (Index s = 0; s < sides_; ++s) std::copy(side_at(s) + p + 1, side_at(s) + size_, side_at(s) + p);
  --size_;
}

void SlidingCholesky::forward(double* x, Index m) const {
  if (m == 1) {
    for (Index k = 0; k < size_; ++k) {
      const double* l = column(k);
      const double value = x[k] / l[0];
      x[k] = value;
      double* rest = x + k;
      for (Index i = 1; i < size_ - k; ++i) rest[i] -= value * l[i];
    }
    return;
  }
  for (Index k = 0; k < size_; ++k) {
    const double* l = column(k);
    double* row = x + k * m;
    for (Index c = 0; c < m; ++c) row[c] /= l[0];
    for (Index i = 1; i < size_ - k; ++i) {
      const double weight = l[i];
      double* rest = row + i * m;
      for (Index c = 0; c < m; ++c) rest[c] -= weight * row[c];
    }
  }
}

void SlidingCholesky::backward(double* x) const {
  for (Index k = size_; k-- > 0;) {
    const double* l = column(k);
    x[k] = (x[k] - dot(l + 1, x + k + 1, size_ - k - 1)) / l[0];
  }
}

SlidingCholesky SlidingCholesky::with_sides(const std::vector<Index>& kept) const {
  SlidingCholesky copy(*this);
  copy.sides_ = static_cast<Index>(kept.size());
  copy.side_ = Matrix(copy.sides_, stride());
  for (Index s = 0; s < copy.sides_; ++s) {
    const double* from = side_.row(kept[static_cast<std::size_t>(s)]);
    std::copy(from, from + stride(), copy.side_.row(s));
  }
  return copy;
}

std::vector<double> SlidingCholesky::packed() const {
  std::vector<double> out;
  out.reserve(static_cast<std::size_t>(size_ * (size_ + 1) / 2));
  for (Index i = 0; i < size_; ++i)
    for (Index j = 0; j <= i; ++j) out.push_back(at(i, j));
  return out;
}

Matrix SlidingCholesky::packed_sides() const {
  Matrix out(sides_, size_);
  for (Index s = 0; s < sides_; ++s) std::copy(side(s), side(s) + size_, out.row(s));
  return out;
}

void SlidingCholesky::restore(const std::vector<double>& packed, const Matrix& sides) {
  const Index n = sides.cols;
  if (sides.rows != sides_ || n > capacity_ || n * (n + 1) / 2 != static_cast<Index>(packed.size()))
    throw ShapeError("SlidingCholesky.restore: expected " + std::to_string(sides_) +
                     " sides and the triangle of at most " + std::to_string(capacity_) + " rows, got (" +
                     std::to_string(sides.rows) + ", " + std::to_string(n) + ") and " +
                     std::to_string(packed.size()) + " numbers");
  std::size_t at = 0;
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j <= i; ++j, ++at)
      if (!std::isfinite(packed[at]) || (i == j && !(packed[at] > 0)))
        throw InputError("SlidingCholesky.restore: expected finite numbers and pivots above 0, got " +
                         number_text(packed[at]) + " in row " + std::to_string(i));
  first_ = 0;
  size_ = n;
  at = 0;
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j <= i; ++j, ++at) values_[place(i, j)] = packed[at];
  for (Index s = 0; s < sides_; ++s) std::copy(sides.row(s), sides.row(s) + n, side_at(s));
}

}  // namespace emisopt
