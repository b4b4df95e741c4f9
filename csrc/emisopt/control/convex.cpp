#include "emisopt/control/convex.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "emisopt/qp/dense.hpp"

namespace emisopt {
namespace {

constexpr int kSweeps = 60;  // QL steps per eigenvalue; two are common
constexpr int kDoublings = 200;

}  // namespace

Convex::Convex(Index n)
    : n_(n),
      v_(n, n),
      diagonal_(static_cast<std::size_t>(n)),
      off_(static_cast<std::size_t>(n)),
      factor_(n, n),
      work_(static_cast<std::size_t>(kernels::dense_work(static_cast<int>(n)))) {}

bool Convex::raise(View h, double floor) {
  double largest = 0;
  for (Index i = 0; i < n_; ++i)
    for (Index j = 0; j < n_; ++j) {
      if (!std::isfinite(h(i, j))) return false;
      largest = std::max(largest, std::abs(h(i, j)));
    }
  const auto factors = [&](double less) {
    for (Index i = 0; i < n_; ++i) std::copy_n(h.row(i), n_, factor_.row(i));
    for (Index i = 0; i < n_; ++i) factor_(i, i) -= less;
    return dense::cholesky(factor_, work_.data());
  };
  if (factors(floor * (1 - 1e-9))) return false;
  if (n_ <= kSpectral) {
    for (Index i = 0; i < n_; ++i)
      for (Index j = 0; j <= i; ++j) v_(i, j) = v_(j, i) = h(i, j);
    tridiagonal();
    if (diagonalise()) {
      for (Index k = 0; k < n_; ++k) {
        const double lift = floor - diagonal_[static_cast<std::size_t>(k)];
        if (lift <= 0) continue;
        for (Index i = 0; i < n_; ++i) dense::axpy(h.row(i), lift * v_(k, i), v_.row(k), i + 1);
      }
      for (Index i = 0; i < n_; ++i)
        for (Index j = 0; j < i; ++j) h(j, i) = h(i, j);
      return true;
    }
  }
  double lift = std::max(floor, 1e-12 * largest);
  for (int k = 0; k < kDoublings && !factors(floor - lift); ++k) lift *= 2;
  for (Index i = 0; i < n_; ++i) h(i, i) += lift;
  return true;
}

// v_ (n,n) = Q' of Q' A Q = T, T in diagonal_ and off_ (off_[i] couples i - 1 and i).
void Convex::tridiagonal() {
  for (Index i = n_ - 1; i > 0; --i) {
    // Row i is turned onto its entry i - 1 by a reflection of the first i coordinates.
    double norm2 = 0;
    for (Index k = 0; k + 1 < i; ++k) norm2 += v_(i, k) * v_(i, k);
    const auto at = static_cast<std::size_t>(i);
    const double pivot = v_(i, i - 1);
    if (norm2 == 0) {
      off_[at] = pivot;
      diagonal_[at] = 0;  // no reflection
      continue;
    }
    const double length = std::copysign(std::sqrt(norm2 + pivot * pivot), pivot);
    off_[at] = -length;
    v_(i, i - 1) = pivot + length;                               // u, kept in row i
    const double half = norm2 + pivot * pivot + pivot * length;  // u'u / 2
    diagonal_[at] = half;
    // p = A u / half, then A -= u q' + q u' with q = p - (u'p / 2 half) u; both triangles, row by row
    const double* u = v_.row(i);
    double up = 0;
    for (Index j = 0; j < i; ++j) {
      const double p = dense::dot(v_.row(j), u, i) / half;
      off_[static_cast<std::size_t>(j)] = p;
      up += u[j] * p;
    }
    dense::axpy(off_.data(), -up / (2 * half), u, i);
    for (Index j = 0; j < i; ++j) {
      dense::axpy(v_.row(j), -u[j], off_.data(), i);
      dense::axpy(v_.row(j), -off_[static_cast<std::size_t>(j)], u, i);
    }
    off_[at] = -length;
  }
  off_[0] = 0;
  // The reflections multiplied out, smallest first; row i of v_ holds u until it is used.
  for (Index i = 0; i < n_; ++i) {
    const auto at = static_cast<std::size_t>(i);
    if (i > 0 && diagonal_[at] != 0) {
      const double* u = v_.row(i);
      std::fill_n(work_.begin(), i, 0.0);
      for (Index k = 0; k < i; ++k) dense::axpy(work_.data(), u[k] / diagonal_[at], v_.row(k), i);
      for (Index k = 0; k < i; ++k) dense::axpy(v_.row(k), -u[k], work_.data(), i);
    }
    diagonal_[at] = v_(i, i);
    v_(i, i) = 1;
    for (Index j = 0; j < i; ++j) v_(i, j) = v_(j, i) = 0;
  }
  for (Index i = 0; i < n_; ++i)
    for (Index j = 0; j < i; ++j) std::swap(v_(i, j), v_(j, i));
}

// T = Z D Z': D in diagonal_, v_ becomes (Q Z)'. False when an eigenvalue does not settle.
bool Convex::diagonalise() {
  std::vector<double>&d = diagonal_, &e = off_;
  std::rotate(e.begin(), e.begin() + 1, e.end());  // e[i] couples i and i + 1; the last is 0
  const auto n = static_cast<std::size_t>(n_);
  for (std::size_t l = 0; l < n; ++l)
    for (int sweep = 0;; ++sweep) {
      std::size_t m = l;
      while (m + 1 < n && std::abs(e[m]) > 1e-16 * (std::abs(d[m]) + std::abs(d[m + 1]))) ++m;
      if (m == l) break;
      if (sweep == kSweeps) return false;
      double g = (d[l + 1] - d[l]) / (2 * e[l]);
      double r = std::sqrt(g * g + 1);
      g = d[m] - d[l] + e[l] / (g + std::copysign(r, g));
      double s = 1, c = 1, p = 0;
      bool split = false;
      for (std::size_t i = m; i-- > l;) {
        const double f = s * e[i];
        const double b = c * e[i];
        r = std::sqrt(f * f + g * g);
        e[i + 1] = r;
        if (r == 0) {
          d[i + 1] -= p;
          e[m] = 0;
          split = true;
          break;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1] - p;
        r = (d[i] - g) * s + 2 * c * b;
        p = s * r;
        d[i + 1] = g + p;
        g = c * r - b;
        double *low = v_.row(static_cast<Index>(i)), *high = v_.row(static_cast<Index>(i) + 1);
        for (Index k = 0; k < n_; ++k) {
          const double above = high[k];
          high[k] = s * low[k] + c * above;
          low[k] = c * low[k] - s * above;
        }
      }
      if (split) continue;
      d[l] -= p;
      e[l] = g;
      e[m] = 0;
    }
  return true;
}

}  // namespace emisopt
