#include "emisopt/qp/sparse_factor.hpp"

#include <gtest/gtest.h>

#include <Eigen/Dense>

#include "emisopt/base/rng.hpp"

namespace emisopt::detail {
namespace {

// Chains, bands, arrows: whatever pairs are named, in any order and more than once.
TEST(SparseFactor, SolvesWhatADenseFactorSolves) {
  Rng rng(1);
  SparseFactor factor(40, 800);
  for (int round = 0; round < 200; ++round) {
    const int n = 1 + static_cast<int>(rng.below(40)), pairs = n > 1 ? static_cast<int>(rng.below(2 * n)) : 0;
    Eigen::MatrixXd b = Eigen::MatrixXd::Zero(n, n);
    std::vector<std::pair<int, int>> named;
    for (int k = 0; k < pairs; ++k) {
      const int i = static_cast<int>(rng.below(n)), j = static_cast<int>(rng.below(n));
      if (i == j) continue;
      const double v = rng.normal();
      b(i, j) += v;
      b(j, i) += v;
      b(i, i) += std::abs(v) + 0.1;
      b(j, j) += std::abs(v) + 0.1;
      named.emplace_back(i, j);
    }
    for (int j = 0; j < n; ++j) b(j, j) += 0.5;
    const int pinned = rng.uniform() < 0.3 ? static_cast<int>(rng.below(n)) : -1;
    factor.begin(n);
    for (const auto& [i, j] : named) ASSERT_TRUE(factor.couple(i, j));
    ASSERT_TRUE(factor.analyse());
    std::fill_n(factor.couplings.begin(), factor.places(), 0.0);
    for (const auto& [i, j] : named) factor.couplings[factor.place(i, j)] = b(i, j);
    Eigen::VectorXd x(n);
    for (int j = 0; j < n; ++j) {
      factor.diagonal[static_cast<std::size_t>(j)] = b(j, j);
      factor.pinned[static_cast<std::size_t>(j)] = j == pinned;
      x(j) = rng.normal();
    }
    ASSERT_TRUE(factor.factorise());
    if (pinned >= 0) {
      b.row(pinned).setZero();
      b.col(pinned).setZero();
      b(pinned, pinned) = 1;
    }
    Eigen::VectorXd right = b * x;
    if (pinned >= 0) right(pinned) = 7, x(pinned) = 0;  // whatever acts on a pinned variable, it stays
    factor.forward(right.data());
    for (int j = 0; j < n; ++j) right(j) *= factor.inverse()[j];
    factor.backward(right.data());
    EXPECT_LT((right - x).cwiseAbs().maxCoeff(), 1e-10) << "round " << round;
  }
}

TEST(SparseFactor, ChainsDoNotFillUpAndRoomIsChecked) {
  SparseFactor factor(6, 5);
  factor.begin(6);
  for (int j = 1; j < 6; ++j) EXPECT_TRUE(factor.couple(j, j - 1));
  EXPECT_FALSE(factor.couple(5, 0));  // no room for another pair
  EXPECT_TRUE(factor.analyse());
  EXPECT_EQ(factor.places(), 5u);
  factor.begin(6);
  for (int j = 1; j < 6; ++j) EXPECT_TRUE(factor.couple(j, 0));  // an arrow the wrong way round: all of L
  EXPECT_FALSE(factor.analyse());
}

TEST(SparseFactor, AnIndefiniteMatrixIsRefused) {
  SparseFactor factor(2, 1);
  factor.begin(2);
  factor.couple(1, 0);
  ASSERT_TRUE(factor.analyse());
  factor.diagonal = {1, 1};
  factor.couplings = {2};
  EXPECT_FALSE(factor.factorise());
}

}  // namespace
}  // namespace emisopt::detail
