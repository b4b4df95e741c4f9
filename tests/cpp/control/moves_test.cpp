#include "emisopt/control/moves.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "control/log_plant.hpp"
#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

Setpoint setpoint(double low, double high, double rate) {
  return {.name = "x", .unit = "", .low = low, .high = high, .rate = rate};
}

TEST(BlockLengths, SumToTheHorizonAndNeverShrink) {
  for (int h = 1; h <= 96; ++h)
    for (int blocks = 1; blocks <= 100; ++blocks) {
      const auto lengths = block_lengths(h, blocks);
      EXPECT_EQ(static_cast<int>(lengths.size()), std::min(h, blocks));
      EXPECT_EQ(std::accumulate(lengths.begin(), lengths.end(), 0), h);
      EXPECT_GE(lengths.front(), 1);
      EXPECT_TRUE(std::is_sorted(lengths.begin(), lengths.end()));
    }
  EXPECT_EQ(block_lengths(24, 6), (std::vector<int>{1, 1, 2, 3, 6, 11}));
  EXPECT_EQ(block_lengths(24, 1), std::vector<int>{24});
}

TEST(Moves, LegalCommandKeepsBoundsAndRate) {
  const Moves moves({setpoint(1, 6, 0.3)}, 4, 2);
  EXPECT_EQ(moves.legalise(0, 9, 3), 3.3);
  EXPECT_EQ(moves.legalise(0, -9, 3), 2.7);
  EXPECT_EQ(moves.legalise(0, 9, 5.9), 6);
  EXPECT_EQ(moves.legalise(0, 3.1, 3), 3.1);
  EXPECT_EQ(moves.legalise(0, kMissing, 3), 3);
  EXPECT_EQ(moves.legalise(0, INFINITY, 3), 3.3);
}

TEST(Moves, IllegalCommandComesBackAtFullRate) {
  const Moves moves({setpoint(1, 6, 0.3)}, 4, 2);
  EXPECT_DOUBLE_EQ(moves.legalise(0, 3, 8), 7.7);
  EXPECT_DOUBLE_EQ(moves.legalise(0, kMissing, 8), 7.7);
  EXPECT_DOUBLE_EQ(moves.legalise(0, 3, -2), -1.7);
  EXPECT_DOUBLE_EQ(moves.legalise(0, 9, 6.1), 6);  // within reach: inside the bounds at once
  const Moves free({setpoint(1, 6, kMissing)}, 4, 2);
  EXPECT_EQ(free.legalise(0, 3, 1e9), 3);
}

TEST(Moves, StepNeverExceedsTheRateEvenByRounding) {
  Rng rng(5);
  for (int i = 0; i < 100000; ++i) {
    const double rate = rng.uniform(1e-6, 2), before = rng.uniform(-5, 5);
    const Moves moves({setpoint(-6, 6, rate)}, 1, 1);
    for (double wanted : {-100.0, 100.0, rng.uniform(-6, 6)}) {
      const double move = moves.legalise(0, wanted, before);
      ASSERT_LE(std::abs(move - before), rate);
      ASSERT_GE(move, -6);
      ASSERT_LE(move, 6);
    }
  }
}

TEST(Moves, EveryReachableValueLeadsToAReachableValue) {
  Rng rng(6);
  for (int i = 0; i < 3000; ++i) {
    const Moves moves({setpoint(1, 6, rng.uniform(0.01, 3))}, 12, 5);
    const double applied = rng.uniform(-10, 16);
    Matrix low, high;
    moves.reachable(low, high, &applied);
    Matrix x(5, 1);
    for (int b = 0; b < 5; ++b) x(b, 0) = rng.uniform(low(b, 0), high(b, 0));
    Matrix legal = x;
    moves.legalise_blocks(legal, &applied);
    for (int b = 0; b < 5; ++b) {
      const double before = b ? legal(b - 1, 0) : applied;
      EXPECT_TRUE(moves.legal(legal.row(b), &before));
      EXPECT_GE(legal(b, 0), low(b, 0) - 1e-12);
      EXPECT_LE(legal(b, 0), high(b, 0) + 1e-12);
    }
  }
}

TEST(Moves, ExpandHoldsEachBlockAndSampleShifts) {
  const Moves moves({setpoint(0, 10, kMissing)}, 6, 3);  // lengths 1, 1, 4
  Matrix x(3, 1), plan(6, 1), back(3, 1);
  x(0, 0) = 1, x(1, 0) = 2, x(2, 0) = 3;
  const double applied = 0;
  moves.expand(plan, x, &applied);
  EXPECT_EQ(plan.values, (std::vector<double>{1, 2, 3, 3, 3, 3}));
  moves.sample(back, plan, 1);
  EXPECT_EQ(back.values, (std::vector<double>{2, 3, 3}));
  moves.sample(back, plan, 100);
  EXPECT_EQ(back.values, (std::vector<double>{3, 3, 3}));
}

TEST(Moves, RefusesImpossibleSetpoints) {
  const auto refused = [](Setpoint s, int horizon, int blocks) {
    EXPECT_THROW(Moves({s}, horizon, blocks), InputError);
  };
  refused(setpoint(2, 2, 1), 4, 2);
  refused(setpoint(kMissing, 2, 1), 4, 2);
  refused(setpoint(0, INFINITY, 1), 4, 2);
  refused(setpoint(0, 1, 0), 4, 2);
  refused(setpoint(0, 1, -1), 4, 2);
  refused(setpoint(0, 1, 1), 0, 2);
  refused(setpoint(0, 1, 1), 4, 0);
  Setpoint s = setpoint(0, 1, 1);
  s.safe = 2;
  refused(s, 4, 2);
  s = setpoint(0, 1, 1);
  s.price = kMissing;
  refused(s, 4, 2);
  s = setpoint(0, 1, 1);
  s.move_weight = -1;
  refused(s, 4, 2);
  EXPECT_THROW(Moves({}, 4, 2), InputError);
}

// ---- interlocks ----------------------------------------------------------------------------------------

double total(const Interlock& k, const double* u) {
  double s = 0;
  for (std::size_t i = 0; i < k.weight.size(); ++i) s += k.weight[i] * u[i];
  return s;
}

TEST(Interlocks, AreKeptFromAnyLegalCommandWhateverIsWanted) {
  Rng rng(8);
  int touched = 0;
  for (int i = 0; i < 20000; ++i) {
    const int n = 1 + static_cast<int>(rng.below(4)), count = 1 + static_cast<int>(rng.below(4));
    std::vector<Setpoint> list;
    for (int u = 0; u < n; ++u)
      list.push_back(setpoint(-1, 1, rng.uniform() < 0.3 ? kMissing : rng.uniform(0.01, 1)));
    std::vector<double> before, wanted;
    for (int u = 0; u < n; ++u) before.push_back(rng.uniform(-1, 1)), wanted.push_back(3 * rng.normal());
    std::vector<Interlock> locks(static_cast<std::size_t>(count));
    for (Interlock& k : locks) {
      for (int u = 0; u < n; ++u) k.weight.push_back(rng.normal());
      // Half of them hold the command exactly on their edge, where rounding would tell.
      k.upper = total(k, before.data()) + (rng.uniform() < 0.5 ? 0 : rng.uniform(0, 1));
    }
    const Moves moves(list, 4, 2, locks);
    std::vector<double> move = wanted;
    moves.legalise(move.data(), before.data());
    for (int u = 0; u < n; ++u) {
      const auto at = static_cast<std::size_t>(u);
      ASSERT_GE(move[at], -1);
      ASSERT_LE(move[at], 1);
      if (!std::isnan(list[at].rate)) {
        ASSERT_LE(std::abs(move[at] - before[at]), list[at].rate);
      }
    }
    for (const Interlock& k : locks) ASSERT_LE(total(k, move.data()), k.upper) << i;
    ASSERT_TRUE(moves.legal(move.data(), before.data()));
    for (int u = 0; u < n; ++u)
      touched += move[static_cast<std::size_t>(u)] != before[static_cast<std::size_t>(u)];
    std::vector<double> again = move;
    moves.legalise(again.data(), before.data());
    for (int u = 0; u < n; ++u)
      ASSERT_NEAR(again[static_cast<std::size_t>(u)], move[static_cast<std::size_t>(u)], 1e-9);
  }
  EXPECT_GT(touched, 30000);  // holding would keep them too
}

TEST(Interlocks, TheNearestPointIsTakenNotTheWayBack) {
  // x + y <= 1 from (0.5, 0.5), on the edge: wanting (0.7, 0.1) is allowed as it is, and (0.9, 0.5) becomes
  // the nearest point of the edge, (0.7, 0.3).
  const Moves moves({setpoint(0, 1, kMissing), setpoint(0, 1, kMissing)}, 4, 2, {{"sum", {1, 1}, 1}});
  const double before[] = {0.5, 0.5};
  double free[] = {0.7, 0.1}, beyond[] = {0.9, 0.5};
  moves.legalise(free, before);
  EXPECT_EQ(free[0], 0.7);
  EXPECT_EQ(free[1], 0.1);
  moves.legalise(beyond, before);
  EXPECT_NEAR(beyond[0], 0.7, 1e-9);
  EXPECT_NEAR(beyond[1], 0.3, 1e-9);
}

TEST(Interlocks, ABrokenOneIsLeftAsFastAsRatesLetIt) {
  const Moves moves({setpoint(0, 1, 0.1), setpoint(0, 1, 0.2)}, 4, 2, {{"sum", {1, 1}, 1}});
  double before[] = {0.9, 0.9};
  for (int tick = 0; tick < 3; ++tick) {
    double move[] = {1, 1};
    moves.legalise(move, before);
    const double was = before[0] + before[1], now = move[0] + move[1];
    EXPECT_NEAR(now, std::max(1.0, was - 0.3), 1e-9) << tick;
    std::copy_n(move, 2, before);
  }
}

TEST(Interlocks, BadOnesAreNamed) {
  const std::vector<Setpoint> one = {setpoint(0, 1, 0.1)};
  for (const Interlock& bad : {Interlock{"ratio", {1, 1}, 1}, Interlock{"ratio", {0}, 1},
                               Interlock{"ratio", {kMissing}, 1}, Interlock{"ratio", {1}, kMissing}}) {
    try {
      Moves(one, 4, 2, {bad});
      ADD_FAILURE();
    } catch (const InputError& e) {
      EXPECT_NE(std::string(e.what()).find("interlock 'ratio'"), std::string::npos) << e.what();
    }
  }
}

// ---- dead-band and hold --------------------------------------------------------------------------------

TEST(DeadBand, SmallMovesAreNotMadeAndLargeOnesAre) {
  Setpoint s = setpoint(0, 1, 0.3);
  s.dead_band = 0.05;
  const Moves moves({s}, 4, 2);
  const double before[] = {0.5};
  double small[] = {0.549}, large[] = {0.55001};
  EXPECT_TRUE(moves.quiet(small, before));
  EXPECT_EQ(small[0], 0.5);
  EXPECT_FALSE(moves.quiet(large, before));
  EXPECT_EQ(large[0], 0.55001);
  const double outside[] = {1.02};
  double back[] = {1};
  EXPECT_FALSE(moves.quiet(back, outside));  // bounds come first
  EXPECT_EQ(back[0], 1);
}

TEST(DeadBand, DoesNotBreakAnInterlock) {
  Setpoint x = setpoint(0, 1, kMissing), y = x;
  y.dead_band = 0.1;
  const Moves moves({x, y}, 4, 2, {{"sum", {1, 1}, 1}});
  const double before[] = {0.5, 0.5};
  double move[] = {0.55, 0.45};  // y would stay, and x alone would break it
  EXPECT_TRUE(moves.quiet(move, before));
  EXPECT_EQ(move[0], 0.5);
  EXPECT_EQ(move[1], 0.5);
}

TEST(DeadBand, ControllerMovesWholeBandsOrNotAtAllAndStillConverges) {
  LogPlant plant;
  plant.k = 0.5;
  auto setpoints = log_setpoints();
  for (Setpoint& s : setpoints) s.dead_band = 0.05 * (s.high - s.low) * 0.3;
  setpoints[1].move_weight = 20;
  ControllerConfig config;
  config.max_iterations = 10;
  config.deadline_s = 100;
  Controller controller(setpoints, log_limits(), {nullptr, {0, 0}}, plant.h, 2, config);
  std::vector<double> applied = {3, 0.5};
  int moved = 0, optimal = 0, converged = 0;
  std::string said;
  for (int tick = 0; tick < 30; ++tick) {
    const Decision d = controller.step(plant, applied, {});
    for (std::size_t u = 0; u < 2; ++u) {
      const double move = std::abs(d.move[u] - applied[u]);
      ASSERT_TRUE(move == 0 || move >= setpoints[u].dead_band) << tick << ' ' << move;
      moved += move > 0;
    }
    optimal += d.status == Status::optimal;
    converged += is_ok(d.status) && d.kkt <= config.kkt_tolerance;
    said += std::to_string(d.kkt) + " after " + std::to_string(d.iterations) + ": " + d.reason + "; ";
    applied = d.move;
    plant.advance(applied);
  }
  EXPECT_GT(moved, 4);
  EXPECT_GT(converged, 25) << said;
  EXPECT_GT(optimal, 20) << said;  // a limit that asks for less than a band gets a whole one
}

TEST(Hold, AfterAMoveASetpointStays) {
  LogPlant plant;
  auto setpoints = log_setpoints();
  setpoints[0].hold_rows = 4;
  ControllerConfig config;
  config.deadline_s = 100;
  Controller controller(setpoints, log_limits(), {nullptr, {0, 0}}, plant.h, 2, config);
  std::vector<double> applied = {5, 0.5};
  int last = -100, moves = 0;
  for (int tick = 0; tick < 30; ++tick) {
    const Decision d = controller.step(plant, applied, {});
    EXPECT_TRUE(is_ok(d.status)) << d.reason;
    if (d.move[0] != applied[0]) {
      EXPECT_GE(tick - last, 4);
      last = tick;
      ++moves;
    }
    applied = d.move;
  }
  EXPECT_GE(moves, 3);
}

TEST(Hold, AnOperatorsSetpointIsLeftAloneAndComesBackWithoutABump) {
  LogPlant plant;
  ControllerConfig config;
  config.deadline_s = 100;
  config.max_iterations = 10;
  Controller controller(log_setpoints(), log_limits(), {nullptr, {0, 0}}, plant.h, 2, config);
  std::vector<double> applied = {3, 0.5};
  const TickInput manual{.manual = {1, 0}};
  for (int tick = 0; tick < 10; ++tick) {
    applied[0] = 3 + 0.2 * tick;  // somebody else moves it
    const Decision d = controller.step(plant, applied, {}, limit_rows(log_limits(), {}, plant.h), manual);
    EXPECT_TRUE(is_ok(d.status)) << d.reason;
    EXPECT_EQ(d.move[0], applied[0]);
    for (int t = 0; t < plant.h; ++t) EXPECT_EQ(d.plan(t, 0), applied[0]);
    applied[1] = d.move[1];
  }
  const Decision d = controller.step(plant, applied, {});
  EXPECT_LE(std::abs(d.move[0] - applied[0]), 0.3);
  EXPECT_NE(d.move[0], applied[0]);
  const TickInput wrong{.manual = {1}};
  EXPECT_THROW(controller.step(plant, applied, {}, {}, wrong), ShapeError);
}

TEST(MaxMove, CapsEverySetpoint) {
  LogPlant plant;
  ControllerConfig config;
  config.max_move = 0.02;
  config.deadline_s = 100;
  auto setpoints = log_setpoints();
  setpoints[0].rate = kMissing;
  Controller controller(setpoints, log_limits(), {nullptr, {0, 0}}, plant.h, 2, config);
  std::vector<double> applied = {5, 1};
  double largest = 0;
  for (int tick = 0; tick < 10; ++tick) {
    const Decision d = controller.step(plant, applied, {});
    for (std::size_t u = 0; u < 2; ++u)
      largest = std::max(largest, std::abs(d.move[u] - applied[u]) / (setpoints[u].high - setpoints[u].low));
    applied = d.move;
  }
  EXPECT_LE(largest, 0.02 * (1 + 1e-12));
  EXPECT_GT(largest, 0.0199);
  config.max_move = 2;
  EXPECT_THROW(Controller(setpoints, {}, {nullptr, {0, 0}}, plant.h, 2, config), InputError);
}

}  // namespace
}  // namespace emisopt
