#include "emisopt/monitor/factor_model.hpp"

#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

constexpr Index kTags = 8;

// Eight tags of two causes, noise of sd 0.1 to 0.8.
Matrix plant(Index n, std::uint64_t seed) {
  Rng weights(77), rng(seed);
  Matrix w(kTags, 2), z(n, kTags);
  for (double& v : w.values) v = weights.normal();
  for (Index r = 0; r < n; ++r) {
    const double a = rng.normal(), b = rng.normal();
    for (Index t = 0; t < kTags; ++t)
      z(r, t) = 5 + w(t, 0) * a + w(t, 1) * b + (0.1 + 0.1 * static_cast<double>(t)) * rng.normal();
  }
  return z;
}

// The model's covariance, dense.
Eigen::MatrixXd covariance(const FactorModel& model) {
  const Index tags = model.tags(), k = model.factors();
  Eigen::MatrixXd w(tags, k);
  for (Index t = 0; t < tags; ++t)
    for (Index j = 0; j < k; ++j) w(t, j) = model.loading(t, j);
  Eigen::MatrixXd c = w * w.transpose();
  for (Index t = 0; t < tags; ++t) c(t, t) += model.noise[static_cast<std::size_t>(t)];
  return c;
}

TEST(FactorModel, FindsTheNoiseOfEachTagAlsoWithMissingCells) {
  for (const double missing : {0.0, 0.2}) {
    Matrix z = plant(8000, 1);
    Rng rng(3);
    for (double& v : z.values)
      if (rng.uniform() < missing) v = kMissing;
    const FactorModel model = FactorModel::fit(z, 2, 500);
    for (Index t = 1; t < kTags; ++t)
      EXPECT_NEAR(std::sqrt(model.noise[static_cast<std::size_t>(t)]), 0.1 + 0.1 * static_cast<double>(t),
                  0.02)
          << "tag " << t << ", missing " << missing;
    EXPECT_NEAR(model.mean[0], 5, 0.1);
  }
}

// Against the textbook: conditional mean and variance of one tag given the others in use, by dense algebra.
TEST(Reconstruction, IsTheConditionalNormalWhateverIsMissingOrNotTrusted) {
  const FactorModel model = FactorModel::fit(plant(2000, 1), 2);
  const Eigen::MatrixXd c = covariance(model);
  Matrix rows = plant(4, 9);
  rows(1, 3) = kMissing;
  rows(2, 0) = rows(2, 7) = kMissing;
  std::vector<char> use(kTags, 1);
  std::vector<double> expected(kTags), sd(kTags);
  Reconstruction reconstruction(model);
  for (Index r = 0; r < 4; ++r) {
    use[5] = r != 3;  // a reading that is there and not trusted
    reconstruction.run(rows.row(r), use.data(), expected.data(), sd.data());
    for (Index t = 0; t < kTags; ++t) {
      std::vector<Index> others;
      for (Index o = 0; o < kTags; ++o)
        if (o != t && use[static_cast<std::size_t>(o)] && !std::isnan(rows(r, o))) others.push_back(o);
      const auto m = static_cast<Index>(others.size());
      Eigen::MatrixXd coo(m, m);
      Eigen::VectorXd cto(m), off(m);
      for (Index i = 0; i < m; ++i) {
        const Index o = others[static_cast<std::size_t>(i)];
        cto[i] = c(t, o);
        off[i] = rows(r, o) - model.mean[static_cast<std::size_t>(o)];
        for (Index j = 0; j < m; ++j) coo(i, j) = c(o, others[static_cast<std::size_t>(j)]);
      }
      const Eigen::VectorXd weights = coo.llt().solve(cto);
      EXPECT_NEAR(expected[static_cast<std::size_t>(t)],
                  model.mean[static_cast<std::size_t>(t)] + weights.dot(off), 1e-8);
      EXPECT_NEAR(sd[static_cast<std::size_t>(t)], std::sqrt(c(t, t) - weights.dot(cto)), 1e-8);
    }
  }
}

TEST(Reconstruction, ATagsOwnReadingNeverDecidesOnIt) {
  const FactorModel model = FactorModel::fit(plant(2000, 1), 2);
  Reconstruction reconstruction(model);
  Matrix row = plant(1, 4);
  const std::vector<char> use(kTags, 1);
  std::vector<double> before(kTags), after(kTags), sd(kTags);
  reconstruction.run(row.row(0), use.data(), before.data(), sd.data());
  row(0, 2) += 1000;
  reconstruction.run(row.row(0), use.data(), after.data(), sd.data());
  EXPECT_NEAR(after[2], before[2], 1e-9);
  EXPECT_GT(std::abs(after[3] - before[3]), 1);  // but on its neighbours it does
}

TEST(Reconstruction, FreshRowsAreAsFarAsTheirUncertaintySays) {
  const FactorModel model = FactorModel::fit(plant(4000, 1), 2);
  Reconstruction reconstruction(model);
  const Matrix rows = plant(4000, 2);
  const std::vector<char> use(kTags, 1);
  std::vector<double> expected(kTags), sd(kTags), square(kTags, 0);
  for (Index r = 0; r < rows.rows; ++r) {
    reconstruction.run(rows.row(r), use.data(), expected.data(), sd.data());
    for (std::size_t t = 0; t < kTags; ++t)
      square[t] += std::pow((rows(r, static_cast<Index>(t)) - expected[t]) / sd[t], 2) / 4000;
  }
  for (const double s : square) EXPECT_NEAR(s, 1, 0.12);
}

TEST(Reconstruction, NothingInUseGivesTheMeanAndTheTagsOwnSpread) {
  const FactorModel model = FactorModel::fit(plant(2000, 1), 2);
  Reconstruction reconstruction(model);
  const std::vector<double> z(kTags, kMissing);
  const std::vector<char> use(kTags, 1);
  std::vector<double> expected(kTags), sd(kTags);
  reconstruction.run(z.data(), use.data(), expected.data(), sd.data());
  const Eigen::MatrixXd c = covariance(model);
  for (Index t = 0; t < kTags; ++t) {
    EXPECT_NEAR(expected[static_cast<std::size_t>(t)], model.mean[static_cast<std::size_t>(t)], 1e-12);
    EXPECT_NEAR(sd[static_cast<std::size_t>(t)], std::sqrt(c(t, t)), 1e-9);
  }
}

TEST(FactorModel, TwoCopiesOfOneSignalStayFinite) {
  Matrix z = plant(500, 1);
  for (Index r = 0; r < z.rows; ++r) z(r, 1) = z(r, 0);
  const FactorModel model = FactorModel::fit(z, 3);
  Reconstruction reconstruction(model);
  const std::vector<char> use(kTags, 1);
  std::vector<double> expected(kTags), sd(kTags);
  reconstruction.run(z.row(7), use.data(), expected.data(), sd.data());
  for (std::size_t t = 0; t < kTags; ++t) {
    EXPECT_TRUE(std::isfinite(expected[t]));
    EXPECT_GT(sd[t], 0);
  }
  EXPECT_NEAR(expected[0], z(7, 0), 6 * sd[0] + 1e-12);
}

TEST(FactorModel, RefusesBadInput) {
  Matrix z = plant(50, 1);
  EXPECT_THROW(FactorModel::fit(z, 0), InputError);
  EXPECT_THROW(FactorModel::fit(z, kTags), InputError);
  z(3, 2) = HUGE_VAL;
  EXPECT_THROW(FactorModel::fit(z, 2), InputError);
}

TEST(FactorModel, ATagWithoutValuesIsUnknownAndChangesNothingForTheOthers) {
  Matrix z = plant(500, 1);
  for (Index r = 0; r < 500; ++r) z(r, 2) = kMissing;
  const FactorModel model = FactorModel::fit(z, 2);
  EXPECT_EQ(model.noise[2], 1);
  EXPECT_EQ(model.loading(2, 0), 0);
  Reconstruction reconstruction(model);
  const std::vector<char> use(kTags, 1);
  std::vector<double> expected(kTags), sd(kTags);
  reconstruction.run(z.row(3), use.data(), expected.data(), sd.data());
  for (Index t = 0; t < kTags; ++t) EXPECT_TRUE(std::isfinite(expected[static_cast<std::size_t>(t)])) << t;
  EXPECT_LT(std::abs(expected[4] - z(3, 4)), 5 * sd[4]);
}

}  // namespace
}  // namespace emisopt
