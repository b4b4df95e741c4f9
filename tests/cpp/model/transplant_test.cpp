#include "emisopt/model/transplant.hpp"

#include <gtest/gtest.h>

#include "emisopt/base/error.hpp"
#include "model/toy_plant.hpp"

namespace emisopt {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

const History& plant() {
  static const History history = toy::history(400, 1);
  return history;
}
const Forecaster& source() {
  static const Forecaster f = toy::awake(plant());
  return f;
}
ForecasterConfig other_seed() {
  ForecasterConfig c = toy::config();
  c.seed = 77;
  return c;
}
// The toy plant with tags renamed, turned round and without some.
History renamed(const std::vector<std::pair<Index, std::string>>& kept, Index rows = 400) {
  const History& from = plant();
  TagMap map = from.tags;
  map.tags.clear();
  Matrix values(rows, static_cast<Index>(kept.size()));
  for (std::size_t t = 0; t < kept.size(); ++t) {
    Tag tag = from.tags.tags[static_cast<std::size_t>(kept[t].first)];
    tag.name = kept[t].second;
    map.tags.push_back(tag);
    for (Index r = 0; r < rows; ++r) values(r, static_cast<Index>(t)) = from.values(r, kept[t].first);
  }
  return make_history(map, std::move(values),
                      std::vector<double>(from.time.begin(), from.time.begin() + rows));
}
Matrix forecast(const Forecaster& f, const History& history, Index origin) {
  ForecastSession session(f, kernels::isa_level(), 1);
  session.set_history(history, origin);
  const Matrix plan = toy::realised(history, f.layout.setpoints(), origin, f.config.horizon);
  const Matrix known = toy::realised(history, f.layout.disturbances(), origin, f.config.horizon);
  const ConstView view = plan;
  Matrix q(f.config.horizon, static_cast<Index>(f.layout.outputs().size()) * f.config.levels());
  session.predict(q, &view, known);
  return q;
}

TEST(Transplant, OnTheSamePlantIsTheSourceToTheLastBit) {
  const Transplant t = transplant(source(), plant(), 300, other_seed());
  EXPECT_EQ(t.forecaster.theta, source().theta);
  for (const CopiedPart& part : t.parts) EXPECT_EQ(part.copied, part.total) << part.name;
  EXPECT_TRUE(toy::same_bits(forecast(t.forecaster, plant(), 200), forecast(source(), plant(), 200)));
}

TEST(Transplant, OrderAndNamesOfTagsDoNotMatter) {
  const History other = renamed({{toy::kEfficiency, "Efficiency"},
                                 {toy::kGrade, "grade"},
                                 {toy::kLoad, "MW"},
                                 {toy::kNox, "NOX"},
                                 {toy::kAmmonia, "nh3"},
                                 {toy::kOxygen, "o2"},
                                 {toy::kFuel, "fuel"},
                                 {toy::kInlet, "inlet"}});
  const Transplant t = transplant(source(), other, 300, other_seed(), {{"o2", "oxygen"}});
  for (const CopiedPart& part : t.parts) EXPECT_EQ(part.copied, part.total) << part.name;
  const Matrix a = forecast(t.forecaster, other, 200), b = forecast(source(), plant(), 200);
  const int levels = source().config.levels();
  for (Index h = 0; h < a.rows; ++h)
    for (int l = 0; l < levels; ++l) {
      EXPECT_NEAR(a(h, l), b(h, levels + l),
                  1e-4 * std::abs(b(h, levels + l)));  // efficiency comes first here
      EXPECT_NEAR(a(h, levels + l), b(h, l), 1e-4 * std::abs(b(h, l)));
    }
}

TEST(Transplant, WhatTheTargetLacksOrTheSourceNeverSawStartsAfresh) {
  History other = renamed({{toy::kOxygen, "oxygen"}, {toy::kNox, "nox"}, {toy::kInlet, "dust"}});
  other.tags.tags[2].unit = "g";
  const Transplant t = transplant(source(), other, 300, other_seed());
  EXPECT_EQ(t.matches[2].source, -1);
  const Forecaster fresh = Forecaster::make(other.tags, other_seed(), t.forecaster.scaler);
  Index free = 0;
  for (std::size_t i = 0; i < t.copied.size(); ++i)
    if (t.copied[i] == 0.0f) {
      EXPECT_EQ(t.forecaster.theta[i], fresh.theta[i]);
      ++free;
    }
  // Per patch row 3 columns of dust, per future row 2, into width; 2 into the answers of one output.
  EXPECT_EQ(free, (2 * 3 + 2) * 16 + 2 * 3);
}

TEST(Transplant, MatchesByNameThenUnitThenOutputsByRole) {
  TagMap other;
  other.period = 300;
  other.tags = {{.name = "air", .unit = "%", .role = Role::setpoint},
                {.name = "LOAD", .unit = "kg/s", .role = Role::disturbance},
                {.name = "so2", .unit = "ppm", .role = Role::emission},
                {.name = "money", .unit = "EUR", .role = Role::cost}};
  const auto m = match_tags(plant().tags, other);
  EXPECT_EQ(m[0].source, toy::kOxygen);
  EXPECT_EQ(m[0].by, MatchedBy::unit);
  EXPECT_EQ(m[1].source, toy::kLoad);
  EXPECT_EQ(m[1].by, MatchedBy::name);
  EXPECT_EQ(m[2].source, toy::kNox);
  EXPECT_EQ(m[2].by, MatchedBy::role);
  EXPECT_EQ(m[3].source, -1);
  EXPECT_EQ(match_tags(plant().tags, other, {{"so2", ""}})[2].source, -1);
}

TEST(Transplant, ScalesAreAdoptedWithinReachOnly) {
  History other = renamed({{toy::kOxygen, "oxygen"}, {toy::kLoad, "load"}, {toy::kNox, "nox"}}, 30);
  for (Index r = 0; r < 30; ++r) {
    other.values(r, 0) = 3.0;    // a constant: the source knows its scale
    other.values(r, 1) += 5000;  // far away
  }
  const Transplant t = transplant(source(), other, 30, other_seed());
  EXPECT_EQ(t.adopted, (std::vector<char>{1, 0, 1}));
  EXPECT_EQ(t.forecaster.scaler.tags[0].sd, source().scaler.tags[toy::kOxygen].sd);
  EXPECT_NEAR(t.forecaster.scaler.tags[1].mean, 5300, 110);
}

TEST(Transplant, OtherLevelsOfQuantilesTakeTheMedianAlone) {
  ForecasterConfig c = other_seed();
  c.quantiles = {0.05, 0.5};
  const Transplant t = transplant(source(), plant(), 300, c);
  for (const CopiedPart& part : t.parts)
    EXPECT_EQ(part.copied, part.name == "head.bias" ? 2 : part.copied) << "of " << part.total;
}

TEST(Transplant, RefusesWhatDoesNotFit) {
  const auto says = [](auto&& change) {
    ForecasterConfig c = toy::config();
    change(c);
    return toy::message_of<InputError>([&] { transplant(source(), plant(), 300, c); });
  };
  EXPECT_EQ(says([](auto& c) { c.horizon = 5; }), "transfer(horizon): expected the source's 4, got 5");
  EXPECT_EQ(says([](auto& c) { c.width = 32; }), "transfer(width): expected the source's 16, got 32");
  EXPECT_EQ(says([](auto& c) { c.layers = 1; }), "transfer(layers): expected the source's 2, got 1");
  EXPECT_EQ(says([](auto& c) { c.patch = 4; }), "transfer(patch): expected the source's 2, got 4");
  const auto given = [](const Pairs& match) {
    return toy::message_of<InputError>([&] { match_tags(plant().tags, plant().tags, match); });
  };
  EXPECT_NE(given({{"oxigen", "oxygen"}}).find("oxygen"), std::string::npos);
  EXPECT_NE(given({{"oxygen", "nox"}}).find("expected tags of one role"), std::string::npos);
  EXPECT_NE(given({{"oxygen", "oxygen"}, {"oxygen", ""}}).find("twice"), std::string::npos);
  EXPECT_NE(given({{"oxygen", "ammonia"}, {"ammonia", "ammonia"}}).find("twice"), std::string::npos);
}

}  // namespace
}  // namespace emisopt
