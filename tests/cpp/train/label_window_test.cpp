#include "emisopt/train/label_window.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

const OperationKernel kKernel({{0.5, 40, 0}, {0.5, 300, 1.0}}, 2);
constexpr double kNoise = 0.1;

struct Label {
  double t;
  std::vector<double> x, r;
};

std::vector<Label> labels(int count, std::uint64_t seed = 1) {
  Rng rng(seed);
  std::vector<Label> out;
  for (int t = 0; t < count; ++t) {
    const double a = rng.normal(), b = rng.normal();
    out.push_back({1.0 * t, {a, b}, {std::sin(0.05 * t) + 0.5 * a, std::cos(0.02 * t) * b}});
  }
  return out;
}

bool add(LabelWindow& window, const Label& label) {
  std::vector<double> innovation(label.r.size()), bounds(label.r.size(), 1e300);
  return window.add(label.t, label.x.data(), label.r.data(), bounds.data(), innovation.data());
}

// The textbook: solve (K + noise I) a = r by Gaussian elimination on the labels themselves.
std::vector<double> textbook(const std::vector<Label>& rows, double t, const std::vector<double>& x,
                             Index output, double* variance) {
  const std::size_t n = rows.size();
  const auto solve = [&](std::vector<double> right) {
    std::vector<std::vector<double>> m(n, std::vector<double>(n));
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < n; ++j)
        m[i][j] =
            kKernel.value(rows[i].t, rows[i].x.data(), rows[j].t, rows[j].x.data()) + (i == j ? kNoise : 0);
    for (std::size_t k = 0; k < n; ++k)
      for (std::size_t i = 0; i < n; ++i) {
        if (i == k) continue;
        const double f = m[i][k] / m[k][k];
        for (std::size_t j = k; j < n; ++j) m[i][j] -= f * m[k][j];
        right[i] -= f * right[k];
      }
    for (std::size_t k = 0; k < n; ++k) right[k] /= m[k][k];
    return right;
  };
  std::vector<double> k, r;
  for (const Label& row : rows) {
    k.push_back(kKernel.value(t, x.data(), row.t, row.x.data()));
    r.push_back(row.r[static_cast<std::size_t>(output)]);
  }
  const std::vector<double> a = solve(r), v = solve(k);
  double mean = 0;
  *variance = kKernel.variance() + kNoise;
  for (std::size_t i = 0; i < n; ++i) {
    mean += k[i] * a[i];
    *variance -= k[i] * v[i];
  }
  return {mean};
}

TEST(LabelWindow, SaysWhatTheTextbookSaysOfTheNewestLabels) {
  const std::vector<Label> all = labels(300);
  LabelWindow window(kKernel, kNoise, 60, 2);
  for (const Label& label : all) add(window, label);
  const std::vector<Label> newest(all.end() - 60, all.end());
  Rng rng(5);
  Matrix x(20, 2), mean(20, 2);
  std::vector<double> t(20), variance(20);
  for (Index i = 0; i < 20; ++i) {
    t[static_cast<std::size_t>(i)] = 300 + 3.0 * static_cast<double>(i);
    x(i, 0) = rng.normal();
    x(i, 1) = rng.normal();
  }
  window.predict(mean, variance.data(), t.data(), x);
  for (Index i = 0; i < 20; ++i)
    for (Index o = 0; o < 2; ++o) {
      double v = 0;
      const auto m = textbook(newest, t[static_cast<std::size_t>(i)], {x(i, 0), x(i, 1)}, o, &v);
      EXPECT_NEAR(mean(i, o), m[0], 1e-10);
      EXPECT_NEAR(variance[static_cast<std::size_t>(i)], v, 1e-10);
    }
}

TEST(LabelWindow, TheOrderOfArrivalDoesNotMatterBeyondRounding) {
  std::vector<Label> all = labels(50);
  LabelWindow in_order(kKernel, kNoise, 50, 2), shuffled(kKernel, kNoise, 50, 2);
  for (const Label& label : all) add(in_order, label);
  Rng rng(3);
  for (std::size_t i = all.size() - 1; i > 0; --i)
    std::swap(all[i], all[static_cast<std::size_t>(rng.below(static_cast<std::int64_t>(i + 1)))]);
  for (const Label& label : all) add(shuffled, label);
  const double t = 55;
  Matrix x(1, 2), a(1, 2), b(1, 2);
  in_order.predict(a, nullptr, &t, x);
  shuffled.predict(b, nullptr, &t, x);
  for (Index o = 0; o < 2; ++o) EXPECT_NEAR(a(0, o), b(0, o), 1e-11);
}

TEST(LabelWindow, KeepsTheNewestByTimeAndRefusesTheOldest) {
  LabelWindow window(kKernel, kNoise, 3, 2);
  const std::vector<Label> all = labels(10);
  for (const int t : {5, 3, 8, 6}) EXPECT_TRUE(add(window, all[static_cast<std::size_t>(t)]));  // 3 leaves
  EXPECT_FALSE(add(window, all[4]));
  std::vector<double> times = window.times();
  std::sort(times.begin(), times.end());
  EXPECT_EQ(times, (std::vector<double>{5, 6, 8}));
}

TEST(LabelWindow, ALaterLabelOfTheSameTimeReplacesTheEarlier) {
  std::vector<Label> all = labels(20);
  LabelWindow corrected(kKernel, kNoise, 30, 2), right(kKernel, kNoise, 30, 2);
  for (Label label : all) {
    add(right, label);
    if (label.t == 7) label.r = {100, -100};
    add(corrected, label);
  }
  EXPECT_TRUE(add(corrected, all[7]));
  EXPECT_EQ(corrected.size(), 20);
  const double t = 21;
  Matrix x(1, 2), a(1, 2), b(1, 2);
  corrected.predict(a, nullptr, &t, x);
  right.predict(b, nullptr, &t, x);
  EXPECT_NEAR(a(0, 0), b(0, 0), 1e-10);
}

TEST(LabelWindow, InnovationsOfItsOwnModelAreStandardNormal) {
  // Draws from the process itself, by the factor of its covariance.
  LabelWindow window(kKernel, kNoise, 400, 1);
  Rng rng(8);
  SlidingCholesky factor(400);
  std::vector<double> white, times, xs;
  double squares = 0;
  for (int t = 0; t < 400; ++t) {
    const double x[] = {rng.normal(), rng.normal()};
    std::vector<double> k(static_cast<std::size_t>(t));
    kKernel.row(k.data(), t, x, times.data(), xs.data(), t);
    factor.append(k.data(), kKernel.variance() + kNoise, kNoise);
    white.push_back(rng.normal());
    double r = 0;
    for (Index j = 0; j <= t; ++j) r += factor.at(t, j) * white[static_cast<std::size_t>(j)];
    times.push_back(t);
    xs.insert(xs.end(), x, x + 2);
    double innovation = 0;
    const double bound = 1e300;
    window.add(t, x, &r, &bound, &innovation);
    EXPECT_NEAR(innovation, white.back(), 1e-8);
    squares += innovation * innovation;
  }
  EXPECT_NEAR(squares / 400, 1, 0.2);
}

TEST(LabelWindow, ASurpriseBeyondTheBoundCountsAsTheBoundAlsoAfterFactoringAnew) {
  LabelWindow window(kKernel, kNoise, 40, 2), tame(kKernel, kNoise, 40, 2);
  for (const Label& label : labels(30)) {
    add(window, label);
    add(tame, label);
  }
  const Label spike{30, {0, 0}, {500, 0.1}};
  const double bounds[] = {3, 3};
  double innovation[2];
  window.add(spike.t, spike.x.data(), spike.r.data(), bounds, innovation);
  EXPECT_GT(innovation[0], 100);  // said as it came
  EXPECT_EQ(window.factor().side(0)[30], 3);
  const double capped[] = {window.residual(30, 0), 0.1};
  EXPECT_EQ(window.residual(30, 1), 0.1);
  EXPECT_LT(capped[0], 10);
  const double open[] = {1e300, 1e300};
  tame.add(spike.t, spike.x.data(), capped, open, innovation);
  EXPECT_NEAR(innovation[0], 3, 1e-9);
  window.refactor();
  const double t = 31;
  Matrix x(1, 2), a(1, 2), b(1, 2);
  window.predict(a, nullptr, &t, x);
  tame.predict(b, nullptr, &t, x);
  EXPECT_NEAR(a(0, 0), b(0, 0), 1e-10);
}

TEST(LabelWindow, ItsSlopeIsThatOfFiniteDifferences) {
  LabelWindow window(kKernel, kNoise, 40, 2);
  for (const Label& label : labels(80)) add(window, label);
  Matrix slope(2, 2), up(1, 2), down(1, 2), x(1, 2);
  x(0, 0) = 0.3;
  x(0, 1) = -0.8;
  const double t = 83;
  window.add_slope(slope, t, x.row(0));
  for (Index i = 0; i < 2; ++i) {
    Matrix a = x, b = x;
    a(0, i) += 1e-5;
    b(0, i) -= 1e-5;
    window.predict(up, nullptr, &t, a);
    window.predict(down, nullptr, &t, b);
    for (Index o = 0; o < 2; ++o) EXPECT_NEAR(slope(o, i), (up(0, o) - down(0, o)) / 2e-5, 1e-8);
  }
}

TEST(LabelWindow, FactoringAnewChangesRoundingOnly) {
  LabelWindow window(kKernel, kNoise, 40, 2);
  for (const Label& label : labels(2000)) add(window, label);
  Matrix x(1, 2), a(1, 2), b(1, 2);
  const double t = 2003;
  window.predict(a, nullptr, &t, x);
  window.refactor();
  window.predict(b, nullptr, &t, x);
  EXPECT_NEAR(a(0, 0), b(0, 0), 1e-11);
}

TEST(LabelWindow, PartsAndSumsOfOutputsSayTheSame) {
  LabelWindow window(kKernel, kNoise, 40, 2);
  for (const Label& label : labels(60)) add(window, label);
  LabelWindow first = window.with_outputs({0});
  const LabelWindow second = window.with_outputs({1});
  EXPECT_TRUE(first.same_rows(second));
  Matrix x(1, 2), both(1, 2), part(1, 1), merged(1, 2);
  const double t = 61;
  window.predict(both, nullptr, &t, x);
  second.predict(part, nullptr, &t, x);
  EXPECT_EQ(part(0, 0), both(0, 1));
  first.merge(second);
  first.predict(merged, nullptr, &t, x);
  EXPECT_NEAR(merged(0, 0), both(0, 0), 1e-12);
  EXPECT_NEAR(merged(0, 1), both(0, 1), 1e-12);
}

TEST(LabelWindow, RefusesANoiseThatIsNone) {
  EXPECT_THROW(LabelWindow(kKernel, 0, 10, 1), InputError);
  EXPECT_THROW(LabelWindow(kKernel, kMissing, 10, 1), InputError);
  LabelWindow window(kKernel, kNoise, 10, 1);
  EXPECT_THROW(window.restore({1, 2}, {1, 2, 3}, {1, 2}, {}, Matrix(1, 2)), ShapeError);
}

}  // namespace
}  // namespace emisopt
