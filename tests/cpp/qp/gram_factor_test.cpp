// The inverse factor of a set that changes, against products with the Gram matrix itself.
#include "emisopt/qp/gram_factor.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "emisopt/base/rng.hpp"

namespace emisopt::detail {
namespace {

struct Set {
  std::vector<std::vector<double>> rows;
  std::vector<double> extra;  // on the diagonal
  double product(std::size_t i, std::size_t j) const {
    double s = i == j ? extra[i] : 0;
    for (std::size_t k = 0; k < rows[i].size(); ++k) s += rows[i][k] * rows[j][k];
    return s;
  }
};

// max |G x - right|, relative
double error(const Set& set, const std::vector<double>& x, const std::vector<double>& right) {
  double worst = 0;
  for (std::size_t i = 0; i < set.rows.size(); ++i) {
    double s = -right[i], size = std::abs(right[i]);
    for (std::size_t j = 0; j < set.rows.size(); ++j) {
      s += set.product(i, j) * x[j];
      size += std::abs(set.product(i, j) * x[j]);
    }
    worst = std::max(worst, std::abs(s) / (1 + size));
  }
  return worst;
}

TEST(GramFactor, FollowsASetThatGainsLosesAndChangesMembers) {
  Rng rng(9);
  constexpr int kLength = 90, kCapacity = 70;
  GramFactor factor(kCapacity);
  Set set;
  std::vector<double> right;
  const auto row = [&] {
    std::vector<double> r(kLength);
    for (double& v : r) v = rng.normal();
    return r;
  };
  int left = 0, raised = 0, lowered = 0;
  for (int step = 0; step < 3000; ++step) {
    const auto count = set.rows.size();
    const double kind = rng.uniform();
    const auto member = count ? static_cast<std::size_t>(rng.below(static_cast<int>(count))) : 0;
    if (count == 0 || (kind < 0.45 && count < 60)) {
      set.rows.push_back(row());
      set.extra.push_back(0);
      right.push_back(rng.normal());
      std::vector<double> g(count + 1);
      for (std::size_t j = 0; j < count; ++j) g[j] = set.product(count, j);
      const double square = set.product(count, count);
      ASSERT_TRUE(factor.join(square - factor.share(g.data())));
    } else if (kind < 0.8) {
      factor.drop(static_cast<int>(member));
      const auto at = static_cast<std::ptrdiff_t>(member);
      set.rows.erase(set.rows.begin() + at);
      set.extra.erase(set.extra.begin() + at);
      right.erase(right.begin() + at);
      ++left;
    } else if (set.extra[member] == 0) {
      factor.raise(static_cast<int>(member), 3.0);
      set.extra[member] = 3;
      ++raised;
    } else {
      ASSERT_TRUE(factor.lower(static_cast<int>(member), set.extra[member]));
      set.extra[member] = 0;
      ++lowered;
    }
    ASSERT_EQ(factor.size(), static_cast<int>(set.rows.size()));
    if (rng.uniform() < 0.3 && !right.empty()) {  // what was solved before is kept, but for this
      const auto from = static_cast<std::size_t>(rng.below(static_cast<int>(right.size())));
      right[from] += 1;
      factor.stale(static_cast<int>(from));
    }
    std::vector<double> x(right.size() + 1), y(right);
    factor.solve(x.data(), right.data());
    y.resize(x.size());
    factor.solve(y.data());
    EXPECT_LT(error(set, x, right), 1e-9) << "step " << step;
    EXPECT_LT(error(set, y, right), 1e-9) << "step " << step;
  }
  EXPECT_GT(left, 800);
  EXPECT_GT(raised, 200);
  EXPECT_GT(lowered, 50);
}

TEST(GramFactor, ASetMadeInOneGoIsTheOneThatGrew) {
  Rng rng(10);
  for (const int count : {1, 7, 33, 65}) {
    Set set;
    std::vector<double> flat, right(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) {
      set.rows.emplace_back(80);
      set.extra.push_back(0);
      for (double& v : set.rows.back()) flat.push_back(v = rng.normal());
      right[static_cast<std::size_t>(i)] = rng.normal();
    }
    GramFactor factor(70);
    factor.open(count);
    factor.gram(flat.data(), 80, 80);
    ASSERT_EQ(factor.seal(1e-10), -1);
    std::vector<double> x(right.size());
    factor.solve(x.data(), right.data());
    EXPECT_LT(error(set, x, right), 1e-9);
    factor.drop(count / 2);
    EXPECT_EQ(factor.size(), count - 1);
  }
}

TEST(GramFactor, ADependentMemberIsFound) {
  const double rows[] = {1, 0, 0, 1, 1, 1};
  GramFactor factor(4);
  factor.open(3);
  factor.gram(rows, 2, 2);
  EXPECT_EQ(factor.seal(1e-10), 2);
  factor.open(2);
  factor.gram(rows, 2, 2);
  EXPECT_EQ(factor.seal(1e-10), -1);
  const double g[] = {1, 1};
  EXPECT_NEAR(2 - factor.share(g), 0, 1e-15);
  EXPECT_NEAR(factor.combination()[0], 1, 1e-15);
  EXPECT_NEAR(factor.combination()[1], 1, 1e-15);
  EXPECT_FALSE(factor.lower(0, 1.0));  // nothing would be left of it
  EXPECT_TRUE(factor.lower(0, 0.5));
}

}  // namespace
}  // namespace emisopt::detail
