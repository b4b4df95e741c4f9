#include "emisopt/train/corrector_columns.hpp"

#include <gtest/gtest.h>

#include "emisopt/base/error.hpp"
#include "model/toy_plant.hpp"

namespace emisopt {
namespace {

Index place(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) - names.begin();
}

struct Columns : testing::Test {
  History past = toy::history(120, 1);
  Scaler scaler = Scaler::fit(past, 100);
  CorrectorColumns columns{past.tags, {0, 3}, true};
  std::vector<std::string> names = columns.names(past.tags);
  double z(Index row, Index tag) const {
    return scaler.tags[static_cast<std::size_t>(tag)].normalise(past.values(row, tag));
  }
};

TEST_F(Columns, AreTheInputsNowAndBackAndTheCalendar) {
  EXPECT_EQ(names.front(), "oxygen");
  EXPECT_EQ(static_cast<Index>(names.size()), columns.width());
  EXPECT_EQ(place(names, "nox"), columns.width());  // an output is no operation
  const Matrix x = columns.rows(past, scaler, 50, 10);
  EXPECT_EQ(x(4, place(names, "load")), z(54, toy::kLoad));
  EXPECT_EQ(x(4, place(names, "load[-3]")), z(51, toy::kLoad));
  const auto grade = static_cast<Index>(past.values(54, toy::kGrade));
  const Index first = place(names, "grade=A");
  for (Index c = 0; c < 3; ++c) EXPECT_EQ(x(4, first + c), c == grade ? 1.0 : 0.0);
  EXPECT_NEAR(x(4, place(names, "day sine")), std::sin(2 * M_PI * past.time[54] / 86400), 1e-9);
}

TEST_F(Columns, TheCalendarIsThatOfThePlantsClock) {
  const CorrectorColumns local(past.tags, {0}, true, 6);
  const Matrix x = local.rows(past, scaler, 50, 10);
  EXPECT_NEAR(x(4, local.operation()), std::sin(2 * M_PI * (past.time[54] / 86400 + 0.25)), 1e-9);
  EXPECT_EQ(local.names(past.tags)[static_cast<std::size_t>(local.weekend())], "weekend");
  EXPECT_EQ(CorrectorColumns(past.tags, {0}, false).weekend(), -1);
}

TEST_F(Columns, ALaboratorySampleIsHeldUntilTheNext) {
  const Matrix x = columns.rows(past, scaler, 50, 10);
  const Index fuel = place(names, "fuel");
  Index sampled = 53;
  while (std::isnan(past.values(sampled, toy::kFuel))) --sampled;
  EXPECT_EQ(x(3, fuel), z(sampled, toy::kFuel));
  EXPECT_EQ(place(names, "fuel[-3]"), columns.width());  // says nothing new
}

TEST_F(Columns, LagsDoNotReachAcrossAGap) {
  past.gap[52] = 1;
  const Matrix x = columns.rows(past, scaler, 50, 6);
  const Index lagged = place(names, "load[-3]");
  EXPECT_EQ(x(1, lagged), z(48, toy::kLoad));
  EXPECT_TRUE(std::isnan(x(2, lagged)));
  EXPECT_TRUE(std::isnan(x(4, lagged)));
  EXPECT_EQ(x(5, lagged), z(52, toy::kLoad));
}

TEST_F(Columns, ComingRowsAreThoseOfTheHistoryThatCame) {
  const History known = past.slice(0, 100);
  const auto& tags = past.tags;
  const Matrix plan = toy::realised(past, tags.setpoints(), 100, 6);
  const Matrix disturbances = toy::realised(past, tags.disturbances(), 100, 6);
  const Matrix coming = columns.coming(known, scaler, plan, disturbances),
               came = columns.rows(past, scaler, 100, 6);
  for (Index h = 0; h < 6; ++h)
    for (Index c = 0; c < columns.width(); ++c)
      if (c != place(names, "fuel"))
        EXPECT_EQ(coming(h, c), came(h, c)) << names[static_cast<std::size_t>(c)];
}

TEST_F(Columns, WhatIsNotKnownIsHeld) {
  const History known = past.slice(0, 100);
  const Matrix none(4, 2, kMissing), nothing(4, 4, kMissing);
  const Matrix x = columns.coming(known, scaler, none, nothing);
  for (Index h = 0; h < 4; ++h) {
    EXPECT_EQ(x(h, place(names, "oxygen")), z(99, toy::kOxygen));
    EXPECT_EQ(x(h, place(names, "inlet")), z(99, toy::kInlet));
  }
}

TEST_F(Columns, AheadHidesWhatNobodyKnows) {
  EXPECT_TRUE(columns.hides(past.tags));
  std::vector<double> x(static_cast<std::size_t>(columns.width()));
  columns.ahead(x.data(), past, scaler, 60, 64);
  EXPECT_EQ(x[static_cast<std::size_t>(place(names, "load"))], z(64, toy::kLoad));    // known ahead
  EXPECT_EQ(x[static_cast<std::size_t>(place(names, "inlet"))], z(59, toy::kInlet));  // not
  EXPECT_EQ(x[static_cast<std::size_t>(place(names, "inlet[-3]"))], z(59, toy::kInlet));
  columns.ahead(x.data(), past, scaler, 60, 61);
  EXPECT_EQ(x[static_cast<std::size_t>(place(names, "inlet[-3]"))], z(58, toy::kInlet));
}

TEST_F(Columns, ABrokenSensorCountsSoMuchOnly) {
  past.values(50, toy::kLoad) = 1e9;
  past.values(51, toy::kLoad) = kMissing;
  const Matrix x = columns.rows(past, scaler, 50, 2);
  EXPECT_EQ(x(0, place(names, "load")), kOperationClip);
  EXPECT_TRUE(std::isnan(x(1, place(names, "load"))));
}

TEST_F(Columns, RefuseBadLagsRowsAndShapes) {
  EXPECT_THROW(CorrectorColumns(past.tags, {}, true), InputError);
  EXPECT_THROW(CorrectorColumns(past.tags, {0, 0}, true), InputError);
  EXPECT_THROW(CorrectorColumns(past.tags, {-1}, true), InputError);
  EXPECT_THROW(columns.rows(past, scaler, 100, 30), InputError);
  EXPECT_THROW(columns.coming(past, scaler, Matrix(4, 3), Matrix(4, 4)), ShapeError);
  EXPECT_THROW(columns.coming(past, scaler, Matrix(4, 2), Matrix(3, 4)), ShapeError);
}

TEST_F(Columns, RowsWithoutStampsCountRows) {
  EXPECT_DOUBLE_EQ(row_time(past, 10), past.time[10] / 300);
  EXPECT_DOUBLE_EQ(row_time(past, 125), past.time[119] / 300 + 6);
  past.time.clear();
  EXPECT_EQ(row_time(past, 10), 10);
  EXPECT_EQ(row_time(past, 125), 125);
}

}  // namespace
}  // namespace emisopt
