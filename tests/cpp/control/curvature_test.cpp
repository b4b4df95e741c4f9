#include "emisopt/control/curvature.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/rng.hpp"
#include "emisopt/qp/dense.hpp"

namespace emisopt {
namespace {

Matrix matrix_of(const Curvature& c, int part, int n) {
  Matrix h(n, n);
  c.add(h, part, 1);
  return h;
}
std::vector<double> times(const Matrix& h, const std::vector<double>& s) {
  std::vector<double> y(s.size());
  dense::multiply(y.data(), h, s.data());
  return y;
}
double quadratic_form(const Matrix& h, const std::vector<double>& s) {
  return dense::dot(s.data(), times(h, s).data(), h.rows);
}
std::vector<double> direction(Rng& rng, int n) {
  std::vector<double> s(static_cast<std::size_t>(n));
  for (double& v : s) v = rng.normal();
  return s;
}

TEST(Curvature, SatisfiesTheSecantAndFindsAQuadratic) {
  constexpr int kN = 8;
  Rng rng(3);
  Matrix truth(kN, kN);
  for (int k = 0; k < kN; ++k) {
    const auto a = direction(rng, kN);
    for (int i = 0; i < kN; ++i) dense::axpy(truth.row(i), a[static_cast<std::size_t>(i)], a.data(), kN);
  }
  Curvature c(std::vector<double>(kN, 1.0), 1);
  EXPECT_FALSE(c.known(0));
  for (int round = 0; round < 400; ++round) {
    const auto s = direction(rng, kN), y = times(truth, s);
    c.learn(0, s, y, 1e-6);
    if (dense::dot(s.data(), y.data(), kN) < 0.2 * quadratic_form(matrix_of(c, 0, kN), s)) continue;
    const auto bs = times(matrix_of(c, 0, kN), s);
    for (std::size_t k = 0; k < kN; ++k) ASSERT_NEAR(bs[k], y[k], 1e-8 * (1 + std::abs(y[k])));
  }
  const Matrix b = matrix_of(c, 0, kN);
  for (std::size_t k = 0; k < b.values.size(); ++k) EXPECT_NEAR(b.values[k], truth.values[k], 0.2);
}

TEST(Curvature, FirstPairScalesTheMetric) {
  Curvature c({1, 4}, 1);
  c.learn(0, {1, 0}, {3, 0}, 1e-6);
  const Matrix b = matrix_of(c, 0, 2);
  EXPECT_DOUBLE_EQ(b(0, 0), 3);
  EXPECT_DOUBLE_EQ(b(1, 1), 12);
  EXPECT_DOUBLE_EQ(b(0, 1), 0);
}

TEST(Curvature, PartsAreApartAndWeighed) {
  Curvature c({1, 1}, 2);
  c.learn(0, {1, 0}, {2, 0}, 1e-6);
  c.learn(1, {1, 0}, {5, 0}, 1e-6);
  Matrix h(2, 2);
  c.add(h, 0, 1);
  c.add(h, 1, 100);
  EXPECT_DOUBLE_EQ(h(0, 0), 502);
  c.forget();
  c.add(h, 0, 1);
  EXPECT_DOUBLE_EQ(h(0, 0), 502);
  EXPECT_FALSE(c.known(1));
}

// The same concave direction tick after tick: Powell's damping let the matrix grow fivefold each time, until
// the QP was not convex any more.
TEST(Curvature, RepeatedConcaveStepsNeitherBlowUpNorLoseDefiniteness) {
  constexpr int kN = 6;
  Rng rng(5);
  Curvature c(std::vector<double>(kN, 1.0), 1);
  Matrix truth(kN, kN);
  for (int k = 0; k < kN; ++k) truth(k, k) = k + 1;
  for (int round = 0; round < 50; ++round) {
    const auto s = direction(rng, kN);
    c.learn(0, s, times(truth, s), 1e-6);
  }
  const auto s = direction(rng, kN);
  std::vector<double> y;
  for (const double v : s) y.push_back(-0.1 * v);
  for (int tick = 0; tick < 300; ++tick) c.learn(0, s, y, 1e-6);
  Matrix b = matrix_of(c, 0, kN);
  for (const double v : b.values) EXPECT_LE(std::abs(v), 7);
  EXPECT_LT(quadratic_form(b, s), 1e-6);
  for (int k = 0; k < kN; ++k) b(k, k) += 1e-9;
  std::vector<double> work(static_cast<std::size_t>(kernels::dense_work(static_cast<int>(b.rows))));
  EXPECT_TRUE(dense::cholesky(b, work.data()));
}

TEST(Curvature, PairsThatSayNothingAreLeftOut) {
  Curvature c({1, 1}, 1);
  c.learn(0, {0, 0}, {1, 1}, 1e-6);
  c.learn(0, {1, 0}, {std::nan(""), 0}, 1e-6);
  c.learn(0, {1, 0}, {0, HUGE_VAL}, 1e-6);
  EXPECT_FALSE(c.known(0));
  c.learn(0, {1, 0}, {0, 0}, 0.5);  // no curvature at all: the floor
  EXPECT_NEAR(matrix_of(c, 0, 2)(1, 1), 0.5, 1e-12);
}

}  // namespace
}  // namespace emisopt
