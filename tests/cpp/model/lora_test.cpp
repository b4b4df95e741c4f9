#include "emisopt/model/lora.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "emisopt/base/error.hpp"
#include "emisopt/model/network.hpp"
#include "model/toy_plant.hpp"
#include "support/gradcheck.hpp"
#include "support/tiny_network.hpp"

namespace emisopt {
namespace {

constexpr int kHistoryWidth = 5, kFutureWidth = 7, kOutputs = 2, kBatch = 3, kPast = 6, kSteps = 4;

kernels::OpList base() { return make_network(toy::config(), kHistoryWidth, kFutureWidth, kOutputs); }

std::vector<float> awake(const kernels::OpList& ops) {
  std::vector<float> theta = initial_weights(ops, toy::config());
  Rng rng(9);
  for (float& w : theta) w += static_cast<float>(0.1 * rng.normal());
  return theta;
}

kernels::CompileOptions training(std::vector<char> trainable = {}) {
  kernels::CompileOptions o;
  o.mode = kernels::Mode::train;
  o.threads = 1;
  o.levels = {0.1f, 0.5f, 0.9f};
  o.trainable = std::move(trainable);
  return o;
}

template <class T>
void fill(kernels::Program<T>& p) {
  test::fill(p.history(), kBatch * kPast * kHistoryWidth, 1);
  test::fill(p.future(), kBatch * kSteps * kFutureWidth, 2);
  test::fill(p.target(), kBatch * kSteps * kOutputs, 3);
  std::fill_n(p.weight(), kBatch * kSteps * kOutputs, T(1));
}

std::vector<float> forecast(const kernels::OpList& ops, const std::vector<float>& theta) {
  kernels::CompileOptions o;
  o.threads = 1;
  auto p = kernels::compile(ops, {1, kPast, kSteps}, o, kernels::isa_level());
  test::fill(p->history(), kPast * kHistoryWidth, 1);
  test::fill(p->future(), kSteps * kFutureWidth, 2);
  p->load(theta.data());
  p->run_context();
  p->run();
  return {p->quantiles(), p->quantiles() + kSteps * kOutputs * 3};
}

std::vector<std::string> everywhere() {
  std::vector<std::string> names = kBlockLinears;
  for (const char* more : {"head", "skip", "embed_history", "embed_future"}) names.push_back(more);
  return names;
}

TEST(Lora, TheFirstForecastIsTheBases) {
  const kernels::OpList ops = base();
  const std::vector<float> theta = awake(ops);
  for (const std::vector<std::string>& linears : {kBlockLinears, everywhere(), {"layers.1.qkv"}}) {
    const Lora lora = with_lora(ops, 2, linears);
    EXPECT_EQ(forecast(lora.network, lora.start(theta, 1)), forecast(ops, theta));
    std::vector<float> merged = theta;
    lora.merge(lora.start(theta, 1), merged);
    EXPECT_EQ(merged, theta);
  }
}

TEST(Lora, GradientsOfTheAdaptersMatchFiniteDifferences) {
  const kernels::OpList ops = base();
  const Lora lora = with_lora(ops, 2, everywhere());
  const std::vector<float> start = lora.start(awake(ops), 1);
  std::vector<double> theta(start.begin(), start.end());
  test::fill(theta.data() + lora.base_count, theta.size() - lora.base_count, 4, 0.3);
  auto program = kernels::compile_f64(lora.network, {kBatch, kPast, kSteps}, training(lora.trainable));
  fill(*program);
  auto run = [&] {
    program->load(theta.data());
    program->run();
    return program->loss();
  };
  run();
  const std::vector<double> gradient(program->gradient(), program->gradient() + theta.size());
  for (std::size_t i = 0; i < lora.base_count; ++i) ASSERT_EQ(gradient[i], 0) << i;
  test::expect_gradient(gradient.data() + lora.base_count, theta.data() + lora.base_count,
                        theta.size() - lora.base_count, run);
}

TEST(Lora, MergedWeightsForecastTheSame) {
  const kernels::OpList ops = base();
  const Lora lora = with_lora(ops, 3, everywhere());
  const std::vector<float> start = lora.start(awake(ops), 1);
  std::vector<double> theta(start.begin(), start.end());
  test::fill(theta.data() + lora.base_count, theta.size() - lora.base_count, 4, 0.3);
  std::vector<double> merged(theta.begin(), theta.begin() + static_cast<long>(lora.base_count));
  lora.merge(theta, merged);
  const auto quantiles = [](const kernels::OpList& network, const std::vector<double>& weights) {
    kernels::CompileOptions o;
    o.threads = 1;
    auto p = kernels::compile_f64(network, {1, kPast, kSteps}, o);
    test::fill(p->history(), kPast * kHistoryWidth, 1);
    test::fill(p->future(), kSteps * kFutureWidth, 2);
    p->load(weights.data());
    p->run_context();
    p->run();
    return std::vector<double>(p->quantiles(), p->quantiles() + kSteps * kOutputs * 3);
  };
  const std::vector<double> with = quantiles(lora.network, theta), one = quantiles(ops, merged);
  const std::vector<double> before =
      quantiles(ops, {theta.begin(), theta.begin() + static_cast<long>(lora.base_count)});
  double moved = 0;
  for (std::size_t i = 0; i < one.size(); ++i) {
    EXPECT_NEAR(with[i], one[i], 1e-12);
    moved = std::max(moved, std::abs(with[i] - before[i]));
  }
  EXPECT_GT(moved, 0.01) << "the adapters do nothing: the test shows nothing";
}

TEST(Lora, OnlyTheAdaptersMoveAndTheLossFalls) {
  const kernels::OpList ops = base();
  const Lora lora = with_lora(ops, 2);
  std::vector<float> theta = lora.start(awake(ops), 1), m(theta.size()), v(theta.size());
  const std::vector<float> start = theta;
  auto program =
      kernels::compile(lora.network, {kBatch, kPast, kSteps}, training(lora.trainable), kernels::isa_level());
  fill(*program);
  double first = 0;
  for (int step = 1; step <= 60; ++step) {
    program->load(theta.data());
    program->run();
    if (step == 1) first = program->loss();
    kernels::AdamW adam;
    adam.rate = 1e-2f;
    adam.decay = 0.1f;  // would move frozen weights, were they passed over
    adam.step = step;
    for (const kernels::Range& r : kernels::trainable_ranges(lora.network, lora.trainable))
      kernels::adamw(theta.data() + r.offset, m.data() + r.offset, v.data() + r.offset,
                     program->gradient() + r.offset, nullptr, nullptr, nullptr, r.count, adam,
                     kernels::isa_level());
  }
  EXPECT_LT(program->loss(), 0.9 * first);
  EXPECT_EQ(std::memcmp(theta.data(), start.data(), lora.base_count * sizeof(float)), 0);
  for (const Lora::Adapter& adapter : lora.adapters)
    for (const int id : {adapter.a, adapter.b}) {
      const kernels::Parameter& p = lora.network.parameters[static_cast<std::size_t>(id)];
      EXPECT_NE(std::memcmp(theta.data() + p.offset, start.data() + p.offset, p.size() * sizeof(float)), 0)
          << p.name;
    }
  std::vector<float> merged(start.begin(), start.begin() + static_cast<long>(lora.base_count));
  lora.merge(theta, merged);
  const std::vector<float> a = forecast(ops, merged), b = forecast(lora.network, theta);
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-4);
}

TEST(Lora, CostsLessThanAFullStep) {
  ForecasterConfig c;  // of a usual size: rank 4 of 16 would be half the work
  c.width = 128;
  c.layers = 3;
  const kernels::OpList ops = make_network(c, kHistoryWidth, kFutureWidth, kOutputs);
  const Lora lora = with_lora(ops, 4);
  const auto flop = [&](const kernels::OpList& network, std::vector<char> trainable) {
    kernels::CompileOptions o = training(std::move(trainable));
    o.levels.assign(c.quantiles.begin(), c.quantiles.end());
    return kernels::compile(network, {1, 96, 24}, o, kernels::isa_level())->cost().flop;
  };
  EXPECT_LT(flop(lora.network, lora.trainable), 0.8 * flop(ops, {}));
}

TEST(Lora, LastBlocksAreCountedFromTheEnd) {
  const kernels::OpList two = base();
  const std::vector<std::string> last = {"layers.1.qkv", "layers.1.attention_out", "layers.1.gate_up",
                                         "layers.1.down"};
  EXPECT_EQ(last_block_linears(two), last);
  EXPECT_EQ(last_block_linears(two, 1), last);
  EXPECT_EQ(last_block_linears(two, 2).size(), 8u);
  EXPECT_EQ(last_block_linears(two, 1 << 20), last_block_linears(two, 2));
  ForecasterConfig five = toy::config();
  five.layers = 5;
  EXPECT_EQ(last_block_linears(make_network(five, kHistoryWidth, kFutureWidth, kOutputs)).front(),
            "layers.3.qkv");
  five.layers = 1;
  EXPECT_EQ(last_block_linears(make_network(five, kHistoryWidth, kFutureWidth, kOutputs)).front(),
            "layers.0.qkv");
  EXPECT_EQ(toy::message_of<InputError>([&] { last_block_linears(two, -1); }),
            "last_block_linears(blocks): expected 0 or more, got -1");
  EXPECT_THROW(last_block_linears({}), InputError);
}

TEST(Lora, RefusesWhatItCannotAdapt) {
  const kernels::OpList ops = base();
  const auto said = [&](int rank, const std::vector<std::string>& names) {
    return toy::message_of<InputError>([&] { with_lora(ops, rank, names); });
  };
  EXPECT_EQ(said(0, kBlockLinears), "with_lora(rank): expected 1..256, got 0");
  EXPECT_NE(said(17, kBlockLinears).find("expected at most the shorter side of layers.0.qkv.weight, 16"),
            std::string::npos);
  EXPECT_EQ(said(2, {}), "with_lora(linears): expected at least one linear op, got none");
  EXPECT_NE(said(2, {"layers.0.qvk"}).find("got 'layers.0.qvk'; did you mean 'layers.0.qkv'"),
            std::string::npos)
      << said(2, {"layers.0.qvk"});
  const Lora lora = with_lora(ops, 2);
  std::vector<float> theta(lora.base_count), short_one(3);
  EXPECT_THROW(lora.start(short_one, 1), ShapeError);
  EXPECT_THROW(lora.start(theta, 1, 0), InputError);
  EXPECT_THROW(lora.merge(theta, theta), ShapeError);
  const std::vector<float> adapted = lora.start(theta, 1);
  EXPECT_THROW(lora.merge(adapted, short_one), ShapeError);
}

}  // namespace
}  // namespace emisopt
