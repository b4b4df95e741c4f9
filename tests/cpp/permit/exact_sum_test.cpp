#include "emisopt/permit/exact_sum.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

// Shewchuk's sum with partials that do not overlap, rounded as Python's math.fsum does.
double fsum(const std::vector<double>& values) {
  std::vector<double> partials;
  for (double x : values) {
    std::size_t used = 0;
    for (double y : partials) {
      if (std::abs(x) < std::abs(y)) std::swap(x, y);
      const double high = x + y, low = y - (high - x);
      if (low != 0) partials[used++] = low;
      x = high;
    }
    partials.resize(used);
    partials.push_back(x);
  }
  if (partials.empty()) return 0;
  double high = partials.back(), low = 0;
  std::size_t n = partials.size() - 1;
  while (n > 0) {
    const double x = high, y = partials[--n];
    high = x + y;
    low = y - (high - x);
    if (low != 0) break;
  }
  if (n > 0 && ((low < 0 && partials[n - 1] < 0) || (low > 0 && partials[n - 1] > 0))) {
    const double y = low * 2, x = high + y;
    if (y == x - high) high = x;
  }
  return high;
}

// Numbers of many sizes and signs, zeros and subnormals among them.
double awkward(Rng& rng, int widest) {
  const double u = rng.uniform();
  if (u < 0.05) return 0;
  if (u < 0.1) return DBL_TRUE_MIN * static_cast<double>(rng.below(1000));
  const int exponent = static_cast<int>(rng.below(static_cast<std::uint64_t>(2 * widest))) - widest;
  return std::ldexp(rng.normal(), exponent);
}

TEST(ExactSum, EqualsFsumForNumbersOfEverySize) {
  Rng rng(1);
  for (int round = 0; round < 3000; ++round) {
    const int widest = round % 3 == 0 ? 10 : round % 3 == 1 ? 60 : 900;
    std::vector<double> values(rng.below(40));
    for (double& v : values) v = awkward(rng, widest);
    ExactSum narrow;
    WideSum wide;
    for (const double v : values) {
      narrow.add(v);
      wide.add(v);
    }
    ASSERT_EQ(narrow.value(), fsum(values)) << "round " << round;
    ASSERT_EQ(wide.value(), fsum(values)) << "round " << round;
  }
}

TEST(ExactSum, RoundsTiesToEvenAndLooksBelowThem) {
  const double one = 1, half_step = 0x1p-53;
  ExactSum sum;
  sum.add(one);
  sum.add(half_step);
  EXPECT_EQ(sum.value(), 1.0);  // a tie: to even, down
  sum.add(0x1p-300);
  EXPECT_EQ(sum.value(), 1 + 0x1p-52);  // above the tie
  sum.subtract(0x1p-300);
  sum.subtract(0x1p-400);
  EXPECT_EQ(sum.value(), 1.0);  // below it
  sum.add(0x1p-400);
  sum.add(0x1p-52);
  EXPECT_EQ(sum.value(), 1 + 0x1p-51);  // a tie again: to even, up
}

TEST(ExactSum, KeepsTheLastBitsThatCancellationLeaves) {
  for (const double odd : {3.0, 5.0, 0x1p52 - 1, 0x1p30 + 1}) {
    ExactSum sum;
    sum.add(0x1p-20 * (1 + odd * 0x1p-52));
    sum.subtract(0x1p-20);
    EXPECT_EQ(sum.value(), odd * 0x1p-72);
    sum.subtract(odd * 0x1p-72);
    EXPECT_EQ(sum.value(), 0);
    sum.subtract(0x1p-10);
    EXPECT_EQ(sum.value(), -0x1p-10);
  }
}

TEST(ExactSum, WhatWasAddedCanBeTakenOffAgain) {
  Rng rng(2);
  ExactSum sum;
  sum.add(0.1);
  std::vector<double> values(5000);
  for (double& v : values) v = awkward(rng, 300);
  for (const double v : values) sum.add(v);
  std::reverse(values.begin(), values.end());
  for (const double v : values) sum.subtract(v);
  EXPECT_EQ(sum.value(), 0.1);
}

TEST(ExactSum, SumsOfSumsAreTheSumOfAll) {
  Rng rng(3);
  ExactSum all, parts;
  for (int part = 0; part < 50; ++part) {
    ExactSum one;
    for (int i = 0; i < 100; ++i) {
      const double v = awkward(rng, part < 25 ? 15 : 400);
      all.add(v);
      one.add(v);
    }
    parts.add(one);
    if (part % 2) {
      parts.subtract(one);
      parts.add(ExactSum(one));
    }
  }
  EXPECT_EQ(parts.value(), all.value());
}

TEST(ExactSum, ARunEqualsItsTermsWhateverItsLengthAndGaps) {
  Rng rng(4);
  for (int round = 0; round < 2000; ++round) {
    const auto n = static_cast<Index>(rng.below(200));
    std::vector<double> values(static_cast<std::size_t>(n));
    for (double& v : values) {
      v = rng.uniform() < 0.2 ? kMissing : std::abs(awkward(rng, round % 2 ? 8 : 70));
      if (rng.uniform() < 0.05) v = 0;
    }
    ExactSum run, terms;
    Index bad = -1, count = 0;
    for (const double v : values)
      if (!std::isnan(v)) {
        terms.add(v);
        ++count;
      }
    EXPECT_EQ(run.add_run(values.data(), n, 0, bad), count);
    EXPECT_EQ(bad, -1);
    ASSERT_EQ(run.value(), terms.value()) << "round " << round;
  }
}

TEST(ExactSum, ARunNamesTheFirstNegativeOrInfiniteValue) {
  std::vector<double> values(150, 20.0);
  values[101] = -0.5;
  values[120] = INFINITY;
  Index bad = -1;
  ExactSum().add_run(values.data(), 150, 0, bad);
  EXPECT_EQ(bad, 101);
  bad = -1;
  ExactSum().add_run(values.data(), 150, -1, bad);
  EXPECT_EQ(bad, 120);
}

TEST(ExactSum, OverflowsOnlyWhereTheSumDoes) {
  ExactSum sum;
  for (int i = 0; i < 3000; ++i) sum.add(0x1.fffffp40);  // more than its narrow part holds
  EXPECT_EQ(sum.value(), 3000 * 0x1.fffffp40);
  sum.add(DBL_MAX);
  sum.add(DBL_MAX);
  EXPECT_EQ(sum.value(), INFINITY);
  sum.subtract(DBL_MAX);
  sum.subtract(DBL_MAX);
  EXPECT_EQ(sum.value(), 3000 * 0x1.fffffp40);
}

TEST(RollingSum, DoesNotDriftOverTenMillionSamples) {
  Rng rng(5);
  constexpr Index kRows = 10'000'000, kWindow = 43'200;
  std::vector<double> values(kRows);
  for (double& v : values) v = 50 + 20 * rng.normal();
  values[1000] = 1e18;  // would leave its rounding in a running sum for ever
  values[5'000'000] = 1e-300;
  const auto sums = rolling_sum(values.data(), kRows, kWindow);
  for (const Index end : {Index{999}, Index{44'000}, Index{5'000'010}, kRows - 1}) {
    const Index begin = std::max<Index>(0, end - kWindow + 1);
    const std::vector<double> window(values.begin() + begin, values.begin() + end + 1);
    EXPECT_EQ(sums[static_cast<std::size_t>(end)], fsum(window)) << "row " << end;
  }
  ExactSum all;
  for (const double v : values) all.add(v);
  EXPECT_EQ(all.value(), fsum(values));
}

TEST(RollingSum, RefusesNoWindowAndInfiniteValues) {
  const std::vector<double> values = {1, INFINITY};
  EXPECT_THROW(rolling_sum(values.data(), 2, 0), InputError);
  EXPECT_THROW(rolling_sum(values.data(), 2, 1), InputError);
}

}  // namespace
}  // namespace emisopt
