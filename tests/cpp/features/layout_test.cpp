#include "emisopt/features/layout.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "model/toy_plant.hpp"

namespace emisopt {
namespace {

constexpr double kNan = kMissing;

// One tag of each sort, in an order that is not that of the columns; no stamps. Rows fade by exactly a half.
struct HandComputed : testing::Test {
  HandComputed() {
    map.tags = {
        {.name = "u", .unit = "%", .role = Role::setpoint},
        {.name = "y", .unit = "mg/m3", .role = Role::emission},
        {.name = "d", .unit = "MW", .role = Role::disturbance, .known_ahead = true},
        {.name = "m", .unit = "degC", .role = Role::disturbance},
        {.name = "l", .unit = "%", .role = Role::disturbance, .kind = Kind::laboratory},
        {.name = "c",
         .unit = "-",
         .role = Role::disturbance,
         .kind = Kind::categorical,
         .categories = {"A", "B"}},
    };
    layout = FeatureLayout(map, 3, 2, 1, 1 / std::log(2.0));
    z = Matrix(3, 6);
    z.values = {1, 2,    10, 4, kNan, 0,  // d: counts as 8 in the past
                3, kNan, 2,  4, 6,    1,  //
                5, 1,    2,  4, kNan, kNan};
  }
  TagMap map;
  FeatureLayout layout;
  Matrix z;  // (3, tags)
};

TEST_F(HandComputed, AnchorsFadeOldRowsAndSkipMissingOnes) {
  const ContextSummary summary = layout.summarise(z);
  const auto &a = summary.anchor, &last = summary.last;
  EXPECT_DOUBLE_EQ(a[0], (5 + 3 * 0.5 + 1 * 0.25) / 1.75);
  EXPECT_DOUBLE_EQ(a[1], (1 + 2 * 0.25) / 1.25);
  EXPECT_DOUBLE_EQ(a[2], (2 + 2 * 0.5 + 8 * 0.25) / 1.75);
  EXPECT_DOUBLE_EQ(a[3], 4);
  EXPECT_DOUBLE_EQ(a[4], 6);  // held over the last row, unknown before its sample
  EXPECT_DOUBLE_EQ(a[5], 1);  // the last category seen
  EXPECT_EQ(last, (std::vector<double>{5, 1, 2, 4, 6, 1}));
  const ContextSummary late = layout.summarise(z, /*hidden=*/1);
  EXPECT_DOUBLE_EQ(late.anchor[1], 2);
  EXPECT_DOUBLE_EQ(late.last[1], 2);
  EXPECT_DOUBLE_EQ(late.anchor[0], a[0]);  // only outputs are late
  EXPECT_TRUE(std::isnan(layout.summarise(z, 3).anchor[1]));
  EXPECT_TRUE(std::isnan(layout.summarise(z, 3).last[1]));
}

TEST_F(HandComputed, SeasonIsTheContextsCourseAtTheSamePlace) {
  // Season of 2 in a context of 5: rows 1, 3 stand where step 0 does (row 5), rows 0, 2, 4 where step 1 does.
  const FeatureLayout daily(map, 5, 3, 1, 6, false, 2);
  Matrix week(5, 6, kNan);
  week.values[0 * 6 + 1] = 1;
  week.values[1 * 6 + 1] = 4;
  week.values[2 * 6 + 1] = 3;
  week.values[3 * 6 + 1] = 6;
  const ContextSummary summary = daily.summarise(week);
  const auto expect_row = [](const double* got, double mean, double spread, double newest) {
    EXPECT_DOUBLE_EQ(got[0], mean);
    EXPECT_DOUBLE_EQ(got[1], spread);
    EXPECT_DOUBLE_EQ(got[2], newest);
  };
  expect_row(summary.seasonal.row(0), 5, 1, 6);
  expect_row(summary.seasonal.row(1), 2, 1, 3);                   // row 4 is missing
  expect_row(daily.summarise(week, 2).seasonal.row(0), 4, 0, 4);  // the newest two rows are late
  std::vector<double> x(static_cast<std::size_t>(3 * daily.future_width()), -1);
  daily.fill_future(x.data(), summary, nullptr, {}, 0);
  const std::vector<std::string> names = daily.future_names();
  ASSERT_EQ(static_cast<int>(names.size()), daily.future_width());
  const auto column = std::find(names.begin(), names.end(), "y season mean - anchor") - names.begin();
  const double anchor = summary.anchor[1];
  for (int h = 0; h < 3; ++h) {
    const double* row = x.data() + h * daily.future_width() + column;
    EXPECT_DOUBLE_EQ(row[0], (h % 2 ? 2 : 5) - anchor);
    EXPECT_DOUBLE_EQ(row[1], (h % 2 ? 3 : 6) - anchor);
    EXPECT_DOUBLE_EQ(row[2], 1);
    EXPECT_DOUBLE_EQ(row[3], 1);
  }
  week.values[1 * 6 + 1] = week.values[3 * 6 + 1] = kNan;
  daily.fill_future(x.data(), daily.summarise(week), nullptr, {}, 0);
  for (int k = 0; k < 4; ++k) EXPECT_EQ(x[static_cast<std::size_t>(column + k)], 0);
}

TEST_F(HandComputed, ShortTimeConstantsDoNotUnderflow) {
  const FeatureLayout quick(map, 3, 2, 1, 1e-3);  // e^-2000 between the known row and the context's end
  z(2, 1) = kNan;
  EXPECT_DOUBLE_EQ(quick.summarise(z).anchor[1], 2);
}

TEST_F(HandComputed, HistoryRow) {
  ASSERT_EQ(layout.history_names(),
            (std::vector<std::string>{"y z - anchor", "y known", "u z - anchor", "u z", "u known",
                                      "d z - anchor", "d z", "d known", "m z - anchor", "m z", "m known",
                                      "l z - anchor", "l z", "l known", "l age", "c is A", "c is B", "row"}));
  ASSERT_EQ(layout.history_width(), 18);
  const ContextSummary summary = layout.summarise(z);
  const std::vector<double>& a = summary.anchor;
  const double one_row = std::log1p(1.0) / std::log1p(3.0);
  const std::vector<double> expected = {
      2 - a[1], 1, 1 - a[0], 1, 1, 8 - a[2], 8, 1, 0, 4, 1, 0, 6, 0, 1,       1, 0, 1.0 / 3,  //
      0,        0, 3 - a[0], 3, 1, 2 - a[2], 2, 1, 0, 4, 1, 0, 6, 1, 0,       0, 1, 2.0 / 3,  //
      1 - a[1], 1, 5 - a[0], 5, 1, 2 - a[2], 2, 1, 0, 4, 1, 0, 6, 1, one_row, 0, 0, 1};
  std::vector<double> x(expected.size(), -99);
  layout.fill_history(x.data(), z, summary, kNan);
  for (std::size_t i = 0; i < x.size(); ++i)
    EXPECT_DOUBLE_EQ(x[i], expected[i]) << "row " << i / 18 << ' ' << i % 18;
}

TEST_F(HandComputed, FutureRow) {
  ASSERT_EQ(layout.future_names(), (std::vector<std::string>{"u z",
                                                             "u z - anchor",
                                                             "u known",
                                                             "d z",
                                                             "d z - anchor",
                                                             "d known",
                                                             "m last",
                                                             "m last - anchor",
                                                             "l last",
                                                             "l last - anchor",
                                                             "c is A",
                                                             "c is B",
                                                             "y anchor",
                                                             "y last - anchor, fading over 1",
                                                             "y last - anchor, fading over 3",
                                                             "y last - anchor, fading over 10",
                                                             "step",
                                                             "step fading over 1",
                                                             "step fading over 3",
                                                             "step fading over 10"}));
  constexpr std::size_t kWidth = 20;
  ASSERT_EQ(layout.future_width(), static_cast<int>(kWidth));
  const ContextSummary summary = layout.summarise(z);
  const std::vector<double>& a = summary.anchor;
  Matrix plan(2, 1), known(2, 4);
  plan.values = {20, kNan};  // beyond the clip: a plan is never clipped
  known.values = {20, 7, 7, 0, kNan, 7, 7, 0};
  const ConstView plan_view = plan;
  const double lead = 1 - a[1], f1 = std::exp(-1.0), f3 = std::exp(-1.0 / 3), f10 = std::exp(-0.1);
  const std::vector<double> expected = {
      20, 20 - a[0], 1,    8,         8 - a[2],  1,          4,   0,  6,  0,
      0,  1,         a[1], lead,      lead,      lead,       0.5, 1,  1,  1,  //
      5,  5 - a[0],  0,    2,         2 - a[2],  0,          4,   0,  6,  0,
      0,  1,         a[1], lead * f1, lead * f3, lead * f10, 1,   f1, f3, f10};
  std::vector<double> x(expected.size(), -99);
  layout.fill_future(x.data(), summary, &plan_view, known, kNan);
  for (std::size_t i = 0; i < x.size(); ++i)
    EXPECT_DOUBLE_EQ(x[i], expected[i]) << "row " << i / kWidth << ' ' << i % kWidth;

  // Without a plan nothing of the future counts, whatever `known` holds: operation is held at its last
  // values.
  std::vector<double> without(expected.size()), empty(expected.size());
  layout.fill_future(without.data(), summary, nullptr, known, kNan);
  layout.fill_future(empty.data(), summary, nullptr, {}, kNan);
  EXPECT_EQ(without, empty);
  EXPECT_EQ(without[0], 5);
  EXPECT_EQ(without[2], 0);
  EXPECT_EQ(without[5], 0);
}

TEST_F(HandComputed, ATagThatIsNeverKnownIsWrittenAsZeros) {
  for (Index r = 0; r < 3; ++r) z(r, 0) = z(r, 1) = z(r, 4) = z(r, 5) = kNan;
  std::vector<double> past(3 * static_cast<std::size_t>(layout.history_width()));
  std::vector<double> coming(2 * static_cast<std::size_t>(layout.future_width()));
  const ContextSummary a = layout.summarise(z);
  layout.fill_history(past.data(), z, a, kNan);
  layout.fill_future(coming.data(), a, nullptr, {}, kNan);
  for (double x : past) EXPECT_TRUE(std::isfinite(x));
  for (double x : coming) EXPECT_TRUE(std::isfinite(x));
  EXPECT_EQ(past[3], 0);    // u z
  EXPECT_EQ(coming[0], 0);  // u z
}

TEST(FeatureLayout, PatchesAreRowsSideBySide) {
  const History h = toy::history(60, 1);
  const Matrix z = Scaler::fit(h, 60).normalise(h, 0, 12);
  const FeatureLayout single(h.tags, 12, 4, 1, 6), paired(h.tags, 12, 4, 2, 6);
  EXPECT_EQ(paired.history_tokens(), 6);
  EXPECT_EQ(paired.history_width(), 2 * single.history_width());
  std::vector<float> a(12 * static_cast<std::size_t>(single.history_width())), b(a.size());
  single.fill_history(a.data(), z, single.summarise(z), h.time[0]);
  paired.fill_history(b.data(), z, paired.summarise(z), h.time[0]);
  EXPECT_EQ(a, b);
}

TEST(FeatureLayout, CalendarTurnsWithTheStamps) {
  TagMap map;
  map.period = 3600;
  map.tags = {{.name = "y", .unit = "mg/m3", .role = Role::emission}};
  const FeatureLayout layout(map, 2, 2, 1, 6);
  Matrix z(2, 1, 1.0);
  std::vector<double> x(2 * static_cast<std::size_t>(layout.history_width()));
  const double monday_5h = 1704085200;  // 2024-01-01 05:00:00 UTC
  layout.fill_history(x.data(), z, {{1.0}, {1.0}}, monday_5h);
  ASSERT_EQ(layout.history_names()[2], "hour sin");
  const std::size_t second = static_cast<std::size_t>(layout.history_width());
  EXPECT_NEAR(x[2], std::sin(2 * M_PI * 5 / 24), 1e-12);
  EXPECT_NEAR(x[second + 2], 1, 1e-12);  // 06:00
  EXPECT_NEAR(x[second + 3], 0, 1e-12);
  EXPECT_NEAR(x[second + 4], std::sin(2 * M_PI * 6 / 168), 1e-12);  // six hours into the week
  layout.fill_history(x.data(), z, {{1.0}, {1.0}}, kNan);  // rows without stamps under a map with a period
  EXPECT_EQ(x[2], 0);
  EXPECT_EQ(x[3], 0);
}

TEST(FeatureLayout, PlanColumnsAreWhereThePlanIsWritten) {
  const History h = toy::history(60, 1);
  const FeatureLayout layout(h.tags, 12, 4, 1, 6);
  const Matrix z = Scaler::fit(h, 60).normalise(h, 0, 12);
  const ContextSummary summary = layout.summarise(z);
  const auto width = static_cast<std::size_t>(layout.future_width());
  for (int u = 0; u < 2; ++u) {
    Matrix plan(4, 2, 0.5);
    std::vector<double> base(4 * width), moved(4 * width);
    ConstView view = plan;
    layout.fill_future(base.data(), summary, &view, {}, h.time[11]);
    plan(2, u) += 0.25;
    layout.fill_future(moved.data(), summary, &view, {}, h.time[11]);
    const auto [level, change] = layout.plan_columns(u);
    for (std::size_t i = 0; i < base.size(); ++i) {
      const bool fed =
          i / width == 2 && (static_cast<int>(i % width) == level || static_cast<int>(i % width) == change);
      EXPECT_NEAR(moved[i] - base[i], fed ? 0.25 : 0.0, 1e-15) << i;
    }
  }
}

TEST(FeatureLayout, NeedsAnOutput) {
  TagMap map;
  map.plant = "kiln";
  map.tags = {{.name = "u", .unit = "%", .role = Role::setpoint}};
  const std::string message = toy::message_of<InputError>([&] { FeatureLayout(map, 3, 2, 1, 6); });
  EXPECT_NE(message.find("role emission or quality, the tag map of plant 'kiln' has none"),
            std::string::npos);
}

TEST(Layout, APriorAddsAColumnPerOutputBehindAllOthers) {
  const FeatureLayout plain(toy::tags(), 12, 4, 2, 6), with(toy::tags(), 12, 4, 2, 6, true);
  EXPECT_EQ(plain.prior_column(0), -1);
  EXPECT_EQ(with.future_width(), plain.future_width() + 2);
  EXPECT_EQ(with.prior_column(1), plain.future_width() + 1);
  std::vector<std::string> names = plain.future_names();
  names.insert(names.end(), {"nox prior", "efficiency prior"});
  EXPECT_EQ(with.future_names(), names);
  const Matrix z(12, toy::kTags);
  const ContextSummary summary = plain.summarise(z);
  std::vector<double> a(std::size_t(4 * plain.future_width())), b(std::size_t(4 * with.future_width()), 7.0);
  plain.fill_future(a.data(), summary, nullptr, {}, 0);
  with.fill_future(b.data(), summary, nullptr, {}, 0);
  for (int h = 0; h < 4; ++h) {
    for (int i = 0; i < plain.future_width(); ++i)
      EXPECT_EQ(a[std::size_t(h * plain.future_width() + i)], b[std::size_t(h * with.future_width() + i)]);
    EXPECT_EQ(b[std::size_t(h * with.future_width() + with.prior_column(0))], 7.0);
  }
}

}  // namespace
}  // namespace emisopt
