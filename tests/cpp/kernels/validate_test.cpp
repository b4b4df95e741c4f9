// Malformed networks, shapes and options: each is refused with a message that names what is wrong.
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>

#include "emisopt/base/error.hpp"
#include "support/tiny_network.hpp"

namespace emisopt::kernels {
namespace {

CompileOptions options(Mode mode = Mode::train) {
  CompileOptions o;
  o.mode = mode;
  o.threads = 1;
  o.levels = test::tiny_levels({});
  o.seeds = {{0, 0}};
  return o;
}

std::string message(const OpList& net, const Shapes& shapes = {1, 4, 3},
                    const CompileOptions& o = options()) {
  try {
    compile(net, shapes, o, Isa::ref);
  } catch (const InputError& e) {
    return e.what();
  }
  return "accepted";
}

std::size_t find(const OpList& net, OpKind kind) {
  for (std::size_t i = 0; i < net.ops.size(); ++i)
    if (net.ops[i].kind == kind) return i;
  return net.ops.size();
}

TEST(Validate, AcceptsTheNetworkItself) { EXPECT_EQ(message(test::tiny_network({})), "accepted"); }

TEST(Validate, NamesTheOpAndTheFault) {
  struct Fault {
    OpKind kind;
    std::function<void(OpList&, Op&)> spoil;
    const char* expected;
  };
  const std::vector<Fault> faults = {
      {OpKind::linear, [](OpList&, Op& op) { op.x = 99; }, "x: expected a value id"},
      {OpKind::linear, [](OpList&, Op& op) { op.y = -1; }, "y: expected a value id"},
      {OpKind::linear, [](OpList&, Op& op) { op.w = 99; }, "w: expected a parameter id"},
      {OpKind::linear, [](OpList&, Op& op) { op.b = op.w; }, "expected shape (8), got (5, 8)"},
      {OpKind::linear, [](OpList& n, Op& op) { n.parameters[std::size_t(op.w)].shape = {8, 5}; },
       "expected shape (5, 8), got (8, 5)"},
      {OpKind::linear, [](OpList& n, Op& op) { n.values[std::size_t(op.y)].width = 9; },
       "expected shape (5, 9)"},
      {OpKind::linear, [](OpList&, Op& op) { op.lora_b = op.w; }, "expected both or neither, got (-1, 0)"},
      {OpKind::linear, [](OpList&, Op& op) { op.lora_a = op.lora_b = 99; },
       "lora_a: expected a parameter id"},
      {OpKind::linear, [](OpList&, Op& op) { op.lora_a = op.lora_b = op.b; },
       "lora_a (embed_history.bias): expected shape (5, 1), got (8)"},
      {OpKind::linear, [](OpList&, Op& op) { op.lora_a = op.lora_b = op.w; },
       "lora_b (embed_history.weight): expected shape (8, 8), got (5, 8)"},
      {OpKind::linear, [](OpList&, Op& op) { op.rows = Rows::future; }, "future rows are read before any op"},
      {OpKind::rmsnorm, [](OpList&, Op& op) { op.eps = 0; }, "eps: expected a positive number"},
      {OpKind::rmsnorm, [](OpList& n, Op& op) { op.x = n.history; }, "future rows are read before any op"},
      {OpKind::rmsnorm, [](OpList&, Op& op) { op.y = op.x; }, "another value than the inputs"},
      {OpKind::rmsnorm, [](OpList& n, Op& op) { n.values[std::size_t(op.y)].rows = Rows::future; },
       "works on all rows, the value has future"},
      {OpKind::rope, [](OpList&, Op& op) { op.head_dim = 3; }, "head_dim: expected an even number"},
      {OpKind::rope, [](OpList&, Op& op) { op.heads = 7; }, "of at most the width"},
      {OpKind::rope, [](OpList&, Op& op) { op.rope_base = 1; }, "rope_base: expected more than 1"},
      {OpKind::attention, [](OpList&, Op& op) { op.heads = 0; }, "at least 1, got 0"},
      {OpKind::attention, [](OpList&, Op& op) { op.kv_heads = 0; }, "at least 1, got 2, 0"},
      {OpKind::attention, [](OpList&, Op& op) { op.heads = 3; }, "kv_heads that divide heads"},
      {OpKind::attention, [](OpList&, Op& op) { op.head_dim = 8; }, "expected width 48, got 24"},
      {OpKind::swiglu, [](OpList& n, Op& op) { n.values[std::size_t(op.y)].width = 11; },
       "expected width 22, got 24"},
      {OpKind::add, [](OpList&, Op& op) { op.x2 = -1; }, "x2: expected a value id"},
      {OpKind::add, [](OpList& n, Op& op) { n.values[std::size_t(op.y)].width = 9; },
       "expected width 8, got 9"},
      {OpKind::quantiles, [](OpList&, Op& op) { op.middle = 3; }, "middle below levels"},
      {OpKind::quantiles, [](OpList&, Op& op) { op.outputs = 3; }, "expected width 9, got 6"},
      {OpKind::swiglu, [](OpList&, Op& op) { op.kind = static_cast<OpKind>(42); }, "unknown kind 42"},
  };
  for (const Fault& fault : faults) {
    OpList net = test::tiny_network({});
    const std::size_t at = find(net, fault.kind);
    ASSERT_LT(at, net.ops.size());
    fault.spoil(net, net.ops[at]);
    const std::string got = message(net);
    EXPECT_NE(got.find(fault.expected), std::string::npos)
        << "expected ..." << fault.expected << "..., got: " << got;
    EXPECT_EQ(got.rfind("op " + std::to_string(at) + " (", 0), 0u) << got;
  }
}

TEST(Validate, AWeightHasOneCorrection) {
  OpList net = test::tiny_network({});
  Op first = net.ops[find(net, OpKind::linear)];
  Op again = first;
  again.y = net.add_value("again", net.values[static_cast<std::size_t>(first.y)].width, first.rows);
  const Parameter w = net.parameters[static_cast<std::size_t>(first.w)];
  again.lora_a = net.add_parameter("a", {w.shape[0], 2}, true);
  again.lora_b = net.add_parameter("b", {2, w.shape[1]}, true);
  net.ops.push_back(again);
  EXPECT_NE(message(net).find("an earlier op gives the same weight (-1, -1)"), std::string::npos)
      << message(net);
}

TEST(Validate, RefusesTwoWritersAndReadersOfTheQuantiles) {
  OpList net = test::tiny_network({});
  net.ops.push_back(net.ops[2]);
  EXPECT_NE(message(net).find("history rows are written twice"), std::string::npos) << message(net);
  net = test::tiny_network({});
  const int more = net.add_value("more", 6, Rows::future);
  net.ops.push_back(
      {.kind = OpKind::add, .rows = Rows::future, .x = net.quantiles, .x2 = net.quantiles, .y = more});
  EXPECT_NE(message(net).find("must be the end of the network"), std::string::npos) << message(net);
}

TEST(Validate, RefusesBrokenEnds) {
  struct Fault {
    std::function<void(OpList&)> spoil;
    const char* expected;
  };
  const std::vector<Fault> faults = {
      {[](OpList& n) { n.history = -1; }, "OpList.history: expected a value id, got -1"},
      {[](OpList& n) { n.history = n.future; }, "OpList.history: expected a value on history rows"},
      {[](OpList& n) { n.future = n.history; }, "OpList.future: expected a value on future rows"},
      {[](OpList& n) { n.quantiles = 1000; }, "OpList.quantiles: expected a value id, got 1000"},
      {[](OpList& n) { n.quantiles = n.future; }, "a value that an op writes on future rows"},
      {[](OpList& n) { n.levels = 4; }, "outputs * levels"},
      {[](OpList& n) { n.values[3].width = 0; }, "expected a width of at least 1, got 0"},
      {[](OpList& n) { n.parameters[1].offset += 1; }, "expected offset 40"},
      {[](OpList& n) { n.parameters[0].shape = {5, 0}; }, "expected lengths of at least 1, got 0"},
  };
  for (const Fault& fault : faults) {
    OpList net = test::tiny_network({});
    fault.spoil(net);
    EXPECT_NE(message(net).find(fault.expected), std::string::npos)
        << fault.expected << " / " << message(net);
  }
}

TEST(Validate, RefusesShapesAndOptions) {
  const OpList net = test::tiny_network({});
  EXPECT_NE(message(net, {0, 4, 3}).find("batch >= 1"), std::string::npos);
  EXPECT_NE(message(net, {1, -1, 3}).find("history_tokens >= 0"), std::string::npos);
  EXPECT_NE(message(net, {1, 4, 0}).find("future_tokens >= 1"), std::string::npos);
  CompileOptions o = options();
  o.levels = {0.5f};
  EXPECT_NE(message(net, {1, 4, 3}, o).find("expected 3 quantile levels, got 1"), std::string::npos);
  o.levels = {0.5f, 0.4f, 0.9f};
  EXPECT_NE(message(net, {1, 4, 3}, o).find("levels[1]: expected rising levels"), std::string::npos);
  o = options();
  o.loss = Loss::huber;
  o.huber_delta = 0;
  EXPECT_NE(message(net, {1, 4, 3}, o).find("huber_delta"), std::string::npos);
  o = options();
  o.threads = -1;
  EXPECT_NE(message(net, {1, 4, 3}, o).find("threads"), std::string::npos);
  o = options(Mode::jacobian);
  EXPECT_NE(message(net, {2, 4, 3}, o).find("expected 1 in jacobian and tangent mode, got 2"),
            std::string::npos);
  o.seeds = {{2, 0}};
  EXPECT_NE(message(net, {1, 4, 3}, o).find("output below 2"), std::string::npos);
  o.seeds.clear();
  EXPECT_NE(message(net, {1, 4, 3}, o).find("at least one seed"), std::string::npos);
  o = options(Mode::tangent);
  EXPECT_NE(message(net, {1, 4, 3}, o).find("directions: expected at least one"), std::string::npos);
  for (const Direction bad : {Direction{-1, 1}, {2, 1}, {0, 3}}) {
    o.directions = {{0, 2}, bad};
    EXPECT_NE(message(net, {1, 4, 3}, o).find("first <= last < 3"), std::string::npos);
  }
  o.precision = Precision::bfloat16;
  for (const Mode mode : {Mode::jacobian, Mode::tangent}) {
    o.mode = mode;
    EXPECT_NE(message(net, {1, 4, 3}, o).find("expected float32 for Jacobians and tangents, got bfloat16"),
              std::string::npos);
  }
}

TEST(Validate, RefusesPartsOfTheLossByName) {
  const OpList net = test::tiny_network({});
  const auto refused = [&](auto spoil, const char* expected, const OpList& ops) {
    CompileOptions o = options();
    spoil(o);
    const std::string got = message(ops, {1, 4, 3}, o);
    EXPECT_NE(got.find(std::string("CompileOptions.") + expected), std::string::npos)
        << expected << " / " << got;
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  refused([](auto& o) { o.distill = -1; }, "distill: expected 0 or a positive coefficient", net);
  refused([&](auto& o) { o.distill_multiscale = nan; }, "distill_multiscale: expected 0 or", net);
  refused([](auto& o) { o.multiscale = -0.1f; }, "multiscale: expected 0 or", net);
  refused([](auto& o) { o.precision = Precision::int8; }, "precision: expected float32 where gradients", net);
  {
    CompileOptions o = options();
    o.precision = Precision::bfloat16;
    EXPECT_NE(message(net, {1, 4, 3}, o).find("on the CPU, got bfloat16; only CUDA"), std::string::npos);
  }
  refused([](auto& o) { o.hidden = -1; }, "hidden: expected 0 or", net);
  refused([](auto& o) { o.hidden = 1; }, "hidden: expected 0, since the network names no", net);
  refused([](auto& o) { o.level_weights = {1, 1}; }, "level_weights: expected 3 weights", net);
  refused([](auto& o) { o.level_weights = {1, -1, 1}; }, "level_weights: expected 0 or positive", net);
  refused([](auto& o) { o.level_weights = {0, 0, 0}; }, "level_weights: expected a positive number", net);
  refused([](auto& o) { o.multiscale = 1, o.scales = {2, 1}; }, "scales: expected 2 or more steps", net);
  refused([](auto& o) { o.multiscale = 1, o.scales = {}; }, "scales: expected at least one", net);
  refused([](auto& o) { o.trainable = {1}; }, "trainable: expected 22 entries", net);
  refused([&](auto& o) { o.trainable.assign(net.parameters.size(), 0); }, "trainable: expected at least one",
          net);
  OpList tapped = test::tapped(net, "norm", 4);
  EXPECT_EQ(message(tapped), "accepted");
  tapped.hidden = 999;
  EXPECT_NE(message(tapped).find("OpList.hidden: expected a value id, got 999"), std::string::npos);
  tapped.hidden = tapped.history;
  EXPECT_NE(message(tapped).find("OpList.hidden (history): expected a value inside"), std::string::npos);
  tapped.hidden = tapped.quantiles;
  EXPECT_NE(message(tapped).find("expected a value inside the network"), std::string::npos);
}

}  // namespace
}  // namespace emisopt::kernels
