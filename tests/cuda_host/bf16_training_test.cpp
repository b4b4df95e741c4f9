// Training in bf16: every part of the loss, corrections of low rank, 200 steps beside fp32, and that a run's
// bits depend on nothing but its weights and batches.
#include <algorithm>
#include <cmath>
#include <iostream>

#include "cuda_host/bf16_bound.hpp"
#include "cuda_host/bf16_support.hpp"

namespace emisopt::cuda_test {
namespace {

using namespace kernels;
using test::tiny_levels;
using test::tiny_network;
using test::tiny_weights;

// Small where every access is looked at.
TinyConfig config_of() { return {.layers = 1}; }
Shapes batch_of() { return is_slow() ? Shapes{2, 3, 2} : Shapes{3, 5, 4}; }

struct Arrays {
  std::vector<float> theta, m, v, shadow;
  explicit Arrays(std::vector<float> weights)
      : theta(std::move(weights)), m(theta.size()), v(theta.size()), shadow(theta) {}
  TrainingArrays<float> out() { return {theta.data(), m.data(), v.data(), shadow.data()}; }
  TrainingArrays<const float> in() const { return {theta.data(), m.data(), v.data(), shadow.data()}; }
  bool operator==(const Arrays&) const = default;
};

void step(Program<float>& p, Training& training, const OpList& net, int n, float rate = 1e-3f) {
  fill_inputs(p, net, batch_of(), Mode::train, 10 * static_cast<unsigned>(n % 7));
  training.step(rate, 0.9f, n + 1);
}

// What independent roundings do to the pinball loss of a batch if all point the same way: each level's slope
// is at most max(tau, 1 - tau).
double loss_spread(Program<float>& p, const OpList& net, const std::vector<float>& theta,
                   const std::vector<float>& levels) {
  const Shapes s = batch_of();
  const std::size_t past = at(s.history_tokens) * width(net, net.history),
                    plan = at(s.future_tokens) * width(net, net.future);
  double sum = 0, weights = 0;
  for (int w = 0; w < s.batch; ++w) {
    const Bf16Bound bound(net, theta, kFp32Values, s.history_tokens, s.future_tokens,
                          p.history() + at(w) * past, p.future() + at(w) * plan);
    const auto& q = bound.future(net.quantiles);
    for (int i = 0; i < s.future_tokens * net.outputs; ++i) {
      const auto weight = static_cast<double>(p.weight()[w * s.future_tokens * net.outputs + i]);
      if (!(weight > 0)) continue;
      weights += weight;
      for (int l = 0; l < net.levels; ++l) {
        const auto tau = static_cast<double>(levels[at(l)]);
        sum += weight * std::max(tau, 1 - tau) / net.levels * q[at(i * net.levels + l)].spread();
      }
    }
  }
  return weights > 0 ? sum / weights : 0;
}

// At the weights that the bf16 run has, its loss is fp32's, within three times what independent roundings do
// if all of them point the same way: at every one of 200 steps. Two runs that begin alike go apart as far as
// AdamW's largest step allows; that bound says little, so how far they went is told.
TEST(CudaBf16Training, TwoHundredStepsStayWithinTheBoundOfFp32) {
  const OpList net = tiny_network(config_of());
  const auto levels = tiny_levels(config_of());
  const Ptr gpu = cuda::compile(net, batch_of(), options_of(Mode::train, config_of()));
  const Ptr cpu =
      kernels::compile(net, batch_of(), options_of(Mode::train, config_of(), Precision::float32), Isa::ref);
  const auto training = gpu->training({});
  const std::vector<float> start = tiny_weights<float>(net);
  Arrays a(start), b(start);
  training->put(a.in());
  const int steps = is_slow() ? 6 : 200;
  const float rate = 1e-3f;
  double nearest = 0, first = 0, last_bf16 = 0, last_fp32 = 0;
  for (int n = 0; n < steps; ++n) {
    step(*gpu, *training, net, n, rate);
    const double loss = training->finish().loss;
    fill_inputs(*cpu, net, batch_of(), Mode::train, 10 * static_cast<unsigned>(n % 7));
    run(*cpu, a.theta);
    const double gap = std::abs(loss - cpu->loss()), bound = 3 * loss_spread(*cpu, net, a.theta, levels);
    EXPECT_LE(gap, bound) << n;
    EXPECT_LE(bound, 0.05) << n;  // and that is little
    nearest = std::max(nearest, gap / bound);
    training->get(a.out());
    run(*cpu, b.theta);
    if (n < 7) first += cpu->loss() / 7;
    if (n >= steps - 7) last_bf16 += loss / 7, last_fp32 += cpu->loss() / 7;
    AdamW o;
    o.step = n + 1, o.rate = rate;
    adamw(b.theta.data(), b.m.data(), b.v.data(), cpu->gradient(), nullptr, nullptr, nullptr, b.theta.size(),
          o, Isa::ref);
  }
  // (1 - beta1) / sqrt(1 - beta2) times the rate, each way (Kingma, Ba 2015)
  const double cap = 2 * steps * static_cast<double>(rate) * 0.1 / std::sqrt(1e-3);
  double most = 0;
  for (std::size_t i = 0; i < start.size(); ++i)
    most = std::max(most, std::abs(static_cast<double>(a.theta[i] - b.theta[i])));
  EXPECT_LE(most, cap);
  if (!is_slow()) {
    EXPECT_LT(last_bf16, 0.5 * first);  // it learns
    EXPECT_LT(last_fp32, 0.5 * first);
  }
  std::vector<float> moved(start.size()), apart(start.size());
  for (std::size_t i = 0; i < start.size(); ++i)
    moved[i] = b.theta[i] - start[i], apart[i] = a.theta[i] - start[i];
  std::cout << "BF16 training steps=" << steps << " nearest=" << nearest << " first=" << first
            << " bf16=" << last_bf16 << " fp32=" << last_fp32 << " apart=" << distance(apart, moved)
            << " most=" << most << " cap=" << cap << "\n";
}

TEST(CudaBf16Training, TheBitsDoNotDependOnTheOrderNorOnAResumption) {
  const OpList net = tiny_network(config_of());
  const auto go = [&](Arrays& a, int first, int last) {
    const Ptr p = cuda::compile(net, batch_of(), options_of(Mode::train, config_of()));
    const auto training = p->training({});
    training->put(a.in());
    for (int n = first; n < last; ++n) {
      step(*p, *training, net, n);
      if (training->in_flight() == 2) training->finish();
    }
    while (training->in_flight() > 0) training->finish();
    training->get(a.out());
  };
  Arrays expected(tiny_weights<float>(net));
  const int steps = is_slow() ? 3 : 5;
  go(expected, 0, steps);
  in_every_order([&] {
    Arrays whole(tiny_weights<float>(net)), halves = whole;
    go(whole, 0, steps);
    EXPECT_TRUE(whole == expected);
    go(halves, 0, 2);
    go(halves, 2, steps);
    EXPECT_TRUE(halves == expected);
  });
}

// Another's weights between two steps: the copies that products read are made anew for the next.
TEST(CudaBf16Training, AValidationBetweenStepsLeavesTheRunAsItIs) {
  const OpList net = tiny_network(config_of());
  std::vector<Arrays> ends;
  for (const bool validates : {false, true}) {
    const Ptr p = cuda::compile(net, batch_of(), options_of(Mode::train, config_of()));
    const auto training = p->training({});
    Arrays a(tiny_weights<float>(net));
    training->put(a.in());
    for (int n = 0; n < (is_slow() ? 2 : 4); ++n) {
      step(*p, *training, net, n);
      training->finish();
      if (validates) run(*p, tiny_weights<float>(net, 9));
    }
    training->get(a.out());
    ends.push_back(a);
  }
  EXPECT_TRUE(ends[0] == ends[1]);
}

#ifndef EMISOPT_ON_DEVICE
TEST(CudaBf16Training, AStepIsFp32sAndOneLaunchMoreInLessMemory) {
  const OpList net = tiny_network(config_of());
  std::uint64_t launches[2][2];  // fused, bf16
  std::size_t bytes[2];
  for (const bool fused : {false, true})
    for (const bool bf16 : {false, true}) {
      const OpByOp apart(!fused);
      const CompileOptions options =
          options_of(Mode::train, config_of(), bf16 ? Precision::bfloat16 : Precision::float32);
      const Ptr p = cuda::compile(net, batch_of(), options);
      const auto training = p->training({});
      training->put(Arrays(tiny_weights<float>(net)).in());
      const std::uint64_t before = cuda_host::counts().launches;
      step(*p, *training, net, 0);
      training->finish();
      launches[fused][bf16] = cuda_host::counts().launches - before;
      if (!fused) bytes[bf16] = cuda::compile(net, {256, 9, 6}, options)->cost().bytes;
    }
  EXPECT_EQ(launches[0][1], launches[0][0] + 1);  // the weights' rounding
  EXPECT_EQ(launches[1][1], launches[1][0] + 1);
  EXPECT_LT(launches[1][1], launches[0][1]);  // SwiGLU layers are one kernel in bf16, too
  EXPECT_LT(bytes[1], 0.65 * bytes[0]);
  std::cout << "BF16 launches=" << launches[0][1] << " fused=" << launches[1][1] << " bytes=" << bytes[1]
            << " of " << bytes[0] << "\n";
}
#endif

struct Both {
  Ptr gpu, cpu;
  std::vector<float> theta;
  Both(const OpList& net, const Shapes& shapes, CompileOptions options) : theta(tiny_weights<float>(net)) {
    gpu = cuda::compile(net, shapes, options);
    options.precision = Precision::float32;
    cpu = kernels::compile(net, shapes, options, Isa::ref);
    for (Program<float>* p : {gpu.get(), cpu.get()}) {
      fill_inputs(*p, net, shapes, Mode::train);
      run(*p, theta);
    }
  }
  double apart(std::size_t n) const { return distance(copy(gpu->gradient(), n), copy(cpu->gradient(), n)); }
  double ahead(const OpList& net) const {  // of the first window
    return relative_spread(net, theta, batch_of().history_tokens, batch_of().future_tokens, cpu->history(),
                           cpu->future());
  }
  double most_spread(const OpList& net, int id) const {
    std::set<std::string> fp32 = kFp32Values;
    fp32.insert("projection");
    const Bf16Bound bound(net, theta, fp32, batch_of().history_tokens, batch_of().future_tokens,
                          cpu->history(), cpu->future());
    double most = 0;
    for (const Rounded& x : bound.future(id)) most = std::max(most, x.spread());
    return most;
  }
};

TEST(CudaBf16Training, EveryPartOfTheLossIsFp32sWithinTheRounding) {
  CompileOptions options = options_of(Mode::train, config_of());
  options.loss = Loss::squared;
  options.multiscale = 0.4f, options.distill = 0.7f, options.distill_multiscale = 0.2f, options.hidden = 0.3f;
  // a projection, which is fp32, and a value in the middle of the network, which is shown as a copy
  OpList inside = tiny_network(config_of());
  for (int id = 0; id < static_cast<int>(inside.values.size()); ++id)
    if (inside.values[at(id)].name == "layers.0.add2") inside.hidden = id;
  for (const OpList& net : {test::tapped(tiny_network(config_of()), "norm", 5), inside}) {
    const Both both(net, batch_of(), options);
    EXPECT_LE(both.apart(net.parameter_count()), 2 * std::sqrt(2) * both.ahead(net));
    const LossParts a = both.gpu->loss_parts(), b = both.cpu->loss_parts();
    for (double LossParts::* part : {&LossParts::label, &LossParts::multiscale, &LossParts::distill,
                                     &LossParts::distill_multiscale, &LossParts::hidden}) {
      // mean squares of d + e: 2 sqrt(mean d^2 mean e^2) + mean e^2
      const double e = 2 * both.most_spread(net, part == &LossParts::hidden ? net.hidden : net.quantiles);
      EXPECT_NEAR(a.*part, b.*part, 2 * std::sqrt(b.*part) * e + e * e);
      EXPECT_GT(b.*part, 0);
    }
  }
}

TEST(CudaBf16Training, LowRankCorrectionsLearnAlone) {
  OpList net = tiny_network(config_of());
  std::vector<char> trainable(net.parameters.size(), 0);
  for (Op& op : net.ops)
    if (op.kind == OpKind::linear && op.rows == Rows::all) {
      op.lora_a =
          net.add_parameter("a" + std::to_string(op.y), {static_cast<int>(width(net, op.x)), 2}, true);
      op.lora_b =
          net.add_parameter("b" + std::to_string(op.y), {2, static_cast<int>(width(net, op.y))}, true);
    }
  const std::size_t base = net.parameters[trainable.size()].offset, n = net.parameter_count();
  trainable.resize(net.parameters.size(), 1);
  CompileOptions options = options_of(Mode::train, config_of());
  options.loss = Loss::squared;
  options.trainable = trainable;
  const Both both(net, batch_of(), options);
  const auto gradient = copy(both.gpu->gradient(), n);
  EXPECT_TRUE(std::all_of(gradient.begin(), gradient.begin() + static_cast<std::ptrdiff_t>(base),
                          [](float g) { return g == 0; }));
  EXPECT_LE(both.apart(n), 2 * std::sqrt(2) * both.ahead(net));
  TrainingOptions how;
  how.trainable = trainable;
  const auto training = both.gpu->training(how);
  Arrays a(tiny_weights<float>(net));
  const std::vector<float> before = a.theta;
  training->put(a.in());
  double first = 0, last = 0;
  const int steps = is_slow() ? 2 : 30;
  for (int s = 0; s < steps; ++s) {
    fill_inputs(*both.gpu, net, batch_of(), Mode::train);
    training->step(3e-3f, 0, s + 1);
    last = training->finish().loss;
    if (s == 0) first = last;
  }
  EXPECT_LT(last, first);  // the corrected weights are rounded anew at every step
  training->get(a.out());
  EXPECT_TRUE(
      std::equal(before.begin(), before.begin() + static_cast<std::ptrdiff_t>(base), a.theta.begin()));
  EXPECT_NE(before[base], a.theta[base]);
}

}  // namespace
}  // namespace emisopt::cuda_test
