#include "emisopt/monitor/ewma.hpp"

#include <gtest/gtest.h>

#include "emisopt/base/error.hpp"
#include "monitor/drift_cases.hpp"

namespace emisopt {
namespace {

// z after n rows at 1 is 1 - 0.8^n: above 3 sqrt(0.2 / 1.8) = 1 never, above 2.4 of its deviations (0.8) from
// the eighth row on (0.8^8 = 0.168 < 0.2 < 0.8^7).
TEST(Ewma, AlarmsWhenItsMeanExceedsTheLimit) {
  const std::vector<double> ones(40, 1.0);
  EXPECT_TRUE(alarm_rows(EwmaOptions{0.2, 3}, ones).empty());
  DriftBank bank(EwmaOptions{0.2, 2.4}, {"x"});
  const auto alarms = bank.push({ones.data(), 40, 1, 1, 1});
  ASSERT_FALSE(alarms.empty());
  EXPECT_EQ(alarms[0].row, 7);
  EXPECT_EQ(alarms[0].alarm.direction, 1);
  EXPECT_NEAR(alarms[0].alarm.size, 1 - std::pow(0.8, 8), 1e-12);
  EXPECT_EQ(alarms[0].alarm.delay, 8);
  EXPECT_EQ(alarms[1].row, 15);
}

TEST(Ewma, WeightOneIsAShewhartChart) {
  EXPECT_EQ(alarm_rows(EwmaOptions{1, 3}, {0, 2.9, -3.1, 0, 3.01}), (std::vector<Index>{2, 4}));
}

TEST(Ewma, RefusesEachWrongOption) {
  EXPECT_THROW((EwmaOptions{0, 3}.validate()), InputError);
  EXPECT_THROW((EwmaOptions{1.1, 3}.validate()), InputError);
  EXPECT_THROW((EwmaOptions{kMissing, 3}.validate()), InputError);
  EXPECT_THROW((EwmaOptions{0.1, 0}.validate()), InputError);
}

}  // namespace
}  // namespace emisopt
