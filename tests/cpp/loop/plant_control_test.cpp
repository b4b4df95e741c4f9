#include "emisopt/loop/plant_control.hpp"

#include <gtest/gtest.h>

#include "emisopt/base/error.hpp"
#include "emisopt/plant/operator.hpp"

namespace emisopt {
namespace {
using namespace boiler;

TEST(PlantControl, SetpointsCarryBoundsAndRates) {
  const std::vector<Setpoint> list = plant_setpoints(boiler_tags(), {3.5, 18, 0.8, 0}, 2);
  ASSERT_EQ(list.size(), 4u);
  EXPECT_EQ(list[1].name, "ofa_sp");
  EXPECT_EQ(list[1].low, 5);
  EXPECT_EQ(list[1].high, 30);
  EXPECT_EQ(list[1].rate, 4);
  EXPECT_EQ(list[2].safe, 0.8);
  TagMap open = boiler_tags();
  open.tags[0].high = kMissing;
  EXPECT_THROW(plant_setpoints(open, {}, 0), InputError);
}

TEST(PlantControl, ObjectiveIsTheBillOfOneRow) {
  const Objective o = plant_objective(boiler_tags(), {3.2, 0.65});
  std::vector<double> y(kOutputs, 0), u(kSetpoints, 0), d(kDisturbances, kMissing), q(o.price.size());
  y[kEfficiency] = 40;
  y[kNh3Flow] = 100;
  d[kLoad] = 250;
  o.map->value(q.data(), y.data(), u.data(), d.data());
  double bill = 0;
  for (std::size_t i = 0; i < q.size(); ++i) bill += o.price[i] * q[i];
  EXPECT_NEAR(bill, (fuel_cost_per_h(250, 40) + nh3_cost_per_h(100)) / 12, 1e-9);
}

TEST(PlantControl, EnvelopeHoldsItsShareOfTheRows) {
  HistoryConfig c;
  c.days = 10;
  const History h = simulate_history(c).history;
  const Envelope e = training_envelope(h, h.rows(), 0.9, 1);
  int inside = 0, rows = 0;
  const std::vector<Index> d = h.tags.disturbances();
  for (Index r = 0; r < h.rows(); ++r) {
    double v[int{kSetpoints} + int{kDisturbances}], m2 = 0;
    bool ok = true;
    for (int k = 0; k < kSetpoints + int{kDisturbances}; ++k) {
      v[k] = h.values(r, k) - e.mean[static_cast<std::size_t>(k)];
      if (k == column(kLoad) || k == column(kAmbient) || k < kSetpoints) ok &= v[k] == v[k];
      if (v[k] != v[k]) v[k] = 0;
    }
    if (!ok) continue;
    for (int i = 0; i < e.precision.rows; ++i)
      for (int j = 0; j < e.precision.cols; ++j) m2 += v[i] * e.precision(i, j) * v[j];
    inside += m2 <= e.radius2;
    ++rows;
  }
  EXPECT_NEAR(inside / double(rows), 0.9, 0.01);
  EXPECT_THROW(training_envelope(h, 5, 0.9, 1), InputError);
}

}  // namespace
}  // namespace emisopt
