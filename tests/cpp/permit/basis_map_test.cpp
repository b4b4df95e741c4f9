#include "emisopt/permit/basis_map.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/error.hpp"

namespace emisopt {
namespace {

// Two quantities of one output, at other references: gradients against central differences, missing oxygen.
TEST(BasisMap, CorrectsOneOutputToSeveralReferences) {
  const BasisMap map({"nox", "o2"}, {{0, Source::of_output(1), 6, 21, "at 6 %"},
                                     {0, Source::of_constant(9), 3, 20.9, "at 3 %"}});
  std::vector<double> y{120, 7.5}, q(4), dy(2, 0), du(1, 0);
  map.value(q.data(), y.data(), nullptr, nullptr);
  EXPECT_DOUBLE_EQ(q[2], 120 * 15 / 13.5);
  EXPECT_DOUBLE_EQ(q[3], 120 * 17.9 / 11.9);
  const std::vector<double> seed{0.5, 2, 1.5, -0.7};
  map.vjp(dy.data(), du.data(), seed.data(), y.data(), nullptr, nullptr);
  for (std::size_t i = 0; i < 2; ++i) {
    const auto total = [&](double step) {
      std::vector<double> at = y;
      at[i] += step;
      map.value(q.data(), at.data(), nullptr, nullptr);
      return seed[0] * q[0] + seed[1] * q[1] + seed[2] * q[2] + seed[3] * q[3];
    };
    EXPECT_NEAR(dy[i], (total(1e-5) - total(-1e-5)) / 2e-5, 1e-6);
  }
  for (const double o2 : {21.0, 25.0, -0.1}) {
    y[1] = o2;
    map.value(q.data(), y.data(), nullptr, nullptr);
    EXPECT_TRUE(std::isnan(q[2]));
    EXPECT_FALSE(std::isnan(q[3]));
  }
}

TEST(BasisMap, RefusesWhatDoesNotFit) {
  const auto one = [](int output, Source o2, double reference) {
    return std::vector<BasisMap::Quantity>{{output, o2, reference, 21, "x"}};
  };
  EXPECT_THROW(BasisMap({"a"}, one(1, Source::of_constant(3), 6)), InputError);
  EXPECT_THROW(BasisMap({"a"}, one(0, Source::of_output(1), 6)), InputError);
  EXPECT_THROW(BasisMap({"a"}, one(0, Source::of_constant(21), 6)), InputError);
  EXPECT_THROW(BasisMap({"a"}, one(0, Source::of_constant(3), 21)), InputError);
}

}  // namespace
}  // namespace emisopt
