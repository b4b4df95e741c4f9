#include "emisopt/train/corrector.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/error.hpp"
#include "model/toy_plant.hpp"

namespace emisopt {
namespace {

CorrectorConfig small(CorrectorConfig::Method method = CorrectorConfig::Method::gp, int delay = 0) {
  CorrectorConfig c;
  c.method = method;
  c.delay = delay;
  c.window = 60;
  c.refactor = 50;
  c.forgetting = 0.95;
  c.prior = 1;
  c.map.waves = 20;
  return c;
}

// One setpoint, one output that follows it, wanders and jumps once.
History drifting(Index rows, std::uint64_t seed = 1, double jump = 15) {
  TagMap map;
  map.tags = {{.name = "u", .unit = "%", .role = Role::setpoint},
              {.name = "y", .unit = "mg/m3", .role = Role::emission}};
  Rng rng(seed);
  Matrix values(rows, 2);
  double level = 50, u = 0;
  for (Index r = 0; r < rows; ++r) {
    u = 0.9 * u + rng.normal();
    level += 0.3 * rng.normal() + (r == rows / 2 ? jump : 0);
    values(r, 0) = u;
    values(r, 1) = level + 4 * u + rng.normal();
  }
  return make_history(map, std::move(values));
}

double error_of(const History& h, const CorrectorConfig& config, int lead) {
  Corrector c = Corrector::fit(h, 400, config);
  const Index begin = 400, end = h.rows();
  Matrix mean(end - begin, 1);
  c.replay(mean, nullptr, h, begin, end, 1, {lead});
  double sum = 0;
  Index count = 0;
  for (Index i = 0; i + lead - 1 < mean.rows; ++i, ++count)
    sum += std::abs(c.scaler().tags[1].physical(mean(i, 0)) - h.values(begin + i + lead - 1, 1));
  return sum / static_cast<double>(count);
}

TEST(Corrector, FollowsDriftThatOperationDoesNotExplain) {
  const History h = drifting(1200);
  CorrectorConfig frozen = small();
  frozen.kernel = {{1e-9, 1, 0}};  // nothing is learnt from labels
  const double without = error_of(h, frozen, 1);
  EXPECT_LT(error_of(h, small(), 1), 0.3 * without);
  EXPECT_LT(error_of(h, small(CorrectorConfig::Method::rls), 1), 0.5 * without);
  EXPECT_LT(error_of(h, small(), 1),
            error_of(h, small(CorrectorConfig::Method::gp, 24), 1));  // late labels cost
}

TEST(Corrector, ALabelThatComesTooEarlyIsRefused) {
  const History h = drifting(500);
  Corrector c = Corrector::fit(h, 400, small(CorrectorConfig::Method::gp, 24));
  const auto says = [&](Index row, Index now) {
    return toy::message_of<InputError>([&] { c.observe(h, row, now); });
  };
  EXPECT_EQ(
      says(376, 400),
      "Corrector.observe: the label of row 376 comes too early: expected row 401 or later (labels are 24 "
      "rows late), got row 400");
  EXPECT_TRUE(c.observe(h, 376, 401));
  EXPECT_NE(says(375, 400).find("a clock that does not go back"), std::string::npos);
}

TEST(Corrector, FitReadsNoLabelThatIsNotInYet) {
  History h = drifting(500);
  const Corrector a = Corrector::fit(h, 400, small(CorrectorConfig::Method::gp, 24));
  for (Index r = 376; r < 500; ++r) h.values(r, 1) = 1e4;
  const Corrector b = Corrector::fit(h, 400, small(CorrectorConfig::Method::gp, 24));
  Matrix x(1, 1), ma(1, 1), mb(1, 1);
  const double t = 400;
  a.predict(ma, nullptr, &t, x);
  b.predict(mb, nullptr, &t, x);
  EXPECT_EQ(ma(0, 0), mb(0, 0));
}

TEST(Corrector, MissingAndInfiniteLabelsTeachNothing) {
  const History h = drifting(500);
  Corrector c = Corrector::fit(h, 400, small());
  const double x[] = {0.3}, nothing[] = {kMissing}, infinite[] = {1.0 / 0.0};
  const Index before = c.labels();
  EXPECT_FALSE(c.observe(400, x, nothing, 401));
  EXPECT_FALSE(c.observe(401, x, infinite, 402));
  EXPECT_EQ(c.labels(), before);
  EXPECT_THROW(c.observe(kMissing, x, nothing, 403), InputError);
  EXPECT_THROW(c.observe(402, x, nothing, kMissing), InputError);
}

TEST(Corrector, ASpikeOfTheAnalyserMovesLittle) {
  const History h = drifting(500);
  Corrector c = Corrector::fit(h, 400, small()), spiked = c;
  const double x[] = {0.3}, right[] = {h.values(400, 1)}, spike[] = {1e9};
  c.observe(400, x, right, 401);
  spiked.observe(400, x, spike, 401);
  Matrix at(1, 1), a(1, 1), b(1, 1);
  const double t = 401;
  c.predict(a, nullptr, &t, at);
  spiked.predict(b, nullptr, &t, at);
  EXPECT_LT(std::abs(a(0, 0) - b(0, 0)), 1.0);
}

TEST(Corrector, OutputsWithGapsOfTheirOwnAreAsGoodAsAlone) {
  // nox of the toy plant is missing every 23rd row, efficiency never: two windows, then one again.
  History h = toy::history(900, 2);
  const auto forecast = [](const History& past, CorrectorConfig config) {
    Corrector c = Corrector::fit(past, 300, config);
    Matrix mean(600, static_cast<Index>(c.outputs().size()));
    c.replay(mean, nullptr, past, 300, 900, 1, {1});
    return mean;
  };
  CorrectorConfig config = small();
  config.refactor = 37;
  const Matrix both = forecast(h, config);
  History alone = h;
  alone.tags.tags[toy::kNox].role = Role::cost;
  const Matrix one = forecast(alone, config);
  for (Index i = 0; i < 600; ++i) EXPECT_NEAR(both(i, 1), one(i, 0), 1e-9) << i;
}

TEST(Corrector, IntervalsHoldWhatTheySay) {
  const History h = drifting(2000, 7, 0);
  for (const auto method : {CorrectorConfig::Method::gp, CorrectorConfig::Method::rls}) {
    Corrector c = Corrector::fit(h, 400, small(method));
    Matrix mean(1600, 1), variance(1600, 1), q(1600, 3);
    View v = variance;
    c.replay(mean, &v, h, 400, 2000, 1, {1});
    c.quantiles(q, mean, variance, {0.1, 0.5, 0.9});
    int inside = 0;
    for (Index i = 0; i < 1600; ++i) {
      EXPECT_LT(q(i, 0), q(i, 1));
      inside += h.values(400 + i, 1) >= q(i, 0) && h.values(400 + i, 1) <= q(i, 2) ? 1 : 0;
    }
    EXPECT_NEAR(inside / 1600.0, 0.8, 0.06) << to_string(method);
  }
}

TEST(Corrector, ConfigIsRefusedWithTheField) {
  const auto refused = [](auto change, const std::string& field) {
    CorrectorConfig wrong;
    change(wrong);
    const std::string text = toy::message_of<InputError>([&] { wrong.validate(); });
    EXPECT_NE(text.find(field), std::string::npos) << text;
  };
  refused([](auto& c) { c.delay = -1; }, "CorrectorConfig.delay: expected 0 rows or more, got -1");
  refused([](auto& c) { c.window = 1; }, "window");
  refused([](auto& c) { c.noise = 0; }, "noise");
  refused([](auto& c) { c.spike = 0; }, "spike");
  refused([](auto& c) { c.daily.variance = -1; }, "variance");
  refused([](auto& c) { c.refactor = 0; }, "refactor");
  refused([](auto& c) { c.forgetting = 0.2; }, "forgetting");
  refused([](auto& c) { c.prior = kMissing; }, "prior");
  refused([](auto& c) { c.kernel.clear(); }, "at least one term");
  refused([](auto& c) { c.map.ridge = -1; }, "ridge");
  History h = drifting(100);
  EXPECT_THROW(Corrector::fit(h, 1, {}), InputError);
  EXPECT_THROW(Corrector::fit(h, 101, {}), InputError);
  EXPECT_THROW(Corrector::fit(h, 20, small(CorrectorConfig::Method::gp, 24)), InputError);
  h.tags.tags[1].role = Role::cost;
  EXPECT_NE(toy::message_of<InputError>([&] { Corrector::fit(h, 100, {}); }).find("emission or quality"),
            std::string::npos);
}

TEST(Corrector, WhatOperationDoesElsewhereHelpsAYoungPlant) {
  const History source = drifting(1200, 1, 0);
  History young = drifting(400, 9, 0);
  young.tags.tags[0].name = "valve";
  young.tags.tags[1].name = "Y";
  CorrectorConfig config = small();
  config.kernel = {{0.06, 1500, 0}};  // level alone: the dependence on operation is the map's
  const Corrector teacher = Corrector::fit(source, 1200, config);
  const auto error = [&](Corrector c) {
    Matrix mean(380, 1);
    c.replay(mean, nullptr, young, 20, 400, 1, {12});
    double sum = 0;
    for (Index i = 0; i + 11 < mean.rows; ++i)
      sum += std::abs(c.scaler().tags[1].physical(mean(i, 0)) - young.values(20 + i + 11, 1));
    return sum / 369;
  };
  const Corrector heir = Corrector::transfer(teacher, young, 20, config, 10);
  EXPECT_LT(error(heir), 0.8 * error(Corrector::fit(young, 20, config)));
  EXPECT_EQ(heir.scaler().tags[0].sd, teacher.scaler().tags[0].sd);
  EXPECT_THROW(Corrector::transfer(teacher, young, 20, config, -1), InputError);
  EXPECT_THROW(Corrector::transfer(Corrector(), young, 20, config), StateError);
}

}  // namespace
}  // namespace emisopt
