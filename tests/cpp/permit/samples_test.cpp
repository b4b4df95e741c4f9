#include "emisopt/permit/samples.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

struct Row {
  double time, value;
};

Samples view(const std::vector<double>& time, const std::vector<double>& values, Index first = 0) {
  Samples s;
  s.rows = static_cast<Index>(time.size());
  s.time = time.data();
  s.columns = {values.data()};
  s.first_number = first;
  return s;
}

// Pushes rows in pieces of `step` and returns what comes out.
std::vector<Row> through(const std::vector<Row>& rows, double lateness, std::size_t step) {
  SampleQueue queue({"nox"}, lateness);
  std::vector<Row> out;
  const auto take = [&](const Samples& s) {
    for (Index i = 0; i < s.rows; ++i) out.push_back({s.time[i], s.columns[0][i]});
  };
  for (std::size_t begin = 0; begin < rows.size(); begin += step) {
    std::vector<double> time, values;
    for (std::size_t i = begin; i < std::min(rows.size(), begin + step); ++i) {
      time.push_back(rows[i].time);
      values.push_back(rows[i].value);
    }
    queue.push(view(time, values, static_cast<Index>(begin)), take);
  }
  queue.finish(take);
  return out;
}

bool same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

std::string refusal(const std::vector<Row>& rows, double lateness) {
  try {
    through(rows, lateness, 100);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

TEST(SampleQueue, AnyOrderWithinTheLatenessAndAnySplitComeOutTheSame) {
  Rng rng(1);
  for (int round = 0; round < 200; ++round) {
    const double lateness = static_cast<double>(rng.below(10));
    std::vector<Row> sorted, mixed;
    for (int i = 0; i < 60; ++i) sorted.push_back({i * 1.0, rng.uniform() < 0.1 ? kMissing : rng.uniform()});
    mixed = sorted;
    // Each row may be overtaken by rows up to `lateness` newer; some come twice.
    std::stable_sort(mixed.begin(), mixed.end(), [&](const Row& a, const Row& b) {
      const auto rank = [&](const Row& r) { return std::floor(r.time / (lateness + 1)); };
      return rank(a) < rank(b) ||
             (rank(a) == rank(b) && static_cast<int>(a.time * 7) % 5 > static_cast<int>(b.time * 7) % 5);
    });
    for (int i = 0; i < 5; ++i) mixed.push_back(mixed.back());
    for (const std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{100}}) {
      const auto out = through(mixed, lateness, step);
      ASSERT_EQ(out.size(), sorted.size());
      for (std::size_t i = 0; i < out.size(); ++i) {
        EXPECT_EQ(out[i].time, sorted[i].time);
        EXPECT_TRUE(same(out[i].value, sorted[i].value));
      }
    }
  }
}

TEST(SampleQueue, AValueFillsAMissingOneOfTheSameStamp) {
  const auto out = through({{0, kMissing}, {0, 5}, {1, 6}, {1, kMissing}, {1, 6}}, 0, 100);
  ASSERT_EQ(out.size(), 2u);
  EXPECT_EQ(out[0].value, 5);
  EXPECT_EQ(out[1].value, 6);
}

TEST(SampleQueue, RefusesALaterRowByTagRowAndTime) {
  const std::string text = refusal({{100, 1}, {200, 2}, {139, 3}}, 60);
  EXPECT_NE(text.find("tag 'nox', row 2 (1970-01-01 00:02:19 UTC)"), std::string::npos) << text;
  EXPECT_NE(text.find("lateness is 60 s"), std::string::npos) << text;
  EXPECT_EQ(refusal({{100, 1}, {200, 2}, {140, 3}}, 60), "");
}

TEST(SampleQueue, RefusesTwoValuesOfOneStamp) {
  const std::string text = refusal({{100, 1}, {100, 2}}, 60);
  EXPECT_NE(text.find("tag 'nox', row 1"), std::string::npos) << text;
  EXPECT_NE(text.find("row 0 of the same stamp has 1"), std::string::npos) << text;
}

TEST(SampleQueue, RefusesStampsAndWordsThatAreNone) {
  EXPECT_NE(refusal({{kMissing, 1}}, 0), "");
  EXPECT_NE(refusal({{INFINITY, 1}}, 0), "");
  EXPECT_NE(refusal({{-INFINITY, 1}}, 0), "");
  EXPECT_NE(refusal({{1, 1}, {1e300, 1}}, 0), "");
  EXPECT_NE(refusal({{5, 1}, {3, 1}, {1e300, 1}}, 10), "");
  EXPECT_THROW(SampleQueue({"x"}, -1), InputError);
  EXPECT_THROW(SampleQueue({"x"}, kMissing), InputError);
  const std::vector<double> time = {0}, values = {1};
  const std::vector<std::uint8_t> bad = {9};
  Samples s = view(time, values);
  s.plant = bad.data();
  EXPECT_THROW(SampleQueue({"x"}, 0).push(s, [](const Samples&) {}), InputError);
  s.plant = nullptr;
  s.status = {bad.data()};
  EXPECT_THROW(SampleQueue({"x"}, 0).push(s, [](const Samples&) {}), InputError);
}

TEST(SampleQueue, ARefusedPushLeavesItAsItWas) {
  SampleQueue queue({"nox"}, 10);
  std::vector<Row> out;
  const auto take = [&](const Samples& s) {
    for (Index i = 0; i < s.rows; ++i) out.push_back({s.time[i], s.columns[0][i]});
  };
  const std::vector<double> a = {0, 100}, b = {101, 50}, c = {99, 101}, v = {1, 2};
  queue.push(view(a, v), take);
  EXPECT_THROW(queue.push(view(b, v), take), InputError);
  queue.push(view(c, v), take);
  queue.finish(take);
  ASSERT_EQ(out.size(), 4u);
  EXPECT_EQ(out[1].time, 99);
  EXPECT_EQ(out[3].time, 101);
  EXPECT_EQ(queue.seen(), 4);
  EXPECT_EQ(queue.steps_back(), 1);
  ASSERT_EQ(queue.first_steps_back().size(), 1u);
  EXPECT_EQ(queue.first_steps_back()[0].from_s, 100);
  EXPECT_EQ(queue.first_steps_back()[0].to_s, 99);
}

TEST(SteadyTime, IsFoundInWholeSecondsOnly) {
  const auto of = [](std::vector<std::int64_t> ticks, std::int64_t per_second) {
    return SteadyTime::of(ticks.data(), static_cast<Index>(ticks.size()), per_second);
  };
  const auto minutes = of({1'700'000'000'000, 1'700'000'060'000, 1'700'000'120'000}, 1000);
  ASSERT_TRUE(minutes);
  EXPECT_EQ(minutes->first_s, 1'700'000'000);
  EXPECT_EQ(minutes->step_s, 60);
  EXPECT_EQ(minutes->rows, 3);
  EXPECT_EQ(minutes->last_s(), 1'700'000'120);
  const std::int64_t nat = std::numeric_limits<std::int64_t>::min();
  EXPECT_FALSE(of({60}, 1));                  // one row has no pace
  EXPECT_FALSE(of({0, 60, 121}, 1));          // a step that is another
  EXPECT_FALSE(of({0, 60, 60, 120}, 1));      // a stamp twice
  EXPECT_FALSE(of({120, 60, 0}, 1));          // backwards
  EXPECT_FALSE(of({500, 1500, 2500}, 1000));  // half seconds
  EXPECT_FALSE(of({0, 1500, 3000}, 1000));    // steps of a second and a half
  EXPECT_FALSE(of({nat, nat}, 1));            // no time at all
  EXPECT_FALSE(of({nat, 0, nat}, 1));         // distances that overflow
  EXPECT_FALSE(of({0, 300'000'000'000}, 1));  // beyond the year 9999
}

TEST(SteadyTime, OfTicksThatAreKnownToRiseEvenlyThreeAreEnough) {
  const auto minutes = SteadyTime::between(1'700'000'000'000, 1'700'000'060'000, 1'700'000'600'000, 11, 1000);
  ASSERT_TRUE(minutes);
  EXPECT_EQ(minutes->first_s, 1'700'000'000);
  EXPECT_EQ(minutes->step_s, 60);
  EXPECT_EQ(minutes->last_s(), 1'700'000'600);
  EXPECT_FALSE(SteadyTime::between(0, 60, 600, 12, 1));       // the last is elsewhere
  EXPECT_FALSE(SteadyTime::between(0, 60, 601, 11, 1));       // or beside it
  EXPECT_FALSE(SteadyTime::between(60, 0, -60, 3, 1));        // backwards
  EXPECT_FALSE(SteadyTime::between(0, 1500, 3000, 3, 1000));  // no whole seconds
  EXPECT_FALSE(SteadyTime::between(0, 60, 0, 1, 1));
  EXPECT_FALSE(SteadyTime::between(std::numeric_limits<std::int64_t>::min(), 0, 60, 3, 1));
}

TEST(SteadyTime, RowsGoThroughTheQueueAsWithStampsOfTheirOwn) {
  for (const double lateness : {0.0, 150.0, 1e6}) {
    std::vector<double> time, values;
    for (int i = 0; i < 20; ++i) {
      time.push_back(1'700'000'000 + 60.0 * i);
      values.push_back(i);
    }
    Samples own = view(time, values), steady = own;
    steady.time = Stamps(1'700'000'000, 60);
    const auto through = [&](const Samples& rows) {
      SampleQueue queue({"nox"}, lateness);
      std::vector<double> seen;
      const auto take = [&](const Samples& ready) {
        for (Index i = 0; i < ready.rows; ++i) {
          seen.push_back(ready.time[i]);
          seen.push_back(ready.columns[0][i]);
        }
        seen.push_back(-1);  // where a call ends
      };
      queue.push(rows, take);
      EXPECT_EQ(queue.newest(), time.back());
      EXPECT_THROW(queue.push(Samples{1, Stamps(1'600'000'000, 60), {values.data()}}, take), InputError);
      queue.finish(take);
      return seen;
    };
    EXPECT_EQ(through(own), through(steady)) << lateness;
  }
}

}  // namespace
}  // namespace emisopt
