#include "emisopt/permit/gas_conversion.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

GasConversionConfig correction(double reference, double K) {
  GasConversionConfig c{"NOx", {"ppm", 0, true, kMissing}, {"ppm", 0, true, reference}, K, true};
  return c;
}

double one(const GasConversion& conversion, double value, double o2 = kMissing, double moisture = kMissing) {
  double out;
  conversion.apply(&out, 1, &value, {&o2, true}, {&moisture, true}, {});
  return out;
}

std::string refused(const std::function<void()>& call) {
  try {
    call();
  } catch (const InputError& e) {
    return e.what();
  }
  return "nothing was refused";
}

double rounded(double x, int decimals) {
  return std::round(x * std::pow(10, decimals)) / std::pow(10, decimals);
}

// Published stack-test sheet (Scribd 395408750, "CEM-pdf"): 15 % O2 from 4.2 %, constant 20.9.
TEST(GasConversion, StackTestSheetIsCorrectedToFifteenPercentOxygen) {
  const GasConversion to15(correction(15, 20.9));
  EXPECT_EQ(rounded(one(to15, 43.2, 4.2), 1), 15.3);
  EXPECT_EQ(rounded(one(to15, 55.0, 4.2), 1), 19.4);
  EXPECT_EQ(rounded(one(to15, 1.5, 4.2), 1), 0.5);
  EXPECT_EQ(rounded(one(to15, 43.2, 4.2), 4), 15.2623);
  EXPECT_EQ(rounded(one(to15, 55.0, 4.2), 4), 19.4311);
  EXPECT_EQ(rounded(one(to15, 1.5, 4.2), 4), 0.5299);
}

// The oxygen constant decides the third digit: 20.9 in Method 19, 21 in 40 CFR 60.284 and GB 13223.
TEST(GasConversion, TheOxygenConstantIsNotAssumed) {
  EXPECT_EQ(rounded(one(GasConversion(correction(6, 21)), 100, 8), 4), 115.3846);
  EXPECT_EQ(rounded(one(GasConversion(correction(6, 20.9)), 100, 8), 4), 115.5039);
  EXPECT_EQ(rounded(one(GasConversion(correction(11, 21)), 200, 12), 4), 222.2222);
  EXPECT_EQ(rounded(one(GasConversion(correction(3, 21)), 80, 3.5), 4), 82.2857);
  EXPECT_EQ(rounded(one(GasConversion(correction(15, 20.9)), 50, 17), 4), 75.6410);
  EXPECT_NE(refused([] { GasConversion c(correction(6, kMissing)); }).find("expected o2_constant"),
            std::string::npos);
}

TEST(GasConversion, OnePpmOfNoxIsTwoMilligramsAtZeroDegrees) {
  const GasConversion c({"NOx", {"ppm"}, {"mg/m3", 0}, kMissing, true});
  EXPECT_EQ(rounded(one(c, 100), 2), 205.25);
  const GasConversion warm({"NOx", {"mg/m3", 0}, {"mg/m3", 25}, kMissing, true});
  EXPECT_NEAR(one(warm, 100), 100 * 22.414 / 24.465, 1e-12);
  const GasConversion share({"CO", {"%"}, {"ppb"}, kMissing, true});
  EXPECT_NEAR(one(share, 1), 1e7, 1e-6);
  const GasConversion micro({"Hg", {"ug/Nm3"}, {"mg/m3", 0}, kMissing, true});
  EXPECT_NEAR(one(micro, 30), 0.030, 1e-15);
}

TEST(GasConversion, WetGasIsDilutedByItsMoisture) {
  const GasConversion dry({"SO2", {"ppm", 0, false}, {"ppm"}, kMissing, true});
  EXPECT_DOUBLE_EQ(one(dry, 80, kMissing, 20), 100);
  const GasConversion wet({"SO2", {"ppm"}, {"ppm", 0, false}, kMissing, true});
  EXPECT_DOUBLE_EQ(one(wet, 100, kMissing, 20), 80);
}

// From wet ppm with wet oxygen to dry mg/m3 at 6 %: each step by hand.
TEST(GasConversion, WetOxygenIsDriedBeforeTheCorrection) {
  const GasConversion c({"NOx", {"ppm", 0, false}, {"mg/m3", 0, true, 6}, 21, false});
  const double dry_ppm = 90 / 0.9, dry_o2 = 7.2 / 0.9;
  EXPECT_NEAR(one(c, 90, 7.2, 10), dry_ppm * 46.0055 / 22.414 * 15 / (21 - dry_o2), 1e-10);
}

// A reference may change without a measurement; China's and Germany's tables are compared so.
TEST(GasConversion, FromOneReferenceToAnotherNeedsNoMeasurement) {
  const GasConversion c({"NOx", {"mg/m3", 0, true, 3}, {"mg/m3", 0, true, 6}, 21, true});
  EXPECT_FALSE(c.needs_o2());
  EXPECT_NEAR(one(c, 100), 100.0 * 15 / 18, 1e-12);
}

// Every pair of bases: there and back is the identity, and the way back reads the same oxygen and moisture.
TEST(GasConversion, TheInverseBringsEveryBasisBack) {
  Rng rng(3);
  const GasBasis bases[] = {{"ppm", 0, true, kMissing},    {"ppm", 0, false, kMissing},
                            {"mg/m3", 20, true, 15},       {"mg/Nm3", 0, true, 6},
                            {"g/m3", 25, false, kMissing}, {"ug/m3", 0, true, 11}};
  for (const GasBasis& from : bases)
    for (const GasBasis& to : bases)
      for (const bool o2_dry : {true, false}) {
        const GasConversion there({"SO2", from, to, 20.9, o2_dry}), back = there.inverse();
        const double value = rng.uniform(1, 500), o2 = rng.uniform(0, 15), moisture = rng.uniform(0, 25);
        EXPECT_NEAR(one(back, one(there, value, o2, moisture), o2, moisture) / value, 1, 1e-13)
            << from.text() << " -> " << to.text();
      }
}

TEST(GasConversion, SlopesMatchFiniteDifferences) {
  Rng rng(4);
  const GasBasis measured_wet = {"ppm", 0, false, kMissing}, measured_dry = {"ppm", 0, true, kMissing},
                 reference = {"mg/m3", 0, true, 6};
  for (const auto& [from, to] : {std::pair{measured_wet, reference},
                                 {measured_dry, reference},
                                 {reference, measured_wet},
                                 {reference, measured_dry},
                                 {measured_wet, measured_dry},
                                 {measured_dry, measured_wet}})
    for (const bool o2_dry : {true, false})
      for (int round = 0; round < 20; ++round) {
        const GasConversion c({"NOx", from, to, 21, o2_dry});
        const double o2 = rng.uniform(0, 14), m = rng.uniform(0, 30), h = 1e-5;
        const auto slope = c.slope(o2, m);
        EXPECT_EQ(slope.factor, c.factor(o2, m));
        EXPECT_NEAR(slope.per_o2, (c.factor(o2 + h, m) - c.factor(o2 - h, m)) / (2 * h), 1e-8);
        EXPECT_NEAR(slope.per_moisture, (c.factor(o2, m + h) - c.factor(o2, m - h)) / (2 * h), 1e-8);
      }
}

// apply() takes another way through the arithmetic than factor() where it can; both must agree.
TEST(GasConversion, ColumnsAgreeWithTheFactorAndNanStaysNan) {
  Rng rng(5);
  const GasBasis bases[] = {{"ppm", 0, true, kMissing}, {"ppm", 0, false, kMissing}, {"mg/m3", 0, true, 6}};
  for (const GasBasis& from : bases)
    for (const GasBasis& to : bases)
      for (const bool o2_dry : {true, false}) {
        const GasConversion c({"CO", from, to, 21, o2_dry});
        std::vector<double> value(50), o2(50), moisture(50), out(50);
        for (std::size_t i = 0; i < value.size(); ++i) {
          value[i] = i % 7 == 3 ? kMissing : rng.uniform(0, 100);
          o2[i] = i % 11 == 5 ? kMissing : rng.uniform(0, 14);
          moisture[i] = i % 13 == 8 ? kMissing : rng.uniform(0, 30);
        }
        c.apply(out.data(), 50, value.data(), {o2.data()}, {moisture.data()}, {});
        for (std::size_t i = 0; i < value.size(); ++i) {
          const double expected = value[i] * c.factor(o2[i], moisture[i]);
          if (std::isnan(expected))
            EXPECT_TRUE(std::isnan(out[i]));
          else
            EXPECT_NEAR(out[i], expected, 1e-12 * expected);
        }
      }
}

TEST(GasConversion, TheFirstBadRowIsNamedWithTagAndTime) {
  const GasConversion c({"NOx", {"ppm", 0, false}, {"mg/m3", 0, true, 6}, 21, false});
  const std::vector<double> time = {0, 3600, 7200, 10800};
  const RowLabel label = {"21HNE10", time.data()};
  const auto with = [&](std::vector<double> value, std::vector<double> o2, std::vector<double> moisture) {
    std::vector<double> out(4);
    return refused([&] { c.apply(out.data(), 4, value.data(), {o2.data()}, {moisture.data()}, label); });
  };
  const std::string head =
      "NOx, ppm, wet to mg/m3, 0 degC, dry, 6 % O2: tag '21HNE10', row 2 "
      "(1970-01-01 02:00:00 UTC): expected ";
  const std::vector<double> ok = {1, kMissing, 1, 1};
  EXPECT_EQ(with({1, 1, -2, -3}, ok, ok),
            head + "a finite concentration >= 0 (correct or mark a zero drift before), got -2");
  EXPECT_EQ(with({1, 1, INFINITY, 1}, ok, ok),
            head + "a finite concentration >= 0 (correct or mark a zero drift before), got inf");
  EXPECT_EQ(with(ok, {1, 1, 21, 1}, ok), head + "oxygen in [0, 21) %, got 21");
  EXPECT_EQ(with(ok, {1, 1, -0.1, 1}, ok), head + "oxygen in [0, 21) %, got -0.1");
  EXPECT_EQ(with(ok, {1, 1, 20, 1}, {10, 10, 10, 10}),
            head + "oxygen of the dry gas in [0, 21) %, got 22.22222222222222");
  EXPECT_EQ(with(ok, ok, {0, 0, 100, 0}), head + "moisture in [0, 100) %, got 100");
  EXPECT_EQ(with(ok, ok, {0, 0, -1, 0}), head + "moisture in [0, 100) %, got -1");
}

TEST(GasConversion, WhatIsNotNeededIsNotLookedAt) {
  const GasConversion c({"NOx", {"ppm"}, {"mg/m3"}, kMissing, true});
  const double value = 1, bad = 99;
  double out;
  c.apply(&out, 1, &value, {&bad, true}, {}, {});
  EXPECT_GT(out, 2);
  const GasConversion needs({"NOx", {"ppm"}, {"ppm", 0, true, 6}, 21, true});
  EXPECT_NE(refused([&] { needs.apply(&out, 1, &value, {}, {}, {}); }).find("expected the measured oxygen"),
            std::string::npos);
}

TEST(GasConversion, RefusesEachBadField) {
  const auto text = [](GasConversionConfig c) { return refused([&] { GasConversion made(c); }); };
  EXPECT_NE(text({"XX", {"ppm"}, {"ppm"}}).find("expected a pollutant"), std::string::npos);
  EXPECT_NE(text({"CO", {"ppmv"}, {"ppm"}}).find("did you mean 'ppm'"), std::string::npos);
  EXPECT_NE(text({"CO", {"ppm"}, {"mg/m3", 15}}).find("reference temperature"), std::string::npos);
  EXPECT_NE(text({"CO", {"ppm"}, {"mg/Nm3", 20}}).find("mg/Nm3 is at 0 degC"), std::string::npos);
  EXPECT_NE(text({"CO", {"ppm"}, {"ppm", 0, false, 6}, 21}).find("expected dry gas"), std::string::npos);
  EXPECT_NE(text({"CO", {"ppm"}, {"ppm", 0, true, 21}, 21}).find("oxygen reference"), std::string::npos);
  EXPECT_NE(text({"CO", {"ppm"}, {"ppm", 0, true, -1}, 21}).find("oxygen reference"), std::string::npos);
  EXPECT_NE(text({"CO", {"ppm"}, {"ppm", 0, true, 6}, 0.209}).find("20.9 or 21"), std::string::npos);
}

}  // namespace
}  // namespace emisopt
