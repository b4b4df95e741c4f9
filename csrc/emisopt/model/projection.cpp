#include "emisopt/model/projection.hpp"

#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

using kernels::Op;
using kernels::OpKind;
using kernels::OpList;
using kernels::Rows;

int value_id(const OpList& network, const std::string& tap, const char* where) {
  std::vector<std::string> names;
  for (std::size_t v = 0; v < network.values.size(); ++v) {
    const kernels::Value& value = network.values[v];
    const int id = static_cast<int>(v);
    if (value.rows == Rows::history || id == network.future || id == network.quantiles) continue;
    if (value.name == tap) return id;
    names.push_back(value.name);
  }
  throw InputError(std::string(where) + "(tap): expected a value inside the network on future rows, got " +
                   quote(tap) + did_you_mean(tap, names));
}

}  // namespace

OpList with_projection(const OpList& network, const std::string& tap, int width) {
  if (width < 1)
    throw InputError("with_projection(width): expected at least 1 channel, got " + std::to_string(width));
  OpList out = network;
  Op op{.kind = OpKind::linear, .rows = Rows::future, .x = value_id(network, tap, "with_projection")};
  op.w = out.add_parameter("projection.weight", {network.values[static_cast<std::size_t>(op.x)].width, width},
                           true);
  op.b = out.add_parameter("projection.bias", {width}, false);
  op.y = out.hidden = out.add_value("projection", width, Rows::future);
  out.ops.push_back(op);
  return out;
}

std::vector<float> with_projection_weights(const OpList& projected, const std::vector<float>& theta,
                                           std::uint64_t seed) {
  const kernels::Parameter& weight = projected.parameters[projected.parameters.size() - 2];
  if (theta.size() != weight.offset)
    throw ShapeError("with_projection_weights(theta): expected the network's " +
                     std::to_string(weight.offset) + " weights, got " + std::to_string(theta.size()));
  std::vector<float> all(projected.parameter_count(), 0.0f);
  std::copy(theta.begin(), theta.end(), all.begin());
  Rng rng(seed, 0x70726f6a);  // a stream of its own: "proj"
  const double sd = 1 / std::sqrt(static_cast<double>(weight.shape.front()));
  for (std::size_t i = 0; i < weight.size(); ++i)
    all[weight.offset + i] = static_cast<float>(sd * rng.normal());
  return all;
}

OpList with_tap(const OpList& network, const std::string& tap) {
  OpList out = network;
  out.hidden = value_id(network, tap, "with_tap");
  return out;
}

}  // namespace emisopt
