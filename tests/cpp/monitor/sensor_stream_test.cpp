#include "emisopt/monitor/sensor_stream.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "monitor/watched_plant.hpp"

namespace emisopt {
namespace {

using watched::kTags;

std::shared_ptr<const SensorModel> model() {
  static const auto kModel = [] {
    SensorOptions options;
    options.rows_per_month = 8640;
    return std::make_shared<const SensorModel>(
        SensorModel::fit(watched::tags(), watched::rows(12000, 1), nullptr, {}, options));
  }();
  return kModel;
}

std::vector<Finding> findings(const Matrix& rows, const std::uint8_t* status = nullptr,
                              const char* gap = nullptr) {
  SensorStream stream(model());
  stream.push(rows, status, gap);
  return stream.findings();
}

bool is(const Finding& f, FindingKind kind, Index tag, Index first, Index last) {
  return f.kind == kind && f.tag == tag && f.first_row == first && f.last_row == last;
}

std::string text(const std::vector<Finding>& found) {
  std::string out;
  for (const Finding& f : found)
    out += std::string(to_string(f.kind)) + " of " + std::to_string(f.tag) + " rows " +
           std::to_string(f.first_row) + ".." + std::to_string(f.last_row) + " alarm " +
           std::to_string(f.alarm_row) + "\n";
  return out;
}

// 20,000 rows are 2.3 months of 9 judged tags: 0.1 each were asked for, 2 expected.
TEST(SensorStream, HealthyRowsHardlyEverAlarm) {
  int count = 0;
  for (std::uint64_t seed = 2; seed < 6; ++seed)
    count += static_cast<int>(findings(watched::rows(20000, seed)).size());
  EXPECT_LE(count, 16) << text(findings(watched::rows(20000, 3)));  // 8 expected
}

TEST(SensorStream, AFreezeIsFoundFromItsFirstRow) {
  Matrix rows = watched::rows(600, 2);
  for (Index r = 301; r < 360; ++r) rows(r, 3) = rows(300, 3);
  const auto found = findings(rows);
  ASSERT_EQ(found.size(), 1u) << text(found);
  EXPECT_TRUE(is(found[0], FindingKind::frozen, 3, 300, 359)) << text(found);
  EXPECT_LE(found[0].alarm_row, 306);
  EXPECT_FALSE(found[0].open);
  EXPECT_TRUE(std::isfinite(found[0].expected));
  EXPECT_GT(found[0].sd, 0);
}

// A mean that goes astray is seen first: what is then told is the reading that hangs, not that mean.
TEST(SensorStream, AFreezeThatWasFoundByItsMeanTellsTheReadingThatHangs) {
  for (const double away : {1.5, 2.0, 3.0, 4.0, 6.0, 9.0}) {
    Matrix rows = watched::rows(600, 2);
    const double held = std::round((rows(300, 3) - away) * 100) / 100;
    for (Index r = 300; r < 400; ++r) rows(r, 3) = held;
    const auto found = findings(rows);
    const auto frozen = std::find_if(found.begin(), found.end(),
                                     [](const Finding& f) { return f.kind == FindingKind::frozen; });
    ASSERT_NE(frozen, found.end()) << text(found);
    EXPECT_EQ(frozen->value, held) << "away " << away << "\n" << text(found);
    EXPECT_EQ(frozen->averaged, 1) << "away " << away;
    EXPECT_TRUE(std::isfinite(frozen->expected));
  }
}

TEST(SensorStream, OutOfRangeAndStuckAtTheEndOfTheRange) {
  Matrix rows = watched::rows(600, 2);
  rows(100, 1) = 301;
  rows(101, 1) = -101;
  for (Index r = 200; r < 230; ++r) rows(r, 2) = 300;
  rows(400, watched::kSetpoint) = 500;
  rows(420, watched::kLaboratory) = 500;
  const auto found = findings(rows);
  ASSERT_EQ(found.size(), 4u) << text(found);
  EXPECT_TRUE(is(found[0], FindingKind::range, 1, 100, 101)) << text(found);
  EXPECT_EQ(found[0].value, 301);
  EXPECT_TRUE(is(found[1], FindingKind::stuck, 2, 200, 229)) << text(found);
  EXPECT_TRUE(is(found[2], FindingKind::range, watched::kSetpoint, 400, 400)) << text(found);
  EXPECT_TRUE(is(found[3], FindingKind::range, watched::kLaboratory, 420, 420)) << text(found);
}

TEST(SensorStream, ASpikeIsLoneAndAJumpThatStaysIsADisagreement) {
  Matrix rows = watched::rows(800, 2);
  rows(100, 4) += 40;
  rows(200, 5) += 40;
  rows(201, 5) += 35;
  for (Index r = 400; r < 500; ++r) rows(r, 6) -= 40;
  const auto found = findings(rows);
  ASSERT_EQ(found.size(), 3u) << text(found);
  EXPECT_TRUE(is(found[0], FindingKind::spike, 4, 100, 100)) << text(found);
  EXPECT_NEAR(found[0].value, rows(100, 4), 1e-12);
  EXPECT_LT(std::abs(found[0].expected - (rows(100, 4) - 40)), 4 * found[0].sd);
  EXPECT_TRUE(is(found[1], FindingKind::spike, 5, 200, 201)) << text(found);
  EXPECT_TRUE(is(found[2], FindingKind::disagrees, 6, 400, 499)) << text(found);
  EXPECT_EQ(found[2].alarm_row, 402);
  EXPECT_FALSE(found[2].open);
}

TEST(SensorStream, ASpikeAroundAMissingRowEndsWhereItWasSeenLast) {
  Matrix rows = watched::rows(300, 2);
  rows(100, 4) += 40;
  rows(101, 4) = kMissing;
  rows(102, 4) += 40;
  const auto found = findings(rows);
  ASSERT_EQ(found.size(), 1u) << text(found);
  EXPECT_TRUE(is(found[0], FindingKind::spike, 4, 100, 102)) << text(found);
}

// While it is accused its usual residual is kept to measure its return by. After a gap, or a long silence,
// that is no measure any more: it must not stay accused for ever.
TEST(SensorStream, ADisagreementEndsWithAGapOrALongSilenceAndIsJudgedAnew) {
  for (const bool silent : {false, true}) {
    Matrix rows = watched::rows(1200, 2);
    for (Index r = 400; r < 600; ++r) rows(r, 6) -= 40;
    std::vector<char> gap(1200, 0);
    if (silent)
      for (Index r = 600; r < 620; ++r) rows(r, 6) = kMissing;
    else
      gap[600] = 1;
    const auto found = findings(rows, nullptr, gap.data());
    ASSERT_EQ(found.size(), 1u) << text(found);
    EXPECT_FALSE(found[0].open);
    EXPECT_LE(found[0].last_row, 620);
    Matrix still = watched::rows(1200, 2);
    for (Index r = 400; r < 1200; ++r)
      if (!silent || r < 600 || r >= 620) still(r, 6) -= 40;
    if (silent)
      for (Index r = 600; r < 620; ++r) still(r, 6) = kMissing;
    const auto again = findings(still, nullptr, gap.data());
    ASSERT_EQ(again.size(), 2u) << text(again);
    EXPECT_TRUE(again[1].open);
    EXPECT_LT(again[1].alarm_row, 640) << text(again);
  }
}

TEST(SensorStream, ADriftIsFoundAndOnlyTheDriftingTagIsAccused) {
  for (const Index bad : {Index{0}, Index{3}, Index{7}}) {
    Matrix rows = watched::rows(3000, 2);
    for (Index r = 1000; r < 3000; ++r) rows(r, bad) += 0.008 * static_cast<double>(r - 1000);
    const auto found = findings(rows);
    ASSERT_GE(found.size(), 1u);
    for (const Finding& f : found) EXPECT_EQ(f.tag, bad) << text(found);
    EXPECT_LT(found[0].alarm_row, 1600) << text(found);
    EXPECT_GE(found[0].averaged, 12);
    const double off = found[0].value - found[0].expected;  // of a mean, so it lags behind the ramp
    EXPECT_GT(off, 0);
    EXPECT_LT(off, 0.008 * static_cast<double>(found[0].alarm_row - 1000));
    EXPECT_TRUE(found.back().open);
    EXPECT_EQ(found.back().last_row, 2999);
  }
}

// All tags move at once, in proportions that no healthy plant has: nobody can say which sensor it was.
TEST(SensorStream, WhenMostTagsDisagreeTheProcessIsNamedNotASensor) {
  Matrix rows = watched::rows(400, 2);
  for (Index r = 200; r < 300; ++r)
    for (Index t = 0; t < 8; ++t) rows(r, t) += t % 2 ? 60 + 10.0 * static_cast<double>(t) : -80;
  const auto found = findings(rows);
  const auto process = std::count_if(found.begin(), found.end(),
                                     [](const Finding& f) { return f.kind == FindingKind::process; });
  EXPECT_GE(process, 1) << text(found);
  EXPECT_EQ(found[0].tag, -1) << text(found);
}

TEST(SensorStream, FlaggedRowsAreNeitherJudgedNorLearnedFrom) {
  Matrix rows = watched::rows(600, 2);
  const Matrix healthy = rows;
  std::vector<std::uint8_t> status(rows.values.size(), 0);
  for (Index r = 200; r < 240; ++r) {  // span gas, out of range at times, and frozen
    rows(r, 3) = r < 220 ? 280 : 400;
    status[static_cast<std::size_t>(r * kTags + 3)] = 1;
  }
  rows(240, 3) = 270;  // still settling
  EXPECT_TRUE(findings(rows, status.data()).empty()) << text(findings(rows, status.data()));
  EXPECT_FALSE(findings(rows).empty());
  // What the flagged tag showed has no effect on later rows: the same findings with any other values there.
  Matrix other = rows;
  for (Index r = 200; r <= 240; ++r) other(r, 3) = r % 3 ? kMissing : 1e6;
  for (Matrix* m : {&rows, &other}) (*m)(500, 5) += 40;
  const auto a = findings(rows, status.data()), b = findings(other, status.data());
  ASSERT_EQ(a.size(), 1u);
  ASSERT_EQ(b.size(), 1u);
  EXPECT_EQ(a[0].expected, b[0].expected);
  EXPECT_EQ(a[0].strength, b[0].strength);
}

TEST(SensorStream, AfterACalibrationATagStartsAnew) {
  Matrix rows = watched::rows(3000, 2);
  for (Index r = 500; r < 2000; ++r) rows(r, 3) += 4;  // an offset that the calibration at 2000 takes away
  std::vector<std::uint8_t> status(rows.values.size(), 0);
  for (Index r = 2000; r < 2004; ++r) status[static_cast<std::size_t>(r * kTags + 3)] = 1;
  const auto found = findings(rows, status.data());
  ASSERT_GE(found.size(), 1u);
  for (const Finding& f : found) {
    EXPECT_EQ(f.tag, 3) << text(found);
    EXPECT_LT(f.last_row, 2000) << text(found);
    EXPECT_FALSE(f.open);
  }
}

TEST(SensorStream, SplittingTheRowsChangesNoBit) {
  Matrix rows = watched::rows(1500, 2);
  for (Index r = 301; r < 330; ++r) rows(r, 3) = rows(300, 3);
  rows(700, 4) += 50;
  for (Index r = 900; r < 1400; ++r) rows(r, 6) += 6;
  std::vector<char> gap(1500, 0);
  gap[500] = gap[701] = 1;
  const auto whole = findings(rows, nullptr, gap.data());
  SensorStream stream(model());
  for (Index first = 0; first < 1500;) {
    const Index count = std::min<Index>(1500 - first, first % 7 + 1);
    stream.push(rows.view().slice(first, count), nullptr, gap.data() + first);
    first += count;
  }
  const auto parts = stream.findings();
  ASSERT_EQ(whole.size(), parts.size());
  EXPECT_GE(whole.size(), 3u);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    EXPECT_TRUE(is(parts[i], whole[i].kind, whole[i].tag, whole[i].first_row, whole[i].last_row));
    EXPECT_EQ(whole[i].alarm_row, parts[i].alarm_row);
    EXPECT_EQ(whole[i].value, parts[i].value);
    EXPECT_TRUE(whole[i].expected == parts[i].expected);
  }
}

TEST(SensorStream, MissingAndInfiniteReadingsAreNoFindings) {
  Matrix rows = watched::rows(1000, 2);
  Rng rng(8);
  for (double& v : rows.values)
    if (const double u = rng.uniform(); u < 0.1) v = u < 0.01 ? HUGE_VAL : kMissing;
  for (Index r = 500; r < 700; ++r)
    for (Index t = 0; t < kTags; ++t) rows(r, t) = kMissing;
  EXPECT_TRUE(findings(rows).empty()) << text(findings(rows));
}

TEST(SensorStream, ARowOfAnotherWidthIsRefused) {
  SensorStream stream(model());
  EXPECT_THROW(stream.push(Matrix(2, kTags + 1), nullptr, nullptr), ShapeError);
}

}  // namespace
}  // namespace emisopt
