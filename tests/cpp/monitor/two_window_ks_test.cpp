#include "emisopt/monitor/two_window_ks.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"
#include "monitor/drift_cases.hpp"

namespace emisopt {
namespace {

// sup |F - G| by its definition, at every value of both samples.
double distance(const std::vector<double>& a, const std::vector<double>& b) {
  double most = 0;
  for (const auto* sample : {&a, &b})
    for (const double x : *sample) {
      const auto share = [x](const std::vector<double>& s) {
        return static_cast<double>(std::count_if(s.begin(), s.end(), [x](double v) { return v <= x; })) /
               static_cast<double>(s.size());
      };
      most = std::max(most, std::abs(share(a) - share(b)));
    }
  return most;
}

TEST(TwoWindowKs, DistanceIsTheDefinitionsForEveryValueTiesIncluded) {
  Rng rng(1);
  for (const double grain : {0.0, 0.5, 3.0})
    for (const auto& [reference, recent] : {std::pair{2, 2}, {37, 11}, {64, 64}, {10, 90}}) {
      const TwoWindowKsOptions options{reference, recent, 1.0};
      TwoWindowKs detector(options);
      std::vector<double> seen;
      for (int i = 0; i < reference + 4 * recent; ++i) {
        const double x = rng.normal() + i * 0.01;
        seen.push_back(grain > 0 ? std::round(x / grain) * grain : x);
        EXPECT_FALSE(detector.update(options, seen.back()));
        if (static_cast<int>(seen.size()) < reference + recent) {
          EXPECT_EQ(detector.statistic(), 0);
          continue;
        }
        const std::vector<double> old(seen.begin(), seen.begin() + reference),
            fresh(seen.end() - recent, seen.end());
        ASSERT_NEAR(detector.statistic(), distance(old, fresh), 1e-12)
            << reference << " " << recent << " " << i;
      }
    }
}

TEST(TwoWindowKs, SeesAChangeOfSpreadThatNoMeanShows) {
  Rng rng(4);
  std::vector<double> values(3000);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = rng.normal() * (i < 1500 ? 1 : 3);
  const auto rows = alarm_rows(TwoWindowKsOptions{}, values);
  ASSERT_FALSE(rows.empty());
  EXPECT_GT(rows[0], 1500);
  EXPECT_LT(rows[0], 1650);
}

TEST(TwoWindowKs, BeginsANewReferenceAfterAnAlarm) {
  std::vector<double> values(2000, 0.0);
  Rng rng(2);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = rng.normal() + (i < 700 ? 0 : 5);
  EXPECT_EQ(alarm_rows(TwoWindowKsOptions{500, 100, 0.4}, values).size(), 1u);
}

TEST(TwoWindowKs, AConstantSignalNeverAlarms) {
  EXPECT_TRUE(alarm_rows(TwoWindowKsOptions{50, 20, 0.1}, std::vector<double>(500, 2.0)).empty());
}

TEST(TwoWindowKs, RefusesEachWrongOption) {
  EXPECT_THROW((TwoWindowKsOptions{1, 100, 0.2}.validate()), InputError);
  EXPECT_THROW((TwoWindowKsOptions{40000, 100, 0.2}.validate()), InputError);
  EXPECT_THROW((TwoWindowKsOptions{100, 1, 0.2}.validate()), InputError);
  EXPECT_THROW((TwoWindowKsOptions{100, 40000, 0.2}.validate()), InputError);
  EXPECT_THROW((TwoWindowKsOptions{100, 100, 0}.validate()), InputError);
  EXPECT_THROW((TwoWindowKsOptions{100, 100, kMissing}.validate()), InputError);
}

}  // namespace
}  // namespace emisopt
