// Training on the device against kernels::adamw on the CPU, and what a step may cost.
#include <algorithm>
#include <cmath>

#include "cuda_host/support.hpp"
#include "emisopt/base/error.hpp"
#include "kernels/cuda/program.hpp"
#include "support/tiny_network.hpp"

namespace emisopt::cuda_test {
namespace {

using namespace kernels;
using test::fill;
using test::tiny_network;
using test::tiny_weights;

// Small where every access is looked at.
Shapes shapes_of() { return is_slow() ? Shapes{2, 3, 2} : Shapes{4, 7, 5}; }
OpList network() { return tiny_network({.layers = is_slow() ? 1 : 2}); }

CompileOptions options_of() {
  CompileOptions options;
  options.mode = Mode::train;
  options.levels = {0.25f, 0.5f, 0.75f};
  return options;
}

// The batch of a step: all that the program reads.
void fill_batch(Program<float>& p, const OpList& net, int step) {
  const auto seed = static_cast<std::uint64_t>(10 * (step % 7));
  const auto rows = static_cast<std::size_t>(shapes_of().batch * shapes_of().future_tokens);
  const auto width = [&](int id) {
    return static_cast<std::size_t>(net.values[static_cast<std::size_t>(id)].width);
  };
  fill(p.history(),
       static_cast<std::size_t>(shapes_of().batch * shapes_of().history_tokens) * width(net.history),
       seed + 1);
  fill(p.future(), rows * width(net.future), seed + 2);
  fill(p.target(), rows * static_cast<std::size_t>(net.outputs), seed + 3);
  fill(p.weight(), rows * static_cast<std::size_t>(net.outputs), seed + 4);
}

struct Arrays {
  std::vector<float> theta, m, v, shadow;
  explicit Arrays(std::vector<float> weights)
      : theta(std::move(weights)), m(theta.size()), v(theta.size()), shadow(theta) {}
  TrainingArrays<float> out() { return {theta.data(), m.data(), v.data(), shadow.data()}; }
  TrainingArrays<const float> in() const { return {theta.data(), m.data(), v.data(), shadow.data()}; }
  bool operator==(const Arrays&) const = default;
};

float rate_of(int step) { return 1e-3f / static_cast<float>(1 + step % 3); }
float keep_of(int step) {
  return std::min(0.9f, (1.0f + static_cast<float>(step)) / (10.0f + static_cast<float>(step)));
}

// Steps `first` .. `last` - 1 with one step in flight while the next batch is written; losses by step.
std::vector<double> train_on_device(Program<float>& p, Training& training, const OpList& net, int first,
                                    int last) {
  std::vector<double> losses;
  for (int step = first; step < last; ++step) {
    fill_batch(p, net, step);
    training.step(rate_of(step), keep_of(step), step + 1);
    if (training.in_flight() == 2) losses.push_back(training.finish().loss);
  }
  while (training.in_flight() > 0) losses.push_back(training.finish().loss);
  return losses;
}

Arrays device_run(const OpList& net, const TrainingOptions& options, int steps, int broken = 0) {
  const auto p = cuda::compile(net, shapes_of(), options_of());
  Arrays a(tiny_weights<float>(net));
  const auto training = p->training(options);
  training->put(a.in());
  train_on_device(*p, *training, net, 0, broken);
  if (broken > 0) {  // another program goes on from what this one left
    training->get(a.out());
    const auto other = cuda::compile(net, shapes_of(), options_of());
    const auto rest = other->training(options);
    rest->put(a.in());
    train_on_device(*other, *rest, net, broken, steps);
    rest->get(a.out());
    return a;
  }
  train_on_device(*p, *training, net, 0, steps);
  training->get(a.out());
  return a;
}

// What the project promises: 200 steps, fp32, within 1e-4.
TEST(CudaTraining, TwoHundredStepsEndWhereTheCpuDoes) {
  const OpList net = network();
  const std::size_t n = net.parameter_count();
  const auto gpu = cuda::compile(net, shapes_of(), options_of());
  const auto cpu = kernels::compile(net, shapes_of(), options_of(), Isa::ref);
  std::vector<float> anchor = tiny_weights<float>(net, 5), pull(n, 0.5f), mask(n, 1.0f);
  std::fill_n(mask.begin(), n / 3, 0.0f);
  TrainingOptions options;
  options.decay = 0.01f, options.ewc = 0.02f, options.clip = 1, options.average = true;
  options.anchor = anchor.data(), options.fisher = pull.data(), options.decay_mask = mask.data();
  Arrays a(tiny_weights<float>(net)), b(tiny_weights<float>(net));
  const auto training = gpu->training(options);
  training->put(a.in());
  const int steps = is_slow() ? 12 : 200;
  const std::vector<double> losses = train_on_device(*gpu, *training, net, 0, steps);
  training->get(a.out());
  for (int step = 0; step < steps; ++step) {
    fill_batch(*cpu, net, step);
    cpu->load(b.theta.data());
    cpu->run();
    EXPECT_NEAR(losses[static_cast<std::size_t>(step)], cpu->loss(), 1e-4 * cpu->loss()) << step;
    AdamW o;
    o.rate = rate_of(step), o.decay = options.decay, o.ewc = options.ewc, o.step = step + 1;
    const double norm = std::sqrt(squared_norm(cpu->gradient(), n));
    o.clip_scale = norm > 1 ? static_cast<float>(1 / norm) : 1.0f;
    adamw(b.theta.data(), b.m.data(), b.v.data(), cpu->gradient(), mask.data(), anchor.data(), pull.data(), n,
          o, Isa::ref);
    for (std::size_t i = 0; i < n; ++i)
      b.shadow[i] = keep_of(step) * b.shadow[i] + (1 - keep_of(step)) * b.theta[i];
  }
  const auto wide = [](const std::vector<float>& x) { return std::vector<double>(x.begin(), x.end()); };
  expect_near(a.theta, wide(b.theta), 1e-4, "weights");
  expect_near(a.shadow, wide(b.shadow), 1e-4, "average");
  EXPECT_NE(a.theta, a.shadow);
}

TEST(CudaTraining, TheBitsDoNotDependOnTheOrderNorOnAResumption) {
  const OpList net = network();
  TrainingOptions options;
  options.average = true;
  const Arrays expected = device_run(net, options, 7);
  in_every_order([&] {
    EXPECT_TRUE(device_run(net, options, 7) == expected);
    EXPECT_TRUE(device_run(net, options, 7, 3) == expected);
  });
}

TEST(CudaTraining, WeightsThatDoNotTrainStayBitwiseAsTheyAre) {
  const OpList net = network();
  TrainingOptions options;
  options.decay = 0.1f;
  options.trainable.assign(net.parameters.size(), 0);
  options.trainable[3] = 1;
  const std::vector<float> before = tiny_weights<float>(net);
  const Arrays after = device_run(net, options, 3);
  const Parameter& moved = net.parameters[3];
  for (std::size_t i = 0; i < before.size(); ++i) {
    const bool moves = i >= moved.offset && i < moved.offset + moved.size();
    if (!moves) {
      ASSERT_EQ(before[i], after.theta[i]) << i;
    }
  }
  EXPECT_NE(before[moved.offset], after.theta[moved.offset]);
  EXPECT_NE(after.shadow[moved.offset], after.theta[moved.offset]);  // the weights one step ago
}

TEST(CudaTraining, AValidationBetweenStepsLeavesTheRunAsItIs) {
  const OpList net = network();
  const Arrays expected = device_run(net, {}, 6);
  in_every_order([&] {
    const auto p = cuda::compile(net, shapes_of(), options_of());
    Arrays a(tiny_weights<float>(net));
    const auto training = p->training({});
    training->put(a.in());
    for (int first = 0; first < 6; first += 3) {
      train_on_device(*p, *training, net, first, first + 3);
      fill_batch(*p, net, 5);
      p->load(tiny_weights<float>(net, 9).data());
      p->run();
      const double loss = p->loss();
      const auto cpu = kernels::compile(net, shapes_of(), options_of(), Isa::ref);
      fill_batch(*cpu, net, 5);
      cpu->load(tiny_weights<float>(net, 9).data());
      cpu->run();
      EXPECT_NEAR(loss, cpu->loss(), 1e-5);
    }
    training->get(a.out());
    EXPECT_TRUE(a == expected);
  });
}

TEST(CudaTraining, ALossThatIsNotFiniteStopsTheRunWithItsWeights) {
  const OpList net = network();
  in_every_order([&] {
    const auto p = cuda::compile(net, shapes_of(), options_of());
    Arrays a(tiny_weights<float>(net)), good = a;
    const auto training = p->training({});
    training->put(a.in());
    train_on_device(*p, *training, net, 0, 2);
    training->get(good.out());
    fill_batch(*p, net, 2);
    p->future()[0] = std::nanf("");
    training->step(1e-3f, 0, 3);
    fill_batch(*p, net, 3);
    training->step(1e-3f, 0, 4);  // in line before anybody has seen the loss
    EXPECT_FALSE(training->finish().finite);
    EXPECT_FALSE(training->finish().finite);
    training->get(a.out());
    EXPECT_TRUE(a == good);
  });
}

TEST(CudaTraining, SaysWhatIsOutOfTurn) {
  const OpList net = network();
  const auto p = cuda::compile(net, shapes_of(), options_of());
  TrainingOptions pull;
  pull.ewc = 1;
  EXPECT_THROW(p->training(pull), InputError);
  const auto training = p->training({});
  Arrays a(tiny_weights<float>(net));
  training->put(a.in());
  EXPECT_THROW(training->finish(), StateError);
  fill_batch(*p, net, 0);
  training->step(1e-3f, 0, 1);
  EXPECT_THROW(training->get(a.out()), StateError);
  fill_batch(*p, net, 1);
  training->step(1e-3f, 0, 2);
  EXPECT_THROW(training->step(1e-3f, 0, 3), StateError);
  EXPECT_THROW(cuda::compile(net, {1, 4, 3}, {})->training({}), StateError);
}

#ifndef EMISOPT_ON_DEVICE
TEST(CudaTraining, AStepIsOneGraphAndAllocatesNothing) {
  const OpList net = network();
  const auto p = cuda::compile(net, shapes_of(), options_of());
  const auto training = p->training({});
  training->put(Arrays(tiny_weights<float>(net)).in());
  train_on_device(*p, *training, net, 0, 2);  // each set's graph is captured once
  const cuda_host::RuntimeCounts before = cuda_host::runtime_counts();
  const std::uint64_t launches = cuda_host::counts().launches;
  fill_batch(*p, net, 2);
  training->step(1e-3f, 0, 3);
  EXPECT_EQ(cuda_host::runtime_counts().graphs, before.graphs + 1);
  EXPECT_EQ(cuda_host::runtime_counts().allocations, before.allocations);
  EXPECT_EQ(cuda_host::runtime_counts().waits, before.waits + 1);  // for a copy of the step before last
  training->finish();
  EXPECT_GT(cuda_host::counts().launches, launches);  // and does work
}
#endif

}  // namespace
}  // namespace emisopt::cuda_test
