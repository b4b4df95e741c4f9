#include "emisopt/train/recursive_least_squares.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

TEST(RecursiveLeastSquares, WithoutForgettingIsRidgeRegression) {
  RecursiveLeastSquares rls(2, 1.0, 0.5);
  Rng rng(1);
  double xx[3] = {0.5, 0, 0.5}, xy[2] = {};
  for (int i = 0; i < 200; ++i) {
    const double f[] = {1, rng.normal()}, y = 3 - 2 * f[1] + 0.1 * rng.normal();
    rls.update(f, y);
    xx[0] += 1, xx[1] += f[1], xx[2] += f[1] * f[1];
    xy[0] += y, xy[1] += f[1] * y;
  }
  const double det = xx[0] * xx[2] - xx[1] * xx[1];
  EXPECT_NEAR(rls.weights()[0], (xx[2] * xy[0] - xx[1] * xy[1]) / det, 1e-12);
  EXPECT_NEAR(rls.weights()[1], (xx[0] * xy[1] - xx[1] * xy[0]) / det, 1e-12);
  const double f[] = {1, 2};
  EXPECT_NEAR(rls.predict(f).leverage, (xx[2] - 4 * xx[1] + 4 * xx[0]) / det, 1e-14);
}

TEST(RecursiveLeastSquares, FollowsWeightsThatWander) {
  RecursiveLeastSquares rls(3, 0.98, 1), stubborn(3, 1.0, 1);
  Rng rng(2);
  double w = 0, error = 0, other = 0;
  for (int i = 0; i < 4000; ++i) {
    w += 0.02 * rng.normal();
    const double f[] = {1, rng.normal(), rng.normal()}, y = w + f[1] + 0.1 * rng.normal();
    if (i > 500) {
      error += std::abs(rls.predict(f).mean - y);
      other += std::abs(stubborn.predict(f).mean - y);
    }
    rls.update(f, y);
    stubborn.update(f, y);
  }
  EXPECT_LT(error, 0.5 * other);
}

TEST(RecursiveLeastSquares, ADirectionNoLongerExcitedFadesToThePrior) {
  RecursiveLeastSquares rls(2, 0.95, 1);
  Rng rng(3);
  for (int i = 0; i < 200; ++i) {
    const double f[] = {1, rng.normal()};
    rls.update(f, 5 * f[1]);
  }
  EXPECT_NEAR(rls.weights()[1], 5, 0.5);
  const double still[] = {1, 0};
  for (int i = 0; i < 20'000; ++i) rls.update(still, 1e-3 * rng.normal());
  EXPECT_NEAR(rls.weights()[1], 0, 1e-6);
  const double f[] = {0, 1};
  EXPECT_LT(rls.predict(f).leverage, 2.1);  // the prior's precision is still about 1: no wind-up
  EXPECT_GT(rls.predict(f).leverage, 0.4);
}

TEST(RecursiveLeastSquares, GoesOnFromAState) {
  RecursiveLeastSquares a(3, 0.9, 1), b(3, 0.9, 1);
  Rng rng(4);
  const auto feed = [&](RecursiveLeastSquares& rls, Rng r) {
    for (int i = 0; i < 50; ++i) {
      const double f[] = {1, r.normal(), r.normal()};
      rls.update(f, r.normal());
    }
  };
  feed(a, Rng(1));
  b.restore(a.root(), a.next());
  feed(a, Rng(2));
  feed(b, Rng(2));
  EXPECT_EQ(a.root().values, b.root().values);
  EXPECT_EQ(a.weights(), b.weights());
}

TEST(RecursiveLeastSquares, RefusesWhatCannotBe) {
  EXPECT_THROW(RecursiveLeastSquares(0, 0.9, 1), InputError);
  EXPECT_THROW(RecursiveLeastSquares(1, 0.5, 1), InputError);
  EXPECT_THROW(RecursiveLeastSquares(1, 1.1, 1), InputError);
  EXPECT_THROW(RecursiveLeastSquares(1, 0.9, 0), InputError);
  RecursiveLeastSquares rls(1, 0.9, 1);
  EXPECT_THROW(rls.restore(Matrix(2, 3), 0), ShapeError);
  EXPECT_THROW(rls.restore(Matrix(1, 2), 0), InputError);
}

}  // namespace
}  // namespace emisopt
