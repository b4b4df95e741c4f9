#include "emisopt/permit/conversion_map.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

// Outputs: nox [ppm, wet], o2 [%, wet], moisture [%], flow [Nm3/h dry at 6 %].
const std::vector<std::string> kOutputs = {"nox [ppm]", "o2 [%]", "moisture [%]", "flow [Nm3/h]"};

GasConversion to_permit() {
  return GasConversion({"NOx", {"ppm", 0, false}, {"mg/Nm3", 0, true, 6}, 21, false});
}

ConversionMap corrected() {
  return ConversionMap(kOutputs, {{0, to_permit(), Source::of_output(1), Source::of_output(2)}});
}

// Largest relative difference between vjp and central differences over outputs and setpoints. vjp adds, so it
// starts off zero.
double vjp_error(const OutputMap& map, std::vector<double> y, std::vector<double> u,
                 const std::vector<double>& d, Rng& rng) {
  const std::size_t quantities = map.names().size();
  std::vector<double> seed(quantities), dy(y.size(), 0.25), du(u.size(), -0.5), plus(quantities),
      minus(quantities);
  for (double& s : seed) s = rng.normal();
  map.vjp(dy.data(), du.data(), seed.data(), y.data(), u.data(), d.data());
  double worst = 0;
  const auto compare = [&](std::vector<double>& x, const std::vector<double>& slope, double start) {
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double at = x[i], h = 1e-6 * std::max(1.0, std::abs(at));
      x[i] = at + h;
      map.value(plus.data(), y.data(), u.data(), d.data());
      x[i] = at - h;
      map.value(minus.data(), y.data(), u.data(), d.data());
      x[i] = at;
      double expected = 0, size = 1;
      for (std::size_t q = 0; q < quantities; ++q) {
        expected += seed[q] * (plus[q] - minus[q]) / (2 * h);
        size += std::abs(seed[q] * plus[q]) * 1e-3;  // what rounding of large quantities leaves
      }
      worst = std::max(worst, std::abs(slope[i] - start - expected) / (std::abs(expected) + size));
    }
  };
  compare(y, dy, 0.25);
  compare(u, du, -0.5);
  return worst;
}

TEST(ConversionMap, ConvertsOneOutputAndPassesTheRest) {
  const ConversionMap map = corrected();
  EXPECT_EQ(map.names()[0], "nox [mg/Nm3, dry, 6 % O2]");
  EXPECT_EQ(map.names()[3], "flow [Nm3/h]");
  const double y[] = {90, 7.2, 10, 5e5};
  double q[4];
  map.value(q, y, nullptr, nullptr);
  EXPECT_NEAR(q[0], 100 * 46.0055 / 22.414 * 15 / (21 - 8), 1e-9);  // as gas_conversion_test has it by hand
  EXPECT_EQ(q[1], 7.2);
  EXPECT_EQ(q[3], 5e5);
}

TEST(ConversionMap, VjpMatchesFiniteDifferences) {
  Rng rng(1);
  for (int round = 0; round < 200; ++round) {
    const std::vector<double> y = {rng.uniform(0, 300), rng.uniform(0, 14), rng.uniform(0, 25), 5e5},
                              u = {rng.uniform(2, 8)}, d = {rng.uniform(0, 20)};
    EXPECT_LT(vjp_error(corrected(), y, u, d, rng), 1e-7);
    // Oxygen by the setpoint, moisture by a disturbance, and two outputs at once.
    const GasConversion dry_o2({"CO", {"ppm", 0, false}, {"mg/m3", 25, true, 3}, 20.9, true});
    const ConversionMap two(kOutputs, {{0, to_permit(), Source::of_setpoint(0), Source::of_disturbance(0)},
                                       {3, dry_o2, Source::of_output(1), Source::of_constant(12)}});
    EXPECT_LT(vjp_error(two, y, u, d, rng), 1e-7);
  }
}

TEST(ConversionMap, NoAnswerIsNanAndNotAnException) {
  const ConversionMap map = corrected();
  double q[4];
  for (const auto& y :
       {std::vector<double>{90, 21, 10, 1}, {90, 7, 100, 1}, {kMissing, 7, 10, 1}, {90, kMissing, 10, 1}}) {
    map.value(q, y.data(), nullptr, nullptr);
    EXPECT_TRUE(std::isnan(q[0]));
    EXPECT_EQ(q[3], 1);
  }
  const ConversionMap by_disturbance(kOutputs,
                                     {{0, to_permit(), Source::of_output(1), Source::of_disturbance(0)}});
  const double y[] = {90, 7, 10, 1};
  by_disturbance.value(q, y, nullptr, nullptr);  // not known
  EXPECT_TRUE(std::isnan(q[0]));
}

TEST(ConversionMap, RefusesBadColumnsAndConstants) {
  const auto make = [](int output, Source o2, Source moisture) {
    ConversionMap map(kOutputs, {{output, to_permit(), o2, moisture}});
  };
  const Source ok = Source::of_constant(7);
  EXPECT_NO_THROW(make(0, ok, ok));
  EXPECT_THROW(make(4, ok, ok), InputError);
  EXPECT_THROW(make(-1, ok, ok), InputError);
  EXPECT_THROW(make(0, Source{}, ok), InputError);
  EXPECT_THROW(make(0, ok, Source{}), InputError);
  EXPECT_THROW(make(0, Source::of_output(4), ok), InputError);
  EXPECT_THROW(make(0, Source::of_setpoint(-1), ok), InputError);
  EXPECT_THROW(make(0, Source::of_constant(21), ok), InputError);
  EXPECT_THROW(make(0, Source::of_constant(-1), ok), InputError);
  EXPECT_THROW(make(0, ok, Source::of_constant(100)), InputError);
  EXPECT_THROW(make(0, ok, Source::of_constant(-1)), InputError);
  EXPECT_THROW(ConversionMap(kOutputs, {{0, to_permit(), ok, ok}, {0, to_permit(), ok, ok}}), InputError);
  // A conversion that needs neither looks at neither.
  const GasConversion unit({"NOx", {"ppm"}, {"mg/Nm3"}});
  EXPECT_NO_THROW(ConversionMap(kOutputs, {{0, unit, {}, {}}}));
}

TEST(RateMap, AppendsAMassFlowWithItsGradient) {
  Rng rng(2);
  const RateMap map(kOutputs, "nox [kg/h]", 1e-6, Source::of_output(0), Source::of_output(3));
  const std::vector<double> y = {200, 7, 10, 5e5};
  std::vector<double> q(5);
  map.value(q.data(), y.data(), nullptr, nullptr);
  EXPECT_EQ(map.names().back(), "nox [kg/h]");
  EXPECT_NEAR(q[4], 100, 1e-9);
  EXPECT_LT(vjp_error(map, {0.2, 7, 10, 0.5}, {3}, {1}, rng), 1e-7);
  EXPECT_THROW(RateMap(kOutputs, "x", kMissing, Source::of_output(0), Source::of_output(3)), InputError);
  EXPECT_THROW(RateMap(kOutputs, "x", 1, Source::of_output(7), Source::of_output(3)), InputError);
}

// Wet ppm -> dry mg/Nm3 at 6 % -> kg/h, in one map.
TEST(ChainMap, IsTheSecondMapOfTheFirst) {
  Rng rng(3);
  const auto first = std::make_shared<ConversionMap>(corrected());
  const auto second = std::make_shared<RateMap>(first->names(), "nox [kg/h]", 1e-6, Source::of_output(0),
                                                Source::of_output(3));
  const ChainMap chain(first, second);
  EXPECT_EQ(chain.names(), second->names());
  const std::vector<double> y = {90, 7.2, 10, 5e5}, u = {4}, d = {1};
  double q[5], corrected_q[4];
  chain.value(q, y.data(), u.data(), d.data());
  first->value(corrected_q, y.data(), u.data(), d.data());
  EXPECT_DOUBLE_EQ(q[4], corrected_q[0] * 5e5 * 1e-6);
  for (int round = 0; round < 100; ++round)
    EXPECT_LT(
        vjp_error(chain, {rng.uniform(0, 300), rng.uniform(0, 14), rng.uniform(0, 25), rng.uniform(1, 9)}, u,
                  d, rng),
        1e-7);
}

TEST(ChainMap, ReadsWhatItsMapsReadTogether) {
  const auto first = std::make_shared<ConversionMap>(
      kOutputs,
      std::vector<OutputConversion>{{0, to_permit(), Source::of_setpoint(2), Source::of_disturbance(1)}});
  const auto second = std::make_shared<RateMap>(first->names(), "nox [kg/h]", 1e-6, Source::of_output(0),
                                                Source::of_disturbance(4));
  const SizedMap::Reads reads = ChainMap(first, second).reads();
  EXPECT_EQ(reads.outputs, 4);
  EXPECT_EQ(reads.setpoints, 3);
  EXPECT_EQ(reads.disturbances, 5);
}

TEST(ChainMap, RefusesAMissingOrTooWideMap) {
  const auto map = std::make_shared<ConversionMap>(corrected());
  EXPECT_THROW(ChainMap(nullptr, map), InputError);
  EXPECT_THROW(ChainMap(map, nullptr), InputError);
  const auto wide =
      std::make_shared<ConversionMap>(std::vector<std::string>(65, "y"), std::vector<OutputConversion>{});
  EXPECT_THROW(ChainMap(wide, map), InputError);
  const auto narrow =
      std::make_shared<ConversionMap>(std::vector<std::string>{"nox"}, std::vector<OutputConversion>{});
  EXPECT_THROW(ChainMap(narrow, map), InputError);
}

}  // namespace
}  // namespace emisopt
