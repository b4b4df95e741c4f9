#include "emisopt/monitor/drift_bank.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <thread>
#include <tuple>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

// Forty-one tags (no multiple of a group), steps, missing values, a constant and an empty tag.
struct Table {
  Index rows = 1200, tags = 41;
  std::vector<double> by_rows, by_tags;
  std::vector<std::string> names;

  Table() : by_rows(static_cast<std::size_t>(rows * tags)), by_tags(by_rows.size()) {
    Rng rng(12);
    for (Index t = 0; t < tags; ++t) {
      names.push_back("tag " + std::to_string(t));
      for (Index r = 0; r < rows; ++r) {
        double x = rng.normal() + (r > 600 && t % 3 == 0 ? 4 : 0);
        if (rng.uniform() < 0.03 || t == 7) x = kMissing;
        if (t == 8) x = 3.25;
        by_rows[static_cast<std::size_t>(r * tags + t)] = by_tags[static_cast<std::size_t>(t * rows + r)] = x;
      }
    }
  }
  TagRows view(Index first = 0, Index count = -1) const {
    return {by_rows.data() + first * tags, count < 0 ? rows : count, tags, tags, 1};
  }
  TagRows columns() const { return {by_tags.data(), rows, tags, 1, rows}; }
};

const Table& table() {
  static const Table one;
  return one;
}

using Told = std::tuple<Index, Index, int, double, double, Index>;
std::vector<Told> told(const std::vector<TagAlarm>& alarms) {
  std::vector<Told> out;
  for (const TagAlarm& a : alarms)
    out.emplace_back(a.row, a.tag, a.alarm.direction, a.alarm.statistic, a.alarm.size, a.alarm.delay);
  return out;
}

class EachKind : public testing::TestWithParam<DetectorOptions> {};

TEST_P(EachKind, SaysTheSameHoweverRowsAreSplitLaidOutAndShared) {
  const auto whole = told(DriftBank(GetParam(), table().names).push(table().view()));
  EXPECT_FALSE(whole.empty());
  EXPECT_EQ(told(DriftBank(GetParam(), table().names).push(table().view(), 5)), whole);
  EXPECT_EQ(told(DriftBank(GetParam(), table().names).push(table().columns(), 2)), whole);
  for (const Index piece : {Index{1}, Index{7}, Index{256}, Index{1199}}) {
    DriftBank bank(GetParam(), table().names);
    std::vector<Told> parts;
    for (Index first = 0; first < table().rows; first += piece) {
      const auto part = told(bank.push(table().view(first, std::min(piece, table().rows - first)), 3));
      parts.insert(parts.end(), part.begin(), part.end());
    }
    EXPECT_EQ(parts, whole) << piece;
    EXPECT_EQ(bank.rows(), table().rows);
  }
}

TEST_P(EachKind, TagsKnowNothingOfEachOther) {
  const auto whole = told(DriftBank(GetParam(), table().names).push(table().view()));
  for (const Index tag : {Index{0}, Index{40}}) {
    const TagRows one{table().by_tags.data() + tag * table().rows, table().rows, 1, 1, 1};
    std::vector<Told> expected;
    for (Told t : whole)
      if (std::get<1>(t) == tag) {
        std::get<1>(t) = 0;
        expected.push_back(t);
      }
    EXPECT_EQ(told(DriftBank(GetParam(), {"alone"}).push(one)), expected);
  }
}

TEST_P(EachKind, MissingIsCountedAndChangesNoAlarmButItsRow) {
  DriftBank bank(GetParam(), table().names);
  bank.push(table().view());
  EXPECT_EQ(bank.missing()[7], table().rows);
  EXPECT_EQ(bank.alarms()[7], 0);
  EXPECT_EQ(bank.missing()[8], 0);
  // the same values without the gaps: as many alarms
  std::vector<double> dense;
  for (Index r = 0; r < table().rows; ++r)
    if (const double x = table().view()(r, 0); !std::isnan(x)) dense.push_back(x);
  DriftBank alone(GetParam(), {"x"});
  alone.push({dense.data(), static_cast<Index>(dense.size()), 1, 1, 1});
  EXPECT_EQ(alone.alarms()[0], bank.alarms()[0]);
}

TEST_P(EachKind, AnInfiniteValueIsNamedAndNothingHasChanged) {
  Table bad;
  bad.by_rows[static_cast<std::size_t>(900 * bad.tags + 13)] = -INFINITY;
  std::vector<double> time(static_cast<std::size_t>(bad.rows));
  for (std::size_t i = 0; i < time.size(); ++i) time[i] = 1700000000 + 60.0 * static_cast<double>(i);
  DriftBank bank(GetParam(), bad.names);
  bank.push(bad.view(0, 300));
  TagRows rest = bad.view(300, bad.rows - 300);
  rest.time = time.data() + 300;
  try {
    bank.push(rest, 2);
    FAIL() << "expected InputError";
  } catch (const InputError& e) {
    EXPECT_STREQ(e.what(),
                 "DriftBank.push(values): row 900 (2023-11-15 13:13:20 UTC), tag 'tag 13': expected a finite "
                 "number or NaN for missing, got -inf");
  }
  EXPECT_EQ(bank.rows(), 300);
  const auto after = told(bank.push(table().view(300, 900)));
  DriftBank other(GetParam(), bad.names);
  other.push(table().view(0, 300));
  EXPECT_EQ(after, told(other.push(table().view(300, 900))));
}

TEST_P(EachKind, RestartForgets) {
  DriftBank bank(GetParam(), table().names), fresh(GetParam(), table().names);
  bank.push(table().view(0, 500));
  bank.restart_all();
  auto got = told(bank.push(table().view(500, 700)));
  for (Told& t : got) std::get<0>(t) -= 500;
  EXPECT_EQ(got, told(fresh.push(table().view(500, 700))));
  EXPECT_THROW(bank.restart(41), InputError);
  EXPECT_THROW(bank.restart(-1), InputError);
}

INSTANTIATE_TEST_SUITE_P(
    DriftBank, EachKind,
    testing::Values(CusumOptions{}, EwmaOptions{}, PageHinkleyOptions{.limit = 20}, AdwinOptions{},
                    AdwinOptions{.variant = DriftVariant::moa},
                    PageHinkleyOptions{.limit = 20, .mode = DriftMode::up, .variant = DriftVariant::moa},
                    KswinOptions{}, TwoWindowKsOptions{200, 50, 0.3}));

TEST(DriftBank, LimitsArePerTagAndNaNJudgesNot) {
  DriftBank bank(CusumOptions{}, table().names);
  std::vector<double> limits(41, 1e6);
  limits[0] = 5;
  limits[3] = kMissing;
  bank.set_limits(limits);
  for (const TagAlarm& alarm : bank.push(table().view())) EXPECT_EQ(alarm.tag, 0);
  EXPECT_GT(bank.alarms()[0], 0);
  EXPECT_TRUE(std::isnan(bank.limits()[3]));
  EXPECT_GT(bank.missing()[3], 0);
  limits[5] = 0;
  EXPECT_THROW(bank.set_limits(limits), InputError);
  EXPECT_EQ(bank.limits()[5], 1e6);
  EXPECT_THROW(bank.set_limits({1.0}), ShapeError);
  EXPECT_THROW(DriftBank(AdwinOptions{}, {"x"}).set_limits({1.0}), StateError);
}

TEST(DriftBank, PeaksAreTheHighestStatisticSinceTheLastCall) {
  DriftBank bank(CusumOptions{0.5, INFINITY}, table().names, true);
  bank.push(table().view(0, 500));
  const auto quiet = bank.take_peaks();
  bank.push(table().view(500, 700));
  const auto peaks = bank.take_peaks();
  EXPECT_EQ(quiet[7].row, -1);
  EXPECT_GT(peaks[0].alarm.statistic, 500);
  EXPECT_EQ(peaks[0].alarm.direction, 1);
  EXPECT_NEAR(peaks[0].alarm.size, 4, 0.5);
  EXPECT_LT(quiet[0].alarm.statistic, 20);
  EXPECT_EQ(bank.take_peaks()[0].row, -1);
  EXPECT_THROW(DriftBank(CusumOptions{}, {"x"}).take_peaks(), StateError);
  EXPECT_THROW(DriftBank(KswinOptions{}, {"x"}, true), InputError);
}

TEST(DriftBank, TwoThreadsAtOnceAreRefusedNotMixed) {
  DriftBank bank(KswinOptions{}, table().names);
  std::atomic<int> refused = 0;
  std::atomic<Index> rows = 0;
  const auto feed = [&] {
    for (int i = 0; i < 20; ++i) {
      try {
        bank.push(table().view(0, 300));
        rows += 300;
      } catch (const StateError&) {
        ++refused;
      }
    }
  };
  std::thread other(feed);
  feed();
  other.join();
  EXPECT_EQ(bank.rows(), rows);
  EXPECT_EQ(rows / 300 + refused, 40);
}

TEST(DriftBank, RefusesNoTagsWrongWidthsAndWrongOptions) {
  EXPECT_THROW(DriftBank(CusumOptions{}, {}), InputError);
  EXPECT_THROW(DriftBank(CusumOptions{-1, 5}, {"x"}), InputError);
  DriftBank bank(CusumOptions{}, {"x", "y"});
  EXPECT_THROW(bank.push(table().view()), ShapeError);
  EXPECT_TRUE(bank.push({nullptr, 0, 2, 2, 1}).empty());
}

}  // namespace
}  // namespace emisopt
