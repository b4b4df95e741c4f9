// The history that a forecaster learns from: plausible, tied to load, and still informative.
#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <cmath>
#include <vector>

#include "emisopt/plant/operator.hpp"

namespace emisopt {
namespace {
using namespace boiler;

const SimulatedHistory& months() {
  static const SimulatedHistory kHistory = [] {
    HistoryConfig c;
    c.boiler.seed = 5;
    c.days = 60;
    return simulate_history(c);
  }();
  return kHistory;
}

double value(Index row, int column) { return months().history.values(row, column); }

TEST(Crews, HistoryIsCompleteAndRegular) {
  const History& h = months().history;
  EXPECT_EQ(h.rows(), 60 * 288);
  EXPECT_EQ(months().truth.rows, h.rows());
  for (const char g : h.gap) EXPECT_EQ(g, 0);
  int grades[3] = {};
  for (Index r = 0; r < h.rows(); ++r) ++grades[static_cast<int>(value(r, column(kGrade)))];
  for (const int n : grades) EXPECT_GT(n, h.rows() / 20);
}

TEST(Crews, SetpointsStayLegal) {
  const History& h = months().history;
  for (Index r = 1; r < h.rows(); ++r)
    for (int u = 0; u < kSetpoints; ++u) {
      const Tag& tag = h.tags.tags[static_cast<std::size_t>(u)];
      EXPECT_GE(value(r, u), tag.low);
      EXPECT_LE(value(r, u), tag.high);
      EXPECT_LE(std::abs(value(r, u) - value(r - 1, u)), tag.rate + 1e-9);
    }
}

TEST(Crews, OxygenFollowsLoadAndTheTightCrewRunsLower) {
  double n = 0, sx = 0, sy = 0, sxx = 0, syy = 0, sxy = 0, tight = 0, loose = 0;
  int tight_rows = 0, loose_rows = 0;
  for (Index r = 0; r < months().history.rows(); ++r) {
    const double x = value(r, column(kLoad)), y = value(r, kO2Sp);
    if (!std::isfinite(x)) continue;
    n += 1, sx += x, sy += y, sxx += x * x, syy += y * y, sxy += x * y;
    if (x > 260) {
      (months().tight[static_cast<std::size_t>(r)] ? tight : loose) += y;
      ++(months().tight[static_cast<std::size_t>(r)] ? tight_rows : loose_rows);
    }
  }
  const double r = (sxy - sx * sy / n) / std::sqrt((sxx - sx * sx / n) * (syy - sy * sy / n));
  EXPECT_LT(r, -0.5);  // a real unit's: -0.76
  EXPECT_LT(tight / tight_rows, loose / loose_rows - 0.3);
  EXPECT_GT(tight / tight_rows, 2.9);
}

// Ridge regression of the change of log NOx over h rows on what is known at its start and on the changes of
// the setpoints and load over it: the gain that a learner would read off the history.
Eigen::VectorXd gains(int h) {
  std::vector<std::vector<double>> rows;
  std::vector<double> target;
  const Index n = months().history.rows();
  for (Index r = 12; r + h < n; r += 2) {
    std::vector<double> x;
    for (int u = 0; u < kSetpoints; ++u) x.push_back(value(r + h, u) - value(r, u));
    x.push_back(value(r + h, column(kLoad)) - value(r, column(kLoad)));
    for (int u = 0; u < kSetpoints; ++u)
      for (int lag : {0, 1, 3, 6, 12}) x.push_back(lag == 0 ? value(r, u) : value(r, u) - value(r - lag, u));
    for (int lag : {0, 3, 12})
      x.push_back(value(r, column(kLoad)) - (lag ? value(r - lag, column(kLoad)) : 0));
    const double now = std::log(std::max(1.0, value(r, column(kNox))));
    for (int lag : {0, 1, 3, 6, 12})
      x.push_back(lag == 0 ? now : now - std::log(std::max(1.0, value(r - lag, column(kNox)))));
    x.push_back(value(r, column(kNoxIn)));
    const double y = std::log(std::max(1.0, value(r + h, column(kNox)))) - now;
    bool ok = std::isfinite(y);
    for (const double v : x) ok &= std::isfinite(v);
    if (!ok) continue;
    rows.push_back(std::move(x));
    target.push_back(y);
  }
  const auto m = static_cast<Index>(rows.size()), k = static_cast<Index>(rows[0].size());
  Eigen::MatrixXd x(m, k);
  Eigen::VectorXd y(m);
  for (Index i = 0; i < m; ++i) {
    for (Index j = 0; j < k; ++j) x(i, j) = rows[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)];
    y(i) = target[static_cast<std::size_t>(i)];
  }
  const Eigen::RowVectorXd mean = x.colwise().mean();
  x.rowwise() -= mean;
  y.array() -= y.mean();
  const Eigen::RowVectorXd sd = (x.colwise().squaredNorm() / static_cast<double>(m)).cwiseSqrt();
  x.array().rowwise() /= sd.array();
  Eigen::MatrixXd a = x.transpose() * x;
  a.diagonal().array() += 1e-3 * static_cast<double>(m);
  const Eigen::VectorXd b = a.ldlt().solve(x.transpose() * y);
  return b.cwiseQuotient(sd.transpose());
}

TEST(Crews, TheHistoryShowsTheRightSignOfEverySetpoint) {
  // Reverse causation would make NH3 look as if it raised NOx. The crews dose by feed-forward and habit, so
  // the change over one hour reads near the true gain: d log NOx / d ratio = -1/(1 - 0.78) = -4.5 at the
  // mean.
  const Eigen::VectorXd b = gains(12);
  EXPECT_LT(b(kNh3Sp), -3);
  EXPECT_GT(b(kNh3Sp), -6);
  EXPECT_GT(b(kO2Sp), 0.06);  // +10..20 % per point
  EXPECT_LT(b(kO2Sp), 0.25);
  EXPECT_LT(b(kOfaSp), -0.005);
  EXPECT_GT(b(kTiltSp), 0);
}

TEST(Crews, DitherAddsVariationAndStopsOnRequest) {
  HistoryConfig c;
  c.days = 4;
  c.dither = 1;
  int calls = 0;
  const SimulatedHistory some = simulate_history(c, [&](double) { return ++calls < 3; });
  EXPECT_EQ(some.history.rows(), 2 * 288);
  int moves = 0;
  for (Index r = 1; r < some.history.rows(); ++r)
    moves += some.history.values(r, kO2Sp) != some.history.values(r - 1, kO2Sp);
  EXPECT_GT(moves, 60);
}

// A meter that always shows the same number is refused as frozen.
TEST(Crews, AUnitWithoutCatalystLeavesAHistoryToo) {
  HistoryConfig c;
  c.days = 2;
  c.boiler.parameters.catalyst = false;
  const SimulatedHistory some = simulate_history(c);
  EXPECT_EQ(some.history.rows(), 2 * 288);
  double low = 1e9, high = 0;
  for (Index r = 0; r < some.history.rows(); ++r) {
    EXPECT_EQ(some.truth(r, kNh3Flow), 0);
    const double shown = some.history.values(r, column(kNh3Flow));
    low = std::fmin(low, shown), high = std::fmax(high, shown);
  }
  EXPECT_LT(low, 0.8);
  EXPECT_GT(high, 1.2);
  EXPECT_LT(high, 3);
}

TEST(Operator, LimitMoveRespectsBoundsAndRates) {
  const TagMap tags = boiler_tags();
  const BoilerSetpoints u = limit_move(tags, {9, -3, 0.82, 40}, {3.5, 6, 0.8, 18});
  EXPECT_NEAR(u[kO2Sp], 3.9, 1e-12);
  EXPECT_NEAR(u[kOfaSp], 5, 1e-12);
  EXPECT_NEAR(u[kNh3Sp], 0.82, 1e-12);
  EXPECT_NEAR(u[kTiltSp], 20, 1e-12);
}

TEST(Operator, HoldsWithoutMeasurements) {
  Operator people({});
  std::array<double, kColumns> row;
  row.fill(kMissing);
  const BoilerSetpoints applied = {3.5, 18, 0.8, 0};
  const BoilerSetpoints u = people.decide(row.data(), applied);
  for (const double v : u) EXPECT_TRUE(std::isfinite(v));
}

}  // namespace
}  // namespace emisopt
