#include "emisopt/monitor/score_bank.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"
#include "emisopt/monitor/run_length.hpp"

namespace emisopt {
namespace {

constexpr Index kRows = 4000, kTags = 5;

Matrix noise() {
  Rng rng(21);
  Matrix x(kRows, kTags);
  for (Index t = 0; t < kTags; ++t) {
    double last = 0;
    for (Index r = 0; r < kRows; ++r) {
      last = 0.2 * static_cast<double>(t) * last + rng.normal();
      x(r, t) = t == 4 ? 1.0 : last;
    }
  }
  return x;
}
TagRows view(const Matrix& x, Index first, Index count) { return {x.row(first), count, kTags, kTags, 1}; }
const std::vector<std::string> kNames = {"a", "b", "c", "d", "constant"};

bool same_bits(const Matrix& a, const Matrix& b) {
  return a.values.size() == b.values.size() &&
         std::memcmp(a.values.data(), b.values.data(), a.values.size() * sizeof(double)) == 0;
}

TEST(ScoreBank, SplitAndThreadsChangeNoBit) {
  const Matrix x = noise();
  ScoreBank whole(view(x, 0, 2000), nullptr, kNames, {}), parts(view(x, 0, 2000), nullptr, kNames, {}, 3);
  const Matrix expected = whole.push(view(x, 2000, 2000));
  Matrix got(2000, kTags);
  for (Index first = 0; first < 2000; first += 333) {
    const Index count = std::min<Index>(333, 2000 - first);
    const Matrix part = parts.push(view(x, 2000 + first, count), nullptr, 2);
    std::copy(part.values.begin(), part.values.end(), got.values.begin() + first * kTags);
  }
  EXPECT_TRUE(same_bits(got, expected));
  EXPECT_TRUE(std::isnan(expected(1999, 4)));
  EXPECT_FALSE(std::isnan(expected(1999, 3)));
}

TEST(ScoreBank, InflationsAreNearOneWhereTheMemoryIsGone) {
  const Matrix x = noise();
  const ScoreBank bank(view(x, 0, kRows), nullptr, kNames, {});
  const CusumOptions chart{0.5, cusum_limit(200, 0.5)};
  const auto whitened = bank.inflations(view(x, 0, kRows), nullptr, chart, 200, 0, 20'000, 1);
  const ScoreBank plain(view(x, 0, kRows), nullptr, kNames, {.max_order = 0});
  const auto raw = plain.inflations(view(x, 0, kRows), nullptr, chart, 200, 0, 20'000, 1, 2);
  for (std::size_t t = 0; t < 4; ++t) EXPECT_LT(whitened[t], 1.2) << t;
  EXPECT_GT(raw[3], 1.5);  // phi 0.6, left in
  EXPECT_TRUE(std::isnan(whitened[4]));
}

TEST(ScoreBank, RefusesInfiniteValuesAndWrongWidths) {
  Matrix x = noise();
  ScoreBank bank(view(x, 0, 1000), nullptr, kNames, {});
  bank.push(view(x, 0, 10));
  x(1500, 2) = INFINITY;
  try {
    bank.push(view(x, 1490, 100));
    FAIL();
  } catch (const InputError& e) {
    EXPECT_NE(std::string(e.what()).find("row 20, tag 'c'"), std::string::npos) << e.what();
  }
  EXPECT_EQ(bank.rows(), 10);
  EXPECT_THROW(ScoreBank(view(x, 0, 2000), nullptr, kNames, {}), InputError);
  EXPECT_THROW(ScoreBank(view(x, 0, 1000), nullptr, {"a"}, {}), ShapeError);
  EXPECT_THROW(bank.push({x.row(0), 3, 2, 2, 1}), ShapeError);
}

}  // namespace
}  // namespace emisopt
