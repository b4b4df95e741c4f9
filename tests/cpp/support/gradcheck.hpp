// Finite differences in double, for gradient tests.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>

namespace emisopt::test {

/// Fourth-order central difference of f by *x. With h = 5e-4 truncation (h^4) and rounding (1e-16 / h) both
/// stay below 1e-12 of values of order 1.
inline double slope(double* x, const std::function<double()>& f, double h = 5e-4) {
  const double at = *x;
  auto value = [&](double step) {
    *x = at + step;
    return f();
  };
  const double near = value(h) - value(-h), far = value(2 * h) - value(-2 * h);
  *x = at;
  return (8 * near - far) / (12 * h);
}

/// Each gradient[i] against the slope of f by x[i]: within 1e-6 relative, or 1e-9 of the largest where it is
/// small.
inline void expect_gradient(const double* gradient, double* x, std::size_t count,
                            const std::function<double()>& f, std::size_t stride = 1) {
  double largest = 0;
  for (std::size_t i = 0; i < count; ++i) largest = std::max(largest, std::abs(gradient[i]));
  EXPECT_GT(largest, 0) << "the gradient is zero everywhere: nothing is tested";
  for (std::size_t i = 0; i < count; i += stride) {
    const double expected = slope(x + i, f);
    EXPECT_NEAR(gradient[i], expected, 1e-6 * std::abs(expected) + 1e-9 * std::max(largest, 1e-3))
        << "entry " << i;
  }
}

}  // namespace emisopt::test
