#include "emisopt/train/replay.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

// Two clouds: `many` points about 0, `few` about 10, in turn as the generator says.
Matrix clouds(Index many, Index few) {
  Rng rng(1);
  Matrix points(many + few, 2);
  for (Index i = 0; i < points.rows; ++i)
    for (Index c = 0; c < 2; ++c) points(i, c) = (i < many ? 0.0 : 10.0) + rng.normal();
  return points;
}

TEST(Regimes, SeparatesCloudsAndKeepsTheirCentres) {
  const Matrix points = clouds(500, 50);
  const Regimes regimes(points, 2, 3);
  ASSERT_EQ(regimes.count(), 2);
  const double origin[] = {0.1, -0.1}, far[] = {9.8, 10.1};
  EXPECT_NE(regimes.of(origin), regimes.of(far));
  const Regimes again = Regimes::from_centres(regimes.centres());
  for (Index i = 0; i < points.rows; ++i)
    EXPECT_EQ(again.of({points.row(i), 2}), regimes.of({points.row(i), 2}));
}

TEST(Regimes, MakesNoMoreRegimesThanDistinctPoints) {
  Matrix points(20, 1, 4.0);
  points(7, 0) = 5.0;
  EXPECT_EQ(Regimes(points, 6, 1).count(), 2);
  EXPECT_THROW(Regimes(Matrix(0, 1), 2, 1), InputError);
  EXPECT_THROW(Regimes(points, 0, 1), InputError);
}

TEST(Replay, KeepsAUniformSampleOfAllThatWasOffered) {
  // 40 places, 4,000 offers, 200 seeds: the mean age of what is kept is that of all, to its standard error.
  double sum = 0, n = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Replay replay(40, 1, seed);
    for (std::int64_t i = 0; i < 4000; ++i) {
      const Index slot = replay.offer(0);
      if (slot >= 0) replay.put(slot, {.row = i});
    }
    ASSERT_EQ(replay.size(), 40);
    for (const Index slot : replay.filled()) sum += static_cast<double>(replay.at(slot).row), ++n;
  }
  const double expected = 3999 / 2.0, error = 4000 / std::sqrt(12.0) / std::sqrt(n);
  EXPECT_NEAR(sum / n, expected, 4 * error);
}

TEST(Replay, GivesARareRegimeAnEqualShare) {
  Replay replay(20, 2, 5);
  for (std::int64_t i = 0; i < 1000; ++i) {
    const int regime = i % 100 == 0;
    const Index slot = replay.offer(regime);
    if (slot >= 0) replay.put(slot, {.row = regime});
  }
  EXPECT_EQ(replay.kept(0), 10);
  EXPECT_EQ(replay.kept(1), 10);
  EXPECT_EQ(replay.offered(1), 10);
  Rng rng(2);
  int rare = 0;
  for (int i = 0; i < 4000; ++i) rare += replay.at(replay.draw(rng.uniform(), rng.uniform())).row == 1;
  EXPECT_NEAR(rare, 2000, 4 * std::sqrt(1000.0));
}

TEST(Replay, DrawsOnlyFromWhatIsFilled) {
  Replay replay(8, 4, 1);
  EXPECT_EQ(replay.draw(0.5, 0.5), -1);
  replay.put(replay.offer(2), {.row = 7});
  for (const double u : {0.0, 0.3, 0.999999})
    for (const double w : {0.0, 0.5, 0.999999}) EXPECT_EQ(replay.at(replay.draw(u, w)).row, 7);
}

TEST(Replay, ResumesItsDraws) {
  Replay one(10, 1, 9);
  for (int i = 0; i < 100; ++i) {
    const Index slot = one.offer(0);
    if (slot >= 0) one.put(slot, {.row = i});
  }
  Replay two(10, 1, 9);
  two.restore(one.state());
  for (int i = 0; i < 100; ++i) EXPECT_EQ(one.offer(0), two.offer(0));
  EXPECT_THROW(two.restore({{5}, {6}}), InputError);
  EXPECT_THROW(two.restore({{5, 5}, {1, 1}}), InputError);
  EXPECT_THROW(Replay(2, 3, 0), InputError);
}

}  // namespace
}  // namespace emisopt
