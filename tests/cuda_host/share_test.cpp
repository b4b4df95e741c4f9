// Programs that read one program's weights and cached history on the device.
#include <algorithm>

#include "cuda_host/support.hpp"
#include "emisopt/base/error.hpp"
#include "kernels/cuda/program.hpp"
#include "support/tiny_network.hpp"

namespace emisopt::cuda_test {
namespace {

using namespace kernels;
using test::fill;

using Ptr = std::unique_ptr<Program<float>>;
constexpr int kPast = 6, kSteps = 4;
const test::TinyConfig kConfig{.width = 16, .heads = 4, .kv_heads = 2};
constexpr std::size_t kIn = kSteps * 3, kOut = kSteps * 6, kHistory = kPast * 5;

Ptr make(Mode mode, int batch = 1, const OpList& net = test::tiny_network(kConfig)) {
  CompileOptions o;
  o.mode = mode;
  o.seeds = {{0, 1}, {1, 2}};
  o.directions = {{0, 3}, {2, 2}};
  o.levels = test::tiny_levels(kConfig);
  Ptr p = cuda::compile(net, {batch, kPast, kSteps}, o);
  fill(p->future(), static_cast<std::size_t>(batch) * kIn, 2);
  if (p->seed()) fill(p->seed(), static_cast<std::size_t>(batch) * kOut, 3);
  if (p->direction()) fill(p->direction(), 2 * kIn, 4);
  return p;
}

std::vector<float> answers(Program<float>& p, Mode mode) {
  std::vector<float> all(p.quantiles(), p.quantiles() + kOut);
  const auto add = [&](const float* from, std::size_t count) { all.insert(all.end(), from, from + count); };
  if (mode == Mode::vjp) add(p.future_gradient(), kIn);
  if (mode == Mode::jacobian) add(p.jacobian(), 2 * kSteps * kIn);
  if (mode == Mode::tangent) add(p.tangent(), 2 * kOut);
  return all;
}

const Mode kModes[] = {Mode::infer, Mode::vjp, Mode::jacobian, Mode::tangent};

TEST(CudaShare, GivesTheBitsOfAProgramOnItsOwn) {
  const OpList net = test::tiny_network(kConfig);
  for (const Mode head_mode : kModes)
    for (const Mode mode : kModes) {
      if (is_slow() && (head_mode != Mode::infer || mode == Mode::infer)) continue;
      Ptr head = make(head_mode, head_mode == Mode::vjp ? 3 : 1), own = make(mode), shared = make(mode);
      if (mode == Mode::infer) {  // also one that has already run, and captured its graph, by itself
        shared->load(test::tiny_weights<float>(net, 5).data());
        shared->run_context();
        shared->run();
      }
      const std::size_t before = shared->cost().bytes;
      ASSERT_TRUE(shared->share(*head));
      EXPECT_LE(shared->cost().bytes, before - net.parameter_count() * sizeof(float));
      EXPECT_EQ(shared->history(), head->history());
      for (const std::uint64_t seed : {1u, 2u}) {
        const auto theta = test::tiny_weights<float>(net, seed);
        for (auto* p : {head.get(), own.get(), shared.get()}) p->load(theta.data());
        fill(head->history(), kHistory, seed + 6);
        fill(own->history(), kHistory, seed + 6);
        EXPECT_THROW(shared->run(), StateError);  // the context belongs to the weights before
        shared->run_context();
        own->run_context();
        own->run();
        head->run();
        shared->run();
        EXPECT_EQ(answers(*shared, mode), answers(*own, mode));
      }
    }
}

TEST(CudaShare, WhatDoesNotFitIsNotShared) {
  const OpList net = test::tiny_network(kConfig);
  Ptr head = make(Mode::infer), train = make(Mode::train), reader = make(Mode::vjp);
  EXPECT_FALSE(train->share(*head));
  EXPECT_FALSE(head->share(*train));
  EXPECT_FALSE(head->share(*head));
  EXPECT_FALSE(head->share(*compile(net, {1, kPast, kSteps}, {}, Isa::ref)));
  EXPECT_FALSE(cuda::compile(net, {1, kPast - 1, kSteps}, {})->share(*head));
  test::TinyConfig other = kConfig;
  other.feedforward += 4;
  EXPECT_FALSE(make(Mode::infer, 1, test::tiny_network(other))->share(*head));
  OpList flatter = net;
  for (Op& op : flatter.ops) op.rope_base = 500;
  EXPECT_FALSE(make(Mode::infer, 1, flatter)->share(*head));
  ASSERT_TRUE(reader->share(*head));
  EXPECT_FALSE(head->share(*make(Mode::infer)));     // its weights are another's too
  EXPECT_TRUE(make(Mode::tangent)->share(*reader));  // of the head
  const auto theta = test::tiny_weights<float>(net);
  EXPECT_THROW(reader->run_context(), StateError);
  head->load(theta.data());
  EXPECT_THROW(reader->run(), StateError);  // load() both
  reader->load(theta.data());
  reader->run_context();
  EXPECT_NO_THROW(reader->run());
}

}  // namespace
}  // namespace emisopt::cuda_test
