// The whole network in double: gradients by weights and by the plan against finite differences, all modes.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "support/gradcheck.hpp"
#include "support/tiny_network.hpp"

namespace emisopt::kernels {
namespace {

struct Case {
  std::string name;
  test::TinyConfig config;
  Shapes shapes;
};

test::TinyConfig grouped() {
  test::TinyConfig c;
  c.heads = 4;
  c.kv_heads = 2;
  return c;
}
test::TinyConfig one_layer() {
  test::TinyConfig c;
  c.layers = 1;
  c.biases = false;
  c.outputs = 1;
  return c;
}

test::TinyConfig no_attention() {  // each step depends on its own setpoints alone
  test::TinyConfig c;
  c.layers = 0;
  return c;
}

class NetworkGradient : public testing::TestWithParam<Case> {
 protected:
  OpList net = test::tiny_network(GetParam().config);
  std::vector<double> theta = test::tiny_weights<double>(net);

  CompileOptions options(Mode mode, Loss loss = Loss::pinball) const {
    CompileOptions o;
    o.mode = mode;
    o.loss = loss;
    o.huber_delta = 0.7f;
    o.levels = test::tiny_levels(GetParam().config);
    o.threads = 1;  // many short runs: waking a helper for each costs more than it gives
    for (int k = 0; k < net.outputs; ++k)
      for (int l = 0; l < net.levels; ++l) o.seeds.push_back({k, l});
    return o;
  }
  Shapes shapes(int batch) const {
    Shapes s = GetParam().shapes;
    s.batch = batch;
    return s;
  }
  std::size_t history_size() const {
    return static_cast<std::size_t>(GetParam().shapes.history_tokens * GetParam().config.history_width);
  }
  std::size_t future_size() const {
    return static_cast<std::size_t>(GetParam().shapes.future_tokens * GetParam().config.future_width);
  }
  std::size_t quantile_size() const {
    return static_cast<std::size_t>(GetParam().shapes.future_tokens * net.outputs * net.levels);
  }
};

TEST_P(NetworkGradient, WeightsInTrainMode) {
  for (const Loss loss : {Loss::pinball, Loss::squared, Loss::huber}) {
    SCOPED_TRACE(static_cast<int>(loss));
    const int batch = 3;
    auto program = compile_f64(net, shapes(batch), options(Mode::train, loss));
    const std::size_t entries =
        static_cast<std::size_t>(batch * GetParam().shapes.future_tokens * net.outputs);
    test::fill(program->history(), batch * history_size(), 11);
    test::fill(program->future(), batch * future_size(), 12);
    test::fill(program->target(), entries, 13, 2);
    for (std::size_t i = 0; i < entries; ++i)
      program->weight()[i] = i % 4 == 1 ? 0.0 : 0.5 + 0.25 * double(i % 3);
    program->target()[1] = std::nan("");  // left out by its weight
    auto run = [&] {
      program->load(theta.data());
      program->run();
      return program->loss();
    };
    run();
    const std::vector<double> gradient(program->gradient(), program->gradient() + theta.size());
    // the losses share every kernel below the quantiles: all weights once, a seventh of them for the others
    test::expect_gradient(gradient.data(), theta.data(), theta.size(), run, loss == Loss::pinball ? 1 : 7);
  }
}

TEST_P(NetworkGradient, PlanInVjpMode) {
  const int batch = 2;
  auto program = compile_f64(net, shapes(batch), options(Mode::vjp));
  program->load(theta.data());
  test::fill(program->history(), history_size(), 21);
  test::fill(program->future(), batch * future_size(), 22);
  test::fill(program->seed(), batch * quantile_size(), 23);
  program->run_context();
  auto run = [&] {
    program->run();
    double sum = 0;
    for (std::size_t i = 0; i < batch * quantile_size(); ++i)
      sum += program->seed()[i] * program->quantiles()[i];
    return sum;
  };
  run();
  const std::vector<double> gradient(program->future_gradient(),
                                     program->future_gradient() + batch * future_size());
  test::expect_gradient(gradient.data(), program->future(), gradient.size(), run);
}

TEST_P(NetworkGradient, PlanInJacobianMode) {
  auto program = compile_f64(net, shapes(1), options(Mode::jacobian));
  program->load(theta.data());
  test::fill(program->history(), history_size(), 31);
  test::fill(program->future(), future_size(), 32);
  program->run_context();
  program->run();
  const std::vector<Seed> seeds = options(Mode::jacobian).seeds;
  const int steps = GetParam().shapes.future_tokens;
  const std::size_t row = future_size();
  const std::vector<double> jacobian(program->jacobian(),
                                     program->jacobian() + seeds.size() * std::size_t(steps) * row);
  for (std::size_t k = 0; k < seeds.size(); ++k)
    for (int t = 0; t < steps; ++t) {
      auto quantile = [&] {
        program->run();
        return program->quantiles()[(t * net.outputs + seeds[k].output) * net.levels + seeds[k].level];
      };
      const double* j = jacobian.data() + (k * std::size_t(steps) + std::size_t(t)) * row;
      test::expect_gradient(j, program->future(), row, quantile);
      for (std::size_t i = std::size_t((t + 1) * GetParam().config.future_width); i < row; ++i)
        EXPECT_EQ(j[i], 0) << "step " << t << " must not depend on entry " << i;
    }
}

// A sum hands its gradient's memory on to its first input: also where that is both inputs, or read elsewhere.
TEST(SharedGradients, SumsOfTheSameValues) {
  OpList net;
  net.history = net.add_value("history", 2, Rows::history);
  net.future = net.add_value("future", 3, Rows::future);
  const auto linear = [&](const std::string& name, int x) {
    Op op{.kind = OpKind::linear, .rows = Rows::future, .x = x, .y = net.add_value(name, 6, Rows::future)};
    op.w = net.add_parameter(name, {net.values[static_cast<std::size_t>(x)].width, 6}, true);
    net.ops.push_back(op);
    return op.y;
  };
  const auto add = [&](int x, int x2) {
    net.ops.push_back({.kind = OpKind::add,
                       .rows = Rows::future,
                       .x = x,
                       .x2 = x2,
                       .y = net.add_value("sum", 6, Rows::future)});
    return net.ops.back().y;
  };
  const int a = linear("a", net.future), b = linear("b", a);
  const int twice = add(b, b), stream = add(a, twice), more = add(stream, linear("c", stream));
  const int raw = add(add(more, b), stream);
  net.outputs = 2;
  net.levels = 3;
  net.middle = 1;
  net.quantiles = net.add_value("quantiles", 6, Rows::future);
  net.ops.push_back({.kind = OpKind::quantiles,
                     .rows = Rows::future,
                     .x = raw,
                     .y = net.quantiles,
                     .outputs = 2,
                     .levels = 3,
                     .middle = 1});
  CompileOptions o;
  o.mode = Mode::train;
  o.levels = {0.1f, 0.5f, 0.9f};
  o.threads = 1;
  auto p = compile_f64(net, {2, 1, 4}, o);
  std::vector<double> theta(net.parameter_count());
  test::fill(theta.data(), theta.size(), 1);
  test::fill(p->future(), 2 * 4 * 3, 2);
  test::fill(p->target(), 2 * 4 * 2, 3);
  std::fill_n(p->weight(), 2 * 4 * 2, 1.0);
  const auto run = [&] {
    p->load(theta.data());
    p->run();
    return p->loss();
  };
  run();
  const std::vector<double> gradient(p->gradient(), p->gradient() + theta.size());
  test::expect_gradient(gradient.data(), theta.data(), theta.size(), run);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, NetworkGradient,
    testing::Values(Case{"MultiHead", {}, {1, 6, 4}}, Case{"GroupedQuery", grouped(), {1, 5, 3}},
                    Case{"OneLayerNoBias", one_layer(), {1, 3, 5}}, Case{"NoHistory", grouped(), {1, 0, 4}},
                    Case{"NoAttention", no_attention(), {1, 3, 4}}, Case{"OneStep", {}, {1, 0, 1}}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace emisopt::kernels
