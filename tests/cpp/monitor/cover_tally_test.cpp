#include "emisopt/monitor/cover_tally.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

TEST(CoverTally, EqualsItsDefinitionForEveryWindow) {
  Rng rng(5);
  for (const int window : {1, 2, 7, 50, 200}) {
    std::vector<int> inside;
    std::vector<double> width;
    CoverTally tally(window);
    for (int i = 0; i < 200; ++i) {
      inside.push_back(rng.uniform() < 0.8);
      width.push_back(rng.uniform(0.5, 3));
      tally.add(inside.back(), width.back());
    }
    double least = 2, greatest = -1, widest = 0, least_width = 0;
    for (int end = window; end <= 200; ++end) {
      double count = 0, sum = 0;
      for (int i = end - window; i < end; ++i) count += inside[i], sum += width[i];
      if (count / window < least) least = count / window, least_width = sum / window;
      greatest = std::max(greatest, count / window);
      widest = std::max(widest, sum / window);
    }
    EXPECT_EQ(tally.least(), least);
    EXPECT_EQ(tally.greatest(), greatest);
    EXPECT_NEAR(tally.widest(), widest, 1e-12);
    EXPECT_NEAR(tally.least_width(), least_width, 1e-12);
    EXPECT_EQ(tally.cover(), std::count(inside.begin(), inside.end(), 1) / 200.0);
    EXPECT_EQ(tally.rows(), 200);
  }
}

TEST(CoverTally, AWidthOfTheFarPastLeavesNoTrace) {
  CoverTally tally(3);
  tally.add(true, 1e17);
  tally.add(true, 0.1);
  tally.add(true, 0.1);
  for (int i = 0; i < 5; ++i) tally.add(false, 0.1);  // the window with the least cover is one of these
  CoverTally clean(3);
  for (int i = 0; i < 3; ++i) clean.add(true, 0.1);
  EXPECT_EQ(tally.least(), 0);
  EXPECT_EQ(tally.least_width(), clean.widest());
}

TEST(CoverTally, SaysNothingOfWindowsThatAreNotFull) {
  CoverTally tally(3);
  EXPECT_TRUE(std::isnan(tally.cover()) && std::isnan(tally.recent()) && std::isnan(tally.width()));
  tally.add(true, 1);
  tally.add(false, 3);
  EXPECT_EQ(tally.cover(), 0.5);
  EXPECT_EQ(tally.width(), 2);
  EXPECT_EQ(tally.recent(), 0.5);
  EXPECT_TRUE(std::isnan(tally.least()) && std::isnan(tally.greatest()) && std::isnan(tally.widest()));
}

TEST(CoverageMonitor, CountsBothFansAndPassesOverWhatIsMissing) {
  CoverageMonitor watch(2, 1, {0.1, 0.5, 0.9}, 0.1, 0.9, 2);
  EXPECT_NEAR(watch.nominal(), 0.8, 1e-15);
  const double raw[] = {-1, 0, 1}, wide[] = {-2, 0, 2}, gone[] = {-1, 0, kMissing};
  watch.add(0, 0, 1.5, raw, wide);
  watch.add(0, 0, -1.0, raw, wide);  // at the edge is inside
  watch.add(0, 0, kMissing, raw, wide);
  watch.add(0, 0, 0.0, gone, wide);
  EXPECT_EQ(watch.raw(0, 0).rows(), 2);
  EXPECT_EQ(watch.raw(0, 0).cover(), 0.5);
  EXPECT_EQ(watch.corrected(0, 0).cover(), 1);
  EXPECT_EQ(watch.corrected(0, 0).width(), 4);
  EXPECT_EQ(watch.raw(1, 0).rows(), 0);
}

TEST(CoverageMonitor, RefusesWhatDoesNotFit) {
  EXPECT_THROW(CoverTally(0), InputError);
  EXPECT_THROW(CoverageMonitor(0, 1, {0.1, 0.5, 0.9}), InputError);
  EXPECT_THROW(CoverageMonitor(1, 1, {0.1, 0.5, 0.9}, 0.1, 0.95), InputError);
  EXPECT_THROW(CoverageMonitor(1, 1, {0.1, 0.5, 0.9}, 0.5, 0.9), InputError);
  CoverageMonitor watch(1, 1, {0.1, 0.5, 0.9});
  EXPECT_THROW(watch.raw(1, 0), InputError);
}

}  // namespace
}  // namespace emisopt
