#include "emisopt/monitor/lone_reading.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace emisopt {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

std::vector<bool> lone(const std::vector<double>& readings) {
  LoneReading gate;
  std::vector<bool> out;
  for (const double y : readings) out.push_back(gate.push(y, 80, 120));
  return out;
}

TEST(LoneReading, ASecondReadingOnTheSameSideIsBelieved) {
  EXPECT_EQ(lone({100, 150, 100, 150, 151}), (std::vector<bool>{false, true, false, true, false}));
  EXPECT_EQ(lone({150, 50}), (std::vector<bool>{true, true}));
}

TEST(LoneReading, AMissingReadingConfirmsNothingAndForgetsNothing) {
  EXPECT_EQ(lone({150, kNaN, 150}), (std::vector<bool>{true, false, false}));
}

TEST(LoneReading, AnOpenBoundIsNeverPassed) {
  LoneReading gate;
  EXPECT_FALSE(gate.push(1e9, kNaN, kNaN));
  EXPECT_EQ(gate.side(), 0);
}

}  // namespace
}  // namespace emisopt
