#include "emisopt/plant/instruments.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace emisopt {
namespace {

constexpr int kDay = 288;

std::vector<double> read_days(Analyser& a, int days, double value, const InstrumentFaults& f) {
  std::vector<double> v;
  for (int r = 0; r < days * kDay; ++r) v.push_back(a.read(value, r, f));
  return v;
}

TEST(Analyser, NoiseHasTheStatedSize) {
  Instruments i(3, {});
  const InstrumentFaults clean = {1, false, 0, 0, 0, 0};
  double sum = 0, squares = 0;
  int n = 0;
  for (double v : read_days(i.nox, 1, 100, clean)) {
    sum += v;
    squares += v * v;
    ++n;
  }
  const double sd = std::sqrt(squares / n - (sum / n) * (sum / n));
  EXPECT_GT(sd, 0.7);  // white 1 % over 15 samples and AR(1) 1.5 %, 120 s: 1.0 to 1.2 % of 100
  EXPECT_LT(sd, 1.8);
  EXPECT_NEAR(sum / n, 100, 2);
}

TEST(Analyser, NoFaultsNoNoiseIsTheQuantisedTruth) {
  Instruments i(3, {});
  const InstrumentFaults none = {0, false, 0, 0, 0, 0};
  for (double v : read_days(i.nox, 1, 71.234, none)) EXPECT_NEAR(v, 71.2, 1e-9);
}

TEST(Analyser, CalibratesDailyFrozenOrFlagged) {
  Instruments i(5, {});
  const InstrumentFaults only = {1, true, 0, 0, 0, 0};
  const std::vector<double> v = read_days(i.nox, 30, 100, only);
  int flagged = 0, frozen = 0;
  for (int day = 0; day < 30; ++day) {
    const std::size_t at = static_cast<std::size_t>(day * kDay + 72);
    if (std::isnan(v[at])) ++flagged;
    if (v[at] == v[at - 1] && v[at + 1] == v[at]) ++frozen;
    EXPECT_TRUE(std::isnan(v[at]) || v[at] == v[at - 1]);
  }
  EXPECT_GT(flagged, 4);
  EXPECT_GT(frozen, 8);
}

TEST(Analyser, FaultsComeAtTheirRates) {
  Instruments i(7, {});
  const InstrumentFaults f = {1, false, 0, 0.5, 0.01, 2};
  const std::vector<double> v = read_days(i.nox, 60, 100, f);
  int missing = 0, spikes = 0, freezes = 0;
  for (std::size_t k = 2; k < v.size(); ++k) {
    missing += std::isnan(v[k]);
    spikes += v[k] > 125;
    freezes += v[k] == v[k - 1] && v[k - 1] == v[k - 2];
  }
  EXPECT_NEAR(missing / (60.0 * kDay), 0.01, 0.004);
  EXPECT_GT(spikes, 60);  // two a day, most of them above 1.3
  EXPECT_LT(spikes, 260);
  EXPECT_GT(freezes, 100);  // thirty freezes of 2..24 rows
}

TEST(Analyser, SlipSaturatesAtTen) {
  Instruments i(7, {});
  for (double v : read_days(i.slip, 1, 14, {})) EXPECT_TRUE(std::isnan(v) || v <= 10);
}

TEST(Laboratory, ReportsEveryFewHoursAndLate) {
  Laboratory lab(9);
  int results = 0;
  double first = -1;
  for (int r = 0; r < 10 * kDay; ++r) {
    double n, h;
    lab.read(1.0, 23.0, 300.0 * (r + 1), 1, &n, &h);
    EXPECT_EQ(std::isnan(n), std::isnan(h));
    if (std::isnan(n)) continue;
    ++results;
    if (first < 0) first = 300.0 * (r + 1);
    EXPECT_NEAR(n, 1.0, 0.25);
    EXPECT_NEAR(h, 23.0, 2.0);
  }
  EXPECT_GE(first, 2 * 3600.0);
  EXPECT_NEAR(results, 40, 8);  // one every 4..8 h over ten days
}

}  // namespace
}  // namespace emisopt
