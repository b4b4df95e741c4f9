// A small network of the forecaster's structure, for tests of the engine that must not depend on `model`.
#pragma once
#include <cmath>
#include <string>
#include <vector>

#include "emisopt/base/rng.hpp"
#include "kernels/backend.hpp"

namespace emisopt::test {

struct TinyConfig {
  int history_width = 5, future_width = 3;
  int width = 8, heads = 2, kv_heads = 2, layers = 2, feedforward = 12;
  int outputs = 2, levels = 3, middle = 1;
  bool biases = true;
};

/// embed -> layers x [norm, qkv, rope, attention, o, add, norm, gate|up, swiglu, down, add] -> norm, head +
/// skip, quantiles. Parameter names are those of tests/golden/make_golden.py.
inline kernels::OpList tiny_network(const TinyConfig& c) {
  using namespace kernels;
  OpList net;
  const int head_dim = c.width / c.heads, qkv = (c.heads + 2 * c.kv_heads) * head_dim,
            raw = c.outputs * c.levels;
  auto linear = [&](const std::string& name, Rows rows, int x, int y, bool bias) {
    Op op{.kind = OpKind::linear, .rows = rows, .x = x, .y = y};
    const int out = net.values[static_cast<std::size_t>(y)].width;
    op.w = net.add_parameter(name + ".weight", {net.values[static_cast<std::size_t>(x)].width, out}, true);
    if (bias && c.biases) op.b = net.add_parameter(name + ".bias", {out}, false);
    net.ops.push_back(op);
    return y;
  };
  auto norm = [&](const std::string& name, Rows rows, int x) {
    Op op{.kind = OpKind::rmsnorm, .rows = rows, .x = x, .y = net.add_value(name, c.width, rows)};
    op.w = net.add_parameter(name + ".weight", {c.width}, false);
    net.ops.push_back(op);
    return op.y;
  };
  auto add = [&](const std::string& name, Rows rows, int x, int x2) {
    const int width = net.values[static_cast<std::size_t>(x)].width;
    net.ops.push_back(
        {.kind = OpKind::add, .rows = rows, .x = x, .x2 = x2, .y = net.add_value(name, width, rows)});
    return net.ops.back().y;
  };

  net.history = net.add_value("history", c.history_width, Rows::history);
  net.future = net.add_value("future", c.future_width, Rows::future);
  int stream = net.add_value("embed", c.width, Rows::all);
  linear("embed_history", Rows::history, net.history, stream, true);
  linear("embed_future", Rows::future, net.future, stream, true);
  for (int l = 0; l < c.layers; ++l) {
    const std::string at = "layers." + std::to_string(l) + ".";
    int x = norm(at + "norm1", Rows::all, stream);
    x = linear(at + "qkv", Rows::all, x, net.add_value(at + "qkv", qkv, Rows::all), true);
    net.ops.push_back({.kind = OpKind::rope,
                       .x = x,
                       .y = net.add_value(at + "rope", qkv, Rows::all),
                       .heads = c.heads + c.kv_heads,
                       .head_dim = head_dim});
    x = net.ops.back().y;
    net.ops.push_back({.kind = OpKind::attention,
                       .x = x,
                       .y = net.add_value(at + "attention", c.width, Rows::all),
                       .heads = c.heads,
                       .kv_heads = c.kv_heads,
                       .head_dim = head_dim});
    x = linear(at + "o", Rows::all, net.ops.back().y, net.add_value(at + "o", c.width, Rows::all), false);
    stream = add(at + "add1", Rows::all, stream, x);
    x = norm(at + "norm2", Rows::all, stream);
    x = linear(at + "gate_up", Rows::all, x, net.add_value(at + "gate_up", 2 * c.feedforward, Rows::all),
               false);
    net.ops.push_back(
        {.kind = OpKind::swiglu, .x = x, .y = net.add_value(at + "swiglu", c.feedforward, Rows::all)});
    x = linear(at + "down", Rows::all, net.ops.back().y, net.add_value(at + "down", c.width, Rows::all),
               false);
    stream = add(at + "add2", Rows::all, stream, x);
  }
  const int last = norm("norm", Rows::future, stream);
  const int head = linear("head", Rows::future, last, net.add_value("head", raw, Rows::future), true);
  const int skip = linear("skip", Rows::future, net.future, net.add_value("skip", raw, Rows::future), false);
  const int sum = add("raw", Rows::future, head, skip);
  net.quantiles = net.add_value("quantiles", raw, Rows::future);
  net.outputs = c.outputs;
  net.levels = c.levels;
  net.middle = c.middle;
  net.ops.push_back({.kind = OpKind::quantiles,
                     .rows = Rows::future,
                     .x = sum,
                     .y = net.quantiles,
                     .outputs = c.outputs,
                     .levels = c.levels,
                     .middle = c.middle});
  return net;
}

/// The network with a second output: a linear projection of one of its values, by name, to `width` channels.
inline kernels::OpList tapped(kernels::OpList net, const std::string& value, int width) {
  using namespace kernels;
  int x = 0;
  while (net.values[static_cast<std::size_t>(x)].name != value) ++x;
  Op op{.kind = OpKind::linear, .rows = Rows::future, .x = x};
  op.w = net.add_parameter("projection.weight", {net.values[static_cast<std::size_t>(x)].width, width}, true);
  op.b = net.add_parameter("projection.bias", {width}, false);
  op.y = net.hidden = net.add_value("projection", width, Rows::future);
  net.ops.push_back(op);
  return net;
}

/// Quantile levels spread evenly over (0, 1).
inline std::vector<float> tiny_levels(const TinyConfig& c) {
  std::vector<float> levels;
  for (int l = 0; l < c.levels; ++l)
    levels.push_back(static_cast<float>(l + 1) / static_cast<float>(c.levels + 1));
  return levels;
}

/// Numbers in about (-scale, scale), the same on every machine.
template <class T>
void fill(T* x, std::size_t count, std::uint64_t seed, double scale = 1) {
  Rng rng(seed);
  for (std::size_t i = 0; i < count; ++i) x[i] = static_cast<T>(scale * (2 * rng.uniform() - 1));
}

/// Weights large enough that every path of the network counts: norms near 1, the rest of order 1/sqrt(in).
template <class T>
std::vector<T> tiny_weights(const kernels::OpList& net, std::uint64_t seed = 1) {
  std::vector<T> theta(net.parameter_count());
  fill(theta.data(), theta.size(), seed);
  for (const kernels::Parameter& p : net.parameters)
    for (std::size_t i = 0; i < p.size(); ++i) {
      T& w = theta[p.offset + i];
      if (p.name.find("norm") != std::string::npos)
        w = T(1) + T(0.3) * w;
      else
        w *= static_cast<T>(p.shape.size() == 2 ? 1.2 / std::sqrt(p.shape[0]) : 0.2);
    }
  return theta;
}

}  // namespace emisopt::test
