#include "emisopt/monitor/process_monitor.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

constexpr Index kTags = 6;
const std::vector<std::string> kNames = {"a", "b", "c", "d", "e", "f"};

// Six tags of two slow causes.
Matrix plant(Index n, std::uint64_t seed) {
  Rng weights(11), rng(seed);
  Matrix w(kTags, 2), x(n, kTags);
  for (double& v : w.values) v = weights.normal();
  double a = rng.normal(), b = rng.normal();
  const double keep = 0.8, kick = std::sqrt(1 - keep * keep);
  for (Index r = 0; r < n; ++r) {
    a = keep * a + kick * rng.normal();
    b = keep * b + kick * rng.normal();
    for (Index t = 0; t < kTags; ++t)
      x(r, t) = 100 * static_cast<double>(t + 1) + w(t, 0) * a + w(t, 1) * b + 0.5 * rng.normal();
  }
  return x;
}

double alarms(const ProcessMonitor& monitor, const Matrix& rows) {
  ProcessState state = monitor.start();
  Matrix score(rows.rows, static_cast<Index>(monitor.statistics().size()));
  monitor.push(state, rows, nullptr, score);
  double count = 0;
  for (Index r = 0; r < rows.rows; ++r)
    count += *std::max_element(score.row(r), score.row(r) + score.cols) > 1;
  return count / static_cast<double>(rows.rows);
}

// 40 monitors, each of 500 normal rows: on fresh rows of their own kind the share in alarm is as asked or
// below on the whole, and beyond twice it in few.
TEST(ProcessMonitor, FreshNormalRowsAlarmAsOftenAsAskedAtMost) {
  double sum = 0;
  int above = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    const ProcessMonitor monitor = ProcessMonitor::fit(plant(500, 2 * seed), {}, kNames);
    const double share = alarms(monitor, plant(2000, 2 * seed + 1));
    sum += share / 40;
    above += share > 0.02;
  }
  EXPECT_LE(sum, 0.01);
  EXPECT_LE(above, 4);
  EXPECT_GT(sum, 0.0001);  // nor is the limit out of reach
}

TEST(ProcessMonitor, ASmallLastingShiftIsSeenByTheLongMemoryAndItsTagNamed) {
  const ProcessMonitor monitor = ProcessMonitor::fit(plant(1000, 1), {}, kNames);
  Matrix rows = plant(400, 2);
  for (Index r = 200; r < 400; ++r) rows(r, 3) += 1.5;
  ProcessState state = monitor.start();
  Matrix score(400, 2), parts(400, kTags);
  monitor.push(state, rows, nullptr, score, parts.values.data());
  int fast = 0, slow = 0, named = 0;
  for (Index r = 220; r < 400; ++r) {
    fast += score(r, 0) > 1;
    slow += score(r, 1) > 1;
    named += std::max_element(parts.row(r), parts.row(r) + kTags) - parts.row(r) == 3;
  }
  EXPECT_GT(slow, 150);
  EXPECT_LT(fast, slow);
  EXPECT_GT(named, 150);
}

TEST(ProcessMonitor, SplittingTheRowsChangesNoBit) {
  const ProcessMonitor monitor = ProcessMonitor::fit(plant(300, 1), {}, kNames);
  const Matrix rows = plant(100, 2);
  std::vector<char> gap(100, 0);
  gap[40] = gap[60] = 1;
  Matrix whole(100, 2), parts(100, 2);
  ProcessState state = monitor.start();
  monitor.push(state, rows, gap.data(), whole);
  state = monitor.start();
  for (const auto& [first, count] : {std::pair<Index, Index>{0, 41}, {41, 0}, {41, 19}, {60, 40}})
    monitor.push(state, rows.view().slice(first, count), gap.data() + first,
                 parts.view().slice(first, count));
  EXPECT_EQ(whole.values, parts.values);
}

TEST(ProcessMonitor, MissingAndInfiniteCellsNeverPoisonTheFilters) {
  const ProcessMonitor monitor = ProcessMonitor::fit(plant(300, 1), {}, kNames);
  Matrix rows = plant(200, 2);
  for (Index t = 0; t < kTags; ++t) rows(50, t) = kMissing;
  rows(70, 1) = HUGE_VAL;
  rows(71, 0) = rows(71, 1) = kMissing;
  Matrix score(200, 2);
  ProcessState state = monitor.start();
  monitor.push(state, rows, nullptr, score);
  for (Index r = 0; r < 200; ++r) EXPECT_EQ(std::isnan(score(r, 0)), r == 50) << r;
}

TEST(ProcessMonitor, RefusesBadOptionsAndInput) {
  const Matrix rows = plant(300, 1);
  const auto refuses = [&](auto change) {
    ProcessMonitorOptions options;
    change(options);
    EXPECT_THROW(ProcessMonitor::fit(rows, {}, kNames, options), InputError);
  };
  refuses([](auto& o) { o.lags = -1; });
  refuses([](auto& o) { o.memory = {}; });
  refuses([](auto& o) { o.memory = {0.5}; });
  refuses([](auto& o) { o.memory = {kMissing}; });
  refuses([](auto& o) { o.false_alarms = 0; });
  refuses([](auto& o) { o.false_alarms = 0.5; });
  refuses([](auto& o) { o.blocks = 1; });
  refuses([](auto& o) { o.blocks = 50; });  // 6 rows each
  refuses([](auto& o) { o.confidence = 1; });
  EXPECT_THROW(ProcessMonitor::fit(rows, std::vector<char>(7), kNames), ShapeError);
  Matrix constant = rows;
  for (Index r = 0; r < rows.rows; ++r) constant(r, 2) = 5;
  EXPECT_THROW(ProcessMonitor::fit(constant, {}, kNames), InputError);
  const ProcessMonitor monitor = ProcessMonitor::fit(rows, {}, kNames);
  ProcessState state = monitor.start();
  Matrix narrow(3, kTags - 1), score(3, 2), bad_score(3, 1);
  EXPECT_THROW(monitor.push(state, narrow, nullptr, score), ShapeError);
  EXPECT_THROW(monitor.push(state, rows.view().slice(0, 3), nullptr, bad_score), ShapeError);
}

}  // namespace
}  // namespace emisopt
