#include "emisopt/qp/certificate.hpp"

#include <algorithm>
#include <cmath>

namespace emisopt::detail {
namespace {

constexpr double kLeastGap = 1e-7;  // relative to the terms that sum up to it
constexpr double kReach = 1e6;

double side(std::span<const double> v, std::size_t i, double absent) { return v.empty() ? absent : v[i]; }

}  // namespace

bool proves_infeasible(const QpProblem& p, std::span<double> y, std::span<double> z) {
  const auto n = static_cast<std::size_t>(p.hessian.rows), m = static_cast<std::size_t>(p.rows.rows);
  double gap = 0, terms = 0, size = 0;
  const auto count = [&](double weight, double low, double high) {
    if (weight == 0) return;
    const double term = weight > 0 ? weight * high : weight * low;
    gap += term;
    terms += std::abs(term);
  };
  for (std::size_t i = 0; i < m; ++i) {
    if (!p.l1.empty() && std::isfinite(p.l1[i])) y[i] = 0;
    if (!std::isfinite(y[i] > 0 ? p.row_upper[i] : p.row_lower[i])) y[i] = 0;
    if (std::isnan(y[i])) return false;
    count(y[i], p.row_lower[i], p.row_upper[i]);
    if (y[i] == 0) continue;
    double largest = 0;
    for (std::size_t j = 0; j < n; ++j)
      largest = std::max(largest, std::abs(p.rows(static_cast<Index>(i), static_cast<Index>(j))));
    if (largest == 0) {  // 0 <= -1e-17 is no contradiction among bounds of size 1
      for (const auto& bounds : {p.row_lower, p.row_upper})
        for (double b : bounds)
          if (std::isfinite(b)) terms = std::max(terms, std::abs(y[i] * b));
    }
    if (largest > 0) size = std::max(size, std::abs(y[i] > 0 ? p.row_upper[i] : p.row_lower[i]) / largest);
  }
  double rest = 0;
  for (std::size_t j = 0; j < n; ++j) {
    double force = 0, parts = 0;
    for (std::size_t i = 0; i < m; ++i) {
      if (y[i] == 0) continue;
      const double part = y[i] * p.rows(static_cast<Index>(i), static_cast<Index>(j));
      force += part;
      parts += std::abs(part);
    }
    const double low = side(p.lower, j, -HUGE_VAL), high = side(p.upper, j, HUGE_VAL);
    z[j] = std::abs(force) <= 1e-15 * parts ? 0 : -force;
    if (!std::isfinite(z[j] > 0 ? high : low)) {
      z[j] = 0;
      rest += std::abs(force);
    }
    count(z[j], low, high);
    if (z[j] != 0) size = std::max(size, std::abs(z[j] > 0 ? high : low));
  }
  return -gap > kLeastGap * terms && rest * kReach * size <= -gap;
}

}  // namespace emisopt::detail
