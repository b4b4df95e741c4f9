// Jacobians and tangents of whole networks on the device against the reference in double, which is checked
// against finite differences (tests/cpp/kernels/tangent_test.cpp, network_gradient_test.cpp).
#include "kernels/cuda/many.hpp"

#include <algorithm>
#include <numeric>

#include "cuda_host/support.hpp"
#include "kernels/cuda/program.hpp"
#include "support/tiny_network.hpp"

namespace emisopt::cuda_test {
namespace {

using namespace kernels;
using test::fill;
using test::tiny_network;
using test::tiny_weights;
using test::TinyConfig;

struct Case {
  std::string name;
  TinyConfig config;
  Shapes shapes;
  std::vector<Seed> seeds;
  bool corrected = false;
};

const TinyConfig kGrouped{.width = 24, .heads = 4, .kv_heads = 2, .feedforward = 33, .biases = false};
const TinyConfig kOneKeyHead{.width = 12,
                             .heads = 3,
                             .kv_heads = 1,
                             .layers = 1,
                             .feedforward = 9,
                             .outputs = 3,
                             .levels = 5,
                             .middle = 2};

Case grouped() { return {"grouped heads", kGrouped, {1, 5, 9}, {{0, 0}, {0, 1}, {0, 2}, {1, 0}, {1, 2}}}; }

std::vector<Case> cases() {
  if (is_slow())
    return {{"grouped heads", kGrouped, {1, 5, 4}, {{0, 0}, {1, 2}}},
            {"one key head, no history", kOneKeyHead, {1, 0, 3}, {{2, 0}, {1, 4}}}};
  return {{"heads alone", {}, {1, 7, 5}, {{0, 1}, {1, 1}}},
          grouped(),
          {"one key head", kOneKeyHead, {1, 33, 3}, {{2, 0}, {1, 4}, {0, 2}}},
          {"no history", kGrouped, {1, 0, 6}, {{1, 2}}},
          {"no attention", {.layers = 0}, {1, 3, 4}, {{0, 1}, {1, 0}}},
          {"one step", {}, {1, 0, 1}, {{0, 1}}},
          {"a seed twice, corrections", {}, {1, 4, 3}, {{1, 2}, {1, 2}}, true}};
}

std::vector<Direction> stretches(int steps) {
  std::vector<Direction> all;
  for (int s = 0; s < steps; ++s) all.push_back({s, s});
  all.push_back({0, steps - 1});
  all.push_back({steps / 2, steps - 1});
  all.push_back({0, steps / 2});
  all.push_back({0, steps / 2});
  return all;
}

OpList network(const Case& c) {
  OpList net = tiny_network(c.config);
  if (!c.corrected) return net;
  for (Op& op : net.ops)
    if (op.kind == OpKind::linear) {
      const int in = net.values[static_cast<std::size_t>(op.x)].width,
                out = net.values[static_cast<std::size_t>(op.y)].width;
      const std::string name = std::to_string(op.x) + "." + std::to_string(op.y);
      op.lora_a = net.add_parameter("a" + name, {in, 2}, true);
      op.lora_b = net.add_parameter("b" + name, {2, out}, true);
    }
  return net;
}

struct Sizes {
  std::size_t steps, in, out, past;
  Sizes(const TinyConfig& c, const Shapes& s)
      : steps(static_cast<std::size_t>(s.future_tokens)),
        in(static_cast<std::size_t>(c.future_width)),
        out(static_cast<std::size_t>(c.outputs * c.levels)),
        past(static_cast<std::size_t>(s.history_tokens * c.history_width)) {}
};

// Quantiles and jacobian() or tangent() for inputs made of `seed`.
template <class T>
std::pair<std::vector<T>, std::vector<T>> answer(Program<T>& p, const OpList& net, const Sizes& n,
                                                 const CompileOptions& o, std::uint64_t seed) {
  const auto as_t = [](const std::vector<float>& x) { return std::vector<T>(x.begin(), x.end()); };
  const auto draw = [&](T* to, std::size_t count, std::uint64_t which) {  // the same floats for both types
    std::vector<float> x(count);
    fill(x.data(), count, 10 * seed + which);
    std::copy(x.begin(), x.end(), to);
  };
  p.load(as_t(tiny_weights<float>(net, seed)).data());
  draw(p.history(), n.past, 1);
  draw(p.future(), n.steps * n.in, 2);
  const bool tangent = o.mode == Mode::tangent;
  if (tangent) draw(p.direction(), o.directions.size() * n.steps * n.in, 3);
  p.run_context();
  p.run();
  const T* many = tangent ? p.tangent() : p.jacobian();
  const std::size_t count =
      tangent ? o.directions.size() * n.steps * n.out : o.seeds.size() * n.steps * n.steps * n.in;
  return {{p.quantiles(), p.quantiles() + n.steps * n.out}, {many, many + count}};
}

// The largest relative difference seen was 2.1e-6: a float's own rounding over a few hundred terms.
constexpr double kClose = 5e-6;

void expect_same(const Case& c, const CompileOptions& o) {
  SCOPED_TRACE(c.name);
  const OpList net = network(c);
  const Sizes n(c.config, c.shapes);
  auto gpu = cuda::compile(net, c.shapes, o);
  auto ref = compile_f64(net, c.shapes, o);
  for (const std::uint64_t seed : {1u, 2u}) {  // the second time through the graph that was captured
    const auto got = answer(*gpu, net, n, o, seed);
    const auto expected = answer(*ref, net, n, o, seed);
    expect_near(got.first, expected.first, kClose, "quantiles");
    expect_near(got.second, expected.second, kClose, "many");
    for (std::size_t i = 0; i < got.second.size(); ++i)
      if (expected.second[i] == 0) {
        ASSERT_EQ(got.second[i], 0) << "exactly, at " << i;
      }
  }
}

TEST(CudaMany, JacobiansAreThoseOfTheReference) {
  in_every_order([] {
    for (const Case& c : cases()) {
      CompileOptions o;
      o.mode = Mode::jacobian;
      o.seeds = c.seeds;
      expect_same(c, o);
    }
  });
}

TEST(CudaMany, TangentsAreThoseOfTheReference) {
  in_every_order([] {
    for (const Case& c : cases()) {
      CompileOptions o;
      o.mode = Mode::tangent;
      o.directions = stretches(c.shapes.future_tokens);
      expect_same(c, o);
    }
  });
}

TEST(CudaMany, WhatIsNotReachedIsExactlyZero) {
  const Case c = grouped();
  const Sizes n(c.config, c.shapes);
  const OpList net = network(c);
  CompileOptions o;
  o.mode = Mode::jacobian;
  o.seeds = c.seeds;
  auto p = cuda::compile(net, c.shapes, o);
  const auto j = answer(*p, net, n, o, 1).second;
  for (std::size_t i = 0, seed = 0; seed < c.seeds.size(); ++seed)
    for (std::size_t t = 0; t < n.steps; ++t)
      for (std::size_t s = 0; s < n.steps; ++s)
        for (std::size_t u = 0; u < n.in; ++u, ++i) {
          ASSERT_EQ(j[i] == 0, s > t) << i;
        }
  o.mode = Mode::tangent;
  o.directions = stretches(c.shapes.future_tokens);
  auto q = cuda::compile(net, c.shapes, o);
  const auto d = answer(*q, net, n, o, 1).second;
  for (std::size_t i = 0; i < d.size(); ++i) {
    const int step = static_cast<int>(i / n.out % n.steps);
    const Direction& direction = o.directions[i / n.out / n.steps];
    ASSERT_EQ(d[i] == 0, step < direction.first) << i;
  }
}

// Ten seeds at forty steps are more rows than go through the network together.
TEST(CudaMany, ChunksMakeNoDifference) {
  if (is_slow()) GTEST_SKIP() << "many rows of kernels that other tests watch; the plain build runs it";
  Case c{"chunks",
         {.width = 4, .heads = 1, .kv_heads = 1, .layers = 1, .feedforward = 4, .levels = 5, .middle = 2},
         {1, 3, 41},
         {}};
  for (int k = 0; k < 2; ++k)
    for (int l = 0; l < 5; ++l) c.seeds.push_back({k, l});
  CompileOptions o;
  o.mode = Mode::jacobian;
  o.seeds = c.seeds;
  expect_same(c, o);
}

TEST(CudaMany, TheSameBitsEveryTime) {
  if (is_slow()) GTEST_SKIP() << "bits do not depend on being watched; the plain build compares them";
  const Case c = grouped();
  const Sizes n(c.config, c.shapes);
  const OpList net = network(c);
  for (const Mode mode : {Mode::jacobian, Mode::tangent}) {
    CompileOptions o;
    o.mode = mode;
    o.seeds = c.seeds;
    o.directions = stretches(c.shapes.future_tokens);
    auto p = cuda::compile(net, c.shapes, o);
    const auto first = answer(*p, net, n, o, 1);
#ifndef EMISOPT_ON_DEVICE
    cuda_host::set_schedule({cuda_host::Order::random, 5});
#endif
    auto q = cuda::compile(net, c.shapes, o);
    const auto second = answer(*q, net, n, o, 1);
#ifndef EMISOPT_ON_DEVICE
    cuda_host::set_schedule({});
#endif
    EXPECT_EQ(first, second);
  }
}

// Every window once, in chunks that hold what they were asked to; buffers large enough for each.
TEST(CudaMany, ThePlanHoldsEveryWindowOnce) {
  const Case c = grouped();
  const OpList net = network(c);
  const int steps = c.shapes.future_tokens;
  for (const Mode mode : {Mode::jacobian, Mode::tangent})
    for (const int rows_in_hand : {1, 10, 23, 1000}) {
      CompileOptions o;
      o.mode = mode;
      o.seeds = c.seeds;
      o.directions = stretches(steps);
      const Plan plan = make_plan(net, c.shapes, o);
      const cuda::ManyPlan many = cuda::make_many_plan(plan, c.seeds, rows_in_hand);
      std::vector<int> targets;
      for (const cuda::ManyChunk& chunk : many.chunks) {
        const int* in = many.indices.data();
        EXPECT_TRUE(chunk.rows <= rows_in_hand || chunk.windows == 1);
        EXPECT_EQ(in[chunk.offset + static_cast<std::size_t>(chunk.windows)], chunk.rows);
        EXPECT_EQ(in[chunk.begin + static_cast<std::size_t>(steps)], chunk.rows);
        EXPECT_EQ(in[chunk.single_begin + static_cast<std::size_t>(steps)], chunk.windows);
        targets.insert(targets.end(), in + chunk.target, in + chunk.target + chunk.rows);
        for (std::size_t id = 0; id < many.slot.size(); ++id)
          if (many.slot[id] >= 0) {
            const bool single = mode == Mode::jacobian && plan.state(kFuture, static_cast<int>(id)).single;
            EXPECT_GE(many.slot_size[static_cast<std::size_t>(many.slot[id])],
                      static_cast<std::size_t>((single ? chunk.windows : chunk.rows) *
                                               plan.width(static_cast<int>(id))));
          }
      }
      std::sort(targets.begin(), targets.end());
      EXPECT_EQ(std::adjacent_find(targets.begin(), targets.end()), targets.end());
      std::size_t expected = 0;
      if (mode == Mode::jacobian)
        expected = c.seeds.size() * static_cast<std::size_t>(steps * (steps + 1) / 2);
      for (const Direction& d : plan.directions) expected += static_cast<std::size_t>(steps - d.first);
      EXPECT_EQ(targets.size(), expected);
      EXPECT_LT(many.slot_size.size(), plan.ops.values.size() / 2);  // buffers are used again
    }
}

}  // namespace
}  // namespace emisopt::cuda_test
