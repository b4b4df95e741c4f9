#include "emisopt/monitor/residual_limits.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/monitor/residual_filter.hpp"
#include "monitor/watched_plant.hpp"

namespace emisopt {
namespace {

constexpr Index kTags = 8;

Matrix normalised(Index n, std::uint64_t seed) {
  const Matrix x = watched::rows(n, seed);
  Matrix z(n, kTags);
  for (Index r = 0; r < n; ++r)
    for (Index t = 0; t < kTags; ++t) z(r, t) = (x(r, t) - 100) / 8;
  return z;
}

TEST(ResidualLimits, ThinningKeepsEveryNthRowAndAtMostTwentyThousand) {
  Matrix z(45000, 1);
  for (Index r = 0; r < z.rows; ++r) z(r, 0) = static_cast<double>(r);
  const Matrix few = thinned(z);
  EXPECT_EQ(few.rows, 15000);
  EXPECT_EQ(few(1, 0), 3);
  EXPECT_EQ(thinned(z.view().slice(0, 100)).rows, 100);
}

TEST(ResidualLimits, TheNumberOfCausesIsFound) {
  EXPECT_EQ(choose_factors(normalised(5000, 1), std::vector<char>(kTags, 1)), 2);
}

TEST(ResidualLimits, RarerFalseAlarmsAndHigherConfidenceMoveLimitsOut) {
  const Matrix z = normalised(6000, 1);
  SensorOptions rare, often;
  rare.rows_per_month = often.rows_per_month = 8640;
  often.false_alarms = 5;
  SensorOptions unsure = rare;
  unsure.confidence = 0.5;
  const auto a = residual_limits(z, {}, 2, rare), b = residual_limits(z, {}, 2, often),
             c = residual_limits(z, {}, 2, unsure);
  for (std::size_t t = 0; t < kTags; ++t) {
    EXPECT_GT(a[t].jump, b[t].jump);
    EXPECT_GT(a[t].jump, c[t].jump);
    ASSERT_EQ(a[t].shift.size(), 4u);  // each mean, each change
    for (std::size_t v = 0; v < 4; ++v) EXPECT_GT(a[t].shift[v], b[t].shift[v]);
    EXPECT_LT(a[t].shift[1], a[t].shift[0]);  // a longer mean strays less
    EXPECT_NEAR(a[t].spread, 1, 0.15);
  }
}

// Fresh rows cross the limit of a mean about as often as asked, counted as separate excursions.
TEST(ResidualLimits, FreshRowsCrossThemAboutAsOftenAsAsked) {
  SensorOptions options;
  options.rows_per_month = 8640;
  options.false_alarms = 5;  // often enough to be counted
  options.confidence = 0.5;
  const Matrix z = normalised(12000, 1), fresh = normalised(40000, 2);
  const auto limits = residual_limits(z, {}, 2, options);
  const FactorModel model = FactorModel::fit(z, 2);
  ResidualFilter filter(model, options.memory, options.baseline);
  const std::vector<char> all(kTags, 1);
  std::vector<double> residual;
  std::vector<Index> last(kTags, -10000);
  int crossings = 0;
  for (Index r = 0; r < fresh.rows; ++r) {
    filter.take(fresh.row(r));
    filter.look(all.data());
    filter.keep(all.data(), all.data());
    filter.mean_residual(0, all.data(), residual);
    for (std::size_t t = 0; t < kTags; ++t)
      if (std::abs(residual[t]) > limits[t].shift[0]) {
        crossings += r - last[t] > 12;
        last[t] = r;
      }
  }
  const double months = 40000 / 8640.0, asked = 5 * 0.1 * months * kTags;  // a tenth of the budget: 18
  EXPECT_LT(crossings, 2 * asked);
  EXPECT_GT(crossings, asked / 10);
}

}  // namespace
}  // namespace emisopt
