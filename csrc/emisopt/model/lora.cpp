#include "emisopt/model/lora.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

using kernels::Op;
using kernels::OpKind;
using kernels::OpList;
using kernels::Parameter;

// "layers.0.qkv" of "layers.0.qkv.weight"
std::string op_name(const Parameter& weight) {
  const std::string& name = weight.name;
  return name.ends_with(".weight") ? name.substr(0, name.size() - 7) : name;
}

bool is_named(const std::string& op, const std::string& name) {
  return op == name || op.ends_with("." + name);
}

void expect_count(const char* where, const char* what, std::size_t expected, std::size_t got) {
  if (expected == got) return;
  throw ShapeError(std::string(where) + "(" + what + "): expected " + std::to_string(expected) +
                   " weights, got " + std::to_string(got));
}

}  // namespace

Lora with_lora(const OpList& network, int rank, const std::vector<std::string>& linears) {
  if (rank < 1 || rank > 256)
    throw InputError("with_lora(rank): expected 1..256, got " + std::to_string(rank));
  if (linears.empty()) throw InputError("with_lora(linears): expected at least one linear op, got none");
  Lora lora;
  lora.network = network;
  lora.base_count = network.parameter_count();
  lora.network.ops.clear();
  OpList& out = lora.network;
  std::vector<std::string> names;
  std::vector<bool> found(linears.size());
  for (const Op& op : network.ops) {
    out.ops.push_back(op);
    if (op.kind != OpKind::linear) continue;
    const Parameter& weight = network.parameters[static_cast<std::size_t>(op.w)];
    const std::string name = op_name(weight);
    names.push_back(name);
    bool chosen = false;
    for (std::size_t i = 0; i < linears.size(); ++i)
      if (is_named(name, linears[i])) chosen = found[i] = true;
    if (!chosen) continue;
    if (rank > std::min(weight.shape[0], weight.shape[1]))
      throw InputError("with_lora(rank): expected at most the shorter side of " + weight.name + ", " +
                       std::to_string(std::min(weight.shape[0], weight.shape[1])) + ", got " +
                       std::to_string(rank));
    const int a = out.add_parameter(name + ".lora_a", {weight.shape[0], rank}, true);
    const int b = out.add_parameter(name + ".lora_b", {rank, weight.shape[1]}, true);
    out.ops.back().lora_a = a;
    out.ops.back().lora_b = b;
    lora.adapters.push_back({op.w, a, b});
  }
  for (std::size_t i = 0; i < linears.size(); ++i)
    if (!found[i])
      throw InputError("with_lora(linears): expected names of linear ops, got " + quote(linears[i]) +
                       did_you_mean(linears[i], names));
  lora.trainable.assign(out.parameters.size(), 0);
  for (const Lora::Adapter& adapter : lora.adapters)
    lora.trainable[static_cast<std::size_t>(adapter.a)] =
        lora.trainable[static_cast<std::size_t>(adapter.b)] = 1;
  return lora;
}

std::vector<std::string> last_block_linears(const OpList& network, int blocks) {
  if (blocks < 0)
    throw InputError("last_block_linears(blocks): expected 0 or more, got " + std::to_string(blocks));
  int layers = 0;
  for (const Parameter& p : network.parameters)
    if (p.name == "layers." + std::to_string(layers) + ".qkv.weight") ++layers;
  if (layers == 0)
    throw InputError("last_block_linears(network): expected blocks named layers.0 .., got none");
  blocks = blocks == 0 ? std::max(1, layers / 2) : std::min(blocks, layers);
  std::vector<std::string> names;
  for (int l = layers - blocks; l < layers; ++l)
    for (const std::string& linear : kBlockLinears)
      names.push_back("layers." + std::to_string(l) + "." + linear);
  return names;
}

std::vector<float> Lora::start(const std::vector<float>& theta, std::uint64_t seed, double scale) const {
  expect_count("Lora.start", "theta", base_count, theta.size());
  if (!(scale > 0) || !std::isfinite(scale))
    throw InputError("Lora.start(scale): expected a positive number, got " + number_text(scale));
  std::vector<float> all(network.parameter_count(), 0.0f);
  std::copy(theta.begin(), theta.end(), all.begin());
  for (const Adapter& adapter : adapters) {
    const Parameter& a = network.parameters[static_cast<std::size_t>(adapter.a)];
    Rng rng(seed, static_cast<std::uint64_t>(adapter.a));
    const double sd = scale / std::sqrt(static_cast<double>(a.shape[0]));
    for (std::size_t i = 0; i < a.size(); ++i) all[a.offset + i] = static_cast<float>(sd * rng.normal());
  }
  return all;
}

template <class T>
void Lora::merge(const std::vector<T>& adapted, std::vector<T>& theta) const {
  expect_count("Lora.merge", "adapted", network.parameter_count(), adapted.size());
  expect_count("Lora.merge", "theta", base_count, theta.size());
  for (const Adapter& adapter : adapters) {
    const auto parameter = [&](int id) -> const Parameter& {
      return network.parameters[static_cast<std::size_t>(id)];
    };
    const auto rows = static_cast<std::size_t>(parameter(adapter.a).shape[0]);
    const auto rank = static_cast<std::size_t>(parameter(adapter.a).shape[1]);
    const auto cols = static_cast<std::size_t>(parameter(adapter.b).shape[1]);
    const T* a = adapted.data() + parameter(adapter.a).offset;  // (rows, rank)
    const T* b = adapted.data() + parameter(adapter.b).offset;  // (rank, cols)
    T* w = theta.data() + parameter(adapter.weight).offset;     // (rows, cols)
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t j = 0; j < cols; ++j) {
        double sum = 0;
        for (std::size_t r = 0; r < rank; ++r)
          sum += static_cast<double>(a[i * rank + r]) * static_cast<double>(b[r * cols + j]);
        w[i * cols + j] = static_cast<T>(static_cast<double>(w[i * cols + j]) + sum);
      }
  }
}

template void Lora::merge(const std::vector<float>&, std::vector<float>&) const;
template void Lora::merge(const std::vector<double>&, std::vector<double>&) const;

}  // namespace emisopt
