#include "emisopt/control/curvature.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/rng.hpp"
#include "emisopt/qp/dense.hpp"

namespace emisopt {
namespace {

Matrix sum_of(const Curvature& c, const std::vector<double>& weight, int n) {
  Matrix h(n, n);
  c.add(h, weight);
  return h;
}
std::vector<double> times(const Matrix& h, const std::vector<double>& s) {
  std::vector<double> y(s.size());
  dense::multiply(y.data(), h, s.data());
  return y;
}
std::vector<double> direction(Rng& rng, int n) {
  std::vector<double> s(static_cast<std::size_t>(n));
  for (double& v : s) v = rng.normal();
  return s;
}
// Symmetric, with eigenvalues of both signs.
Matrix indefinite(Rng& rng, int n) {
  Matrix truth(n, n);
  for (int k = 0; k < n; ++k) {
    const auto a = direction(rng, n);
    for (int i = 0; i < n; ++i)
      dense::axpy(truth.row(i), (k % 3 == 0 ? -1 : 1) * a[static_cast<std::size_t>(i)], a.data(), n);
  }
  return truth;
}

TEST(Curvature, FindsAnIndefiniteQuadraticInAsManyPairsAsDimensions) {
  constexpr int kN = 8;
  Rng rng(3);
  const Matrix truth = indefinite(rng, kN);
  Curvature c(kN, {1});
  EXPECT_FALSE(c.known());
  for (int round = 0; round < kN; ++round) {
    const auto s = direction(rng, kN), y = times(truth, s);
    ASSERT_TRUE(c.learn({1}, s, y, 0));
    const auto bs = times(sum_of(c, {1}, kN), s);
    for (std::size_t k = 0; k < kN; ++k) ASSERT_NEAR(bs[k], y[k], 1e-7 * (1 + std::abs(y[k])));
  }
  EXPECT_TRUE(c.known());
  const Matrix b = sum_of(c, {1}, kN);
  for (std::size_t k = 0; k < b.values.size(); ++k) EXPECT_NEAR(b.values[k], truth.values[k], 1e-6);
}

// Two functions, seen only in sums of changing weights, are told apart.
TEST(Curvature, PartsOfASumAreLearntApart) {
  constexpr int kN = 4;
  Rng rng(5);
  const Matrix cost = indefinite(rng, kN), limit = indefinite(rng, kN);
  Curvature c(kN, {1, 1});
  for (int round = 0; round < 400; ++round) {
    const std::vector<double> weight = {1, rng.uniform(0, 3)};
    const auto s = direction(rng, kN);
    std::vector<double> y = times(cost, s);
    dense::axpy(y.data(), weight[1], times(limit, s).data(), kN);
    if (!c.learn(weight, s, y, 0)) continue;  // what it adds is across s
    const auto bs = times(sum_of(c, weight, kN), s);
    for (std::size_t k = 0; k < kN; ++k) ASSERT_NEAR(bs[k], y[k], 1e-6 * (1 + std::abs(y[k]))) << round;
  }
  const Matrix b = sum_of(c, {0, 1}, kN);
  for (std::size_t k = 0; k < b.values.size(); ++k) EXPECT_NEAR(b.values[k], limit.values[k], 0.05);
}

// A limit that does not bind learns nothing of what the cost shows, and a heavy one takes its share.
TEST(Curvature, WhatHasNoWeightStaysAsItIs) {
  Curvature c(2, {1, 1});
  ASSERT_TRUE(c.learn({1, 0}, {1, 0}, {3, 0}, 0));
  EXPECT_DOUBLE_EQ(sum_of(c, {1, 0}, 2)(0, 0), 3);
  EXPECT_DOUBLE_EQ(sum_of(c, {0, 1}, 2)(0, 0), 0);
  Curvature heavy(2, {1, 1});
  ASSERT_TRUE(heavy.learn({1, 100}, {1, 0}, {300, 0}, 0));
  EXPECT_NEAR(sum_of(heavy, {0, 1}, 2)(0, 0), 3, 1e-3);
  EXPECT_NEAR(sum_of(heavy, {1, 100}, 2)(0, 0), 300, 1e-10);
}

TEST(Curvature, BothTrianglesAreAlikeToTheBit) {
  constexpr int kN = 7;
  Rng rng(11);
  const Matrix truth = indefinite(rng, kN);
  Curvature c(kN, {1, 2});
  for (int round = 0; round < 30; ++round) {
    const auto s = direction(rng, kN);
    c.learn({1, rng.uniform()}, s, times(truth, s), 0);
  }
  const Matrix b = sum_of(c, {1, 0}, kN);
  for (int i = 0; i < kN; ++i)
    for (int j = 0; j < i; ++j) EXPECT_EQ(b(i, j), b(j, i));
}

TEST(Curvature, PairsThatSayNothingAreLeftOut) {
  Curvature c(2, {1});
  EXPECT_FALSE(c.learn({1}, {0, 0}, {1, 1}, 0));         // no step
  EXPECT_FALSE(c.learn({1}, {1, 0}, {0, 1}, 0));         // nothing along it
  EXPECT_FALSE(c.learn({1}, {1, 0}, {1e-9, 0}, 1e-6));   // noise
  EXPECT_FALSE(c.learn({1}, {1, 0}, {kMissing, 0}, 0));  // not a number
  EXPECT_FALSE(c.learn({1}, {1, 0}, {HUGE_VAL, 0}, 0));
  EXPECT_FALSE(c.learn({0}, {1, 0}, {1, 0}, 0));  // of nothing
  EXPECT_FALSE(c.known());
  ASSERT_TRUE(c.learn({1}, {1, 0}, {2, 0}, 0));
  EXPECT_FALSE(c.learn({1}, {1, 0}, {2, 0}, 0));  // known already
  c.forget();
  EXPECT_FALSE(c.known());
  EXPECT_DOUBLE_EQ(sum_of(c, {1}, 2)(0, 0), 0);
}

}  // namespace
}  // namespace emisopt
