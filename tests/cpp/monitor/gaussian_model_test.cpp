#include "emisopt/monitor/gaussian_model.hpp"

#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

// Rows of three tags: two that share a cause, one of its own.
Matrix correlated(Index n, std::uint64_t seed = 1) {
  Rng rng(seed);
  Matrix x(n, 3);
  for (Index r = 0; r < n; ++r) {
    const double cause = rng.normal();
    x(r, 0) = 10 + 2 * cause + 0.5 * rng.normal();
    x(r, 1) = -3 + cause + 0.3 * rng.normal();
    x(r, 2) = 1000 + 0.1 * rng.normal();
  }
  return x;
}

const std::vector<std::string> kNames = {"a", "b", "c"};

TEST(GaussianModel, DistanceIsOneOnAverageAndItsShareIsChiSquared) {
  const GaussianModel model = GaussianModel::fit(correlated(4000), kNames, "test");
  const Matrix fresh = correlated(4000, 2);
  std::vector<double> z(3);
  double sum = 0;
  int beyond = 0;
  for (Index r = 0; r < fresh.rows; ++r) {
    model.standardise(fresh.row(r), z.data());
    const double d = squared_distance(model.precision, z.data());
    sum += d;
    beyond += 3 * d > 11.345;  // 99 % of chi-squared with 3 degrees of freedom
  }
  EXPECT_NEAR(sum / 4000, 1, 0.05);
  EXPECT_NEAR(beyond / 4000.0, 0.01, 0.006);
}

TEST(GaussianModel, CompletesWithTheConditionalMean) {
  const GaussianModel model = GaussianModel::fit(correlated(20000), kNames, "test");
  std::vector<double> z = {2.0, kMissing, 0.3};
  EXPECT_EQ(model.complete(z.data()), 1);
  const double correlation = 2 / std::sqrt(4.25) / std::sqrt(1.09);
  EXPECT_NEAR(z[1], 2.0 * correlation, 0.03);
  std::vector<double> none(3, kMissing);
  EXPECT_EQ(model.complete(none.data()), 3);
  for (const double v : none) EXPECT_NEAR(v, 0, 1e-12);  // nothing known: the mean
}

// A contribution is the fall of the distance when the group is replaced by what the others expect.
TEST(GaussianModel, AContributionIsTheFallOfTheDistanceWithoutTheGroup) {
  const GaussianModel model = GaussianModel::fit(correlated(500), kNames, "test");
  const std::vector<double> z = {1.5, -2.0, 0.7};
  for (const std::vector<Index>& group : {std::vector<Index>{0}, {1}, {0, 2}}) {
    std::vector<double> without = z;
    for (const Index g : group) without[static_cast<std::size_t>(g)] = kMissing;
    model.complete(without.data());
    const double fall =
        3 * (squared_distance(model.precision, z.data()) - squared_distance(model.precision, without.data()));
    const Index step = group.size() > 1 ? group[1] - group[0] : 1;
    EXPECT_NEAR(
        group_contribution(model.precision, z.data(), group[0], step, static_cast<Index>(group.size())), fall,
        1e-9);
  }
}

TEST(GaussianModel, MissingCellsHardlyMoveTheFit) {
  Matrix x = correlated(4000);
  const GaussianModel whole = GaussianModel::fit(x, kNames, "test");
  Rng rng(7);
  for (double& v : x.values)
    if (rng.uniform() < 0.1) v = kMissing;
  const GaussianModel holes = GaussianModel::fit(x, kNames, "test");
  const std::vector<double> z = {1.0, -1.0, 0.5};
  EXPECT_NEAR(squared_distance(holes.precision, z.data()) / squared_distance(whole.precision, z.data()), 1,
              0.1);
}

TEST(ShrunkPrecision, FewerRowsThanTagsWillDoAndManyNeedNoShrinking) {
  Rng rng(5);
  Matrix few(20, 60), many(20000, 4);
  for (double& v : few.values) v = rng.normal();
  for (Index r = 0; r < many.rows; ++r)
    for (Index c = 0; c < 4; ++c) many(r, c) = rng.normal() * (1.0 + static_cast<double>(c));
  EXPECT_GT(shrunk_precision(few, "test").shrinkage, 0.8);
  const ShrunkPrecision sure = shrunk_precision(many, "test");
  EXPECT_LT(sure.shrinkage, 0.01);
  EXPECT_NEAR(sure.values(0, 0), 1, 0.03);
  EXPECT_NEAR(sure.values(3, 3), 1.0 / 16, 0.004);
}

// The formula against one written out with loops (Ledoit and Wolf 2004, eq. 14 and lemma 3.2 to 3.4).
TEST(ShrunkPrecision, ShrinkageIsLedoitAndWolfs) {
  Rng rng(9);
  Matrix z(30, 5);
  for (double& v : z.values) v = rng.normal();
  Eigen::Map<Eigen::Matrix<double, 30, 5, Eigen::RowMajor>> x(z.values.data());
  const Eigen::MatrixXd s = x.transpose() * x / 30;
  const double mu = s.trace() / 5;
  const double spread = (s - mu * Eigen::MatrixXd::Identity(5, 5)).squaredNorm();
  double error = 0;
  for (int r = 0; r < 30; ++r) error += (x.row(r).transpose() * x.row(r) - s).squaredNorm() / (30.0 * 30.0);
  EXPECT_NEAR(shrunk_precision(z, "test").shrinkage, std::min(1.0, error / spread), 1e-12);
}

TEST(GaussianModel, RefusalsNameTheTag) {
  const auto told = [](Matrix x) {
    try {
      GaussianModel::fit(x, kNames, "test");
    } catch (const InputError& error) {
      return std::string(error.what());
    }
    return std::string("nothing");
  };
  Matrix constant = correlated(50), empty = correlated(50), infinite = correlated(50);
  for (Index r = 0; r < 50; ++r) {
    constant(r, 1) = 0.1;
    empty(r, 2) = kMissing;
  }
  infinite(17, 0) = HUGE_VAL;
  EXPECT_EQ(told(constant), "test: tag 'b': expected values that vary, got 0.1 in every row; leave it out");
  EXPECT_EQ(told(empty), "test: tag 'c': expected at least 2 values, got 0 in 50 rows; leave it out");
  EXPECT_EQ(told(infinite), "test: tag 'a', row 17: expected a finite number or NaN, got inf");
  EXPECT_THROW(shrunk_precision(Matrix(1, 3), "test"), InputError);
  EXPECT_THROW(shrunk_precision(Matrix(5, 3), "test"), InputError);
}

}  // namespace
}  // namespace emisopt
