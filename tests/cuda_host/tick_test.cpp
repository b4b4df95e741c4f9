#include "kernels/cuda/tick.hpp"

#include <cstdio>

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

using Ptr = std::unique_ptr<Program<float>>;

std::vector<float> copy(const float* x, std::size_t n) { return {x, x + n}; }
std::vector<double> wide(const float* x, std::size_t n) { return {x, x + n}; }

std::uint64_t launches_of(Program<float>& program) {
#ifdef EMISOPT_ON_DEVICE
  program.run();
  return 0;
#else
  const std::uint64_t before = cuda_host::counts().launches;
  program.run();
  return cuda_host::counts().launches - before;
#endif
}

CompileOptions with(Mode mode) {
  CompileOptions options;
  options.mode = mode;
  return options;
}

struct Case {
  OpList net;
  Shapes shapes;
  std::size_t out, in, past;
  Case(const TinyConfig& config, const Shapes& s)
      : net(tiny_network(config)),
        shapes(s),
        out(static_cast<std::size_t>(s.batch * s.future_tokens * config.outputs * config.levels)),
        in(static_cast<std::size_t>(s.batch * s.future_tokens * config.future_width)),
        past(static_cast<std::size_t>(s.history_tokens * config.history_width)) {}
  void prepare(Program<float>& p) const {
    fill(p.history(), past, 2);
    fill(p.future(), in, 3);
    if (p.seed()) fill(p.seed(), out, 4);
    p.load(tiny_weights<float>(net).data());
    p.run_context();
  }
};

// Rows of a block 1, 2 and 4, the last block short; heads in groups, of a width that is no multiple of 4;
// products wider than a block; no history.
std::vector<Case> cases() {
  const TinyConfig grouped{.width = 12,
                           .heads = 6,
                           .kv_heads = 2,
                           .layers = 1,
                           .feedforward = 33,
                           .outputs = 3,
                           .levels = 5,
                           .middle = 2};
  const TinyConfig odd{.width = 10, .heads = 5, .kv_heads = 5, .layers = 1, .biases = false};
  if (is_slow()) return {{{}, {1, 7, 2}}, {grouped, {97, 2, 1}}};
  const TinyConfig wide{.width = 24, .heads = 3, .kv_heads = 1, .feedforward = 270};
  return {{{}, {1, 7, 5}}, {odd, {3, 0, 6}}, {grouped, {7, 9, 7}}, {odd, {33, 3, 3}}, {wide, {2, 49, 3}}};
}

// A gradient begins with the forecast.
std::vector<Mode> modes() {
  if (is_slow()) return {Mode::vjp};
  return {Mode::infer, Mode::vjp};
}

TEST(Tick, ForecastsAndGradientsAreThoseOfTheReference) {
  in_every_order([] {
    for (const Case& c : cases())
      for (const Mode mode : modes()) {
        const Ptr gpu = cuda::compile(c.net, c.shapes, with(mode)),
                  cpu = kernels::compile(c.net, c.shapes, with(mode), Isa::ref);
        for (Program<float>* p : {gpu.get(), cpu.get()}) c.prepare(*p);
        const std::uint64_t launches = launches_of(*gpu);
        EXPECT_LE(launches, 2 * (c.net.ops.size() / 11 + 1));  // 11 ops are a layer
        cpu->run();
        expect_near(copy(gpu->quantiles(), c.out), wide(cpu->quantiles(), c.out), 1e-5, "quantiles");
        if (mode == Mode::vjp)
          expect_near(copy(gpu->future_gradient(), c.in), wide(cpu->future_gradient(), c.in), 1e-5,
                      "gradient");
      }
  });
}

TEST(Tick, OpByOpSaysTheSame) {
  in_every_order([] {
    const Case c({.width = 12, .heads = 3, .kv_heads = 1}, {2, 7, 5});
    for (const Mode mode : modes()) {
      const Ptr together = cuda::compile(c.net, c.shapes, with(mode));
      const Ptr apart = [&] {
        const OpByOp now;
        return cuda::compile(c.net, c.shapes, with(mode));
      }();
      for (Program<float>* p : {together.get(), apart.get()}) c.prepare(*p);
      together->run();
      apart->run();
      expect_near(copy(together->quantiles(), c.out), wide(apart->quantiles(), c.out), 1e-5, "quantiles");
      if (mode == Mode::vjp)
        expect_near(copy(together->future_gradient(), c.in), wide(apart->future_gradient(), c.in), 1e-5,
                    "gradient");
    }
  });
}

// Two programs with one history, whose tapes read the other's weights and keys once they share.
TEST(Tick, ReadsWhatItShares) {
  const Case c({}, {1, 7, 5});
  const Ptr infer = cuda::compile(c.net, c.shapes, with(Mode::infer)),
            vjp = cuda::compile(c.net, c.shapes, with(Mode::vjp)),
            alone = cuda::compile(c.net, c.shapes, with(Mode::vjp));
  ASSERT_TRUE(vjp->share(*infer));
  for (Program<float>* p : {infer.get(), vjp.get(), alone.get()}) {
    c.prepare(*p);
    p->run();
  }
  EXPECT_EQ(copy(vjp->quantiles(), c.out), copy(alone->quantiles(), c.out));
  EXPECT_EQ(copy(vjp->future_gradient(), c.in), copy(alone->future_gradient(), c.in));
  EXPECT_EQ(copy(vjp->quantiles(), c.out), copy(infer->quantiles(), c.out));
}

#ifndef EMISOPT_ON_DEVICE
TEST(Tick, IsAFewLaunches) {
  TinyConfig size_s{.history_width = 12,
                    .future_width = 6,
                    .width = 64,
                    .heads = 4,
                    .kv_heads = 4,
                    .layers = 3,
                    .feedforward = 176,
                    .outputs = 3,
                    .levels = 7,
                    .middle = 3,
                    .biases = false};
  Shapes shapes{1, 96, 24};
  if (is_slow()) size_s.width = 16, size_s.feedforward = 24, shapes = {1, 9, 3};
  const Case c(size_s, shapes);
  for (const auto& [mode, name, together, apart] :
       {std::tuple{Mode::infer, "forecast", 4, 39}, std::tuple{Mode::vjp, "forecast and gradient", 8, 74}}) {
    std::uint64_t counts[2];
    for (const bool fused : {false, true}) {
      const Ptr program = [&] {
        if (fused) return cuda::compile(c.net, c.shapes, with(mode));
        const OpByOp now;
        return cuda::compile(c.net, c.shapes, with(mode));
      }();
      c.prepare(*program);
      counts[fused] = launches_of(*program);
    }
    std::printf("LAUNCHES %s: %d op by op, %d as tapes\n", name, static_cast<int>(counts[0]),
                static_cast<int>(counts[1]));
    EXPECT_EQ(counts[0], static_cast<std::uint64_t>(apart));
    EXPECT_EQ(counts[1], static_cast<std::uint64_t>(together));
  }
}

// Weights of more than a mebibyte between two attentions are not read by every block, nor are 2,000 rows put
// on tapes.
TEST(Tick, IsNotForLargeNetworksOrManyRows) {
  if (is_slow()) GTEST_SKIP() << "a rule of the host's code, seen by test_cuda";
  const Case wide({.width = 128, .heads = 8, .kv_heads = 8, .layers = 1, .feedforward = 700}, {1, 1, 1});
  const Case many({.layers = 1}, {530, 1, 2});
  for (const Case* c : {&wide, &many}) {
    const Ptr program = cuda::compile(c->net, c->shapes, with(Mode::infer));
    c->prepare(*program);
    EXPECT_GT(launches_of(*program), 9u);
  }
}
#endif

}  // namespace
}  // namespace emisopt::cuda_test
