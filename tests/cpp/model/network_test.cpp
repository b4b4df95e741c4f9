#include "emisopt/model/network.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/error.hpp"
#include "model/toy_plant.hpp"

namespace emisopt {
namespace {

constexpr int kHistoryWidth = 5, kFutureWidth = 7, kOutputs = 2;

kernels::OpList network(const ForecasterConfig& c) {
  return make_network(c, kHistoryWidth, kFutureWidth, kOutputs);
}

const kernels::Parameter& parameter(const kernels::OpList& ops, const std::string& name) {
  for (const kernels::Parameter& p : ops.parameters)
    if (p.name == name) return p;
  throw InputError("no parameter " + name);
}

TEST(Network, CompilesForEveryShapeOfHeadsAndLayers) {
  for (const int kv_heads : {0, 1, 2})
    for (const int layers : {1, 3}) {
      ForecasterConfig c = toy::config();
      c.kv_heads = kv_heads;
      c.layers = layers;
      kernels::CompileOptions options;
      EXPECT_NO_THROW(kernels::compile(network(c), {1, 6, 4}, options, kernels::Isa::ref));
    }
}

TEST(Network, HasTheWeightsOfItsEquations) {
  const ForecasterConfig c = toy::config();  // d 16, 4 heads of 4, 2 key heads, inner 48, 3 levels
  const std::size_t layer = 16 + 16 * (16 + 2 * 8) + 16 * 16 + 16 + 16 * 2 * 48 + 48 * 16;
  const std::size_t rest =
      (kHistoryWidth + 1) * 16 + (kFutureWidth + 1) * 16 + 16 + (16 + 1) * 6 + kFutureWidth * 6;
  EXPECT_EQ(network(c).parameter_count(), 2 * layer + rest);
}

TEST(Network, WeightsAreAFunctionOfTheSeed) {
  ForecasterConfig c = toy::config();
  const std::vector<float> a = initial_weights(network(c), c);
  EXPECT_EQ(a, initial_weights(network(c), c));
  c.seed = 4;
  EXPECT_NE(a, initial_weights(network(c), c));
}

TEST(Network, StartsAtTheAnchorWithANormalSpread) {
  const ForecasterConfig c = toy::config();
  const kernels::OpList ops = network(c);
  const std::vector<float> theta = initial_weights(ops, c);
  kernels::CompileOptions options;
  const auto program = kernels::compile(ops, {1, 6, 4}, options, kernels::Isa::ref);
  program->load(theta.data());
  Rng rng(1);
  for (int i = 0; i < 6 * kHistoryWidth; ++i) program->history()[i] = static_cast<float>(rng.normal());
  for (int i = 0; i < 4 * kFutureWidth; ++i) program->future()[i] = static_cast<float>(rng.normal());
  program->run_context();
  program->run();
  for (int i = 0; i < 4 * kOutputs; ++i) {
    const float* q = program->quantiles() + 3 * i;
    EXPECT_EQ(q[1], 0.0f);  // exactly: the head's median and the skip are zero
    // 0.5 * 1.28155 is the 90 % point; the head's 0.02 rms moves it by 0.02 * 4 = 0.08 per sd at most.
    EXPECT_NEAR(q[2], 0.6408, 0.25);
    EXPECT_NEAR(q[0], -0.6408, 0.25);
  }
}

TEST(Network, DecaysMatricesOnly) {
  const ForecasterConfig c = toy::config();
  const kernels::OpList ops = network(c);
  const std::vector<float> mask = decay_mask(ops);
  ASSERT_EQ(mask.size(), ops.parameter_count());
  for (const kernels::Parameter& p : ops.parameters)
    EXPECT_EQ(mask[p.offset], p.shape.size() == 2 ? 1.0f : 0.0f) << p.name;
}

TEST(Network, WeightGradientMatchesFiniteDifferencesInDouble) {
  const ForecasterConfig c = toy::config();
  const kernels::OpList ops = network(c);
  std::vector<double> theta;
  for (float w : initial_weights(ops, c)) theta.push_back(static_cast<double>(w));
  Rng rng(2);
  for (double& w : theta) w += 0.1 * rng.normal();
  kernels::CompileOptions options;
  options.mode = kernels::Mode::train;
  options.levels = {0.1f, 0.5f, 0.9f};
  const auto program = kernels::compile_f64(ops, {2, 6, 4}, options);
  for (int i = 0; i < 2 * 6 * kHistoryWidth; ++i) program->history()[i] = rng.normal();
  for (int i = 0; i < 2 * 4 * kFutureWidth; ++i) program->future()[i] = rng.normal();
  for (int i = 0; i < 2 * 4 * kOutputs; ++i) {
    program->target()[i] = rng.normal();
    program->weight()[i] = i == 3 ? 0 : 1;
  }
  const auto loss_at = [&] {
    program->load(theta.data());
    program->run();
    return program->loss();
  };
  loss_at();
  const std::vector<double> gradient(program->gradient(), program->gradient() + theta.size());
  double largest = 0;
  for (double g : gradient) largest = std::max(largest, std::abs(g));
  // A few weights of every parameter. The pinball's kinks have measure zero; step^2 and eps / step are <
  // 1e-9.
  for (const kernels::Parameter& p : ops.parameters)
    for (int k = 0; k < 4; ++k) {
      const std::size_t i =
          p.offset + static_cast<std::size_t>(rng.below(static_cast<std::int64_t>(p.size())));
      const double kept = theta[i], step = 1e-6;
      theta[i] = kept + step;
      const double up = loss_at();
      theta[i] = kept - step;
      const double down = loss_at();
      theta[i] = kept;
      EXPECT_NEAR(gradient[i], (up - down) / (2 * step), 1e-6 * largest) << p.name;
    }
}

TEST(Network, DepthDoesNotMoveTheWeightsBefore) {
  ForecasterConfig c = toy::config();
  const kernels::OpList shallow = network(c);
  const std::vector<float> a = initial_weights(shallow, c);
  const float first = a[parameter(shallow, "layers.0.qkv.weight").offset];
  c.layers = 3;
  const kernels::OpList deep = network(c);
  EXPECT_EQ(initial_weights(deep, c)[parameter(deep, "layers.0.qkv.weight").offset], first);
}

TEST(Network, ParametersAreChosenByTheBeginningOfTheirNames) {
  const kernels::OpList ops = network(toy::config());
  const std::vector<char> head = trainable_by_name(ops, {"head.", "skip."});
  ASSERT_EQ(head.size(), ops.parameters.size());
  for (std::size_t p = 0; p < head.size(); ++p) {
    const std::string& name = ops.parameters[p].name;
    EXPECT_EQ(head[p] != 0, name == "head.weight" || name == "head.bias" || name == "skip.weight") << name;
  }
  EXPECT_NE(toy::message_of<InputError>([&] {
              trainable_by_name(ops, {"haed"});
            }).find("expected the beginning of a parameter's name, got 'haed'"),
            std::string::npos);
}

}  // namespace
}  // namespace emisopt
