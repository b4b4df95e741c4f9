#include "kernels/cuda/program.hpp"

#include <algorithm>

#include "cuda_host/support.hpp"
#include "emisopt/base/error.hpp"
#include "support/tiny_network.hpp"

namespace emisopt::cuda_test {
namespace {

using namespace kernels;
using test::fill;
using test::tiny_levels;
using test::tiny_network;
using test::tiny_weights;
using test::TinyConfig;

using Ptr = std::unique_ptr<Program<float>>;

std::vector<float> copy(const float* x, std::size_t n) { return {x, x + n}; }
std::vector<double> wide(const float* x, std::size_t n) { return {x, x + n}; }

template <class F>
CompileOptions with(F change) {
  CompileOptions options;
  change(options);
  return options;
}
CompileOptions training(std::vector<float> levels) {
  return with([&](CompileOptions& o) { o.mode = Mode::train, o.levels = std::move(levels); });
}

struct Shape {
  TinyConfig config;
  Shapes shapes;
};
const Shape kShapes[] = {
    {{}, {3, 7, 5}},
    {{.width = 12,
      .heads = 3,
      .kv_heads = 1,
      .layers = 1,
      .feedforward = 33,
      .outputs = 3,
      .levels = 5,
      .middle = 2},
     {2, 33, 3}},
    {{.biases = false}, {4, 0, 6}},
};

// Both programs with the same inputs.
struct Pair {
  Ptr gpu, cpu;
  std::size_t out, in;
  Pair(const OpList& net, const Shapes& shapes, const CompileOptions& options)
      : gpu(cuda::compile(net, shapes, options)), cpu(kernels::compile(net, shapes, options, Isa::ref)) {
    const auto width = [&](int id) {
      return static_cast<std::size_t>(net.values[static_cast<std::size_t>(id)].width);
    };
    const auto steps = static_cast<std::size_t>(shapes.batch * shapes.future_tokens);
    out = steps * width(net.quantiles);
    in = steps * width(net.future);
    const auto past =
        static_cast<std::size_t>((options.mode == Mode::train ? shapes.batch : 1) * shapes.history_tokens) *
        width(net.history);
    for (Program<float>* p : {gpu.get(), cpu.get()}) {
      fill(p->history(), past, 2);
      fill(p->future(), in, 3);
      if (p->seed()) fill(p->seed(), out, 4);
      if (options.mode != Mode::train) continue;
      const std::size_t entries = steps * static_cast<std::size_t>(net.outputs);
      fill(p->target(), entries, 5);
      fill(p->weight(), entries, 6);  // a half below 0: left out
      if (p->teacher()) {
        fill(p->teacher(), out, 7);
        fill(p->teacher_weight(), out, 8);
      }
      if (p->hidden_target()) {
        fill(p->hidden_target(), steps * width(net.hidden), 9);
        fill(p->hidden_weight(), steps, 10);
      }
    }
  }
  void run(const std::vector<float>& theta) {
    for (Program<float>* p : {gpu.get(), cpu.get()}) {
      p->load(theta.data());
      p->run_context();
      p->run();
    }
  }
};

// Programs fuse what they can (tick_test.cpp, feedforward_test.cpp); here also op by op.
TEST(CudaProgram, ForecastsAndGradientsAreThoseOfTheCpu) {
  in_every_order([] {
    for (const Shape& s : kShapes)
      for (const Mode mode : {Mode::infer, Mode::vjp}) {
        const OpByOp apart(is_slow() || mode == Mode::vjp);
        const OpList net = tiny_network(s.config);
        Pair both(net, s.shapes, with([&](auto& o) { o.mode = mode; }));
        both.run(tiny_weights<float>(net));
        expect_near(copy(both.gpu->quantiles(), both.out), wide(both.cpu->quantiles(), both.out), 1e-5,
                    "quantiles");
        if (mode == Mode::vjp)
          expect_near(copy(both.gpu->future_gradient(), both.in), wide(both.cpu->future_gradient(), both.in),
                      1e-5, "future gradient");
        const auto first = copy(both.gpu->quantiles(), both.out);
        both.run(tiny_weights<float>(net, 77));  // the graph that was captured, other weights
        expect_near(copy(both.gpu->quantiles(), both.out), wide(both.cpu->quantiles(), both.out), 1e-5,
                    "again");
        EXPECT_NE(copy(both.gpu->quantiles(), both.out), first);
      }
  });
}

TEST(CudaProgram, HalvesOfAGradientAreTheWhole) {
  const OpList net = tiny_network({});
  Pair both(net, {1, 7, 5}, with([](auto& o) { o.mode = Mode::vjp; }));
  both.run(tiny_weights<float>(net));
  const auto whole = copy(both.gpu->future_gradient(), both.in);
  std::vector<float> seed(both.gpu->seed(), both.gpu->seed() + both.out);
  both.gpu->run_ahead();
  std::fill_n(both.gpu->seed(), both.out, 0.0f);
  both.gpu->run_back();
  EXPECT_EQ(copy(both.gpu->future_gradient(), both.in), std::vector<float>(both.in, 0.0f));
  std::copy(seed.begin(), seed.end(), both.gpu->seed());
  both.gpu->run_back();
  EXPECT_EQ(copy(both.gpu->future_gradient(), both.in), whole);
}

void expect_same_training(const OpList& net, const Shapes& shapes, const CompileOptions& options) {
  Pair both(net, shapes, options);
  both.run(tiny_weights<float>(net));
  const std::size_t n = net.parameter_count();
  expect_near(copy(both.gpu->gradient(), n), wide(both.cpu->gradient(), n), 2e-5, "gradient");
  EXPECT_NEAR(both.gpu->loss(), both.cpu->loss(), 1e-6 * std::abs(both.cpu->loss()));
  const LossParts a = both.gpu->loss_parts(), b = both.cpu->loss_parts();
  for (double LossParts::* part : {&LossParts::label, &LossParts::multiscale, &LossParts::distill,
                                   &LossParts::distill_multiscale, &LossParts::hidden})
    EXPECT_NEAR(a.*part, b.*part, 2e-6 * std::max(1e-3, std::abs(b.*part)));
  for (int w = 0; w < shapes.batch; ++w)
    EXPECT_NEAR(both.gpu->window_parts()[w].label, both.cpu->window_parts()[w].label, 1e-6);
}

TEST(CudaProgram, WeightGradientsAreThoseOfTheCpu) {
  in_every_order([] {
    for (const Shape& s : kShapes)
      for (const Loss loss : {Loss::pinball, Loss::squared, Loss::huber}) {
        const OpByOp apart(loss != Loss::pinball);
        CompileOptions options = training(tiny_levels(s.config));
        options.loss = loss;
        expect_same_training(tiny_network(s.config), s.shapes, options);
      }
  });
}

TEST(CudaProgram, EveryPartOfTheLossIsTheCpus) {
  const TinyConfig config;
  CompileOptions options = training(tiny_levels(config));
  options.level_weights = {0.2f, 0.3f, 0.9f};
  options.multiscale = 0.4f, options.distill = 0.7f, options.distill_multiscale = 0.2f, options.hidden = 0.3f;
  expect_same_training(test::tapped(tiny_network(config), "norm", 5), {3, 7, 9}, options);
}

TEST(CudaProgram, LowRankCorrectionsLearnAlone) {
  OpList net = tiny_network({});
  std::vector<char> trainable(net.parameters.size(), 0);
  for (Op& op : net.ops)
    if (op.kind == OpKind::linear && op.rows == Rows::all) {
      const int in = net.values[static_cast<std::size_t>(op.x)].width,
                out = net.values[static_cast<std::size_t>(op.y)].width;
      op.lora_a = net.add_parameter("a" + std::to_string(op.y), {in, 2}, true);
      op.lora_b = net.add_parameter("b" + std::to_string(op.y), {2, out}, true);
    }
  trainable.resize(net.parameters.size(), 1);
  CompileOptions options = training({0.25f, 0.5f, 0.75f});
  options.trainable = trainable;
  expect_same_training(net, {2, 5, 4}, options);
  Pair both(net, {2, 5, 4}, options);
  both.run(tiny_weights<float>(net));
  const std::size_t base = net.parameters[net.parameters.size() - 1].offset;
  EXPECT_EQ(both.gpu->gradient()[0], 0);  // exactly
  EXPECT_NE(both.gpu->gradient()[base], 0);
}

TEST(CudaProgram, TheSameBitsEveryTime) {
  const OpList net = tiny_network({});
  const CompileOptions options = training({0.25f, 0.5f, 0.75f});
  Pair a(net, {3, 7, 5}, options), b(net, {3, 7, 5}, options);
  const auto theta = tiny_weights<float>(net);
  a.run(theta);
#ifndef EMISOPT_ON_DEVICE
  cuda_host::set_schedule({cuda_host::Order::random, 99});
#endif
  b.run(theta);
#ifndef EMISOPT_ON_DEVICE
  cuda_host::set_schedule({});
#endif
  EXPECT_EQ(copy(a.gpu->gradient(), net.parameter_count()), copy(b.gpu->gradient(), net.parameter_count()));
  EXPECT_EQ(a.gpu->loss(), b.gpu->loss());
}

template <class F>
std::string message(F f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(CudaProgram, SaysWhatItDoesNotDo) {
  const OpList net = tiny_network({});
  EXPECT_NE(message([&] { cuda::compile(net, {1, 255, 3}, {}); }).find("more than 256 keys"),
            std::string::npos);
  const auto program = cuda::compile(net, {1, 4, 3}, {});
  EXPECT_NE(message([&] { program->run(); }).find("call load() first"), std::string::npos);
  program->load(tiny_weights<float>(net).data());
  EXPECT_NE(message([&] { program->run(); }).find("run_context"), std::string::npos);
  EXPECT_EQ(program->isa(), Isa::cuda);
}

#ifndef EMISOPT_ON_DEVICE
TEST(CudaProgram, OutOfMemoryIsSaidAndLeavesNothingBehind) {
  const OpList net = tiny_network({});
  cuda_host::exhaust_memory(true);
  const std::string text = message([&] { cuda::compile(net, {1, 4, 3}, {}); });
  cuda_host::exhaust_memory(false);
  EXPECT_NE(text.find("out of memory"), std::string::npos) << text;
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  EXPECT_NE(cuda::compile(net, {1, 4, 3}, {}), nullptr);
}
#endif

}  // namespace
}  // namespace emisopt::cuda_test
