#include "emisopt/loop/prequential.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/error.hpp"
#include "model/toy_plant.hpp"

namespace emisopt {
namespace {

constexpr Index kFirst = 420, kLast = 640;

// A context longer than the longest delay: else every label in it would still be hidden.
const Forecaster& forecaster(const History& plant) {
  static const Forecaster awake = [&] {
    ForecasterConfig c = toy::config();
    c.context = 192;
    c.patch = 8;
    Forecaster f = Forecaster::make(plant, c, plant.rows());
    toy::wake(f);
    return f;
  }();
  return awake;
}

OnlineConfig quick(int delay) {
  OnlineConfig c;
  c.delay = delay;
  c.every = 8;
  c.batch = 8;
  c.memory = 32;
  c.regimes = 4;
  c.recent_rows = 60;
  c.guard = 4;
  c.threads = 1;
  return c;
}

bool same_rows(const Prequential& a, const Prequential& b, Index row) {
  const Index horizon = a.quantiles.rows / static_cast<Index>(a.origins.size());
  for (Index r = (row - kFirst) * horizon; r < (row - kFirst + 1) * horizon; ++r)
    for (Index c = 0; c < a.quantiles.cols; ++c)
      if (!toy::same_bits(a.quantiles(r, c), b.quantiles(r, c))) return false;
  return true;
}

// Noise in all labels from row `cut` on: nothing issued before their time differs in a bit, and the forecast
// from the first row at which the label of `cut` is known does.
TEST(Prequential, LabelsReachForecastsExactlyWhenTheirDelayHasPassed) {
  const History clean = toy::history(700, 1);
  for (const int delay : {0, 24, 168}) {
    const auto run = [&](const History& h) {
      return run_prequential(forecaster(clean), h, kFirst, kLast, quick(delay), Known::operation);
    };
    const Prequential before = run(clean);
    EXPECT_GT(before.reports.size(), 20u);
    for (const Index cut : {kFirst + 1, kFirst + 33}) {
      History noisy = clean;
      Rng rng(17);
      for (Index r = cut; r < noisy.rows(); ++r)
        for (const Index tag : {toy::kNox, toy::kEfficiency})
          noisy.values(r, tag) *= std::exp(0.3 * rng.normal());
      const Prequential after = run(noisy);
      const Index first = cut + 1 + delay;  // rows before it are handed in, labels of rows < first - delay
      for (Index k = kFirst; k < first; ++k) ASSERT_TRUE(same_rows(before, after, k)) << delay << " " << k;
      EXPECT_FALSE(same_rows(before, after, first)) << delay << " " << cut;
    }
  }
}

TEST(Prequential, WithoutTheOperationNothingOfTheComingRowsReachesAForecast) {
  const History clean = toy::history(700, 1);
  const auto run = [&](const History& h) {
    return run_prequential(forecaster(clean), h, kFirst, kFirst + 80, quick(0), Known::nothing);
  };
  const Prequential before = run(clean);
  const Index cut = kFirst + 37;
  History noisy = clean;
  Rng rng(5);
  for (Index r = cut; r < noisy.rows(); ++r)
    for (Index c = 0; c < noisy.columns(); ++c)
      if (c != toy::kGrade) noisy.values(r, c) *= 1 + 0.1 * rng.normal();
  const Prequential after = run(noisy);
  for (Index k = kFirst; k <= cut; ++k) ASSERT_TRUE(same_rows(before, after, k)) << k;
  EXPECT_FALSE(same_rows(before, after, cut + 1));
}

TEST(Prequential, GivesTheForecasterAsItServedAtTheEnd) {
  const History plant = toy::history(700, 1);
  const Prequential run =
      run_prequential(forecaster(plant), plant, kFirst, kFirst + 80, quick(0), Known::operation, 4);
  EXPECT_EQ(run.origins.size(), 20u);
  OnlineLearner learner(forecaster(plant), plant.slice(0, kFirst), quick(0));
  for (Index r = kFirst; r < kFirst + 80; ++r)
    learner.observe({plant.values.row(r), static_cast<std::size_t>(plant.columns())},
                    plant.time[static_cast<std::size_t>(r)]);
  EXPECT_EQ(run.last.theta, *learner.weights());
  EXPECT_NE(run.last.theta, forecaster(plant).theta);
}

TEST(Prequential, RowsThatAreNotThereAreRefused) {
  const History plant = toy::history(700, 1);
  const auto run = [&](Index first, Index last, Index stride) {
    run_prequential(forecaster(plant), plant, first, last, quick(0), Known::operation, stride);
  };
  EXPECT_THROW(run(0, 500, 1), InputError);
  EXPECT_THROW(run(500, 500, 1), InputError);
  EXPECT_THROW(run(500, 701, 1), InputError);
  EXPECT_THROW(run(500, 600, 0), InputError);
  EXPECT_THROW(run(100, 600, 1), InputError);  // less than one window before the first row
}

}  // namespace
}  // namespace emisopt
