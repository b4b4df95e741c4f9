#include "emisopt/data/history.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kStart = 1388534400;  // 2014-01-01 00:00:00 UTC

// Three tags: load (input, 0..500), grade (A, B), nox (output, >= 0, -200 missing); period 300 s.
TagMap three_tags() {
  TagMap map;
  map.period = 300;
  Tag load{"load", "MW"};
  load.low = 0;
  load.high = 500;
  Tag grade{"grade", "", Role::disturbance, Kind::categorical};
  grade.categories = {"A", "B"};
  Tag nox{"nox", "mg/Nm3", Role::emission};
  nox.low = 0;
  nox.missing = -200;
  map.tags = {load, grade, nox};
  return map;
}

Matrix table(std::vector<std::vector<double>> rows) {
  Matrix out(static_cast<Index>(rows.size()), static_cast<Index>(rows[0].size()));
  for (std::size_t r = 0; r < rows.size(); ++r)
    std::copy(rows[r].begin(), rows[r].end(), out.row(static_cast<Index>(r)));
  return out;
}

Matrix good() { return table({{100, 0, 50}, {101, 0, 51}, {102, 1, 52}, {103, 1, 53}}); }

std::vector<double> stamps(std::vector<double> minutes) {
  for (double& t : minutes) t = kStart + 60 * t;
  return minutes;
}

std::string refusal(const std::function<void()>& call) {
  try {
    call();
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(MakeHistory, MissingCodesAndValuesOutsideTheRangeAreCountedAsMissing) {
  const History h =
      make_history(three_tags(), table({{100, 0, 50}, {501, kMissing, -200}, {-1, 1, -3}, {500, 1, 53}}));
  EXPECT_EQ(missing_count(h), (std::vector<Index>{2, 1, 2}));
  EXPECT_TRUE(std::isnan(h.values(1, 2)));
  EXPECT_EQ(h.values(3, 0), 500);  // the bounds belong to the range
  EXPECT_EQ(h.gap, std::vector<char>(4, 0));
}

// nox with frozen_after 3 through make_history; the rows that are left as numbers.
std::vector<double> thawed(const std::vector<double>& nox, std::vector<char> gap = {}) {
  TagMap map = three_tags();
  map.tags[2].frozen_after = 3;
  Matrix values(static_cast<Index>(nox.size()), 3, 1.0);
  for (Index r = 0; r < values.rows; ++r) values(r, 2) = nox[static_cast<std::size_t>(r)];
  const History h = make_history(map, values, {}, gap, Use::live);
  std::vector<double> out;
  for (Index r = 0; r < h.rows(); ++r) out.push_back(std::isnan(h.values(r, 2)) ? -1 : h.values(r, 2));

  History grown;  // row by row it must come out the same
  grown.tags = map;
  if (gap.empty()) {
    for (Index r = 0; r < values.rows; ++r) grown.append(values.row(r));
    for (Index r = 0; r < values.rows; ++r)
      EXPECT_EQ(std::isnan(grown.values(r, 2)), std::isnan(h.values(r, 2))) << r;
  }
  return out;
}

TEST(MakeHistory, OfAFrozenRunOnlyTheFirstReadingStays) {
  EXPECT_EQ(thawed({5, 7, 7, 8}), (std::vector<double>{5, 7, 7, 8}));
  EXPECT_EQ(thawed({5, 7, 7, 7, 7, 8, 7}), (std::vector<double>{5, 7, -1, -1, -1, 8, 7}));
  EXPECT_EQ(thawed({7, kMissing, 7, 8}), (std::vector<double>{7, -1, -1, 8}));  // it drops out while it hangs
  EXPECT_EQ(thawed({7, 7, kMissing, kMissing, 7, 7}), (std::vector<double>{7, -1, -1, -1, -1, -1}));
  EXPECT_EQ(thawed({0, 0, 0, 0, 1}), (std::vector<double>{0, 0, 0, 0, 1}));  // the end of its range
  EXPECT_EQ(thawed({7, 7, 7, 7, 8, 9}, {0, 0, 1, 0, 0, 0}), (std::vector<double>{7, 7, 7, 7, 8, 9}));
}

TEST(MakeHistory, FrozenRunsComeOutTheSameRowByRow) {
  Rng rng(3);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<double> nox;
    for (int r = 0; r < 40; ++r)
      nox.push_back(rng.uniform() < 0.2 ? kMissing : static_cast<double>(rng.below(3)));
    thawed(nox);
  }
}

TEST(MakeHistory, GapsAreStepsThatDifferFromThePeriod) {
  const History h = make_history(three_tags(), good(), stamps({0, 5, 12, 17}));
  EXPECT_EQ(h.gap, (std::vector<char>{0, 0, 1, 0}));
  const History jitter = make_history(three_tags(), good(), stamps({0, 5.05, 9.98, 15}));
  EXPECT_EQ(jitter.gap, std::vector<char>(4, 0));
  const History half = make_history(three_tags(), good(), stamps({0, 2.5, 5, 10}));
  EXPECT_EQ(half.gap, (std::vector<char>{0, 1, 1, 0}));
}

TEST(MakeHistory, KeepsBreaksKnownFromElsewhere) {
  const History h = make_history(three_tags(), good(), {}, {1, 0, 1, 0});
  EXPECT_EQ(h.gap, (std::vector<char>{0, 0, 1, 0}));
  EXPECT_EQ(h.run_start(1), 0);
  EXPECT_EQ(h.run_start(2), 2);
  EXPECT_EQ(h.run_start(3), 2);
}

TEST(MakeHistory, LaboratorySamplesStayAsSampled) {
  TagMap map = three_tags();
  map.tags[0].kind = Kind::laboratory;
  const History h =
      make_history(map, table({{100, 0, 50}, {kMissing, 0, 51}, {kMissing, 1, 52}, {90, 1, 53}}));
  EXPECT_TRUE(std::isnan(h.values(1, 0)) && std::isnan(h.values(2, 0)));
  EXPECT_EQ(h.values(3, 0), 90);
}

TEST(MakeHistory, RefusesTimeThatDoesNotRise) {
  EXPECT_EQ(
      refusal([] { make_history(three_tags(), good(), stamps({0, 5, 3, 10})); }),
      "make_history: row 2: time goes backwards, from 2014-01-01 00:05:00 UTC to 2014-01-01 00:03:00 UTC; "
      "sort the rows by time");
  EXPECT_EQ(refusal([] { make_history(three_tags(), good(), stamps({0, 5, 5, 10})); }),
            "make_history: row 2: duplicate time stamp 2014-01-01 00:05:00 UTC; keep one of the two rows");
  EXPECT_EQ(refusal([] { make_history(three_tags(), good(), stamps({0, 5, kMissing, 10})); }),
            "make_history: row 2: expected a time stamp, got nan");
}

TEST(MakeHistory, RefusesStampsWithoutAPeriod) {
  TagMap map = three_tags();
  map.period = 0;
  EXPECT_EQ(
      refusal([&] { make_history(map, good(), stamps({0, 5, 10, 15})); }),
      "make_history: rows have stamps but the tag map's period is 0; set period to the seconds between rows");
  EXPECT_EQ(refusal([&] { make_history(map, good()); }), "accepted");
}

TEST(MakeHistory, RefusesOutputsThatCannotBeLearnt) {
  const Matrix constant = table({{100, 0, 50}, {101, 0, 50}, {102, 1, -200}});
  EXPECT_EQ(
      refusal([&] { make_history(three_tags(), constant); }),
      "make_history: output tag 'nox' is constant (50) over 3 rows; a frozen signal cannot be learnt from");
  const Matrix absent = table({{100, 0, -200}, {101, 0, -1}, {102, 1, kMissing}});
  EXPECT_EQ(refusal([&] { make_history(three_tags(), absent); }),
            "make_history: output tag 'nox' has no value in any of 3 rows after missing codes and values "
            "outside its "
            "range were put aside; check its column, unit and range");
  // Inputs may be constant (a fuel that never changed) and live tables may hold a frozen or dead analyser.
  EXPECT_EQ(refusal([] { make_history(three_tags(), table({{100, 0, 50}, {100, 0, 51}})); }), "accepted");
  EXPECT_EQ(refusal([&] { make_history(three_tags(), constant, {}, {}, Use::live); }), "accepted");
  EXPECT_EQ(refusal([&] { make_history(three_tags(), absent, {}, {}, Use::live); }), "accepted");
}

TEST(MakeHistory, RefusesCategoriesOutOfRange) {
  for (const double bad : {2.0, -1.0, 0.5}) {
    const Matrix values = table({{100, 0, 50}, {101, bad, 51}});
    EXPECT_NE(refusal([&] {
                make_history(three_tags(), values);
              }).find("make_history: tag 'grade', row 1: expected a category index 0 to 1, got "),
              std::string::npos);
    EXPECT_TRUE(std::isnan(make_history(three_tags(), values, {}, {}, Use::live).values(1, 1)));
  }
}

TEST(MakeHistory, RefusesInfinities) {
  const Matrix values = table({{100, 0, 50}, {kInf, 0, 51}});
  EXPECT_EQ(refusal([&] { make_history(three_tags(), values); }),
            "make_history: tag 'load', row 1: expected a finite number or NaN, got inf");
  EXPECT_TRUE(std::isnan(make_history(three_tags(), values, {}, {}, Use::live).values(1, 0)));
}

TEST(MakeHistory, RefusesWrongSizes) {
  EXPECT_EQ(refusal([] { make_history(three_tags(), Matrix(2, 4)); }),
            "make_history(values): expected (N, tags=3), got (2, 4)");
  EXPECT_EQ(refusal([] { make_history(three_tags(), Matrix(0, 3)); }),
            "make_history(values): expected at least one row, got none");
  EXPECT_EQ(refusal([] { make_history(three_tags(), good(), stamps({0, 5})); }),
            "make_history: expected 4 time stamps, one per row, got 2");
  EXPECT_EQ(refusal([] { make_history(three_tags(), good(), {}, {0, 1}); }),
            "make_history(gap): expected 4 flags, one per row, got 2");
  EXPECT_NE(refusal([] { make_history(TagMap{}, good()); }).find("TagMap: tags"), std::string::npos);
}

TEST(History, SliceTakesRowsStampsAndGaps) {
  const History h = make_history(three_tags(), good(), stamps({0, 5, 12, 17}));
  const History s = h.slice(2, 2);
  EXPECT_EQ(s.rows(), 2);
  EXPECT_EQ(s.values(0, 0), 102);
  EXPECT_EQ(s.time, (std::vector<double>{h.time[2], h.time[3]}));
  EXPECT_EQ(s.gap, (std::vector<char>{0, 0}));
  EXPECT_EQ(h.slice(4, 0).rows(), 0);
  EXPECT_EQ(refusal([&] { h.slice(3, 2); }), "History.slice: expected rows within 0 to 4, got 3 to 5");
  EXPECT_NE(refusal([&] { h.slice(-1, 2); }), "accepted");
}

TEST(History, AppendGrowsAsMakeHistoryWould) {
  const std::vector<double> time = stamps({0, 5, 12, 17});
  const Matrix raw = table({{100, 0, 50}, {501, 0, -200}, {102, 7, 52}, {kInf, 1, 53}});
  History grown;
  grown.tags = three_tags();
  for (Index row = 0; row < raw.rows; ++row) grown.append(raw.row(row), time[static_cast<std::size_t>(row)]);
  const History made = make_history(three_tags(), raw, time, {}, Use::live);
  EXPECT_EQ(grown.gap, made.gap);
  EXPECT_EQ(grown.time, made.time);
  EXPECT_EQ(missing_count(grown), missing_count(made));
  EXPECT_EQ(missing_count(grown), (std::vector<Index>{2, 1, 1}));
}

TEST(History, AppendRefusesAndLeavesTheHistoryAsItWas) {
  const double row[3] = {100, 0, 50};
  History h = make_history(three_tags(), good(), stamps({0, 5, 10, 15}));
  EXPECT_EQ(
      refusal([&] { h.append(row, kStart + 15 * 60); }),
      "History.append: row 4: time does not rise, from 2014-01-01 00:15:00 UTC to 2014-01-01 00:15:00 UTC");
  EXPECT_EQ(refusal([&] { h.append(row); }),
            "History.append: row 4: expected a time stamp as the rows before have");
  EXPECT_EQ(refusal([&] { h.append(row, kInf); }),
            "History.append: row 4: expected a finite time stamp, got inf");
  EXPECT_EQ(h.rows(), 4);
  EXPECT_EQ(h.time.size(), 4u);
  EXPECT_EQ(h.values.values.size(), 12u);
  History plain = make_history(three_tags(), good());
  EXPECT_EQ(refusal([&] { plain.append(row, kStart); }),
            "History.append: row 4: got a time stamp, the rows before have none");
  EXPECT_EQ(refusal([&] { plain.append(row); }), "accepted");
  History unstamped;
  unstamped.tags = three_tags();
  unstamped.tags.period = 0;
  EXPECT_NE(refusal([&] { unstamped.append(row, kStart); }).find("period is 0"), std::string::npos);
}

TEST(History, RunStartRefusesRowsThatAreNotThere) {
  const History h = make_history(three_tags(), good());
  EXPECT_EQ(refusal([&] { h.run_start(4); }), "History.run_start: expected a row within 0 to 3, got 4");
  EXPECT_NE(refusal([&] { h.run_start(-1); }), "accepted");
}

}  // namespace
}  // namespace emisopt
