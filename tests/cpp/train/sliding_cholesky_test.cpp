#include "emisopt/train/sliding_cholesky.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

// Rows on a line with an exponential covariance and two right sides: what is in the factor, kept aside.
struct Rows {
  std::vector<double> at;
  std::vector<std::vector<double>> right;
  static constexpr double kNoise = 0.01;

  static double covariance(double a, double b) { return std::exp(-std::abs(a - b)); }
  double join(SlidingCholesky& factor, double x, std::vector<double> r) {
    std::vector<double> k;
    for (const double other : at) k.push_back(covariance(x, other));
    const double rest = factor.append(k.data(), 1 + kNoise, kNoise, r.data());
    at.push_back(x);
    right.push_back(std::move(r));
    return rest;
  }
  void leave(SlidingCholesky& factor, Index p) {
    factor.remove(p);
    at.erase(at.begin() + p);
    right.erase(right.begin() + p);
  }
  // Largest error of L L' = K and L b = r.
  double error(const SlidingCholesky& factor) const {
    const auto n = static_cast<Index>(at.size());
    double worst = 0;
    for (Index i = 0; i < n; ++i) {
      for (Index j = 0; j <= i; ++j) {
        double sum = 0;
        for (Index k = 0; k <= j; ++k) sum += factor.at(i, k) * factor.at(j, k);
        const double right_one = covariance(at[static_cast<std::size_t>(i)], at[static_cast<std::size_t>(j)]);
        worst = std::max(worst, std::abs(sum - right_one - (i == j ? kNoise : 0)));
      }
      for (Index s = 0; s < factor.sides(); ++s) {
        double sum = 0;
        for (Index k = 0; k <= i; ++k) sum += factor.at(i, k) * factor.side(s)[k];
        worst =
            std::max(worst, std::abs(sum - right[static_cast<std::size_t>(i)][static_cast<std::size_t>(s)]));
      }
    }
    return worst;
  }
};

TEST(SlidingCholesky, StaysTheFactorWhileRowsJoinAndLeaveAnywhere) {
  SlidingCholesky factor(40, 2);
  Rows rows;
  Rng rng(1);
  for (int step = 0; step < 1500; ++step) {
    if (factor.size() == factor.capacity() || (factor.size() > 3 && rng.uniform() < 0.3))
      rows.leave(factor, rng.uniform() < 0.5 ? 0 : rng.below(factor.size()));
    rows.join(factor, rng.uniform(0, 30), {rng.normal(), rng.normal()});
  }
  ASSERT_GT(factor.size(), 20);
  EXPECT_LT(rows.error(factor), 1e-11);
}

TEST(SlidingCholesky, TenThousandStepsOfAFullWindowLoseNothing) {
  SlidingCholesky factor(30, 2);  // the beginning wraps round its slack many times
  Rows rows;
  Rng rng(2);
  for (int t = 0; t < 10'000; ++t) {
    if (factor.size() == 30) rows.leave(factor, 0);
    rows.join(factor, 0.1 * t, {rng.normal(), std::sin(t)});
  }
  EXPECT_LT(rows.error(factor), 1e-11);
}

TEST(SlidingCholesky, SolvesAndSaysTheVarianceOfANewRow) {
  SlidingCholesky factor(3);
  Rows rows;
  EXPECT_DOUBLE_EQ(rows.join(factor, 0, {}), 1.01);
  const double k = std::exp(-1.0);
  EXPECT_NEAR(rows.join(factor, 1, {}), 1.01 - k * k / 1.01, 1e-15);
  std::vector<double> x{1, 2};
  factor.forward(x.data());
  factor.backward(x.data());
  EXPECT_NEAR(1.01 * x[0] + k * x[1], 1, 1e-14);
  EXPECT_NEAR(k * x[0] + 1.01 * x[1], 2, 1e-14);
}

TEST(SlidingCholesky, ManySystemsAtOnceHaveTheBitsOfOne) {
  SlidingCholesky factor(20);
  Rows rows;
  Rng rng(3);
  for (int i = 0; i < 20; ++i) rows.join(factor, rng.uniform(0, 9), {});
  Matrix together(20, 5);
  for (double& v : together.values) v = rng.normal();
  Matrix one = together;
  factor.forward(together.values.data(), 5);
  for (Index c = 0; c < 5; ++c) {
    std::vector<double> x;
    for (Index i = 0; i < 20; ++i) x.push_back(one(i, c));
    factor.forward(x.data());
    for (Index i = 0; i < 20; ++i) EXPECT_EQ(x[static_cast<std::size_t>(i)], together(i, c));
  }
}

TEST(SlidingCholesky, TheSameCallsGiveTheSameBitsAndAStateGoesOnAsItWas) {
  const auto live = [](SlidingCholesky& factor, Rows& rows, std::uint64_t seed, int steps) {
    Rng rng(seed);
    for (int i = 0; i < steps; ++i) {
      if (factor.size() == factor.capacity()) rows.leave(factor, rng.below(3));
      rows.join(factor, rng.uniform(0, 9), {rng.normal()});
    }
  };
  SlidingCholesky a(25, 1), b(25, 1);
  Rows rows_a, rows_b;
  live(a, rows_a, 1, 300);
  live(b, rows_b, 1, 300);
  EXPECT_EQ(a.packed(), b.packed());
  SlidingCholesky restored(25, 1);
  restored.restore(a.packed(), a.packed_sides());
  live(a, rows_a, 2, 300);
  live(restored, rows_b, 2, 300);
  EXPECT_EQ(a.packed(), restored.packed());
  EXPECT_EQ(a.packed_sides().values, restored.packed_sides().values);
}

TEST(SlidingCholesky, KeepsTheSidesThatAreAskedFor) {
  SlidingCholesky factor(10, 3);
  Rows rows;
  for (int i = 0; i < 6; ++i) rows.join(factor, i, {1.0 * i, 2.0, -1.0 * i});
  const SlidingCholesky part = factor.with_sides({2});
  ASSERT_EQ(part.sides(), 1);
  for (Index i = 0; i < 6; ++i) EXPECT_EQ(part.side(0)[i], factor.side(2)[i]);
}

TEST(SlidingCholesky, RefusesWhatCannotBe) {
  EXPECT_THROW(SlidingCholesky(0), InputError);
  EXPECT_THROW(SlidingCholesky(5, -1), InputError);
  SlidingCholesky factor(1);
  double none = 0;
  EXPECT_THROW(factor.remove(0), InputError);
  factor.append(&none, 1, 0.1);
  EXPECT_THROW(factor.append(&none, 1, 0.1), StateError);
  EXPECT_THROW(factor.restore({1, 2}, Matrix(0, 1)), ShapeError);
  EXPECT_THROW(factor.restore({-1}, Matrix(0, 1)), InputError);
  EXPECT_THROW(factor.restore({kMissing}, Matrix(0, 1)), InputError);
}

}  // namespace
}  // namespace emisopt
