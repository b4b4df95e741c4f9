#include "emisopt/features/scaler.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/error.hpp"
#include "model/toy_plant.hpp"

namespace emisopt {
namespace {

History one_tag(Tag tag, std::vector<double> y) {
  History h;
  h.tags.tags = {std::move(tag)};
  h.values = Matrix(static_cast<Index>(y.size()), 1);
  h.values.values = std::move(y);
  return h;
}

Tag emission(Scale scale) { return {.name = "nox", .unit = "mg/m3", .role = Role::emission, .scale = scale}; }

TEST(Scaler, MeanAndDeviationAreThoseOfTheKnownTrainingRows) {
  const History h = one_tag(emission(Scale::linear), {1, kMissing, 3, 5, 1000});
  const TagScale s = Scaler::fit(h, 4).tags[0];
  EXPECT_DOUBLE_EQ(s.mean, 3);
  EXPECT_DOUBLE_EQ(s.sd, std::sqrt(8.0 / 3));
  EXPECT_DOUBLE_EQ(s.low, 1 + 0.005 * 4);  // type 7 quantile of {1, 3, 5}: 0.005 * 2 order steps of 2
  EXPECT_DOUBLE_EQ(s.high, 5 - 0.005 * 4);
  EXPECT_DOUBLE_EQ(s.normalise(3), 0);
  EXPECT_TRUE(std::isnan(s.normalise(kMissing)));
}

TEST(Scaler, ReadsNoRowAfterTheTrainingRows) {
  History h = toy::history(300, 1);
  const Scaler before = Scaler::fit(h, 200);
  Rng rng(9);
  for (Index r = 200; r < 300; ++r)
    for (Index c = 0; c < h.columns(); ++c) h.values(r, c) = c == toy::kGrade ? 1 : 1e6 * rng.normal();
  const Scaler after = Scaler::fit(h, 200);
  for (std::size_t c = 0; c < before.tags.size(); ++c) {
    EXPECT_EQ(before.tags[c].log, after.tags[c].log);
    EXPECT_EQ(before.tags[c].offset, after.tags[c].offset);
    EXPECT_EQ(before.tags[c].mean, after.tags[c].mean);
    EXPECT_EQ(before.tags[c].sd, after.tags[c].sd);
    EXPECT_TRUE(toy::same_bits(before.tags[c].low, after.tags[c].low));
    EXPECT_TRUE(toy::same_bits(before.tags[c].high, after.tags[c].high));
  }
}

TEST(Scaler, TakesTheLogOfSkewedEmissionsOnly) {
  Rng rng(2);
  std::vector<double> lognormal, normal, shifted;
  for (int i = 0; i < 2000; ++i) {
    const double g = rng.normal();
    lognormal.push_back(std::exp(0.8 * g));
    normal.push_back(100 + 5 * g);
    shifted.push_back(std::exp(0.8 * g) - 1);
  }
  EXPECT_TRUE(Scaler::fit(one_tag(emission(Scale::automatic), lognormal), 2000).tags[0].log);
  EXPECT_FALSE(Scaler::fit(one_tag(emission(Scale::automatic), normal), 2000).tags[0].log);
  EXPECT_FALSE(Scaler::fit(one_tag(emission(Scale::automatic), shifted), 2000).tags[0].log);
  EXPECT_FALSE(Scaler::fit(one_tag(emission(Scale::linear), lognormal), 2000).tags[0].log);
  Tag quality = emission(Scale::automatic);
  quality.role = Role::quality;
  EXPECT_FALSE(Scaler::fit(one_tag(quality, lognormal), 2000).tags[0].log);
}

TEST(Scaler, OffsetOfTheLogIsATenthOfThePositiveMedian) {
  const TagScale s = Scaler::fit(one_tag(emission(Scale::log), {0, 0, 2, 4, 6}), 5).tags[0];
  EXPECT_DOUBLE_EQ(s.offset, 0.4);
  EXPECT_DOUBLE_EQ(s.normalise(-1), s.normalise(0));  // zero drift of an analyser
}

TEST(Scaler, TakesNoLogOfItsOwnWhereTheOffsetWouldVanish) {
  TagMap map;
  map.tags = {{.name = "nox", .unit = "mg/m3", .role = Role::emission}};
  Matrix values(3, 1);
  values(2, 0) = 5e-324;
  const History h = make_history(map, values);
  EXPECT_FALSE(Scaler::fit(h, 3).tags[0].log);
}

TEST(Scaler, PhysicalInvertsNormaliseAndSlopeIsItsDerivative) {
  for (const Scale scale : {Scale::linear, Scale::log}) {
    const TagScale s = Scaler::fit(one_tag(emission(scale), {1, 2, 3, 4, 60}), 5).tags[0];
    for (const double y : {0.0, 0.5, 3.0, 70.0}) EXPECT_NEAR(s.physical(s.normalise(y)), y, 1e-12 * (1 + y));
    for (const double z : {-1.5, 0.0, 2.0}) {
      const double step = 1e-5;
      const double difference = (s.physical(z + step) - s.physical(z - step)) / (2 * step);
      EXPECT_NEAR(s.slope(z) / difference, 1, 1e-8);  // step^2 and eps / step
    }
  }
}

TEST(Scaler, CategoriesAndCostsKeepTheirNumbers) {
  const History h = toy::history(50, 1);
  const Scaler scaler = Scaler::fit(h, 50);
  const Matrix z = scaler.normalise(h, 10, 5);
  for (Index r = 0; r < 5; ++r) EXPECT_EQ(z(r, toy::kGrade), h.values(10 + r, toy::kGrade));
  Tag cost{.name = "price", .unit = "EUR", .role = Role::cost};
  EXPECT_EQ(Scaler::fit(one_tag(cost, {7, 7, 7}), 3).tags[0].normalise(7), 7);
}

TEST(Scaler, NamesTheTagItCannotScale) {
  const auto refusal = [](Tag tag, std::vector<double> y, Index rows) {
    return toy::message_of<InputError>([&] { Scaler::fit(one_tag(std::move(tag), std::move(y)), rows); });
  };
  const Tag nox = emission(Scale::linear);
  EXPECT_NE(refusal(nox, {kMissing, kMissing, 1}, 2).find("tag 'nox': expected measured values"),
            std::string::npos);
  EXPECT_NE(refusal(nox, {4, 4, kMissing, 5}, 3).find("constant at 4"), std::string::npos);
  EXPECT_NE(refusal(emission(Scale::log), {-3, -2, 0}, 3).find("positive values for scale log"),
            std::string::npos);
  Tag setpoint{.name = "oxygen", .unit = "%", .role = Role::setpoint, .scale = Scale::log};
  EXPECT_NE(refusal(setpoint, {1, 2, 3}, 3).find("tag 'oxygen': expected scale linear"), std::string::npos);
  EXPECT_NE(refusal(nox, {1, 2, 3}, 4).find("expected 2..3 training rows"), std::string::npos);
  EXPECT_NE(refusal(nox, {1, 2, 3}, 1).find("got 1"), std::string::npos);
}

}  // namespace
}  // namespace emisopt
