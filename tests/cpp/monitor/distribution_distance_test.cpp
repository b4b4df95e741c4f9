#include "emisopt/monitor/distribution_distance.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/error.hpp"

namespace emisopt {
namespace {

TEST(DistributionDistance, IsZeroBetweenEquals) {
  const std::vector<double> p = {0.2, 0.3, 0.5};
  EXPECT_EQ(population_stability(p, p), 0);
  EXPECT_EQ(hellinger_distance(p, p), 0);
  EXPECT_EQ(jensen_shannon_distance(p, p), 0);
  EXPECT_EQ(earth_mover_distance({1, 2, 2, 5}, {2, 5, 1, 2}), 0);
}

TEST(DistributionDistance, HasItsLargestValueBetweenDisjoint) {
  EXPECT_DOUBLE_EQ(hellinger_distance({1, 0}, {0, 1}), 1);
  EXPECT_DOUBLE_EQ(jensen_shannon_distance({1, 0}, {0, 1}), std::sqrt(std::log(2.0)));
}

TEST(DistributionDistance, FollowsItsFormula) {
  EXPECT_DOUBLE_EQ(population_stability({0.5, 0.5}, {0.25, 0.75}),
                   -0.25 * std::log(0.5) + 0.25 * std::log(1.5));
  EXPECT_DOUBLE_EQ(earth_mover_distance({0, 1, 3}, {5, 6, 8}), 5);  // SciPy's documented example
  EXPECT_DOUBLE_EQ(earth_mover_distance({0, kMissing}, {0, 2}), 1);
}

// frouros' conftest, reference domain.md E: chi2 6.13333333, p .04657615 (a a b a a b; b a c c c c)
TEST(CategoriesDiffer, GivesFrourosNumbers) {
  const ChiSquared got = categories_differ({4, 2, 0}, {1, 1, 4});
  EXPECT_NEAR(got.statistic, 6.13333333, 1e-8);
  EXPECT_NEAR(got.p_value, 0.04657615, 1e-8);
  EXPECT_EQ(got.dof, 2);
  EXPECT_EQ(categories_differ({3, 0, 0}, {5, 0, 0}).p_value, 1);
}

TEST(DistributionDistance, RefusesEachWrongArgument) {
  EXPECT_THROW(population_stability({0.5, 0.5}, {1}), ShapeError);
  EXPECT_THROW(population_stability({}, {}), ShapeError);
  EXPECT_THROW(hellinger_distance({0.5, 0.6}, {0.5, 0.5}), InputError);
  EXPECT_THROW(hellinger_distance({1.5, -0.5}, {0.5, 0.5}), InputError);
  EXPECT_THROW(jensen_shannon_distance({kMissing, 1}, {0.5, 0.5}), InputError);
  EXPECT_THROW(earth_mover_distance({kMissing}, {1}), InputError);
  EXPECT_THROW(earth_mover_distance({INFINITY}, {1}), InputError);
  EXPECT_THROW(categories_differ({1}, {1, 2}), ShapeError);
  EXPECT_THROW(categories_differ({0, 0}, {1, 2}), InputError);
  EXPECT_THROW(categories_differ({1, -1}, {1, 2}), InputError);
}

}  // namespace
}  // namespace emisopt
