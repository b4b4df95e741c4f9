#include "emisopt/loop/permit_watch.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/loop/scenario.hpp"

namespace emisopt {
namespace {
using namespace boiler;

constexpr double kMidnight = 1711929600;  // 2024-04-01 00:00 UTC

Permit permit() { return *boiler_60d(1).permit; }

// A run whose NOx is `nox` and whose CO is 50, from midnight on.
LoopLog run_of(const std::vector<double>& nox) {
  LoopLog log;
  log.tags = boiler_tags();
  const auto n = static_cast<Index>(nox.size());
  log.truth = Matrix(n, kOutputs, 50);
  log.measured = Matrix(n, kColumns, 50);
  log.before = Matrix(0, kOutputs);
  for (Index r = 0; r < n; ++r) {
    log.truth(r, kNox) = nox[static_cast<std::size_t>(r)];
    log.time.push_back(kMidnight + kPeriod * static_cast<double>(r + 1));
  }
  log.state.assign(nox.size(), PlantState::on);
  return log;
}

const PermitSummary& rule(const std::vector<PermitSummary>& all, const std::string& name) {
  for (const PermitSummary& s : all)
    if (s.rule == name) return s;
  throw std::runtime_error("no rule " + name);
}

TEST(PermitWatch, KnowsItsLimitsBeforeTheFirstRow) {
  const PermitWatch watch(permit(), boiler_tags());
  EXPECT_TRUE(watch.rows(24).empty());
  ASSERT_EQ(watch.limits().size(), 7u);  // five rules, two of them once more for what may be above
  EXPECT_EQ(watch.limits()[0].output, kNox);
  EXPECT_EQ(watch.limits()[0].limit, 75);
  int spared = 0;
  for (const Limit& l : watch.limits()) spared += l.rank == 3;
  EXPECT_EQ(spared, 2);
}

TEST(PermitWatch, TheDaysMeanIsARowAndWhatWasEmittedCounts) {
  PermitWatch watch(permit(), boiler_tags());
  double y[kOutputs] = {60, 50, 0, 0, 40, 100};
  for (int r = 1; r <= 240; ++r) watch.push(kMidnight + kPeriod * r, y, PlantState::on);
  y[kNox] = 1e6;
  watch.push(kMidnight + kPeriod * 240, y, PlantState::on);  // the same row once more is passed over
  bool found = false;
  for (const LimitRow& row : watch.rows(48)) {
    const Limit& limit = watch.limits()[static_cast<std::size_t>(row.limit)];
    if (limit.name != "NOx 24 h" || row.end_step != 47) continue;
    found = true;
    // 20 h at 60, 4 h to come: y may be 75 * 24 / 4 - 60 * 20 / 4 = 150 in the mean.
    double sum = 0;
    for (const double c : row.coefficient) sum += c;
    EXPECT_NEAR(row.rhs / sum, 150, 1e-9);
  }
  EXPECT_TRUE(found);
}

TEST(PermitWatch, RefusesAPermitForTagsThatAreNoOutputs) {
  Permit other = permit();
  other.signals[0].tag = "load";
  for (Rule& r : other.rules)
    if (r.tag == "nox") r.tag = "load";
  EXPECT_THROW(PermitWatch(other, boiler_tags()), InputError);
}

TEST(JudgePermit, ADayAboveIsTwentyFourHours) {
  std::vector<double> nox(3 * 288, 70);
  for (std::size_t r = 288; r < 576; ++r) nox[r] = 80;
  const std::vector<PermitSummary> all = judge_permit(run_of(nox), permit());
  EXPECT_EQ(rule(all, "NOx 24 h").above, 1);
  EXPECT_NEAR(rule(all, "NOx 24 h").hours_above, 24, 1e-9);
  EXPECT_FALSE(rule(all, "NOx 24 h").holds);
  EXPECT_NEAR(rule(all, "NOx 24 h").worst, 80, 1e-9);
  EXPECT_TRUE(rule(all, "CO 24 h").holds);
}

TEST(JudgePermit, HalfHoursThatMayBeAboveCostNothing) {
  // 3 % of 480 half-hours in April's ten days are 14.
  for (const auto& [above, hours] : {std::pair(14, 0.0), std::pair(16, 1.0)}) {
    std::vector<double> nox(10 * 288, 50);
    for (int k = 0; k < above; ++k) std::fill_n(nox.begin() + 60 * k, 6, 200);
    const std::vector<PermitSummary> all = judge_permit(run_of(nox), permit());
    EXPECT_EQ(rule(all, "NOx 97 % of half-hours").above, above);
    EXPECT_NEAR(rule(all, "NOx 97 % of half-hours").hours_above, hours, 1e-9) << above;
    EXPECT_EQ(rule(all, "NOx 97 % of half-hours").holds, hours == 0);
  }
}

TEST(JudgePermit, StartUpAndMissingReadingsDoNotCount) {
  std::vector<double> nox(288, 60);
  std::fill_n(nox.begin(), 48, 500);
  LoopLog log = run_of(nox);
  EXPECT_FALSE(rule(judge_permit(log, permit()), "NOx 24 h").holds);
  LoopLog starting = log;
  std::fill_n(starting.state.begin(), 48, PlantState::startup);
  EXPECT_NEAR(rule(judge_permit(starting, permit()), "NOx 24 h").worst, 60, 1e-9);
  LoopLog unread = log;
  for (Index r = 0; r < 48; ++r) unread.measured(r, column(kNox)) = kMissing;
  EXPECT_NEAR(rule(judge_permit(unread, permit()), "NOx 24 h").worst, 60, 1e-9);
}

}  // namespace
}  // namespace emisopt
