#include "emisopt/features/windows.hpp"

#include <gtest/gtest.h>

#include "model/toy_plant.hpp"

namespace emisopt {
namespace {

// One output, rows 0..9, a gap before row 5; context 2, horizon 1.
struct Windows : testing::Test {
  Windows() {
    history.tags.tags = {{.name = "nox", .unit = "mg/m3", .role = Role::emission}};
    history.values = Matrix(10, 1);
    for (Index r = 0; r < 10; ++r) history.values(r, 0) = static_cast<double>(r);
    history.gap.assign(10, 0);
    history.gap[5] = 1;
    layout = FeatureLayout(history.tags, 2, 1, 1, 6);
  }
  History history;
  FeatureLayout layout;
};

TEST_F(Windows, NeverCrossAGap) {
  EXPECT_EQ(training_origins(history, layout, 0, 10), (std::vector<Index>{2, 3, 4, 7, 8, 9}));
  EXPECT_TRUE(unbroken(history, 5, 5));
  EXPECT_FALSE(unbroken(history, 4, 2));
  EXPECT_FALSE(unbroken(history, 8, 3));
  EXPECT_FALSE(unbroken(history, -1, 3));
}

TEST_F(Windows, KeepTheirTargetsInTheRowsAsked) {
  const FeatureLayout two(history.tags, 2, 2, 1, 6);
  EXPECT_EQ(training_origins(history, two, 0, 9), (std::vector<Index>{2, 3, 7}));
  EXPECT_EQ(training_origins(history, two, 3, 10), (std::vector<Index>{3, 7, 8}));
  EXPECT_TRUE(training_origins(history, two, 9, 10).empty());
}

TEST_F(Windows, TeachOnlyWithAKnownContextAndAKnownTarget) {
  history.values(8, 0) = kMissing;                         // no target at origin 8
  history.values(1, 0) = history.values(2, 0) = kMissing;  // nothing known in the context of origin 3
  EXPECT_EQ(training_origins(history, layout, 0, 10), (std::vector<Index>{4, 7, 9}));
}

TEST_F(Windows, MayBeShorterThanTheHorizonWhereThatIsAskedFor) {
  const FeatureLayout four(history.tags, 2, 4, 1, 6);
  EXPECT_TRUE(training_origins(history, four, 0, 10).empty());  // runs of 5 rows, windows of 6
  EXPECT_EQ(training_origins(history, four, 0, 10, 2), (std::vector<Index>{2, 3, 7, 8}));
  EXPECT_EQ(training_origins(history, four, 0, 10, 1), (std::vector<Index>{2, 3, 4, 7, 8, 9}));
  EXPECT_EQ(training_origins(history, four, 0, 9, 2), (std::vector<Index>{2, 3, 7}));
  history.values(9, 0) = kMissing;
  EXPECT_EQ(training_origins(history, four, 0, 10, 1), (std::vector<Index>{2, 3, 4, 7, 8}));
}

TEST_F(Windows, CanBeForecastWhereEveryOutputIsKnownBeforeTheHiddenRows) {
  EXPECT_TRUE(can_forecast(history, layout, 4));
  EXPECT_TRUE(can_forecast(history, layout, 5));  // the gap lies at the origin: the context is whole
  EXPECT_FALSE(can_forecast(history, layout, 6));
  EXPECT_TRUE(can_forecast(history, layout, 10));  // what follows the end
  history.values(2, 0) = kMissing;
  EXPECT_TRUE(can_forecast(history, layout, 4));
  EXPECT_FALSE(can_forecast(history, layout, 4, /*hidden=*/1));
}

}  // namespace
}  // namespace emisopt
