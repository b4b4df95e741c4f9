#include "emisopt/monitor/isolation.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "emisopt/base/rng.hpp"
#include "emisopt/monitor/factor_model.hpp"

namespace emisopt {
namespace {

constexpr Index kTags = 10;

Matrix plant(Index n, std::uint64_t seed) {
  Rng weights(5), rng(seed);
  Matrix w(kTags, 2), z(n, kTags);
  for (double& v : w.values) v = weights.normal();
  for (Index r = 0; r < n; ++r) {
    const double a = rng.normal(), b = rng.normal();
    for (Index t = 0; t < kTags; ++t) z(r, t) = w(t, 0) * a + w(t, 1) * b + 0.3 * rng.normal();
  }
  return z;
}

struct Case {
  FactorModel model = FactorModel::fit(plant(3000, 1), 2);
  Reconstruction reconstruction{model};
  std::vector<double> expected = std::vector<double>(kTags), sd = expected;

  Isolation run(const double* row, Index most = 4) {
    std::vector<char> use(kTags, 1);
    const std::vector<char> candidate(kTags, 1);
    return isolate(
        [&](const char* trusted, std::vector<double>& out) {
          reconstruction.run(row, trusted, expected.data(), sd.data());
          for (std::size_t t = 0; t < kTags; ++t) out[t] = std::abs(row[t] - expected[t]) / sd[t];
        },
        std::vector<double>(kTags, 4.5), candidate, use, most);
  }
};

TEST(Isolation, AHealthyRowAccusesNobody) {
  Case c;
  Matrix rows = plant(300, 2);
  for (Index r = 0; r < rows.rows; ++r) EXPECT_TRUE(c.run(rows.row(r)).accused.empty());
}

TEST(Isolation, ABigFaultAccusesItsOwnTagAndNoneOfTheNeighboursThatItMoves) {
  Case c;
  Matrix rows = plant(200, 3);
  for (Index r = 0; r < rows.rows; ++r) {
    const Index bad = r % kTags;
    rows(r, bad) += r % 2 ? 12 : -12;
    EXPECT_EQ(c.run(rows.row(r)).accused, std::vector<Index>{bad}) << "row " << r;
  }
}

TEST(Isolation, TwoFaultsAreBothFound) {
  Case c;
  Matrix rows = plant(200, 4);
  int both = 0;
  for (Index r = 0; r < rows.rows; ++r) {
    const Index a = r % kTags, b = (r + 3) % kTags;
    rows(r, a) += 10;
    rows(r, b) -= 14;
    std::vector<Index> accused = c.run(rows.row(r)).accused;
    std::sort(accused.begin(), accused.end());
    both += accused == std::vector<Index>{std::min(a, b), std::max(a, b)};
  }
  EXPECT_GE(both, 190);
}

TEST(Isolation, WhenTooManyDisagreeNobodyIsAccused) {
  Case c;
  Matrix row = plant(1, 5);
  for (Index t = 0; t < kTags; ++t) row(0, t) += t % 2 ? 40.0 * static_cast<double>(t) : -30;
  const Isolation found = c.run(row.row(0), 2);
  EXPECT_TRUE(found.unexplained);
  EXPECT_TRUE(found.accused.empty());
}

TEST(Isolation, OnlyCandidatesAreAccusedAndNaNIsNoEvidence) {
  std::vector<char> use(3, 1);
  const auto size = [](const char*, std::vector<double>& out) { out = {5, std::nan(""), 3}; };
  Isolation found = isolate(size, {1, 1, 1}, {0, 1, 0}, use, 3);
  EXPECT_TRUE(found.accused.empty());
  EXPECT_FALSE(found.unexplained);
}

// Tag 0 looks worst only because of 1 and 2; once these are out it is taken back.
TEST(Isolation, TakesBackWhatTheRestDoesNotContradict) {
  std::vector<char> use(4, 1);
  const auto size = [](const char* trusted, std::vector<double>& out) {
    const bool both_out = !trusted[1] && !trusted[2];
    out = {both_out ? 0.2 : 9.0, 3, 2.5, 0.1};
  };
  const Isolation found = isolate(size, std::vector<double>(4, 1), std::vector<char>(4, 1), use, 4);
  EXPECT_EQ(found.accused, (std::vector<Index>{1, 2}));
  EXPECT_EQ(use, (std::vector<char>{1, 0, 0, 1}));
}

// A tag whose limit is wide is at fault: its neighbour crosses its own narrow limit first.
TEST(Isolation, TheOneThatExplainsIsAccusedNotTheOneThatIsFirstBeyondItsLimit) {
  std::vector<char> use(3, 1);
  const auto size = [](const char* trusted, std::vector<double>& out) {
    out = {5.0, trusted[0] ? 4.0 : 0.5, 0.3};
  };
  const Isolation found = isolate(size, {6, 3, 3}, std::vector<char>(3, 1), use, 2);
  EXPECT_EQ(found.accused, std::vector<Index>{0});
  EXPECT_DOUBLE_EQ(found.strength[0], 5.0 / 6);
}

// ... but a tag that merely wanders more than others is no explanation.
TEST(Isolation, ALargeResidualThatExplainsNothingIsNotAccused) {
  std::vector<char> use(3, 1);
  const auto size = [](const char*, std::vector<double>& out) { out = {5.0, 4.0, 0.3}; };
  EXPECT_EQ(isolate(size, {6, 3, 3}, std::vector<char>(3, 1), use, 2).accused, std::vector<Index>{1});
  // Nor is one that explains, but is as it often is: well within its limit.
  const auto wanders = [](const char* trusted, std::vector<double>& out) {
    out = {5.0, trusted[0] ? 4.0 : 0.5, 0.3};
  };
  use.assign(3, 1);
  EXPECT_EQ(isolate(wanders, {12, 3, 3}, std::vector<char>(3, 1), use, 2).accused, std::vector<Index>{1});
}

}  // namespace
}  // namespace emisopt
