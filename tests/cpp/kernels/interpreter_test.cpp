// Memory, teams and precision of a program, on every level: what does not depend on the network's numbers.
#include "kernels/interpreter.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "support/tiny_network.hpp"

namespace emisopt::kernels {
namespace {

class EveryLevelRuns : public testing::TestWithParam<Isa> {};

// The arena throws where a layout takes more than it measured; small odd networks find that sooner than large
// ones.
TEST_P(EveryLevelRuns, LayoutsOfManyShapesHold) {
  Rng rng(3);
  auto between = [&](int a, int b) { return a + static_cast<int>(rng.uniform() * (b - a + 1)); };
  for (int round = 0; round < 60; ++round) {
    test::TinyConfig c;
    c.heads = c.kv_heads = between(1, 3);
    c.width = 4 * c.heads;
    c.layers = between(1, 3);
    c.outputs = between(1, 3);
    c.feedforward = between(3, 40);
    const int past = between(0, 9), steps = between(1, 7);
    const OpList any = test::tiny_network(c);
    const std::vector<float> weights = test::tiny_weights<float>(any);
    for (const Mode mode : {Mode::infer, Mode::vjp, Mode::jacobian, Mode::tangent, Mode::train}) {
      CompileOptions o;
      o.mode = mode;
      o.threads = between(1, 3);
      o.levels = test::tiny_levels(c);
      for (int k = 0; k < c.outputs; ++k) o.seeds.push_back({k, 1});
      for (int k = between(1, 9); k > 0; --k) {
        const int first = between(0, steps - 1);
        o.directions.push_back({first, between(first, steps - 1)});
      }
      const int batch = mode == Mode::jacobian || mode == Mode::tangent ? 1 : between(1, 5);
      auto p = compile(any, {batch, past, steps}, o, GetParam());
      p->load(weights.data());
      const auto rows = static_cast<std::size_t>(batch * steps);
      test::fill(p->future(), rows * 3, 2);
      test::fill(p->history(), static_cast<std::size_t>((mode == Mode::train ? batch : 1) * past * 5), 1);
      if (mode == Mode::train) std::fill_n(p->weight(), rows * static_cast<std::size_t>(c.outputs), 1.0f);
      p->run_context();
      p->run();
      for (std::size_t i = 0; i < rows * 3; ++i) ASSERT_TRUE(std::isfinite(p->quantiles()[i]));
    }
  }
}

// Large enough that a team forms: rows are shared within one plan, and members meet at every attention.
TEST_P(EveryLevelRuns, ATeamGivesTheBitsOfOne) {
  test::TinyConfig c;
  c.history_width = 7;
  c.width = 48;
  c.heads = 4;
  c.kv_heads = 2;
  c.feedforward = 100;
  const OpList large = test::tiny_network(c);
  const std::vector<float> weights = test::tiny_weights<float>(large);
  for (const Mode mode : {Mode::infer, Mode::vjp, Mode::jacobian})
    for (const int batch : {1, 3}) {
      if (mode == Mode::jacobian && batch > 1) continue;
      std::vector<std::vector<float>> results;
      for (const int threads : {1, 2, 3, 7}) {
        CompileOptions o;
        o.mode = mode;
        o.threads = threads;
        o.seeds = {{0, 0}, {0, 1}, {1, 1}};
        auto p = compile(large, {batch, 37, 13}, o, GetParam());
        p->load(weights.data());
        const std::size_t rows = static_cast<std::size_t>(batch) * 13, out = rows * 6, in = rows * 3;
        test::fill(p->history(), 37 * 7, 1);
        test::fill(p->future(), in, 2);
        if (mode == Mode::vjp) test::fill(p->seed(), out, 3);
        for (int round = 0; round < (threads == 1 ? 1 : 20); ++round) {
          p->run_context();
          p->run();
          std::vector<float> all(p->quantiles(), p->quantiles() + out);
          if (mode == Mode::vjp) all.insert(all.end(), p->future_gradient(), p->future_gradient() + in);
          if (mode == Mode::jacobian) all.insert(all.end(), p->jacobian(), p->jacobian() + 3 * 13 * 13 * 3);
          results.push_back(all);
        }
      }
      for (const auto& result : results) ASSERT_EQ(result, results.front()) << "mode " << int(mode);
    }
}

TEST_P(EveryLevelRuns, EightBitsStayNearTheFloatProgramWithTheSameBitsForAnyTeamOrBatch) {
  test::TinyConfig c;
  c.width = 48;
  c.heads = c.kv_heads = 4;
  c.feedforward = 100;
  const OpList large = test::tiny_network(c);
  const std::vector<float> weights = test::tiny_weights<float>(large);
  const std::size_t out = 13 * 6, in = 13 * 3;
  auto run = [&](Precision precision, int batch, int threads) {
    CompileOptions o;
    o.precision = precision;
    o.threads = threads;
    auto p = compile(large, {batch, 37, 13}, o, GetParam());
    p->load(weights.data());
    test::fill(p->history(), 37 * 5, 1);
    for (int b = 0; b < batch; ++b) test::fill(p->future() + static_cast<std::size_t>(b) * in, in, 2);
    p->run_context();
    p->run();
    return std::vector<float>(p->quantiles(), p->quantiles() + out);
  };
  const auto exact = run(Precision::float32, 1, 1), rounded = run(Precision::int8, 1, 1);
  double error = 0, size = 0;
  for (std::size_t i = 0; i < out; ++i) {
    error += std::pow(exact[i] - rounded[i], 2);
    size += std::pow(exact[i], 2);
  }
  EXPECT_GT(error, 0) << "nothing was rounded";
  EXPECT_LT(std::sqrt(error / size), 0.03);
  EXPECT_EQ(run(Precision::int8, 1, 2), rounded);
  EXPECT_EQ(run(Precision::int8, 7, 3), rounded);
}

INSTANTIATE_TEST_SUITE_P(Isa, EveryLevelRuns, testing::ValuesIn(isa_available()),
                         [](const auto& info) { return std::string(to_string(info.param)); });

}  // namespace
}  // namespace emisopt::kernels
