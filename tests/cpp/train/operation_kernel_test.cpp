#include "emisopt/train/operation_kernel.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"
#include "emisopt/train/sliding_cholesky.hpp"

namespace emisopt {
namespace {

const std::vector<KernelTerm> kTerms = {{0.5, 10, 0}, {0.3, 100, 1.5}, {0.2, 3, 0.7}};

TEST(OperationKernel, IsTheSumOfItsTerms) {
  const OperationKernel kernel(kTerms, 2);
  const double a[] = {1, -1}, b[] = {0, 1};
  const double d = std::sqrt((1 + 4) / 2.0), r = std::sqrt(3.0);
  const auto m = [&](double v) { return (1 + r * v) * std::exp(-r * v); };
  EXPECT_DOUBLE_EQ(kernel.value(5, a, 2, b), 0.5 * std::exp(-0.3) + 0.3 * std::exp(-0.03) * m(d / 1.5) +
                                                 0.2 * std::exp(-1.0) * m(d / 0.7));
  EXPECT_DOUBLE_EQ(kernel.value(5, a, 5, a), kernel.variance());
  EXPECT_EQ(kernel.value(5, a, 2, b), kernel.value(2, b, 5, a));
}

TEST(OperationKernel, ItsSlopeIsThatOfFiniteDifferencesAndZeroAtALabel) {
  const OperationKernel kernel(kTerms, 3);
  Rng rng(1);
  for (int trial = 0; trial < 20; ++trial) {
    double a[3], b[3];
    for (int i = 0; i < 3; ++i) a[i] = rng.normal(), b[i] = rng.normal();
    if (trial % 4 == 0) b[1] = kMissing;
    double slope[3] = {};
    kernel.add_slope(slope, 2.0, 7, a, 4, b);
    for (int i = 0; i < 3; ++i) {
      double up[3] = {a[0], a[1], a[2]}, down[3] = {a[0], a[1], a[2]};
      up[i] += 1e-5;
      down[i] -= 1e-5;
      EXPECT_NEAR(slope[i], 2 * (kernel.value(7, up, 4, b) - kernel.value(7, down, 4, b)) / 2e-5, 1e-8);
    }
    double at_label[3] = {};
    kernel.add_slope(at_label, 1, 7, b, 4, b);
    for (const double s : at_label) EXPECT_EQ(s, 0);
  }
}

TEST(OperationKernel, StaysACovarianceWhenInputsAreMissing) {
  const OperationKernel kernel({{1, 1e6, 0.8}}, 3);  // operation alone, so that nothing else saves it
  Rng rng(2);
  Matrix x(60, 3);
  for (double& v : x.values) v = rng.uniform() < 0.3 ? kMissing : 2 * rng.normal();
  SlidingCholesky factor(60);
  for (Index i = 0; i < 60; ++i) {
    std::vector<double> k(static_cast<std::size_t>(i)), times(60, 0.0);
    kernel.row(k.data(), 0, x.row(i), times.data(), x.values.data(), i);
    // Without the floor of `least` the rest would show a negative eigenvalue.
    EXPECT_GT(factor.append(k.data(), kernel.variance() + 1e-6, -1.0), 0) << i;
  }
}

TEST(OperationKernel, DaysOfAnotherKindAreLessAlikeAndCalendarsNeedNotCount) {
  const std::vector<KernelTerm> terms = {{0.4, 50, 0.8, 24, 0.7, 0.25}, {0.1, 10, 0}};
  const OperationKernel kernel(terms, 3, 2, 2);  // the third input says which kind of day it is
  const double work[] = {0.3, -1, -0.4}, rest[] = {0.1, 2, 1}, free[] = {0.1, 2, -0.4};
  const OperationKernel plain({terms[1]}, 0);
  const double apart = kernel.value(30, work, 6, rest) - plain.value(30, work, 6, rest);
  const double alike = kernel.value(30, work, 6, free) - plain.value(30, work, 6, free);
  EXPECT_NEAR(apart, 0.25 * alike, 1e-15);
  EXPECT_EQ(kernel.value(30, work, 6, rest), kernel.value(6, rest, 30, work));
  const OperationKernel two({{0.4, 50, 0.8, 24, 0.7}, terms[1]}, 2);
  EXPECT_EQ(kernel.value(30, work, 6, free), two.value(30, work, 6, free))
      << "the third input has no distance";

  double slope[3] = {};
  kernel.add_slope(slope, 1, 30, work, 6, rest);
  EXPECT_EQ(slope[2], 0);
  for (int i = 0; i < 2; ++i) {
    double up[] = {work[0], work[1], work[2]}, down[] = {work[0], work[1], work[2]};
    up[i] += 1e-5;
    down[i] -= 1e-5;
    EXPECT_NEAR(slope[i], (kernel.value(30, up, 6, rest) - kernel.value(30, down, 6, rest)) / 2e-5, 1e-8);
  }
}

TEST(OperationKernel, KnowsNoInputsToo) {
  const OperationKernel kernel(kTerms, 0);
  EXPECT_DOUBLE_EQ(kernel.value(1, nullptr, 1, nullptr), 1.0);
}

TEST(OperationKernel, RefusesWithTheTermAndField) {
  const auto says = [](std::vector<KernelTerm> terms, const std::string& text) {
    try {
      OperationKernel(std::move(terms), 1);
    } catch (const InputError& error) {
      EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
      return;
    }
    ADD_FAILURE() << text;
  };
  says({}, "at least one term");
  says({{1, 5, 0}, {-1, 5, 0}}, "term 1: variance: expected 0 or more, got -1");
  says({{1, 0, 0}}, "time: expected rows > 0, got 0");
  says({{1, 5, -1}}, "length");
  says({{kMissing, 5, 1}}, "variance");
  says({{0, 5, 1}}, "a variance above 0");
  says({{1, 5, 1, 24, 0.5, 1.5}}, "weekend: expected 0..1, got 1.5");
  EXPECT_THROW(OperationKernel({{1, 5, 1}}, -1), InputError);
  EXPECT_THROW(OperationKernel({{1, 5, 1}}, 2, 3, -1), InputError);
  EXPECT_THROW(OperationKernel({{1, 5, 1}}, 2, 2, 2), InputError);
}

}  // namespace
}  // namespace emisopt
