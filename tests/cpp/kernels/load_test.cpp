// Weights in and their gradients out: low-rank corrections against the plain network with the weights that
// they make, the same bits for any number of threads, slots that begin anew, no allocation.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>

#include "kernels/plan.hpp"
#include "support/allocations.hpp"
#include "support/tiny_network.hpp"

namespace emisopt::kernels {
namespace {

constexpr int kHistoryRows = 19, kSteps = 14;

test::TinyConfig config() {
  test::TinyConfig c;
  c.width = 24;
  c.heads = 4;
  c.kv_heads = 2;
  c.feedforward = 20;
  c.levels = 5;
  c.middle = 2;
  return c;
}

// The network with a correction of each linear op inside the layers from `first_layer` on.
struct Corrected {
  OpList net;
  std::vector<char> trainable;  // the corrections alone
  std::vector<Op> ops;          // that have one
};

Corrected corrected(int rank, int first_layer = 0) {
  Corrected c{test::tiny_network(config()), {}, {}};
  std::vector<Parameter> base = c.net.parameters;
  for (Op& op : c.net.ops) {
    if (op.kind != OpKind::linear) continue;
    const Parameter& w = base[static_cast<std::size_t>(op.w)];
    if (!w.name.starts_with("layers.") || w.name[7] - '0' < first_layer) continue;
    op.lora_a = c.net.add_parameter(w.name + ".a", {w.shape[0], rank}, true);
    op.lora_b = c.net.add_parameter(w.name + ".b", {rank, w.shape[1]}, true);
    c.ops.push_back(op);
  }
  c.trainable.assign(c.net.parameters.size(), 1);
  std::fill_n(c.trainable.begin(), base.size(), 0);
  return c;
}

const Parameter& parameter(const OpList& net, int id) { return net.parameters[static_cast<std::size_t>(id)]; }

CompileOptions training(int threads, std::vector<char> trainable) {
  CompileOptions o;
  o.mode = Mode::train;
  o.threads = threads;
  o.levels = test::tiny_levels(config());
  o.trainable = std::move(trainable);
  return o;
}

template <class T>
void fill(Program<T>& p, int batch) {
  const auto n = static_cast<std::size_t>(batch);
  const test::TinyConfig c = config();
  test::fill(p.history(), n * static_cast<std::size_t>(kHistoryRows * c.history_width), 1);
  test::fill(p.future(), n * static_cast<std::size_t>(kSteps * c.future_width), 2);
  test::fill(p.target(), n * static_cast<std::size_t>(kSteps * c.outputs), 4);
  std::fill_n(p.weight(), n * static_cast<std::size_t>(kSteps * c.outputs), T(1));
}

template <class T>
std::vector<T> gradient(Program<T>& p, const std::vector<T>& theta) {
  p.load(theta.data());
  p.run();
  return {p.gradient(), p.gradient() + theta.size()};
}

// Weights as the corrections make them, in the plain network's layout.
std::vector<double> merged(const Corrected& c, const std::vector<double>& theta, std::size_t count) {
  std::vector<double> out(theta.begin(), theta.begin() + static_cast<long>(count));
  for (const Op& op : c.ops) {
    const Parameter &w = parameter(c.net, op.w), &a = parameter(c.net, op.lora_a),
                    &b = parameter(c.net, op.lora_b);
    const int rank = a.shape[1], cols = w.shape[1];
    for (int i = 0; i < w.shape[0]; ++i)
      for (int j = 0; j < cols; ++j)
        for (int r = 0; r < rank; ++r)
          out[w.offset + static_cast<std::size_t>(i * cols + j)] +=
              theta[a.offset + static_cast<std::size_t>(i * rank + r)] *
              theta[b.offset + static_cast<std::size_t>(r * cols + j)];
  }
  return out;
}

constexpr int kBatch = 17;  // slots of two or three windows

// What the chain rule makes of the whole weight's gradient: dA = dW Bᵀ, dB = Aᵀ dW.
std::vector<double> by_chain_rule(const Corrected& c, const std::vector<double>& theta) {
  const OpList plain = test::tiny_network(config());
  auto p = compile_f64(plain, {kBatch, kHistoryRows, kSteps}, training(1, {}));
  fill(*p, kBatch);
  const std::vector<double> dw = gradient(*p, merged(c, theta, plain.parameter_count()));
  std::vector<double> out(theta.size());
  for (const Op& op : c.ops) {
    const Parameter &w = parameter(c.net, op.w), &a = parameter(c.net, op.lora_a),
                    &b = parameter(c.net, op.lora_b);
    const int rank = a.shape[1], cols = w.shape[1];
    for (int i = 0; i < w.shape[0]; ++i)
      for (int j = 0; j < cols; ++j)
        for (int r = 0; r < rank; ++r) {
          const double d = dw[w.offset + static_cast<std::size_t>(i * cols + j)];
          const auto ir = a.offset + static_cast<std::size_t>(i * rank + r),
                     rj = b.offset + static_cast<std::size_t>(r * cols + j);
          out[ir] += d * theta[rj];
          out[rj] += d * theta[ir];
        }
  }
  return out;
}

std::vector<double> rounded_weights(const OpList& net) {
  std::vector<double> theta = test::tiny_weights<double>(net);
  for (double& w : theta) w = static_cast<double>(static_cast<float>(w));
  return theta;
}

// Small ranks go by products of that rank, large ones by the weight's own gradient; both are asked for.
TEST(Load, GradientsOfCorrectionsAreThoseOfTheWeightsThatTheyMake) {
  for (const auto& [rank, first_layer] : {std::pair{1, 0}, {3, 0}, {3, 1}, {16, 0}}) {
    SCOPED_TRACE("rank " + std::to_string(rank) + " from layer " + std::to_string(first_layer));
    const Corrected c = corrected(rank, first_layer);
    const CompileOptions options = training(1, c.trainable);
    const Plan plan = make_plan(c.net, {kBatch, kHistoryRows, kSteps}, options);
    for (const Op& op : c.ops) EXPECT_EQ(plan.stays_low(op, 7 * kSteps), rank < 16);
    const std::vector<double> theta = rounded_weights(c.net), expected = by_chain_rule(c, theta);
    double size = 0;
    for (const double d : expected) size = std::max(size, std::abs(d));
    ASSERT_GT(size, 1e-3);
    auto p = compile_f64(c.net, {kBatch, kHistoryRows, kSteps}, options);
    fill(*p, kBatch);
    const std::vector<double> got = gradient(*p, theta);
    for (std::size_t i = 0; i < theta.size(); ++i) ASSERT_NEAR(got[i], expected[i], 1e-12 * size) << i;

    const std::vector<float> weights(theta.begin(), theta.end());
    for (const Isa isa : isa_available()) {
      auto q = compile(c.net, {kBatch, kHistoryRows, kSteps}, training(2, c.trainable), isa);
      fill(*q, kBatch);
      const std::vector<float> found = gradient(*q, weights);
      for (std::size_t i = 0; i < theta.size(); ++i)
        ASSERT_NEAR(found[i], expected[i], 3e-4 * size) << to_string(isa) << ' ' << i;
    }
  }
}

class LoadEveryIsa : public testing::TestWithParam<Isa> {};

TEST_P(LoadEveryIsa, TheBitsDoNotDependOnTheThreads) {
  for (const int rank : {3, 16}) {
    const Corrected c = corrected(rank);
    const std::vector<float> theta = test::tiny_weights<float>(c.net);
    std::vector<float> one;
    for (const int threads : {1, 2, 5}) {
      auto p = compile(c.net, {kBatch, kHistoryRows, kSteps}, training(threads, c.trainable), GetParam());
      fill(*p, kBatch);
      const std::vector<float> got = gradient(*p, theta);
      if (threads == 1) one = got;
      ASSERT_EQ(std::memcmp(got.data(), one.data(), one.size() * sizeof(float)), 0) << threads << " threads";
    }
  }
}

// A network whose panels are worth several threads.
TEST_P(LoadEveryIsa, LargeWeightsArePackedByAllThreadsAlike) {
  test::TinyConfig large = config();
  large.width = 96;
  large.feedforward = 200;
  const OpList net = test::tiny_network(large);
  const std::vector<float> theta = test::tiny_weights<float>(net);
  std::vector<float> one;
  for (const int threads : {1, 2, 5}) {
    auto p = compile(net, {2, kHistoryRows, kSteps}, training(threads, {}), GetParam());
    fill(*p, 2);
    const std::vector<float> got = gradient(*p, theta);
    if (threads == 1) one = got;
    ASSERT_EQ(std::memcmp(got.data(), one.data(), one.size() * sizeof(float)), 0) << threads << " threads";
  }
}

TEST_P(LoadEveryIsa, ASlotForgetsTheStepBefore) {
  for (const bool low : {false, true}) {
    const Corrected c = low ? corrected(3) : Corrected{test::tiny_network(config()), {}, {}};
    const std::vector<float> theta = test::tiny_weights<float>(c.net);
    auto p = compile(c.net, {kBatch, kHistoryRows, kSteps}, training(2, c.trainable), GetParam());
    fill(*p, kBatch);
    const std::vector<float> before = gradient(*p, theta);
    p->history()[3] = std::nanf("");
    EXPECT_TRUE(std::isnan(squared_norm(gradient(*p, theta).data(), theta.size())));
    fill(*p, kBatch);
    EXPECT_EQ(gradient(*p, theta), before);
  }
}

TEST_P(LoadEveryIsa, AStepWithCorrectionsAllocatesNothing) {
  const Corrected c = corrected(3);
  std::vector<float> theta = test::tiny_weights<float>(c.net), m(theta.size()), v(theta.size());
  auto p = compile(c.net, {kBatch, kHistoryRows, kSteps}, training(2, c.trainable), GetParam());
  fill(*p, kBatch);
  const std::vector<Range> ranges = trainable_ranges(c.net, c.trainable);
  ASSERT_EQ(ranges.size(), 1u);
  const std::size_t at = ranges[0].offset;
  const long before = test::allocations();
  for (int i = 1; i <= (GetParam() == Isa::ref ? 5 : 300); ++i) {
    p->load(theta.data());
    p->run();
    adamw(theta.data() + at, m.data() + at, v.data() + at, p->gradient() + at, nullptr, nullptr, nullptr,
          ranges[0].count, {.step = i, .threads = 2}, GetParam());
  }
  EXPECT_EQ(test::allocations(), before);
  EXPECT_GT(before, 0) << "the counter is not linked in";
  EXPECT_TRUE(std::isfinite(p->loss()));
}

INSTANTIATE_TEST_SUITE_P(Isa, LoadEveryIsa, testing::ValuesIn(isa_available()),
                         [](const auto& info) { return std::string(to_string(info.param)); });

TEST(Load, CorrectionsSpareTheWeightGradientAndWhatLiesBelow) {
  const auto flop = [](const Corrected& c, std::vector<char> trainable) {
    return compile(c.net, {kBatch, kHistoryRows, kSteps}, training(1, std::move(trainable)), Isa::ref)
        ->cost()
        .flop;
  };
  const Corrected all = corrected(1), upper = corrected(1, 1);
  const double full = flop({test::tiny_network(config()), {}, {}}, {});
  EXPECT_LT(flop(all, all.trainable), 0.85 * full);
  EXPECT_LT(flop(upper, upper.trainable), 0.8 * flop(all, all.trainable));
}

}  // namespace
}  // namespace emisopt::kernels
