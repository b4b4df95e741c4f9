#include "emisopt/loop/plant_predictor.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/loop/scenario.hpp"

namespace emisopt {
namespace {
using namespace boiler;

constexpr int kH = 8;

const LoopStart& start() {
  static const LoopStart kStart = start_scenario(boiler_48h(2));
  return kStart;
}

Matrix hold() {
  Matrix plan(kH, kSetpoints);
  for (int t = 0; t < kH; ++t)
    for (int u = 0; u < kSetpoints; ++u) plan(t, u) = start().applied[static_cast<std::size_t>(u)];
  return plan;
}

PlantPredictor predictor(int threads) {
  PlantPredictor p(kH, {0, 1, 3}, threads);
  p.set(start().plant->clone(), nullptr, Matrix(kH, kDisturbances));
  return p;
}

TEST(PlantPredictor, PredictsWhatThePlantThenDoes) {
  PlantPredictor p = predictor(1);
  const Matrix plan = hold();
  Matrix median(kH, kOutputs), upper(kH, kOutputs);
  p.predict(median, upper, plan);
  const auto plant = start().plant->clone();
  double y[kOutputs];
  for (int t = 0; t < kH; ++t) {
    plant->advance(plan.row(t));
    plant->truth(y);
    for (int o = 0; o < kOutputs; ++o) EXPECT_EQ(median(t, o), y[o]);
  }
  EXPECT_EQ(median.values, upper.values);
}

TEST(PlantPredictor, JacobianIsTheCentralDifferenceOfBlocks) {
  PlantPredictor p = predictor(2);
  const Matrix plan = hold();
  Matrix j(kH * kOutputs, kH * kSetpoints), unused = j;
  p.jacobian(j, unused, plan);
  const int first[] = {0, 1, 3}, next[] = {1, 3, kH};
  for (int b = 0; b < 3; ++b)
    for (int u = 0; u < kSetpoints; ++u) {
      const double range[] = {4.5, 25, 0.75, 40};
      const double h = 1e-3 * range[u];
      Matrix plus = plan, minus = plan, a(kH, kOutputs), c(kH, kOutputs), unused2(kH, kOutputs);
      for (int t = first[b]; t < next[b]; ++t) {
        plus(t, u) += h;
        minus(t, u) -= h;
      }
      p.predict(a, unused2, plus);
      p.predict(c, unused2, minus);
      for (int o = 0; o < kOutputs; ++o) {
        double largest = 1e-6;
        for (int t = 0; t < kH; ++t) largest = std::max(largest, std::abs(a(t, o) - c(t, o)) / (2 * h));
        for (int t = 0; t < kH; ++t) {
          const double got = j(t * kOutputs + o, first[b] * kSetpoints + u);
          EXPECT_NEAR(got, (a(t, o) - c(t, o)) / (2 * h), 0.02 * largest) << b << u << o << t;
          if (t < first[b]) {
            EXPECT_EQ(got, 0);
          }
        }
      }
    }
}

TEST(PlantPredictor, ThreadsDoNotChangeBits) {
  PlantPredictor one = predictor(1), two = predictor(3);
  Matrix a(kH * kOutputs, kH * kSetpoints), b = a, unused = a;
  one.jacobian(a, unused, hold());
  two.jacobian(b, unused, hold());
  EXPECT_EQ(a.values, b.values);
}

}  // namespace
}  // namespace emisopt
