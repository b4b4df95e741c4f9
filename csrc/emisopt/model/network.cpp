#include "emisopt/model/network.hpp"

#include <cmath>
#include <string>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

using kernels::Op;
using kernels::OpKind;
using kernels::OpList;
using kernels::Rows;

// Spread of the first forecast in normalised units: half a training sd, so that neither tail starts flat.
constexpr double kFirstSpread = 0.5;
constexpr double kHeadSd = 0.02;

// Appends ops to a list; each function names its new value and returns its id.
struct Builder {
  OpList list;

  int value(const std::string& name, int width, Rows rows) { return list.add_value(name, width, rows); }
  int width(int id) const { return list.values[static_cast<std::size_t>(id)].width; }

  void linear_into(int y, const std::string& name, int x, Rows rows, bool bias) {
    Op op{.kind = OpKind::linear, .rows = rows, .x = x, .y = y};
    op.w = list.add_parameter(name + ".weight", {width(x), width(y)}, true);
    if (bias) op.b = list.add_parameter(name + ".bias", {width(y)}, false);
    list.ops.push_back(op);
  }
  int linear(const std::string& name, int x, int out, Rows rows, bool bias = false) {
    const int y = value(name, out, rows);
    linear_into(y, name, x, rows, bias);
    return y;
  }
  int rmsnorm(const std::string& name, int x, Rows rows) {
    Op op{.kind = OpKind::rmsnorm, .rows = rows, .x = x, .y = value(name, width(x), rows)};
    op.w = list.add_parameter(name + ".weight", {width(x)}, false);
    list.ops.push_back(op);
    return op.y;
  }
  int add(const std::string& name, int x, int x2, Rows rows) {
    list.ops.push_back(
        {.kind = OpKind::add, .rows = rows, .x = x, .x2 = x2, .y = value(name, width(x), rows)});
    return list.ops.back().y;
  }
};

// One block: x + attention(norm x), then that + feedforward(norm that). `rows`: of all but keys and values.
int block(Builder& build, const std::string& scope, int x, const ForecasterConfig& config, Rows rows) {
  const int head_dim = config.width / config.heads, key_width = config.key_heads() * head_dim;
  const int normed = build.rmsnorm(scope + "attention_norm", x, Rows::all);
  const int qkv = build.linear(scope + "qkv", normed, config.width + 2 * key_width, Rows::all);
  Op rope{.kind = OpKind::rope, .x = qkv, .y = build.value(scope + "rotated", build.width(qkv), Rows::all)};
  rope.heads = config.heads + config.key_heads();  // queries and keys stand side by side; values do not turn
  rope.head_dim = head_dim;
  build.list.ops.push_back(rope);
  Op attend{.kind = OpKind::attention, .rows = rows, .x = rope.y};
  attend.y = build.value(scope + "attended", config.width, rows);
  attend.heads = config.heads;
  attend.kv_heads = config.key_heads();
  attend.head_dim = head_dim;
  build.list.ops.push_back(attend);
  const int mixed = build.linear(scope + "attention_out", attend.y, config.width, rows);
  const int between = build.add(scope + "attention_sum", x, mixed, rows);

  const int fed = build.rmsnorm(scope + "feedforward_norm", between, rows);
  const int gates = build.linear(scope + "gate_up", fed, 2 * config.inner_width(), rows);
  Op swiglu{.kind = OpKind::swiglu, .rows = rows, .x = gates};
  swiglu.y = build.value(scope + "gated", config.inner_width(), rows);
  build.list.ops.push_back(swiglu);
  const int down = build.linear(scope + "down", swiglu.y, config.width, rows);
  return build.add(scope + "sum", between, down, rows);
}

// Quantile of the standard normal distribution by bisection of erfc: to the last bits, and without a table.
double normal_quantile(double p) {
  double low = -40, high = 40;
  for (int i = 0; i < 200; ++i) {
    const double middle = 0.5 * (low + high);
    (0.5 * std::erfc(-middle / std::sqrt(2.0)) < p ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

// Bias of one level: the inverse softplus of its distance to its neighbour on the side of the median.
double spread_bias(const std::vector<double>& levels, int level, int middle) {
  if (level == middle) return 0;
  const int inner = level < middle ? level + 1 : level - 1;
  const auto quantile = [&](int l) { return normal_quantile(levels[static_cast<std::size_t>(l)]); };
  return std::log(std::expm1(kFirstSpread * std::abs(quantile(level) - quantile(inner))));
}

}  // namespace

OpList make_network(const ForecasterConfig& config, int history_width, int future_width, int outputs) {
  const int heads_out = outputs * config.levels();
  Builder build;
  OpList& list = build.list;
  list.outputs = outputs;
  list.levels = config.levels();
  list.middle = config.middle();
  list.history = build.value("history", history_width, Rows::history);
  list.future = build.value("future", future_width, Rows::future);

  int x = build.value("embedded", config.width, Rows::all);
  build.linear_into(x, "embed_history", list.history, Rows::history, true);
  build.linear_into(x, "embed_future", list.future, Rows::future, true);
  for (int l = 0; l < config.layers; ++l) {
    const bool last = l + 1 == config.layers;
    x = block(build, "layers." + std::to_string(l) + ".", x, config, last ? Rows::future : Rows::all);
  }
  const int normed = build.rmsnorm("norm", x, Rows::future);
  const int head = build.linear("head", normed, heads_out, Rows::future, true);
  const int skip = build.linear("skip", list.future, heads_out, Rows::future);
  const int raw = build.add("raw", head, skip, Rows::future);
  Op quantiles{.kind = OpKind::quantiles, .rows = Rows::future, .x = raw};
  quantiles.y = list.quantiles = build.value("quantiles", heads_out, Rows::future);
  quantiles.outputs = list.outputs;
  quantiles.levels = list.levels;
  quantiles.middle = list.middle;
  list.ops.push_back(quantiles);
  return std::move(build.list);
}

std::vector<float> initial_weights(const OpList& network, const ForecasterConfig& config) {
  std::vector<float> theta(network.parameter_count(), 0.0f);
  for (std::size_t p = 0; p < network.parameters.size(); ++p) {
    const kernels::Parameter& parameter = network.parameters[p];
    const std::string& name = parameter.name;
    float* w = theta.data() + parameter.offset;
    const int columns = parameter.shape.back();
    const auto fill = [&](auto value_of) {
      for (std::size_t i = 0; i < parameter.size(); ++i)
        w[i] = static_cast<float>(value_of(static_cast<int>(i % static_cast<std::size_t>(columns))));
    };
    Rng rng(config.seed, p);  // a stream per parameter: another layer more does not move the ones before
    const auto level = [&](int column) { return column % network.levels; };
    if (name == "head.bias") {
      fill([&](int c) { return spread_bias(config.quantiles, level(c), network.middle); });
    } else if (name == "head.weight") {
      fill([&](int c) { return level(c) == network.middle ? 0.0 : kHeadSd * rng.normal(); });
    } else if (name.ends_with("norm.weight")) {
      fill([](int) { return 1.0; });
    } else if (name.ends_with(".weight") && name != "skip.weight") {
      // Variance 1 / fan-in; what is added to the residual stream is scaled down by depth, so that the stream
      // keeps its size (Radford et al. 2019, section 2.3).
      double sd = 1 / std::sqrt(static_cast<double>(parameter.shape.front()));
      if (name.ends_with("attention_out.weight") || name.ends_with("down.weight"))
        sd /= std::sqrt(2.0 * config.layers);
      fill([&](int) { return sd * rng.normal(); });
    }
  }
  return theta;
}

std::vector<float> decay_mask(const OpList& network) {
  std::vector<float> mask(network.parameter_count(), 0.0f);
  for (const kernels::Parameter& parameter : network.parameters)
    if (parameter.decay)
      std::fill_n(mask.begin() + static_cast<std::ptrdiff_t>(parameter.offset), parameter.size(), 1.0f);
  return mask;
}

std::vector<char> trainable_by_name(const OpList& network, const std::vector<std::string>& prefixes) {
  std::vector<char> chosen(network.parameters.size(), 0);
  for (const std::string& prefix : prefixes) {
    bool found = false;
    for (std::size_t p = 0; p < chosen.size(); ++p)
      if (network.parameters[p].name.starts_with(prefix)) chosen[p] = found = true;
    if (found) continue;
    std::vector<std::string> names;
    for (const kernels::Parameter& parameter : network.parameters) names.push_back(parameter.name);
    throw InputError("trainable_by_name(prefixes): expected the beginning of a parameter's name, got " +
                     quote(prefix) + did_you_mean(prefix, names));
  }
  return chosen;
}

}  // namespace emisopt
