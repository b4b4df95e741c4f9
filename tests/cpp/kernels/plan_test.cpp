// Which weights train: what leads to none of them is not run backward, and the rest keeps its bits.
#include "kernels/plan.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "support/tiny_network.hpp"

namespace emisopt::kernels {
namespace {

constexpr int kBatch = 5, kPast = 6, kSteps = 4;

std::vector<char> named(const OpList& net, const std::vector<std::string>& parts) {
  std::vector<char> chosen;
  for (const Parameter& p : net.parameters) {
    bool hit = false;
    for (const std::string& part : parts) hit |= p.name.find(part) != std::string::npos;
    chosen.push_back(hit);
  }
  return chosen;
}

CompileOptions options(const test::TinyConfig& c, std::vector<char> trainable) {
  CompileOptions o;
  o.mode = Mode::train;
  o.threads = 1;
  o.levels = test::tiny_levels(c);
  o.trainable = std::move(trainable);
  return o;
}

std::vector<float> gradient(const OpList& net, const test::TinyConfig& c, const CompileOptions& o) {
  auto p = compile(net, {kBatch, kPast, kSteps}, o, isa_level());
  test::fill(p->history(), std::size_t(kBatch * kPast * c.history_width), 1);
  test::fill(p->future(), std::size_t(kBatch * kSteps * c.future_width), 2);
  test::fill(p->target(), std::size_t(kBatch * kSteps * c.outputs), 3);
  std::fill_n(p->weight(), kBatch * kSteps * c.outputs, 1.0f);
  p->load(test::tiny_weights<float>(net).data());
  p->run();
  p->run();  // nothing is left from the run before
  return {p->gradient(), p->gradient() + net.parameter_count()};
}

TEST(Trainable, ASubsetGetsTheBitsOfTheFullGradientAndTheRestExactlyZero) {
  const test::TinyConfig c;
  const OpList net = test::tiny_network(c);
  const std::vector<float> full = gradient(net, c, options(c, {}));
  for (const std::vector<std::string>& parts : {std::vector<std::string>{"head", "skip"},
                                                {"norm.weight"},
                                                {"embed_history"},
                                                {"embed_future"},
                                                {"layers.0.qkv"},
                                                {"layers.1.down"},
                                                {"bias"},
                                                {"norm1", "norm2"},
                                                {"layers.0", "head.bias"}}) {
    SCOPED_TRACE(parts.front());
    const std::vector<char> trainable = named(net, parts);
    const std::vector<float> part = gradient(net, c, options(c, trainable));
    for (std::size_t p = 0; p < net.parameters.size(); ++p) {
      const Parameter& parameter = net.parameters[p];
      const std::size_t bytes = parameter.size() * sizeof(float);
      const std::vector<float> zero(parameter.size(), 0.0f);
      EXPECT_EQ(std::memcmp(part.data() + parameter.offset,
                            trainable[p] ? full.data() + parameter.offset : zero.data(), bytes),
                0)
          << parameter.name;
    }
  }
}

TEST(Trainable, HeadOnlyRunsNothingBackwardBelowTheHead) {
  const test::TinyConfig c;
  const OpList net = test::tiny_network(c);
  const Shapes shapes{kBatch, kPast, kSteps};
  const Plan plan = make_plan(net, shapes, options(c, named(net, {"head", "skip"})));
  for (const Node& node : plan.nodes) {
    const Op& op = plan.op(node);
    const std::string& y = plan.value(op.y).name;
    EXPECT_EQ(node.backward, y == "head" || y == "skip" || y == "raw" || y == "quantiles") << y;
    if (y == "head" || y == "skip") {
      EXPECT_FALSE(node.x.wanted);
    }
  }
  const auto flop = [&](const std::vector<char>& trainable) {
    return compile(net, shapes, options(c, trainable), isa_level())->cost().flop;
  };
  Plan ahead = plan;  // the forward pass alone
  for (Node& node : ahead.nodes) node.backward = false;
  const double forward = ahead.flop(0);
  EXPECT_GT(flop({}), 2.5 * forward);
  EXPECT_LT(flop(named(net, {"head", "skip"})), 1.1 * forward);
  EXPECT_LT(flop(named(net, {"layers.1"})), 0.8 * flop({}));  // the lower layer is not run backward
}

TEST(Trainable, RangesJoinNeighbours) {
  OpList net;
  for (const char* name : {"a", "b", "c", "d"}) net.add_parameter(name, {3}, true);
  EXPECT_EQ(trainable_ranges(net, {}).size(), 1u);
  const std::vector<Range> ranges = trainable_ranges(net, {1, 0, 1, 1});
  ASSERT_EQ(ranges.size(), 2u);
  EXPECT_EQ(ranges[0].count, 3u);
  EXPECT_EQ(ranges[1].offset, 6u);
  EXPECT_EQ(ranges[1].count, 6u);
}

}  // namespace
}  // namespace emisopt::kernels
