// Programs in bf16 against fp32 ones: every value within the bound that follows from the roundings,
// gradients, training, and what is said where they cannot be had.
#include <algorithm>
#include <cmath>
#include <iostream>

#include "cuda_host/bf16_bound.hpp"
#include "cuda_host/bf16_support.hpp"
#include "emisopt/base/error.hpp"

namespace emisopt::cuda_test {
namespace {

using namespace kernels;
using test::fill;
using test::tiny_levels;
using test::tiny_network;
using test::tiny_weights;
// ---- layer by layer ------------------------------------------------------------------------------------

struct Shape {
  TinyConfig config;
  int past, rows;
};
std::vector<Shape> shapes_of() {
  if (is_slow()) return {{{.layers = 1}, 3, 2}};
  return {{{}, 7, 5},
          {{.width = 12,
            .heads = 3,
            .kv_heads = 1,
            .layers = 1,
            .feedforward = 33,
            .outputs = 3,
            .levels = 5,
            .middle = 2},
           9,
           3},
          {{.width = 16, .heads = 4, .kv_heads = 2, .layers = 3, .feedforward = 40, .biases = false}, 9, 6},
          {{}, 0, 6}};
}

// Root mean squares over one value: of the difference, of what independent roundings predict, and of the
// bound.
struct Growth {
  double measured = 0, spread = 0, worst = 0, size = 0, nearest = 0;
};

Growth expect_within(const std::vector<float>& got, const std::vector<Rounded>& expected,
                     const std::string& name) {
  Growth g;
  EXPECT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double error = std::abs(static_cast<double>(got[i]) - expected[i].x);
    EXPECT_LE(error, expected[i].worst) << name << "[" << i << "] is " << expected[i].x;
    g.measured += error * error;
    g.spread += expected[i].variance;
    g.worst += expected[i].worst * expected[i].worst;
    g.size += expected[i].x * expected[i].x;
    g.nearest = std::max(g.nearest, error / std::max(expected[i].worst, 1e-30));
  }
  const auto n = static_cast<double>(got.size());
  for (double* x : {&g.measured, &g.spread, &g.worst, &g.size}) *x = std::sqrt(*x / n);
  return g;
}

struct Window {
  OpList net;
  std::vector<float> theta, history, future;
  explicit Window(const Shape& s) : net(tiny_network(s.config)), theta(tiny_weights<float>(net)) {
    history.resize(at(s.past) * width(net, net.history));
    future.resize(at(s.rows) * width(net, net.future));
    fill(history.data(), history.size(), 2);
    fill(future.data(), future.size(), 3);
  }
  // A value on future rows, of a program that shows it.
  std::vector<float> value(const Shape& s, int id) const {
    OpList shown = net;
    if (id != net.quantiles) shown.hidden = id;
    const Ptr p = cuda::compile(shown, {1, s.past, s.rows}, options_of(Mode::infer, s.config));
    std::copy(history.begin(), history.end(), p->history());
    std::copy(future.begin(), future.end(), p->future());
    run(*p, theta);
    return copy(id == net.quantiles ? p->quantiles() : p->hidden(), at(s.rows) * width(net, id));
  }
};

// From its own inputs each op gives what the roundings of one op allow; no bound of several is involved.
TEST(CudaBf16, EveryOpIsExactButForItsOwnRoundings) {
  const OpByOp apart;
  for (Shape s : shapes_of()) {
    s.past = 0;
    const Window w(s);
    std::vector<std::vector<float>> own(w.net.values.size());
    for (const Op& op : w.net.ops)
      if (op.rows != Rows::history) own[at(op.y)] = w.value(s, op.y);
    const Bf16Bound bound(w.net, w.theta, kFp32Values, 0, s.rows, nullptr, w.future.data(), own);
    for (const Op& op : w.net.ops) {
      if (op.rows == Rows::history) continue;
      const std::string& name = w.net.values[at(op.y)].name;
      const Growth g = expect_within(own[at(op.y)], bound.future(op.y), name);
      EXPECT_LE(g.worst, 6 * kBf16 * std::max(g.size, 0.3)) << name;  // no more than 2 % of the value
    }
  }
}

// Against exact arithmetic on exact weights. Independent the roundings are not quite, hence 2.
TEST(CudaBf16, EveryValueOfEveryLayerIsAsFarOffAsIndependentRoundingsAre) {
  const OpByOp apart;
  for (const Shape& s : shapes_of()) {
    const Window w(s);
    const Bf16Bound bound(w.net, w.theta, kFp32Values, s.past, s.rows, w.history.data(), w.future.data());
    for (const Op& op : w.net.ops) {
      if (op.rows == Rows::history) continue;
      const std::string& name = w.net.values[at(op.y)].name;
      const Growth g = expect_within(w.value(s, op.y), bound.future(op.y), name);
      EXPECT_LE(g.measured, std::max(2 * g.spread, 1e-6)) << name;
      EXPECT_GT(g.measured, 0.2 * g.spread) << name;  // and it is in bf16
      if (s.config.layers == 3)
        std::cout << "BF16 " << name << " size=" << g.size << " measured=" << g.measured
                  << " independent=" << g.spread << " worst=" << g.worst << "\n";
    }
  }
}

// ---- gradients -----------------------------------------------------------------------------------------

// A gradient meets as many roundings on its way back as the values on their way ahead, and is made of those.
// Of a squared loss: the pinball loss's slope jumps where a rounding carries a quantile past its target.
TEST(CudaBf16, GradientsAreAsFarOffAsTheRoundingsOfBothWaysAre) {
  for (const Shape& s : shapes_of())
    for (const auto& [mode, fused] :
         {std::pair{Mode::vjp, false}, {Mode::vjp, true}, {Mode::train, false}, {Mode::train, true}}) {
      if (is_slow() && !fused) continue;
      const OpByOp apart_or_not(!fused);
      const Window w(s);
      const Shapes shapes{mode == Mode::train ? 2 : 1, s.past, s.rows};
      CompileOptions options = options_of(mode, s.config);
      options.loss = Loss::squared;
      const Ptr gpu = cuda::compile(w.net, shapes, options);
      options.precision = Precision::float32;
      const Ptr cpu = kernels::compile(w.net, shapes, options, Isa::ref);
      for (Program<float>* p : {gpu.get(), cpu.get()}) {
        fill_inputs(*p, w.net, shapes, mode);
        run(*p, w.theta);
      }
      const bool train = mode == Mode::train;
      const std::size_t n = train ? w.net.parameter_count() : w.future.size();
      const auto of = [&](Program<float>& p) { return copy(train ? p.gradient() : p.future_gradient(), n); };
      const double apart = distance(of(*gpu), of(*cpu)),
                   ahead = relative_spread(w.net, w.theta, s.past, s.rows, w.history.data(), w.future.data());
      EXPECT_LE(apart, 2 * std::sqrt(2) * ahead) << (train ? "train" : "vjp");
      EXPECT_GT(apart, 1e-4);
      std::cout << "BF16 gradient layers=" << s.config.layers << " width=" << s.config.width
                << (train ? " train" : " vjp") << (fused ? " fused" : "") << " apart=" << apart
                << " ahead=" << ahead << "\n";
    }
}

TEST(CudaBf16, HalvesOfAGradientAreTheWhole) {
  const Shape s = shapes_of()[0];
  const Window w(s);
  const Ptr p = cuda::compile(w.net, {1, s.past, s.rows}, options_of(Mode::vjp, s.config));
  fill_inputs(*p, w.net, {1, s.past, s.rows}, Mode::vjp);
  run(*p, w.theta);
  const auto whole = copy(p->future_gradient(), w.future.size());
  p->run_ahead();
  p->run_back();
  EXPECT_EQ(copy(p->future_gradient(), w.future.size()), whole);
}

// ---- programs side by side -----------------------------------------------------------------------------

TEST(CudaBf16, AForecastDependsNeitherOnTheOrderNorOnTheBatch) {
  const Shape s = shapes_of()[0];
  const Window w(s);
  const std::size_t out = at(s.rows) * width(w.net, w.net.quantiles);
  std::vector<float> first;
  in_every_order([&] {
    for (const int batch : {1, 3}) {
      const Ptr p = cuda::compile(w.net, {batch, s.past, s.rows}, options_of(Mode::infer, s.config));
      std::copy(w.history.begin(), w.history.end(), p->history());
      for (int b = 0; b < batch; ++b)
        std::copy(w.future.begin(), w.future.end(), p->future() + at(b) * w.future.size());
      run(*p, w.theta);
      for (int b = 0; b < batch; ++b) {
        const auto got = copy(p->quantiles() + at(b) * out, out);
        if (first.empty()) first = got;
        EXPECT_EQ(got, first);
      }
    }
  });
}

TEST(CudaBf16, ProgramsThatShareGiveTheBitsOfTheirOwn) {
  const Shape s = shapes_of()[0];
  const Window w(s);
  const auto make = [&](Mode mode, Precision precision) {
    Ptr p = cuda::compile(w.net, {1, s.past, s.rows}, options_of(mode, s.config, precision));
    fill_inputs(*p, w.net, {1, s.past, s.rows}, mode);
    return p;
  };
  const Ptr head = make(Mode::infer, Precision::bfloat16), reader = make(Mode::vjp, Precision::bfloat16),
            own = make(Mode::vjp, Precision::bfloat16), exact = make(Mode::vjp, Precision::float32);
  EXPECT_FALSE(exact->share(*head));
  EXPECT_FALSE(head->share(*exact));
  const std::size_t before = reader->cost().bytes;
  ASSERT_TRUE(reader->share(*head));
  EXPECT_LE(reader->cost().bytes, before - w.net.parameter_count() * (sizeof(float) + 2));
  for (const std::uint64_t seed : {1u, 2u}) {
    const auto theta = tiny_weights<float>(w.net, seed);
    head->load(theta.data());
    run(*reader, theta);  // the context is the head's
    run(*own, theta);
    EXPECT_EQ(copy(reader->future_gradient(), w.future.size()),
              copy(own->future_gradient(), w.future.size()));
  }
}

TEST(CudaBf16, SaysWhereItIsNotDone) {
  const Shape s = shapes_of()[0];
  const Window w(s);
  for (const Mode mode : {Mode::jacobian, Mode::tangent}) {
    CompileOptions o = options_of(mode, s.config);
    o.seeds = {{0, 1}};
    o.directions = {{0, 1}};
    try {
      cuda::compile(w.net, {1, s.past, s.rows}, o);
      ADD_FAILURE() << "compiled";
    } catch (const InputError& error) {
      EXPECT_NE(std::string(error.what()).find("expected float32 for Jacobians and tangents, got bfloat16"),
                std::string::npos);
    }
  }
}

}  // namespace
}  // namespace emisopt::cuda_test
