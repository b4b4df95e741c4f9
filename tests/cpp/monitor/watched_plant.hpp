// A plant of ten tags for the tests of sensor checks: two slow causes, a display of 0.01, a setpoint, a
// laboratory value.
#pragma once
#include <cmath>
#include <string>

#include "emisopt/base/rng.hpp"
#include "emisopt/data/tag.hpp"

namespace emisopt::watched {

inline constexpr Index kTags = 10, kSetpoint = 8, kLaboratory = 9;

inline TagMap tags() {
  TagMap map;
  map.period = 300;
  for (Index t = 0; t < kTags; ++t) {
    Tag tag;
    tag.name = "t" + std::to_string(t);
    tag.low = -100;
    tag.high = 300;
    if (t == 0) tag.role = Role::emission;
    if (t == kSetpoint) tag.role = Role::setpoint;
    if (t == kLaboratory) tag.kind = Kind::laboratory;
    map.tags.push_back(tag);
  }
  return map;
}

/// (n, kTags) healthy rows.
inline Matrix rows(Index n, std::uint64_t seed) {
  Rng weights(21), rng(seed);
  Matrix w(kTags, 2), x(n, kTags);
  for (double& v : w.values) v = weights.normal() + (v > 0 ? 0.5 : -0.5);
  double a = rng.normal(), b = rng.normal();
  const double keep = 0.97, kick = std::sqrt(1 - keep * keep);
  for (Index r = 0; r < n; ++r) {
    a = keep * a + kick * rng.normal();
    b = keep * b + kick * rng.normal();
    for (Index t = 0; t < kTags; ++t) {
      const double noise = t == kSetpoint ? 0.05 : 0.4;
      x(r, t) = std::round((100 + 5 * (w(t, 0) * a + w(t, 1) * b + noise * rng.normal())) * 100) / 100;
    }
    if (r % 60 != 0) x(r, kLaboratory) = kMissing;
  }
  return x;
}

}  // namespace emisopt::watched
