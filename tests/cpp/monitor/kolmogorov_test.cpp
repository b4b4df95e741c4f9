#include "emisopt/monitor/kolmogorov.hpp"

#include <gtest/gtest.h>

#include "emisopt/base/error.hpp"
#include "monitor/drift_cases.hpp"

namespace emisopt {
namespace {

TEST(Kolmogorov, PValuesEqualSciPys) {
  for (const auto& fields : golden_drift("ks")) {
    const double expected = std::stod(fields[3]);
    EXPECT_NEAR(ks_p_value(std::stol(fields[1]), std::stol(fields[2])), expected, 1e-15 + 1e-13 * expected)
        << fields[1] << " " << fields[2];
  }
}

// All binom(4, 2) = 6 orders of two samples of two: D = 1 in two of them, D >= 1/2 in all.
TEST(Kolmogorov, PValuesCountOrders) {
  EXPECT_DOUBLE_EQ(ks_p_value(2, 2), 2.0 / 6);
  EXPECT_DOUBLE_EQ(ks_p_value(2, 1), 1);
  EXPECT_DOUBLE_EQ(ks_p_value(3, 3), 2.0 / 20);
  EXPECT_EQ(ks_p_value(7, 0), 1);
}

TEST(Kolmogorov, CriticalDistanceIsTheFirstBelowAlpha) {
  for (const Index n : {5, 30, 77, 500})
    for (const double alpha : {0.3, 0.05, 0.005, 1e-4}) {
      const Index h = ks_critical(n, alpha);
      if (h <= n) {
        EXPECT_LE(ks_p_value(n, h), alpha) << n << " " << alpha;
      }
      EXPECT_GT(ks_p_value(n, h - 1), alpha) << n << " " << alpha;
    }
  EXPECT_EQ(ks_critical(5, 1e-4), 6);  // even D = 1 has p = 2 / 252
}

TEST(Kolmogorov, RefusesSizesThatSciPyDoesNotComputeExactly) {
  EXPECT_THROW(ks_p_value(0, 0), InputError);
  EXPECT_THROW(ks_p_value(10001, 3), InputError);
  EXPECT_THROW(ks_p_value(10, 11), InputError);
  EXPECT_THROW(ks_p_value(10, -1), InputError);
}

}  // namespace
}  // namespace emisopt
