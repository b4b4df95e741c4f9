// Tangent mode: what directions make of the outputs. Whole networks against finite differences and against
// the Jacobian; each level's kernels as the adjoints of its backward ones.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "emisopt/base/rng.hpp"
#include "kernels/isa.hpp"
#include "kernels/ref/table.hpp"
#include "support/op_cases.hpp"
#include "support/tiny_network.hpp"

namespace emisopt::kernels {
namespace {

struct Network {
  std::string name;
  test::TinyConfig config;
  Shapes shapes;
};

std::vector<Network> networks() {
  test::TinyConfig grouped, plain, pointwise;
  grouped.heads = 4;
  grouped.kv_heads = 2;
  plain.layers = 1;
  plain.biases = false;
  plain.outputs = 1;
  pointwise.layers = 0;
  return {{"MultiHead", {}, {1, 6, 4}},          {"GroupedQuery", grouped, {1, 5, 7}},
          {"OneLayerNoBias", plain, {1, 3, 5}},  {"NoHistory", grouped, {1, 0, 4}},
          {"NoAttention", pointwise, {1, 3, 4}}, {"OneStep", {}, {1, 0, 1}}};
}

// Every single step, every stretch from the front, and twice the same.
std::vector<Direction> stretches(int steps) {
  std::vector<Direction> all;
  for (int s = 0; s < steps; ++s) all.push_back({s, s});
  for (int s = 0; s < steps; ++s) all.push_back({0, s});
  all.push_back({steps / 2, steps - 1});
  all.push_back({steps / 2, steps - 1});
  return all;
}

class TangentNetwork : public testing::TestWithParam<Network> {};

TEST_P(TangentNetwork, AgreesWithFiniteDifferences) {
  const auto& [name, c, shapes] = GetParam();
  const OpList net = test::tiny_network(c);
  const int steps = shapes.future_tokens, width = c.future_width, out = c.outputs * c.levels;
  CompileOptions o;
  o.mode = Mode::tangent;
  o.threads = 1;
  o.directions = stretches(steps);
  auto p = compile_f64(net, shapes, o);
  p->load(test::tiny_weights<double>(net).data());
  const auto size = static_cast<std::size_t>(steps * width), outs = static_cast<std::size_t>(steps * out);
  test::fill(p->history(), static_cast<std::size_t>(shapes.history_tokens * c.history_width), 1);
  test::fill(p->future(), size, 2);
  test::fill(p->direction(), o.directions.size() * size, 3);
  p->run_context();
  p->run();
  const std::vector<double> tangent(p->tangent(), p->tangent() + o.directions.size() * outs);
  const std::vector<double> plan(p->future(), p->future() + size);
  constexpr double kStep = 1e-5;
  for (std::size_t d = 0; d < o.directions.size(); ++d) {
    const auto [first, last] = o.directions[d];
    const auto at = [&](double h) {
      for (int i = first * width; i < (last + 1) * width; ++i)
        p->future()[i] =
            plan[static_cast<std::size_t>(i)] + h * p->direction()[d * size + static_cast<std::size_t>(i)];
      p->run();
      std::copy(plan.begin(), plan.end(), p->future());
      return std::vector<double>(p->quantiles(), p->quantiles() + outs);
    };
    const auto up = at(kStep), down = at(-kStep);
    for (std::size_t i = 0; i < outs; ++i) {
      const double expected = (up[i] - down[i]) / (2 * kStep), got = tangent[d * outs + i];
      ASSERT_NEAR(got, expected, 1e-7 * (1 + std::abs(expected))) << "direction " << d << ", entry " << i;
      if (static_cast<int>(i) < first * out) {
        ASSERT_EQ(got, 0) << "before the direction's first step";
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, TangentNetwork, testing::ValuesIn(networks()),
                         [](const auto& info) { return info.param.name; });

class TangentLevel : public testing::TestWithParam<Isa> {
 protected:
  const KernelTable<float>& table() const { return *table_of(GetParam()); }
};

struct Answer {
  std::vector<float> quantiles, tangent;
};

TEST_P(TangentLevel, IsTheJacobianTimesTheDirectionForAnyTeam) {
  test::TinyConfig c;
  c.history_width = 7;
  c.width = 48;
  c.heads = 4;
  c.kv_heads = 2;
  c.feedforward = 100;
  const int past = 37, steps = 13, out = c.outputs * c.levels;
  const OpList net = test::tiny_network(c);
  const std::vector<float> weights = test::tiny_weights<float>(net);
  const auto size = static_cast<std::size_t>(steps * c.future_width),
             outs = static_cast<std::size_t>(steps * out);
  CompileOptions o;
  o.mode = Mode::tangent;
  o.directions = stretches(steps);
  std::vector<float> direction(o.directions.size() * size);
  test::fill(direction.data(), direction.size(), 3);
  const auto tangents = [&](int threads) {
    o.threads = threads;
    auto p = compile(net, {1, past, steps}, o, GetParam());
    p->load(weights.data());
    test::fill(p->history(), 37 * 7, 1);
    test::fill(p->future(), size, 2);
    std::copy(direction.begin(), direction.end(), p->direction());
    std::vector<Answer> runs;
    for (int round = 0; round < (threads == 1 ? 1 : 20); ++round) {
      p->run_context();
      p->run();
      runs.push_back({{p->quantiles(), p->quantiles() + outs},
                      {p->tangent(), p->tangent() + o.directions.size() * outs}});
    }
    return runs;
  };
  const Answer one = tangents(1)[0];
  for (const int threads : {2, 3, 7})
    for (const Answer& run : tangents(threads)) {
      ASSERT_EQ(run.quantiles, one.quantiles) << threads << " threads";
      ASSERT_EQ(run.tangent, one.tangent) << threads << " threads";
    }
  CompileOptions jo;
  jo.mode = Mode::jacobian;
  jo.threads = 1;
  for (int k = 0; k < c.outputs; ++k)
    for (int l = 0; l < c.levels; ++l) jo.seeds.push_back({k, l});
  auto j = compile(net, {1, past, steps}, jo, GetParam());
  j->load(weights.data());
  test::fill(j->history(), 37 * 7, 1);
  test::fill(j->future(), size, 2);
  j->run_context();
  j->run();
  EXPECT_EQ(one.quantiles, std::vector<float>(j->quantiles(), j->quantiles() + outs));
  for (std::size_t d = 0; d < o.directions.size(); ++d)
    for (std::size_t t = 0; t < static_cast<std::size_t>(steps); ++t)
      for (std::size_t k = 0; k < static_cast<std::size_t>(out); ++k) {
        double expected = 0;
        const float* row = j->jacobian() + (k * static_cast<std::size_t>(steps) + t) * size;
        for (int i = o.directions[d].first * c.future_width; i < (o.directions[d].last + 1) * c.future_width;
             ++i)
          expected += double(row[i]) * double(direction[d * size + static_cast<std::size_t>(i)]);
        ASSERT_NEAR(one.tangent[d * outs + t * static_cast<std::size_t>(out) + k], expected,
                    2e-5 * (1 + std::abs(expected)))
            << "direction " << d << ", step " << t << ", quantile " << k;
      }
}

double dot(const test::Buffer<float>& a, const test::Buffer<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += double(a.data()[i]) * double(b.data()[i]);
  return sum;
}

// <g, J dx> = <Jᵀ g, dx> for random g, dx, in memory before a protected page.
void expect_adjoint(const test::Buffer<float>& g, const test::Buffer<float>& dy,
                    const test::Buffer<float>& back, const test::Buffer<float>& dx, const std::string& what) {
  double size = 0;
  for (std::size_t i = 0; i < dy.size(); ++i) size += std::abs(double(g.data()[i]) * double(dy.data()[i]));
  EXPECT_NEAR(dot(g, dy), dot(back, dx), 1e-5 * (1 + size)) << what;
}

test::Buffer<float> filled(long count, std::uint64_t seed) {
  test::Buffer<float> b(static_cast<std::size_t>(count), test::Place::before_guard);
  test::fill(b.data(), b.size(), seed);
  return b;
}

TEST_P(TangentLevel, RowKernelsAreAdjointToTheirBackwardOnes) {
  const auto place = test::Place::before_guard;
  for (const int width : {1, 7, 8, 9, 16, 31, 33}) {
    const int rows = 3;
    {
      auto x = filled(rows * width, 1), w = filled(width, 2), dx = filled(rows * width, 3),
           g = filled(rows * width, 4), y = filled(rows * width, 5), dy = filled(rows * width, 6),
           rstd = filled(rows, 7);
      test::Buffer<float> back(x.size(), place);
      table().rmsnorm_forward(y.data(), rstd.data(), x.data(), w.data(), rows, width, 1e-5f);
      table().rmsnorm_tangent(dy.data(), dx.data(), x.data(), rstd.data(), w.data(), rows, width);
      table().rmsnorm_backward(back.data(), nullptr, g.data(), x.data(), rstd.data(), w.data(), rows, width,
                               false);
      expect_adjoint(g, dy, back, dx, "rmsnorm of " + std::to_string(width));
    }
    {
      auto x = filled(2 * rows * width, 1), dx = filled(2 * rows * width, 3), g = filled(rows * width, 4),
           dy = filled(rows * width, 6), slopes = filled(2 * rows * width, 7);
      test::Buffer<float> back(x.size(), place);
      table().swiglu_slopes(slopes.data(), x.data(), rows, width);
      table().swiglu_tangent(dy.data(), dx.data(), slopes.data(), rows, width);
      table().swiglu_backward(back.data(), g.data(), x.data(), rows, width, false);
      expect_adjoint(g, dy, back, dx, "swiglu of " + std::to_string(width));
    }
  }
  for (const auto& [outputs, levels, middle] : {std::array{2, 7, 3}, {3, 1, 0}, {1, 5, 0}, {2, 150, 70}}) {
    const long n = 3L * outputs * levels;
    auto raw = filled(n, 1), dx = filled(n, 3), g = filled(n, 4), dy = filled(n, 6);
    test::Buffer<float> back(raw.size(), place);
    table().quantiles_tangent(dy.data(), dx.data(), raw.data(), 3, outputs, levels, middle);
    table().quantiles_backward(back.data(), g.data(), raw.data(), 3, outputs, levels, middle, false);
    expect_adjoint(g, dy, back, dx, "quantiles of " + std::to_string(levels));
  }
}

TEST_P(TangentLevel, AttentionIsAdjointToItsBackwardPass) {
  struct Size {
    int rows, past, heads, kv_heads, head_dim, first, windows;
  };
  for (const Size s : {Size{5, 3, 2, 2, 4, 0, 3},
                       {13, 18, 4, 2, 16, 0, 5},
                       {7, 0, 2, 1, 6, 6, 2},
                       {24, 96, 2, 2, 32, 11, 4},
                       {19, 33, 1, 1, 17, 4, 1}}) {
    const std::string what = std::to_string(s.rows) + " rows, heads of " + std::to_string(s.head_dim);
    const auto c = test::attention_case<float>(s.rows, s.past, s.heads, s.kv_heads, s.head_dim);
    test::OpBuffers<float> b(c, test::Place::before_guard);
    b.forward(c, table());
    const long width = (s.heads + 2L * s.kv_heads) * s.head_dim, ldy = long{s.heads} * s.head_dim,
               moved = s.rows - s.first;
    AttentionArgs<float> a =
        test::attention_args<float>(s.rows, s.past, s.heads, s.kv_heads, s.head_dim, b.inputs[0].data(),
                                    b.inputs[1].data(), b.work.data());
    a.y = b.y.data();
    a.map_head = long{s.rows} * s.head_dim * s.head_dim;
    a.maps_turned = true;
    test::Buffer<float> maps(static_cast<std::size_t>(s.heads * a.map_head), test::Place::before_guard);
    table().attention_maps(a, maps.data());
    auto dx = filled(s.windows * moved * width, 11), dy = filled(s.windows * moved * ldy, 12);
    AttentionArgs<float> t = a;
    t.first = s.first;
    t.maps = maps.data();
    t.windows = s.windows;
    t.dx_window = moved * width;
    t.dy_window = moved * ldy;
    table().attention_tangent(t, dx.data(), dy.data());
    for (int w = 0; w < s.windows; ++w) {  // the direct way back, of the rows that moved
      auto g = filled(moved * ldy, 20 + static_cast<std::uint64_t>(w)), part = filled(moved * ldy, 1),
           moves = filled(s.rows * width, 1);
      test::Buffer<float> back(moves.size(), test::Place::before_guard);
      back.clear();
      moves.clear();
      std::copy_n(dy.data() + w * moved * ldy, moved * ldy, part.data());
      std::copy_n(dx.data() + w * moved * width, moved * width, moves.data() + s.first * width);
      a.first = s.first;
      a.maps = nullptr;
      table().attention_backward(a, g.data(), back.data(), nullptr);
      expect_adjoint(g, part, back, moves, what + ", direction " + std::to_string(w));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, TangentLevel, testing::ValuesIn(isa_available()),
                         [](const auto& info) { return std::string(to_string(info.param)); });

}  // namespace
}  // namespace emisopt::kernels
