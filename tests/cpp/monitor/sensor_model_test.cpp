#include "emisopt/monitor/sensor_model.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "monitor/watched_plant.hpp"

namespace emisopt {
namespace {

using watched::kTags;

SensorOptions monthly() {
  SensorOptions options;
  options.rows_per_month = 8640;
  return options;
}

SensorModel fit(const Matrix& rows, const std::uint8_t* status = nullptr) {
  return SensorModel::fit(watched::tags(), rows, status, {}, monthly());
}

TEST(SensorModel, ModelsMeasurementsAndSetpointsAndJudgesMeasurements) {
  const SensorModel model = fit(watched::rows(6000, 1));
  EXPECT_EQ(model.size(), kTags - 1);  // all but the laboratory
  EXPECT_TRUE(model.judged[0]);
  EXPECT_FALSE(model.judged[watched::kSetpoint]);
  EXPECT_EQ(model.factors.factors(), 2);  // chosen
}

TEST(SensorModel, ExpectedAndItsSpreadHoldForFreshRows) {
  const SensorModel model = fit(watched::rows(8000, 1));
  const Matrix rows = watched::rows(4000, 2);
  Matrix expected(4000, kTags), sd(4000, kTags);
  model.reconstruct(rows, nullptr, nullptr, expected, sd);
  for (Index t = 0; t < watched::kSetpoint; ++t) {
    double square = 0;
    for (Index r = 0; r < 4000; ++r) square += std::pow((rows(r, t) - expected(r, t)) / sd(r, t), 2) / 4000;
    EXPECT_NEAR(square, 1, 0.2) << t;
  }
  EXPECT_TRUE(std::isnan(expected(0, watched::kLaboratory)));
}

TEST(SensorModel, FlaggedAndFrozenReadingsDoNotInform) {
  const SensorModel model = fit(watched::rows(6000, 1));
  Matrix rows = watched::rows(50, 2);
  std::vector<std::uint8_t> status(rows.values.size(), 0);
  status[10 * kTags + 3] = 2;
  Matrix before(50, kTags), after(50, kTags), sd(50, kTags);
  model.reconstruct(rows, status.data(), nullptr, before, sd);
  rows(10, 3) = 250;
  model.reconstruct(rows, status.data(), nullptr, after, sd);
  EXPECT_EQ(before(10, 5), after(10, 5));
  model.reconstruct(rows, nullptr, nullptr, after, sd);
  EXPECT_NE(before(10, 5), after(10, 5));
}

// A reference as plants have it: spikes, freezes, a flagged calibration with absurd values.
TEST(SensorModel, FaultsInTheReferenceHardlyMoveTheLimits) {
  Matrix rows = watched::rows(12000, 1);
  const SensorModel clean = fit(rows);
  std::vector<std::uint8_t> status(rows.values.size(), 0);
  Rng rng(4);
  for (int i = 0; i < 40; ++i) rows(rng.below(12000), 2) += 100;
  for (Index r = 3001; r < 3100; ++r) rows(r, 4) = rows(3000, 4);
  for (Index r = 6000; r < 6100; ++r) {
    rows(r, 5) = 1e9;
    status[static_cast<std::size_t>(r * kTags + 5)] = 1;
  }
  const SensorModel dirty = fit(rows, status.data());
  for (std::size_t t = 0; t < clean.limits.size(); ++t) {
    EXPECT_NEAR(dirty.limits[t].jump / clean.limits[t].jump, 1, 0.35) << t;
    EXPECT_NEAR(dirty.limits[t].spread / clean.limits[t].spread, 1, 0.2) << t;
  }
  EXPECT_NEAR(dirty.scales[5].spread / clean.scales[5].spread, 1, 0.1);
}

TEST(SensorModel, ConstantAndUnknownTagsAreNotModelled) {
  Matrix rows = watched::rows(6000, 1);
  for (Index r = 0; r < 6000; ++r) {
    rows(r, 1) = 7;
    rows(r, 2) = kMissing;
  }
  const SensorModel model = fit(rows);
  EXPECT_EQ(model.size(), kTags - 3);
  EXPECT_EQ(std::count(model.modelled.begin(), model.modelled.end(), 1), 0);
}

// A tag that was connected late has readings in one stretch only: it is modelled, but no limit can be set.
TEST(SensorModel, ATagKnownInOneStretchOnlyIsNotHeldAgainstOthers) {
  Matrix rows = watched::rows(6000, 1);
  for (Index r = 0; r < 4800; ++r) rows(r, 3) = kMissing;
  const SensorModel model = fit(rows);
  for (std::size_t t = 0; t < model.limits.size(); ++t) {
    EXPECT_EQ(std::isinf(model.limits[t].jump), model.modelled[t] == 3) << t;
    EXPECT_GT(model.limits[t].spread, 0) << t;
  }
}

// A laboratory-like rhythm and thinning do not miss each other: every fourth row has the tag.
TEST(SensorModel, ATagThatComesEveryFourthRowIsLearnedFromToo) {
  Matrix rows = watched::rows(24000, 1);
  for (Index r = 0; r < rows.rows; ++r)
    if (r % 4 != 1) rows(r, 3) = kMissing;  // 24,000 rows are thinned by two
  SensorOptions options = monthly();
  options.factors = 2;
  const SensorModel model = SensorModel::fit(watched::tags(), rows, nullptr, {}, options);
  const auto place = std::find(model.modelled.begin(), model.modelled.end(), 3) - model.modelled.begin();
  ASSERT_LT(place, static_cast<std::ptrdiff_t>(model.modelled.size()));
  EXPECT_NEAR(model.limits[static_cast<std::size_t>(place)].spread, 1, 0.2);
}

TEST(SensorModel, OneTagAloneIsJudgedByItselfOnly) {
  TagMap map = watched::tags();
  map.tags.resize(1);
  Matrix rows(6000, 1);
  const Matrix all = watched::rows(6000, 1);
  for (Index r = 0; r < 6000; ++r) rows(r, 0) = all(r, 0);
  const SensorModel model = SensorModel::fit(map, rows, nullptr, {}, monthly());
  EXPECT_EQ(model.size(), 0);
  EXPECT_GE(model.runs[0].frozen_rows, 3);
}

TEST(SensorModel, RefusesBadOptionsAndShortReferences) {
  const Matrix rows = watched::rows(3000, 1);
  const auto refuses = [&](auto change) {
    SensorOptions options;
    change(options);
    EXPECT_THROW(SensorModel::fit(watched::tags(), rows, nullptr, {}, options), InputError);
  };
  refuses([](auto& o) { o.false_alarms = 0; });
  refuses([](auto& o) { o.rows_per_month = 0; });
  refuses([](auto& o) { o.memory = {}; });
  refuses([](auto& o) { o.memory = {1}; });
  refuses([](auto& o) { o.memory = {20, 10}; });
  refuses([](auto& o) { o.memory = {12, 1000}; });
  refuses([](auto& o) { o.baseline = 144; });
  refuses([](auto& o) { o.baseline = kMissing; });
  refuses([](auto& o) { o.factors = -1; });
  refuses([](auto& o) { o.blocks = 1; });
  refuses([](auto& o) { o.settle_rows = -1; });
  refuses([](auto& o) { o.most_accused = 0; });
  refuses([](auto& o) { o.confidence = 0.2; });
  EXPECT_THROW(SensorModel::fit(watched::tags(), Matrix(3000, 3), nullptr, {}, {}), ShapeError);
  EXPECT_THROW(SensorModel::fit(watched::tags(), rows, nullptr, std::vector<char>(5), {}), ShapeError);
  const SensorModel model = fit(watched::rows(6000, 1));
  Matrix out(2, kTags);
  EXPECT_THROW(model.reconstruct(Matrix(2, 3), nullptr, nullptr, out, out), ShapeError);
}

}  // namespace
}  // namespace emisopt
