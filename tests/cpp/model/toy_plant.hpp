// A small plant with every kind of tag, for the tests of features, model, train and loop. Not a boiler: two
// setpoints act on a skewed emission and an efficiency through a first-order lag, with disturbances and
// noise.
#pragma once
#include <cmath>

#include "emisopt/base/rng.hpp"
#include "emisopt/model/forecaster.hpp"

namespace emisopt::toy {

enum Column : Index { kOxygen, kAmmonia, kLoad, kInlet, kGrade, kFuel, kNox, kEfficiency, kTags };

inline TagMap tags() {
  TagMap map;
  map.plant = "toy";
  map.synthetic = true;
  map.period = 300;
  map.tags = {
      {.name = "oxygen", .unit = "%", .role = Role::setpoint},
      {.name = "ammonia", .unit = "kg/h", .role = Role::setpoint},
      {.name = "load", .unit = "MW", .role = Role::disturbance, .known_ahead = true},
      {.name = "inlet", .unit = "mg/m3", .role = Role::disturbance},
      {.name = "grade",
       .unit = "-",
       .role = Role::disturbance,
       .kind = Kind::categorical,
       .categories = {"A", "B", "C"},
       .known_ahead = true},
      {.name = "fuel", .unit = "%", .role = Role::disturbance, .kind = Kind::laboratory},
      {.name = "nox", .unit = "mg/m3", .role = Role::emission, .scale = Scale::log},
      {.name = "efficiency", .unit = "%", .role = Role::quality},
  };
  return map;
}

/// `rows` rows from one stream of random numbers; a laboratory sample every 7 rows, every 23rd nox missing.
inline History history(Index rows, std::uint64_t seed) {
  Rng rng(seed);
  Matrix values(rows, kTags);
  std::vector<double> time;
  double oxygen = 3, ammonia = 50, load = 300, inlet = 400, fuel = 1.5, state = 5, grade = 0;
  for (Index r = 0; r < rows; ++r) {
    if (rng.uniform() < 0.1) oxygen = rng.uniform(2, 5);
    if (rng.uniform() < 0.1) ammonia = rng.uniform(20, 90);
    if (rng.uniform() < 0.05) load = rng.uniform(200, 400);
    if (rng.uniform() < 0.02) grade = static_cast<double>(rng.below(3));
    fuel += 0.05 * rng.normal() - 0.02 * (fuel - 1.5);
    inlet = 300 + 40 * oxygen + 0.3 * load + 20 * grade + 5 * rng.normal();
    const double steady = 4 + 0.25 * oxygen - 0.015 * ammonia + 0.002 * load + 0.1 * grade + 0.2 * fuel;
    state += 0.5 * (steady - state);
    double* row = values.row(r);
    row[kOxygen] = oxygen;
    row[kAmmonia] = ammonia;
    row[kLoad] = load;
    row[kInlet] = inlet;
    row[kGrade] = grade;
    row[kFuel] = r % 7 == 3 ? fuel : kMissing;
    row[kNox] = r % 23 == 11 ? kMissing : std::exp(state + 0.02 * rng.normal());
    row[kEfficiency] = 42 - 0.4 * oxygen - 0.003 * load + 0.02 * rng.normal();
    time.push_back(1.7e9 + 300.0 * static_cast<double>(r));
  }
  return make_history(tags(), std::move(values), std::move(time));
}

/// Small enough for the reference engine, with every part of the network in use.
inline ForecasterConfig config() {
  ForecasterConfig c;
  c.context = 12;
  c.horizon = 4;
  c.patch = 2;
  c.width = 16;
  c.heads = 4;
  c.kv_heads = 2;
  c.layers = 2;
  c.quantiles = {0.1, 0.5, 0.9};
  c.seed = 3;
  return c;
}

/// Weights that are large everywhere, so that no path of the network is asleep as it is at the start.
inline void wake(Forecaster& forecaster, std::uint64_t seed = 5) {
  Rng rng(seed);
  for (float& w : forecaster.theta) w += static_cast<float>(0.1 * rng.normal());
}

inline Forecaster awake(const History& past, std::uint64_t seed = 5) {
  Forecaster f = Forecaster::make(past, config(), past.rows());
  wake(f, seed);
  return f;
}

/// Realised setpoints (H, U) or disturbances (H, D) of the rows from `first` on.
inline Matrix realised(const History& h, const std::vector<Index>& ids, Index first, Index rows) {
  Matrix out(rows, static_cast<Index>(ids.size()));
  for (Index r = 0; r < rows; ++r)
    for (std::size_t i = 0; i < ids.size(); ++i) out(r, static_cast<Index>(i)) = h.values(first + r, ids[i]);
  return out;
}

/// Same bits, where a NaN equals a NaN.
inline bool same_bits(double a, double b) { return (std::isnan(a) && std::isnan(b)) || a == b; }

inline bool same_bits(const Matrix& a, const Matrix& b) {
  bool same = a.values.size() == b.values.size();
  for (std::size_t i = 0; same && i < a.values.size(); ++i) same = same_bits(a.values[i], b.values[i]);
  return same;
}

/// What an exception of type E says, or "" when none came.
template <class E, class F>
std::string message_of(F&& call) {
  try {
    call();
  } catch (const E& error) {
    return error.what();
  }
  return "";
}

}  // namespace emisopt::toy
