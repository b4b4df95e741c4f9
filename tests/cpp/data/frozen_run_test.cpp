#include "emisopt/data/frozen_run.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace emisopt {
namespace {

std::vector<Index> lengths(const std::vector<double>& readings, double tolerance = 0) {
  FrozenRun run;
  std::vector<Index> out;
  for (std::size_t row = 0; row < readings.size(); ++row)
    out.push_back(run.push(readings[row], static_cast<Index>(row), tolerance));
  return out;
}

TEST(FrozenRun, CountsRowsFromTheFirstOfItsValueAndMissingOnesBelongToIt) {
  EXPECT_EQ(lengths({5, 5, kMissing, 5, 6, 6}), (std::vector<Index>{1, 2, 0, 4, 1, 2}));
  EXPECT_EQ(lengths({kMissing, kMissing, 1}), (std::vector<Index>{0, 0, 1}));
}

TEST(FrozenRun, ToleranceIsFromTheFirstValueSoASlowRampIsNoRun) {
  EXPECT_EQ(lengths({1.0, 1.1, 1.2, 1.3}, 0.25), (std::vector<Index>{1, 2, 3, 1}));
}

TEST(FrozenRun, ForgetsWhenRowsDoNotFollow) {
  FrozenRun run;
  run.push(5, 0);
  run.push(5, 1);
  run.forget();
  EXPECT_EQ(run.push(5, 2), 1);
  EXPECT_EQ(run.push(kMissing, 3), 0);
  EXPECT_EQ(run.push(5, 4), 3);
  EXPECT_EQ(run.readings, 2);
}

}  // namespace
}  // namespace emisopt
