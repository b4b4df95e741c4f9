#include "emisopt/model/prior.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "emisopt/base/error.hpp"
#include "model/toy_plant.hpp"

namespace emisopt {
namespace {

using Table = TablePrior::Table;

// oxygen, ammonia | load, inlet, grade, fuel -> nox, efficiency
constexpr std::size_t kU = 2, kD = 4, kO = 2;

struct Answer {
  std::vector<double> value = std::vector<double>(kO), slope = std::vector<double>(kO * kU);
};
Answer ask(const Prior& prior, std::vector<double> u, std::vector<double> d) {
  Answer a;
  prior.evaluate(u, d, a.value, a.slope);
  return a;
}

Table table(std::string output, std::vector<TablePrior::Axis> axes,
            const std::function<double(double, double)>& f) {
  Table t{std::move(output), std::move(axes), {}};
  for (const double a : t.axes[0].points)
    for (const double b : t.axes.size() > 1 ? t.axes[1].points : std::vector<double>{0})
      t.values.push_back(f(a, b));
  return t;
}

TEST(Prior, ATableMeetsQuadraticsExactlyWithTheirSlopesInsideAndLinesBeyond) {
  const auto f = [](double o, double l) { return (2 - o + 0.5 * o * o) * (1 + 0.01 * l - 2e-5 * l * l); };
  const auto by_o = [](double o, double l) { return (-1 + o) * (1 + 0.01 * l - 2e-5 * l * l); };
  const TablePrior prior(
      toy::tags(), {table("efficiency", {{"oxygen", {1, 2, 2.5, 4, 6}}, {"load", {100, 180, 400}}}, f)});
  Rng rng(3);
  for (int i = 0; i < 200; ++i) {
    const double o = rng.uniform(1, 6), l = rng.uniform(100, 400);
    const Answer a = ask(prior, {o, 50}, {l, 300, 0, 1});
    EXPECT_TRUE(std::isnan(a.value[0])) << "nothing is said of nox";
    EXPECT_NEAR(a.value[1], f(o, l), 1e-9);
    EXPECT_NEAR(a.slope[kU], by_o(o, l), 1e-9);
    EXPECT_EQ(a.slope[kU + 1], 0) << "ammonia has no part in it";
  }
  const double edge = f(6, 200), slope = by_o(6, 200);
  const Answer beyond = ask(prior, {9, 50}, {200, 300, 0, 1});
  EXPECT_NEAR(beyond.value[1], edge + 3 * slope, 1e-9);
  EXPECT_NEAR(beyond.slope[kU], slope, 1e-9);
}

TEST(Prior, ATableIsSmoothAndItsSlopeIsThatOfItsValue) {
  Rng rng(4);
  for (const std::vector<double>& points :
       {std::vector<double>{1, 4}, {1, 2, 6}, {1, 2, 3.5, 6}, {0, 1, 2.2, 3, 5, 5.5, 8}}) {
    Table t{"nox", {{"oxygen", points}}, {}};
    for (std::size_t i = 0; i < points.size(); ++i) t.values.push_back(rng.normal());
    const TablePrior prior(toy::tags(), {t});
    const auto at = [&](double o) { return ask(prior, {o, 0}, {0, 0, 0, 0}); };
    for (std::size_t i = 0; i < points.size(); ++i) {
      EXPECT_NEAR(at(points[i]).value[0], t.values[i], 1e-12);
      EXPECT_NEAR(at(points[i] - 1e-9).slope[0], at(points[i] + 1e-9).slope[0], 1e-6) << "a kink";
    }
    for (double o = -1; o < 10; o += 0.37)
      EXPECT_NEAR(at(o).slope[0], (at(o + 1e-6).value[0] - at(o - 1e-6).value[0]) / 2e-6, 1e-6) << o;
  }
}

TEST(Prior, AMissingInputGivesNoValueAndNoSlope) {
  const TablePrior prior(toy::tags(), {table("nox", {{"oxygen", {1, 6}}, {"fuel", {0, 3}}},
                                             [](double o, double s) { return o + s; })});
  for (const Answer& a : {ask(prior, {kMissing, 1}, {1, 1, 1, 1}), ask(prior, {2, 1}, {1, 1, 1, kMissing})}) {
    EXPECT_TRUE(std::isnan(a.value[0]));
    EXPECT_EQ(a.slope[0], 0);
  }
  EXPECT_NEAR(ask(prior, {2, kMissing}, {kMissing, 1, 1, 1}).value[0], 3, 1e-12);  // what it does not need
}

TEST(Prior, IsWrittenAndReadBack) {
  const TablePrior prior(toy::tags(), {table("nox", {{"oxygen", {1, 2, 6}}, {"load", {100, 400}}},
                                             [](double o, double l) { return o * l / 3; })});
  const std::string text = prior.to_json().write();
  const auto back = make_prior(Json::parse(text), toy::tags());
  EXPECT_EQ(back->to_json().write(), text);
  EXPECT_EQ(ask(*back, {3.3, 1}, {222, 1, 1, 1}).value[0], ask(prior, {3.3, 1}, {222, 1, 1, 1}).value[0]);
}

TEST(Prior, RefusesTablesThatAreNone) {
  const auto said = [](Table t) {
    return toy::message_of<InputError>([&] { TablePrior(toy::tags(), {std::move(t)}); });
  };
  EXPECT_EQ(said({"nxo", {{"oxygen", {1, 2}}}, {1, 2}}),
            "TablePrior: expected the name of an output, got 'nxo'; did you mean 'nox'?");
  EXPECT_EQ(said({"nox", {}, {1}}), "TablePrior('nox'): expected 1..4 axes, got 0");
  EXPECT_EQ(
      said({"nox", {{"oxygne", {1, 2}}}, {1, 2}}),
      "TablePrior('nox'): expected a setpoint or disturbance as axis, got 'oxygne'; did you mean 'oxygen'?");
  EXPECT_NE(said({"nox", {{"efficiency", {1, 2}}}, {1, 2}}).find("expected a setpoint or disturbance"),
            std::string::npos);
  EXPECT_NE(said({"nox", {{"grade", {0, 1}}}, {1, 2}}).find("got a categorical tag"), std::string::npos);
  EXPECT_EQ(said({"nox", {{"oxygen", {1}}}, {1}}),
            "TablePrior('nox'): axis 'oxygen': expected at least 2 points, got 1");
  EXPECT_EQ(said({"nox", {{"oxygen", {1, 1}}}, {1, 2}}),
            "TablePrior('nox'): axis 'oxygen': expected rising numbers, got 1 as point 1");
  EXPECT_NE(said({"nox", {{"oxygen", {1, kMissing}}}, {1, 2}}).find("got nan as point 1"), std::string::npos);
  EXPECT_EQ(said({"nox", {{"oxygen", {1, 2}}}, {1, 2, 3}}),
            "TablePrior('nox'): expected 2 values, one per point of the grid, got 3");
  EXPECT_EQ(said({"nox", {{"oxygen", {1, 2}}}, {1, kMissing}}),
            "TablePrior('nox'): expected finite values, got nan");
  EXPECT_NE(said({"nox", {{"oxygen", {1, 2}}, {"oxygen", {1, 2}}}, {1, 2, 3, 4}}).find("twice"),
            std::string::npos);
  const Table t{"nox", {{"oxygen", {1, 2}}}, {1, 2}};
  EXPECT_NE(
      toy::message_of<InputError>([&] { TablePrior(toy::tags(), {t, t}); }).find("one table per output"),
      std::string::npos);
  EXPECT_THROW(TablePrior(toy::tags(), {}), InputError);
}

void double_oxygen(std::span<const double> u, std::span<const double>, std::span<double> value,
                   std::span<double> slope) {
  value[0] = 2 * u[0];
  slope[0] = 2;
}

TEST(Prior, AFunctionGoesByNameAndVersion) {
  EXPECT_NE(toy::message_of<InputError>([] {
              function_prior("prior_test.absent");
            }).find("expected the name of a registered prior, got 'prior_test.absent'"),
            std::string::npos);
  register_prior("prior_test.oxygen", 1, double_oxygen);
  const auto prior = function_prior("prior_test.oxygen");
  EXPECT_EQ(ask(*prior, {3, 1}, {1, 1, 1, 1}).value[0], 6);
  const Json json = prior->to_json();
  EXPECT_NO_THROW(make_prior(json, toy::tags()));
  register_prior("prior_test.oxygen", 2, double_oxygen);
  EXPECT_NE(
      toy::message_of<InputError>([&] {
        make_prior(json, toy::tags());
      }).find("prior 'prior_test.oxygen': expected version 1 of the function, another one is registered"),
      std::string::npos);
  EXPECT_THROW(register_prior("", 1, double_oxygen), InputError);
  EXPECT_THROW(register_prior("x", 1, nullptr), InputError);
  EXPECT_THROW(make_prior(Json::Object{{"kind", "magic"}}, toy::tags()), InputError);
}

TEST(Prior, AWrongSlopeIsFound) {
  const History past = toy::history(200, 1);
  register_prior("prior_test.right", 1, double_oxygen);
  EXPECT_NO_THROW(check_slopes(*function_prior("prior_test.right"), past, 200));
  register_prior("prior_test.wrong", 1,
                 [](std::span<const double> u, std::span<const double>, std::span<double> value,
                    std::span<double> slope) {
                   value[0] = 2 * u[0] - u[1];
                   slope[0] = 2;
                   slope[1] = 1;  // the sign is wrong
                 });
  EXPECT_NE(toy::message_of<InputError>([&] {
              check_slopes(*function_prior("prior_test.wrong"), past, 200);
            }).find("prior: expected d nox / d ammonia as finite differences of the value give it"),
            std::string::npos);
}

}  // namespace
}  // namespace emisopt
