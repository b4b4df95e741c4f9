#include "emisopt/control/curvature.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/qp/dense.hpp"

namespace emisopt {
namespace {

constexpr double kAlong = 0.03;  // least cosine between s and what y adds

}  // namespace

Curvature::Curvature(Index n, std::vector<double> size)
    : size_(std::move(size)), matrix_(size_.size(), Matrix(n, n)), rest_(static_cast<std::size_t>(n)) {}

void Curvature::forget() {
  for (Matrix& m : matrix_) std::fill(m.values.begin(), m.values.end(), 0.0);
  known_ = false;
}

void Curvature::add(View h, const std::vector<double>& weight) const {
  if (!known_) return;
  for (std::size_t p = 0; p < matrix_.size(); ++p)
    if (weight[p] != 0)
      for (Index i = 0; i < n(); ++i) dense::axpy(h.row(i), weight[p], matrix_[p].row(i), n());
}

bool Curvature::learn(const std::vector<double>& weight, const std::vector<double>& s,
                      const std::vector<double>& y, double noise) {
  double total = 0;
  for (std::size_t p = 0; p < size_.size(); ++p) total += std::pow(weight[p] * size_[p], 2);
  if (!(total > 0) || !std::isfinite(total)) return false;
  rest_ = y;
  if (known_)
    for (std::size_t p = 0; p < matrix_.size(); ++p)
      if (weight[p] != 0)
        for (Index i = 0; i < n(); ++i)
          rest_[static_cast<std::size_t>(i)] -= weight[p] * dense::dot(matrix_[p].row(i), s.data(), n());
  double largest = 0;
  for (const double r : rest_) largest = std::max(largest, std::abs(r));
  const double along = dense::dot(rest_.data(), s.data(), n());
  const double lengths =
      std::sqrt(dense::dot(rest_.data(), rest_.data(), n()) * dense::dot(s.data(), s.data(), n()));
  if (!std::isfinite(lengths) || !(largest > noise) || !(std::abs(along) > kAlong * lengths)) return false;
  for (std::size_t p = 0; p < size_.size(); ++p) {
    const double share = weight[p] * size_[p] * size_[p] / total / along;
    for (Index i = 0; share != 0 && i < n(); ++i)
      for (Index j = 0; j < n(); ++j)  // the same bits in both triangles
        matrix_[p](i, j) += share * (rest_[static_cast<std::size_t>(i)] * rest_[static_cast<std::size_t>(j)]);
  }
  return known_ = true;
}

}  // namespace emisopt
