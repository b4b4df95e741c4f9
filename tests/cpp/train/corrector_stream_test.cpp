#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/train/corrector.hpp"
#include "model/toy_plant.hpp"

namespace emisopt {
namespace {

constexpr Index kTrain = 300, kRows = 700;

CorrectorConfig small(CorrectorConfig::Method method, int delay) {
  CorrectorConfig c;
  c.method = method;
  c.delay = delay;
  c.window = 50;
  c.refactor = 40;
  c.map.waves = 20;
  c.lags = {0, 2};
  return c;
}

struct Lived {
  Matrix mean, variance;
};

Lived live(const History& h, const CorrectorConfig& config, const std::vector<int>& leads) {
  Corrector c = Corrector::fit(h, kTrain, config);
  Lived out{Matrix(kRows - kTrain, 2 * static_cast<Index>(leads.size())), {}};
  out.variance = out.mean;
  View v = out.variance;
  c.replay(out.mean, &v, h, kTrain, kRows, 1, leads);
  return out;
}

// Noise from row k on in all that is not known before it is over: every forecast issued up to k, for rows
// whose operation is as it was, has the same bits.
TEST(Corrector, NothingFromTheFutureReachesAForecast) {
  const History clean = toy::history(kRows, 3);
  Rng rng(17);
  const std::vector<int> leads = {1, 6};
  for (const auto method : {CorrectorConfig::Method::gp, CorrectorConfig::Method::rls})
    for (const int delay : {0, 24, 168}) {
      const CorrectorConfig config = small(method, delay);
      const Lived before = live(clean, config, leads);
      for (int trial = 0; trial < (method == CorrectorConfig::Method::gp ? 10 : 3); ++trial) {
        const Index cut = kTrain + 1 + rng.below(kRows - kTrain - 10);
        History noisy = clean;
        for (Index r = cut; r < kRows; ++r) {
          // Coming inputs nobody knows, from the cut on; labels already where they are not in yet.
          noisy.values(r, toy::kInlet) += 100 * rng.normal();
          noisy.values(r, toy::kFuel) = rng.uniform() < 0.5 ? kMissing : rng.normal();
        }
        for (Index r = std::max(kTrain - delay, cut - delay); r < kRows; ++r) {
          noisy.values(r, toy::kNox) = rng.uniform() < 0.2 ? kMissing : std::exp(rng.normal());
          noisy.values(r, toy::kEfficiency) += rng.normal();
        }
        const Lived after = live(noisy, config, leads);
        for (Index i = 0; i <= cut - kTrain; ++i)
          for (Index c = 0; c < before.mean.cols; ++c) {
            ASSERT_TRUE(toy::same_bits(before.mean(i, c), after.mean(i, c)))
                << delay << " " << cut << " " << i;
            ASSERT_TRUE(toy::same_bits(before.variance(i, c), after.variance(i, c)));
          }
        bool changed = false;
        for (Index i = cut - kTrain + 1; i < before.mean.rows; ++i)
          changed = changed || !toy::same_bits(before.mean(i, 0), after.mean(i, 0));
        EXPECT_TRUE(changed) << "the noise reached nothing: the test would prove nothing";
        // The label of row cut - delay is the first that differs; it is in for the very next forecast.
        const Index next = cut - kTrain + 1;
        EXPECT_FALSE(toy::same_bits(before.mean(next, 1), after.mean(next, 1))) << delay << " " << cut;
      }
    }
}

TEST(Corrector, ReplayIsWhatAPlantWouldHaveLived) {
  const History h = toy::history(kRows, 4);
  const CorrectorConfig config = small(CorrectorConfig::Method::gp, 5);
  const Lived lived = live(h, config, {1, 4});
  Corrector c = Corrector::fit(h, kTrain, config);
  for (Index k = kTrain; k < kTrain + 60; ++k) {
    const History past = h.slice(0, k);
    c.catch_up(past, k);
    Matrix plan = toy::realised(h, h.tags.setpoints(), k, 4),
           known = toy::realised(h, h.tags.disturbances(), k, 4);
    for (Index s = 0; s < 4; ++s)
      for (const Index hidden : {1, 3}) known(s, hidden) = kMissing;  // inlet and fuel: nobody knows
    Matrix mean(4, 2), variance(4, 2);
    View v = variance;
    c.forecast(mean, &v, past, plan, known);
    for (Index o = 0; o < 2; ++o) {
      EXPECT_EQ(mean(0, o), lived.mean(k - kTrain, o)) << k;
      EXPECT_EQ(mean(3, o), lived.mean(k - kTrain, 2 + o)) << k;
      EXPECT_EQ(variance(3, o), lived.variance(k - kTrain, 2 + o)) << k;
    }
  }
}

TEST(Corrector, TheJacobianIsThatOfFiniteDifferencesAndCausal) {
  const History h = toy::history(kRows, 5);
  for (const auto method : {CorrectorConfig::Method::gp, CorrectorConfig::Method::rls}) {
    const Corrector c = Corrector::fit(h, kRows, small(method, 0));
    const Index horizon = 5;
    Matrix plan(horizon, 2), known(horizon, 4, kMissing), out(horizon * 2, horizon * 2);
    for (Index s = 0; s < horizon; ++s) {
      plan(s, 0) = 3 + 0.2 * static_cast<double>(s);
      plan(s, 1) = 60;
    }
    plan(2, 1) = kMissing;
    c.jacobian(out, h, plan, known);
    const auto median = [&](const Matrix& p) {
      Matrix mean(horizon, 2);
      c.forecast(mean, nullptr, h, p, known);
      std::vector<double> y;
      for (Index t = 0; t < horizon; ++t)
        for (Index o = 0; o < 2; ++o)
          y.push_back(c.scaler().tags[static_cast<std::size_t>(toy::kNox + o)].physical(mean(t, o)));
      return y;
    };
    int positive = 0;
    for (Index s = 0; s < horizon; ++s)
      for (Index u = 0; u < 2; ++u) {
        Matrix up = plan, down = plan;
        const double step = u == 0 ? 1e-4 : 1e-3;
        up(s, u) += step;
        down(s, u) -= step;
        const auto a = median(up), b = median(down);
        for (Index row = 0; row < horizon * 2; ++row) {
          const double got = out(row, s * 2 + u),
                       right =
                           (a[static_cast<std::size_t>(row)] - b[static_cast<std::size_t>(row)]) / (2 * step);
          if (std::isnan(plan(s, u)))
            EXPECT_EQ(got, 0);
          else
            EXPECT_NEAR(got, right, 1e-6 * (1 + std::abs(right)) + 1e-7) << s << " " << u << " " << row;
          if (row / 2 < s) EXPECT_EQ(got, 0);
          positive += got != 0 ? 1 : 0;
        }
      }
    EXPECT_GT(positive, 20);  // the lags of 0 and 2 rows are both there
  }
}

TEST(Corrector, StampsThatJitterDoNotMakeALabelEarly) {
  History h = toy::history(kRows, 8);
  for (Index r = 1; r < kRows; ++r)  // every step 1 % short: no gap, but 168 rows are two rows less of time
    h.time[static_cast<std::size_t>(r)] = h.time[0] + 297.0 * static_cast<double>(r);
  Corrector c = Corrector::fit(h, kTrain, small(CorrectorConfig::Method::gp, 168));
  EXPECT_EQ(c.catch_up(h, kTrain + 10), 10);
  EXPECT_TRUE(c.observe(h, kTrain + 10 - 168, kTrain + 11));
  EXPECT_THROW(c.observe(h, kTrain + 12 - 168, kTrain + 12), InputError);
}

TEST(Corrector, RowsWithoutStampsKeepTheirNumbersWhenOlderOnesAreDropped) {
  History h = toy::history(kRows, 8);
  h.time.clear();
  for (const int delay : {0, 7}) {
    Corrector whole = Corrector::fit(h, kTrain, small(CorrectorConfig::Method::gp, delay)), tail = whole;
    const Index last = kTrain + 200, dropped = last - 100;
    for (Index now = kTrain + 1; now <= last; ++now) {
      whole.catch_up(h.slice(0, now), now);
      const Index first = std::max<Index>(0, now - 100);
      tail.catch_up(h.slice(first, now - first), now - first, first);
    }
    const History past = h.slice(0, last), rest = h.slice(dropped, 100);
    const Matrix plan(6, static_cast<Index>(h.tags.setpoints().size()), kMissing);
    const Matrix known(6, static_cast<Index>(h.tags.disturbances().size()), kMissing);
    Matrix a(6, 2), b(6, 2), c(6, 2);
    whole.forecast(a, nullptr, past, plan, known);
    tail.forecast(b, nullptr, rest, plan, known, dropped);
    tail.forecast(c, nullptr, rest, plan, known);
    EXPECT_EQ(a.values, b.values);
    EXPECT_NE(a.values, c.values);  // without their numbers these rows would be old
    Matrix slopes(12, 6 * plan.cols), others = slopes;
    const Matrix given(6, plan.cols, 1.0);
    whole.jacobian(slopes, past, given, known);
    tail.jacobian(others, rest, given, known, dropped);
    EXPECT_EQ(slopes.values, others.values);
  }
}

TEST(Corrector, InfiniteInputsCountAsMissing) {
  const History h = toy::history(kRows, 9);
  Corrector a = Corrector::fit(h, kTrain, small(CorrectorConfig::Method::gp, 0)), b = a;
  const Index width = a.columns().width();
  std::vector<double> infinite(static_cast<std::size_t>(width), 0.1), missing = infinite;
  infinite[0] = std::numeric_limits<double>::infinity();
  missing[0] = kMissing;
  const double y[] = {60, 41}, t = row_time(h, kTrain) + 5;
  a.observe(t, infinite.data(), y, t + 1);
  b.observe(t, missing.data(), y, t + 1);
  Matrix ma(1, 2), mb(1, 2);
  const double next = t + 1;
  a.predict(ma, nullptr, &next, ConstView(infinite.data(), 1, width));
  b.predict(mb, nullptr, &next, ConstView(missing.data(), 1, width));
  EXPECT_TRUE(std::isfinite(ma(0, 0)));
  EXPECT_EQ(ma(0, 0), mb(0, 0));
}

TEST(Corrector, APastCanBeLivedAgain) {
  const History h = toy::history(kRows, 6);
  Corrector c = Corrector::fit(h, kRows, small(CorrectorConfig::Method::gp, 0));
  c.restart();
  EXPECT_EQ(c.labels(), 0);
  Matrix first(100, 2), again(100, 2);
  c.replay(first, nullptr, h, 100, 200, 1, {1});
  EXPECT_GT(c.labels(), 100);
  c.restart();
  c.replay(again, nullptr, h, 100, 200, 1, {1});
  EXPECT_TRUE(toy::same_bits(first, again));
}

TEST(Corrector, BadRowsLeadsAndTagsAreRefused) {
  const History h = toy::history(kRows, 7);
  Corrector c = Corrector::fit(h, kTrain, small(CorrectorConfig::Method::gp, 0));
  Matrix out(10, 2);
  EXPECT_THROW(c.replay(out, nullptr, h, 10, 5, 1, {1}), InputError);
  EXPECT_THROW(c.replay(out, nullptr, h, 0, kRows + 1, 1, {1}), InputError);
  EXPECT_THROW(c.replay(out, nullptr, h, 0, 10, 0, {1}), InputError);
  EXPECT_THROW(c.replay(out, nullptr, h, 300, 310, 1, {0}), InputError);
  EXPECT_THROW(c.catch_up(h, kRows + 1), InputError);
  History other = h;
  other.tags.tags[0].name = "other";
  EXPECT_THROW(c.catch_up(other, 400), InputError);
  other = h;
  other.tags.tags[toy::kLoad].known_ahead = false;
  EXPECT_THROW(c.catch_up(other, 400), InputError);
  EXPECT_THROW(Corrector().catch_up(h, 400), StateError);
}

}  // namespace
}  // namespace emisopt
