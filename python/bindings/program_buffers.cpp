// Which buffers a program has, by name.
#include <iterator>

#include "program.hpp"

namespace emisopt::python {
namespace {

using namespace kernels;

struct Named {
  Buffer buffer;
  const char* name;
};
constexpr Named kBuffers[] = {
    {Buffer::history, "history"},
    {Buffer::future, "future"},
    {Buffer::quantiles, "quantiles"},
    {Buffer::seed, "seed"},
    {Buffer::future_gradient, "future_gradient"},
    {Buffer::jacobian, "jacobian"},
    {Buffer::direction, "direction"},
    {Buffer::tangent, "tangent"},
    {Buffer::target, "target"},
    {Buffer::weight, "weight"},
    {Buffer::gradient, "gradient"},
    {Buffer::teacher, "teacher"},
    {Buffer::teacher_weight, "teacher_weight"},
    {Buffer::hidden, "hidden"},
    {Buffer::hidden_target, "hidden_target"},
    {Buffer::hidden_weight, "hidden_weight"},
    {Buffer::weights, "weights"},
};

py::ssize_t width(const OpList& ops, int id) {
  return id < 0 ? 0 : ops.values[static_cast<std::size_t>(id)].width;
}

}  // namespace

const char* name_of(Buffer buffer) { return kBuffers[static_cast<std::size_t>(buffer)].name; }

Buffer buffer_named(const char* where, const std::string& name) {
  std::string all;
  for (const Named& known : kBuffers) {
    if (name == known.name) return known.buffer;
    all += std::string(all.empty() ? "" : ", ") + known.name;
  }
  throw InputError(std::string(where) + ": expected one of " + all + ", got '" + name + "'");
}

BufferView buffer_view(const BoundProgram& bound, Buffer buffer) {
  static_assert(std::size(kBuffers) == static_cast<std::size_t>(Buffer::weights) + 1);
  using Kind = BufferView::Kind;
  Program<float>& p = *bound.program;
  const char* name = name_of(buffer);
  const py::ssize_t batch = bound.shapes.batch, steps = bound.shapes.future_tokens,
                    out = py::ssize_t{bound.ops.outputs} * bound.ops.levels,
                    future = width(bound.ops, bound.ops.future), hidden = width(bound.ops, bound.ops.hidden),
                    weights = static_cast<py::ssize_t>(bound.ops.parameter_count());
  const auto mutable_of = [](const float* data) { return const_cast<float*>(data); };
  const auto rows = [&](const float* data, py::ssize_t last, const char* of, Kind kind) {
    return BufferView{mutable_of(data), {batch, steps, last}, {"batch", "future_tokens", of}, kind};
  };
  const auto plans = [&](const float* data, std::size_t count, py::ssize_t last, const char* of, Kind kind) {
    return BufferView{mutable_of(data),
                      {static_cast<py::ssize_t>(count), steps, last},
                      {"directions", "future_tokens", of},
                      kind};
  };
  switch (buffer) {
    case Buffer::history:
      return {p.history(),
              {bound.options.mode == Mode::train ? batch : 1, bound.shapes.history_tokens,
               width(bound.ops, bound.ops.history)},
              {"batch", "history_tokens", "width"},
              Kind::input};
    case Buffer::future:
      return rows(p.future(), future, "width", Kind::input);
    case Buffer::quantiles:
      return rows(p.quantiles(), out, "outputs * levels", Kind::answer);
    case Buffer::seed:
      bound.require(Mode::vjp, name);
      return rows(p.seed(), out, "outputs * levels", Kind::input);
    case Buffer::future_gradient:
      bound.require(Mode::vjp, name);
      return rows(p.future_gradient(), future, "width", Kind::answer);
    case Buffer::jacobian:
      bound.require(Mode::jacobian, name);
      return {mutable_of(p.jacobian()),
              {static_cast<py::ssize_t>(bound.options.seeds.size()), steps, steps, future},
              {"seeds", "step of the output", "step of the input", "width"},
              Kind::answer};
    case Buffer::direction:
      bound.require(Mode::tangent, name);
      return plans(p.direction(), bound.options.directions.size(), future, "width", Kind::input);
    case Buffer::tangent:
      bound.require(Mode::tangent, name);
      return plans(p.tangent(), bound.options.directions.size(), out, "outputs * levels", Kind::answer);
    case Buffer::target:
      bound.require(Mode::train, name);
      return rows(p.target(), bound.ops.outputs, "outputs", Kind::input);
    case Buffer::weight:
      bound.require(Mode::train, name);
      return rows(p.weight(), bound.ops.outputs, "outputs", Kind::input);
    case Buffer::gradient:
      bound.require(Mode::train, name);
      return {mutable_of(p.gradient()), {weights}, {"parameters"}, Kind::both};
    case Buffer::teacher:
    case Buffer::teacher_weight:
      bound.require(p.teacher() != nullptr, name, "a coefficient distill above 0");
      return rows(buffer == Buffer::teacher ? p.teacher() : p.teacher_weight(), out, "outputs * levels",
                  Kind::input);
    case Buffer::hidden:
      bound.require(p.hidden() != nullptr, name, "a network that names a hidden value");
      return rows(p.hidden(), hidden, "width", Kind::answer);
    case Buffer::hidden_target:
      bound.require(p.hidden_target() != nullptr, name, "a coefficient hidden above 0");
      return rows(p.hidden_target(), hidden, "width", Kind::input);
    case Buffer::hidden_weight:
      bound.require(p.hidden_target() != nullptr, name, "a coefficient hidden above 0");
      return {p.hidden_weight(), {batch, steps}, {"batch", "future_tokens"}, Kind::input};
    case Buffer::weights:
      break;
  }
  if (!p.device_memory())
    throw StateError(
        "Program.weights: the CPU keeps them packed, in no layout of use elsewhere; what load() took is "
        "theta");
  return {nullptr, {weights}, {"parameters"}, Kind::answer};
}

}  // namespace emisopt::python
