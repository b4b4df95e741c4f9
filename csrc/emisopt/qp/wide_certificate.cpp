// Is a wide QP infeasible, beyond doubt? The rules of certificate.cpp, on rows that are entries and outputs.
#include <algorithm>
#include <cmath>

#include "emisopt/qp/wide.hpp"

namespace emisopt {
namespace {

constexpr double kLeastGap = 1e-7;  // relative to the terms that sum up to it
constexpr double kReach = 1e6;

double side(std::span<const double> v, std::size_t i, double absent) { return v.empty() ? absent : v[i]; }

}  // namespace

bool proves_infeasible(const WideProblem& p, std::span<double> y, std::span<double> z,
                       std::span<double> memory) {
  const auto n = static_cast<std::size_t>(p.variables()), m = static_cast<std::size_t>(p.rows());
  double *force = memory.data(), *parts = force + n;
  std::fill_n(force, 2 * n, 0.0);
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
    if (y[i] == 0) continue;
    count(y[i], p.row_lower[i], p.row_upper[i]);
    double largest = 0;
    const auto add = [&](std::size_t j, double a) {
      force[j] += y[i] * a;
      parts[j] += std::abs(y[i] * a);
      largest = std::max(largest, std::abs(a));
    };
    if (const int k = p.row_output.empty() ? -1 : p.row_output[i]; k >= 0)
      for (std::size_t j = 0; j < n; ++j) add(j, p.outputs(k, static_cast<Index>(j)));
    for (int e = p.row_start[i]; e < p.row_start[i + 1]; ++e)
      add(static_cast<std::size_t>(p.row_column[static_cast<std::size_t>(e)]),
          p.row_value[static_cast<std::size_t>(e)]);
    if (largest == 0) {  // 0 <= -1e-17 is no contradiction among bounds of size 1
      for (const auto& bounds : {p.row_lower, p.row_upper})
        for (double b : bounds)
          if (std::isfinite(b)) terms = std::max(terms, std::abs(y[i] * b));
    } else {
      size = std::max(size, std::abs(y[i] > 0 ? p.row_upper[i] : p.row_lower[i]) / largest);
    }
  }
  double rest = 0;
  for (std::size_t j = 0; j < n; ++j) {
    if (std::isnan(force[j])) return false;
    const double low = side(p.lower, j, -HUGE_VAL), high = side(p.upper, j, HUGE_VAL);
    z[j] = std::abs(force[j]) <= 1e-15 * parts[j] ? 0 : -force[j];
    if (!std::isfinite(z[j] > 0 ? high : low)) {
      z[j] = 0;
      rest += std::abs(force[j]);
    }
    count(z[j], low, high);
    if (z[j] != 0) size = std::max(size, std::abs(z[j] > 0 ? high : low));
  }
  return -gap > kLeastGap * terms && rest * kReach * size <= -gap;
}

}  // namespace emisopt
