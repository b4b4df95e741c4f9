// Eliminated variables: what is held holds at every v, Z' is Z transposed, multipliers balance the force.
#include "emisopt/qp/ties.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "emisopt/base/rng.hpp"

namespace emisopt::detail {
namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

struct Held {
  int i, j;  // j < 0: a bound
  double a, b, value;
};

TEST(Ties, HoldsWhatItTookAndBalancesTheForce) {
  Rng rng(5);
  int chains = 0, refused = 0;
  for (int round = 0; round < 500; ++round) {
    const int n = 1 + static_cast<int>(rng.below(12));
    Ties ties(12);
    ties.clear(n);
    std::vector<Held> held;
    for (int k = 0; k < 14; ++k) {
      const int i = static_cast<int>(rng.below(n)), j = static_cast<int>(rng.below(n));
      Held h{i, rng.uniform() < 0.7 && i != j ? j : -1, rng.uniform(0.5, 2), -rng.uniform(0.5, 2),
             rng.normal()};
      if (ties.tie(k, h.i, h.a, h.j, h.j < 0 ? 0 : h.b, h.value))
        held.push_back(h);
      else
        ++refused;
    }
    ASSERT_EQ(ties.finish(), n - ties.count());
    ASSERT_EQ(held.size(), at(ties.count()));
    const Index free = ties.free();
    std::vector<double> v(at(free) + 1), x(at(n)), force(at(n)), reduced(at(free) + 1), size(at(n), 1.0);
    for (double& e : v) e = rng.normal();
    for (double& e : force) e = rng.normal();
    ties.expand(x.data(), v.data());
    for (const Held& h : held) {
      const double left = h.a * x[at(h.i)] + (h.j < 0 ? 0 : h.b * x[at(h.j)]);
      EXPECT_NEAR(left, h.value, 1e-9 * (1 + std::abs(h.a * x[at(h.i)])));
      chains += h.j >= 0;
    }
    // force . (Z v) = (Z' force) . v
    ties.gather(reduced.data(), force.data());
    std::vector<double> moved(at(n), 0.0);
    ties.add(moved.data(), v.data());
    double left = 0, right = 0, scale = 1;
    for (Index j = 0; j < n; ++j) left += force[at(j)] * moved[at(j)], scale += std::abs(moved[at(j)]);
    for (Index g = 0; g < free; ++g) right += reduced[at(g)] * v[at(g)];
    EXPECT_NEAR(left, right, 1e-12 * scale * n);
    // A force that no free direction feels is balanced everywhere.
    std::vector<double> wanted(at(ties.count())), got(wanted.size()), floor(wanted.size()), total(at(n), 0.0);
    for (double& y : wanted) y = rng.normal();
    for (std::size_t t = 0; t < held.size(); ++t) {
      total[at(held[t].i)] -= wanted[t] * held[t].a;
      if (held[t].j >= 0) total[at(held[t].j)] -= wanted[t] * held[t].b;
    }
    ties.multipliers(got.data(), floor.data(), total.data(), size.data());
    for (std::size_t t = 0; t < held.size(); ++t) EXPECT_NEAR(got[t], wanted[t], 1e-8) << "round " << round;
    for (const double f : total) EXPECT_NEAR(f, 0, 1e-8);
  }
  EXPECT_GT(chains, 1000);
  EXPECT_GT(refused, 1000);
}

TEST(Ties, EverythingMayStandStill) {
  Ties ties(3);
  ties.clear(2);
  EXPECT_TRUE(ties.tie(0, 1, 2, -1, 0, 6));
  EXPECT_TRUE(ties.tie(1, 0, 1, 1, -1, 0.5));
  EXPECT_FALSE(ties.tie(2, 0, 1, -1, 0, 3.5));  // known already
  EXPECT_EQ(ties.finish(), 0);
  EXPECT_DOUBLE_EQ(ties.offset(0), 3.5);
  EXPECT_DOUBLE_EQ(ties.offset(1), 3);
  EXPECT_EQ(ties.group(0), -1);
}

}  // namespace
}  // namespace emisopt::detail
