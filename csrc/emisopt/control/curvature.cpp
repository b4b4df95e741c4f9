#include "emisopt/control/curvature.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/qp/dense.hpp"

namespace emisopt {
namespace {

constexpr double kShare = 0.2;  // of the curvature held, that a pair must show to be taken as it is

}  // namespace

Curvature::Curvature(std::vector<double> metric, int parts)
    : metric_(std::move(metric)),
      matrix_(static_cast<std::size_t>(parts), Matrix(n(), n())),
      known_(static_cast<std::size_t>(parts), 0),
      bs_(metric_.size()) {}

void Curvature::forget() { std::fill(known_.begin(), known_.end(), char{0}); }

void Curvature::add(View h, int part, double weight) const {
  if (!known(part) || weight == 0) return;
  const Matrix& b = matrix_[static_cast<std::size_t>(part)];
  for (Index i = 0; i < n(); ++i) dense::axpy(h.row(i), weight, b.row(i), n());
}

void Curvature::learn(int part, const std::vector<double>& s, const std::vector<double>& y, double floor) {
  const double ss = dense::dot(s.data(), s.data(), n()), sy = dense::dot(s.data(), y.data(), n());
  const double yy = dense::dot(y.data(), y.data(), n());
  if (!(ss > 1e-16) || !std::isfinite(sy) || !std::isfinite(yy)) return;
  Matrix& b = matrix_[static_cast<std::size_t>(part)];
  if (!known(part)) {
    double sms = 0;
    for (std::size_t k = 0; k < s.size(); ++k) sms += metric_[k] * s[k] * s[k];
    std::fill(b.values.begin(), b.values.end(), 0.0);
    for (Index k = 0; k < n(); ++k)
      b(k, k) = std::max(std::abs(sy) / sms * metric_[static_cast<std::size_t>(k)], floor);
    known_[static_cast<std::size_t>(part)] = 1;
  }
  dense::multiply(bs_.data(), b, s.data());
  const double sbs = dense::dot(s.data(), bs_.data(), n());
  if (!(sbs > 0) || !std::isfinite(sbs)) return;
  const bool taken = sy >= kShare * sbs;
  const double drop = (taken ? 1 : 1 - kShare) / sbs;
  for (Index i = 0; i < n(); ++i) {
    dense::axpy(b.row(i), -drop * bs_[static_cast<std::size_t>(i)], bs_.data(), n());
    if (taken) dense::axpy(b.row(i), y[static_cast<std::size_t>(i)] / sy, y.data(), n());
  }
}

}  // namespace emisopt
