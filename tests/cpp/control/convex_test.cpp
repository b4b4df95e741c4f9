#include "emisopt/control/convex.hpp"

#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <cmath>

#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

Matrix symmetric(Rng& rng, Index n, double shift) {
  Matrix h(n, n);
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j <= i; ++j) h(i, j) = h(j, i) = rng.normal() + (i == j ? shift : 0);
  return h;
}
Eigen::MatrixXd dense(const Matrix& h) {
  Eigen::MatrixXd m(h.rows, h.cols);
  for (Index i = 0; i < h.rows; ++i)
    for (Index j = 0; j < h.cols; ++j) m(i, j) = h(i, j);
  return m;
}

// Against Eigen's decomposition.
TEST(Convex, RaisesWhatIsBelowTheFloorAndNothingElse) {
  Rng rng(1);
  for (const Index n : {1, 2, 3, 5, 24, 60})
    for (const double shift : {-3.0, 0.0, 2.0, 40.0}) {
      Matrix h = symmetric(rng, n, shift);
      const Matrix before = h;
      const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> own(dense(before));
      const Eigen::MatrixXd expected =
          own.eigenvectors() * own.eigenvalues().cwiseMax(0.5).asDiagonal() * own.eigenvectors().transpose();
      Convex convex(n);
      const bool changed = convex.raise(h, 0.5);
      EXPECT_EQ(changed, own.eigenvalues()(0) < 0.5);
      if (!changed) EXPECT_EQ(h.values, before.values);
      EXPECT_LT((dense(h) - expected).cwiseAbs().maxCoeff(), 1e-11 * (n + std::abs(shift)));
      for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < i; ++j) EXPECT_EQ(h(i, j), h(j, i));
    }
}

TEST(Convex, DegenerateSpectraToo) {
  Convex convex(4);
  Matrix zero(4, 4), same(4, 4), rank_one(4, 4, -1.0);
  for (Index i = 0; i < 4; ++i) same(i, i) = -2;
  EXPECT_TRUE(convex.raise(zero, 0.25));
  EXPECT_TRUE(convex.raise(same, 0.25));
  EXPECT_TRUE(convex.raise(rank_one, 0.25));
  for (Index i = 0; i < 4; ++i)
    for (Index j = 0; j < 4; ++j) {
      EXPECT_NEAR(zero(i, j), i == j ? 0.25 : 0, 1e-14);
      EXPECT_NEAR(same(i, j), i == j ? 0.25 : 0, 1e-14);
      EXPECT_NEAR(rank_one(i, j), i == j ? 0.25 : 0, 1e-13);
    }
}

// Beyond the sizes where the spectrum is worth its price.
TEST(Convex, LargeMatricesAreLiftedByTheirDiagonal) {
  constexpr Index kN = Convex::kSpectral + 10;
  Rng rng(2);
  Matrix h = symmetric(rng, kN, 0);
  const Matrix before = h;
  Convex convex(kN);
  ASSERT_TRUE(convex.raise(h, 0.1));
  const double lift = h(0, 0) - before(0, 0);
  const double least = dense(before).selfadjointView<Eigen::Lower>().eigenvalues()(0);
  EXPECT_GE(least + lift, 0.1 - 1e-9);
  EXPECT_LE(lift, 2.01 * (0.1 - least));  // doubled at most once too often
  for (Index i = 0; i < kN; ++i)
    for (Index j = 0; j < kN; ++j) EXPECT_NEAR(h(i, j) - before(i, j), i == j ? lift : 0, 1e-12);
}

TEST(Convex, WhatIsNotANumberIsLeftAlone) {
  Convex convex(2);
  Matrix h(2, 2, 1.0);
  h(1, 0) = kMissing;
  EXPECT_FALSE(convex.raise(h, 1));
  EXPECT_TRUE(std::isnan(h(1, 0)));
  EXPECT_EQ(h(0, 0), 1);
}

}  // namespace
}  // namespace emisopt
