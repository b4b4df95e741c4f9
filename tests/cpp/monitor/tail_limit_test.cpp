#include "emisopt/monitor/tail_limit.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

using Blocks = std::vector<std::vector<double>>;

Blocks exponential(int blocks, int rows, std::uint64_t seed) {
  Rng rng(seed);
  Blocks out(static_cast<std::size_t>(blocks));
  for (auto& block : out)
    for (int i = 0; i < rows; ++i) block.push_back(-std::log(1 - rng.uniform()));
  return out;
}

TEST(TailLimit, FindsTheQuantileOfAnExponentialFarBeyondTheData) {
  TailOptions plain;
  plain.confidence = 0.5;
  // 10,000 values, asked for what one in a million exceeds: log(1e6) = 13.8; sd of b is 1/sqrt(1000).
  EXPECT_NEAR(tail_limit(exponential(5, 2000, 1), 1e-6, plain), std::log(1e6),
              3 * 0.03 * std::log(1e5) + 0.2);
}

TEST(TailLimit, FaultsInTheReferenceHardlyMoveItWhenTheyAreSetAside) {
  Blocks scores = exponential(5, 2000, 2);
  TailOptions plain;
  plain.confidence = 0.5;
  plain.set_aside = 0.02;
  const double clean = tail_limit(scores, 1e-5, plain);
  for (auto& block : scores)
    for (std::size_t i = 0; i < block.size(); i += 100) block[i] = 1e6;
  const double dirty = tail_limit(scores, 1e-5, plain);
  // They count as at least the 2 % quantile, more than the healthy rows in their place would: it errs
  // outward.
  EXPECT_GT(dirty, clean);
  EXPECT_LT(dirty, 1.33 * clean);
  plain.set_aside = 0;
  EXPECT_GT(tail_limit(scores, 1e-5, plain), 1e3);  // without it they decide
}

TEST(TailLimit, ConfidenceCostsMoreWhereBlocksDiffer) {
  Blocks scores = exponential(5, 400, 3);
  TailOptions plain, sure;
  plain.confidence = 0.5;
  const double alike = tail_limit(scores, 0.005, sure) - tail_limit(scores, 0.005, plain);
  EXPECT_GT(alike, 0);
  for (double& s : scores[2]) s *= 2;
  EXPECT_GT(tail_limit(scores, 0.005, sure) - tail_limit(scores, 0.005, plain), 2 * alike);
}

// The promise itself: limits from 5 blocks of 100 exceeded by a fresh row at most as often as asked, in 95 %
// of 200 repetitions (binomial sd 1.5 %).
TEST(TailLimit, HoldsTheRateWithItsConfidence) {
  int held = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed)
    held += tail_limit(exponential(5, 100, 100 + seed), 0.005) >= -std::log(0.005);
  EXPECT_GE(held, 182);
}

TEST(TailLimit, MissingScoresAreLeftOut) {
  Blocks scores = exponential(3, 100, 4);
  const double before = tail_limit(scores, 0.01);
  scores[0].push_back(std::nan(""));
  scores.emplace_back(50, std::nan(""));
  EXPECT_EQ(tail_limit(scores, 0.01), before);
}

TEST(TailLimit, RefusesWhatCannotBeAnswered) {
  const Blocks scores = exponential(3, 100, 5);
  EXPECT_THROW(tail_limit(scores, 0), InputError);
  EXPECT_THROW(tail_limit(scores, 0.2), InputError);
  EXPECT_THROW(tail_limit(scores, std::nan("")), InputError);
  TailOptions options;
  options.set_aside = 0.1;
  EXPECT_THROW(tail_limit(scores, 0.01, options), InputError);
  options = {};
  options.confidence = 1;
  EXPECT_THROW(tail_limit(scores, 0.01, options), InputError);
  EXPECT_THROW(tail_limit({scores[0]}, 0.01), InputError);
  EXPECT_THROW(tail_limit({{1, 2}, {3, 4}}, 0.01), InputError);
}

}  // namespace
}  // namespace emisopt
