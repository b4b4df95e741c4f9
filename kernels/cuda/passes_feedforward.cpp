// CudaProgram: SwiGLU layers that one kernel does (feedforward.cu), and when that pays.
#include <algorithm>

#include "emisopt/base/os.hpp"
#include "kernels/cuda/body.hpp"

namespace emisopt::kernels::cuda {
namespace {

// Per row and inner channel, of width d: the op-by-op way moves 24 bytes forward, 32 more for dx, 44 for dx
// and weights, in bf16 half as many; making gate and up again costs 4 d operations for dx, 10 d with the
// weights. At 4.8 TB/s and 67 TFLOP/s in fp32, of which a product reaches three quarters, that pays up to
// d = 146 and 71, forward at any d; on tensor cores at all widths that there is a kernel for (docs/cuda.md).
int widest(Mode mode, bool bf16) {
  switch (mode) {
    case Mode::infer:
      return kMaxFeedForwardWidth;
    case Mode::vjp:
      return bf16 ? kMaxFeedForwardWidth : 128;
    case Mode::train:
      return bf16 ? kMaxFeedForwardWidth : 64;
    case Mode::jacobian:
    case Mode::tangent:
      return 0;  // linearised at what a fused layer does not keep
  }
  return 0;
}

// What the kernels of a mode ask for.
template <class T>
std::size_t shared_bytes(Mode mode, int width) {
  const FeedForwardBytes bytes = feedforward_bytes<T>(width);
  if (mode == Mode::infer) return bytes.forward;
  return mode == Mode::vjp ? bytes.backward : bytes.over_rows;
}

}  // namespace

bool fuses_ops() { return os::env("EMISOPT_CUDA_FUSION").value_or("") != "none"; }

// gate_up, swiglu, down one after the other, and nobody else reads what lies between.
bool CudaProgram::is_feedforward(std::size_t first) const {
  if (first + 3 > plan_.nodes.size()) return false;
  const Node &one = plan_.nodes[first], &two = plan_.nodes[first + 1], &three = plan_.nodes[first + 2];
  const Op &gate_up = op(one), &swiglu = op(two), &down = op(three);
  if (gate_up.kind != OpKind::linear || swiglu.kind != OpKind::swiglu || down.kind != OpKind::linear ||
      one.part != two.part || two.part != three.part || swiglu.x != gate_up.y || down.x != swiglu.y ||
      gate_up.lora_a >= 0 || down.lora_a >= 0 || one.int8 || three.int8)
    return false;
  for (const int id : {gate_up.x, gate_up.y, swiglu.y})
    if (in_bf16(id) != in_bf16(down.y)) return false;
  const int width = plan_.width(gate_up.x);
  if (width != plan_.width(down.y) || width > widest(plan_.mode, in_bf16(down.y))) return false;
  const auto bytes = in_bf16(down.y) ? shared_bytes<Bf16> : shared_bytes<float>;
  if (bytes(plan_.mode, width) > block_shared_bytes()) return false;
  int readers = 0;
  for (const Node& node : plan_.nodes) {
    const Op& o = op(node);
    for (const int id : {o.x, o.x2})
      readers += node.part == one.part && (id == gate_up.y || id == swiglu.y) ? 1 : 0;
  }
  const OpList& ops = plan_.ops;
  return readers == 2 && ops.hidden != gate_up.y && ops.hidden != swiglu.y;
}

// Whether the sum after a layer goes with it: nobody else reads what the layer makes.
bool CudaProgram::takes_sum(std::size_t down) const {
  if (down + 1 == plan_.nodes.size()) return false;
  const Node &from = plan_.nodes[down], &to = plan_.nodes[down + 1];
  const Op& sum = op(to);
  const int y = op(from).y;
  if (sum.kind != OpKind::add || to.part != from.part || (sum.x == y) == (sum.x2 == y) ||
      y == plan_.ops.hidden || in_bf16(y) != in_bf16(sum.y))
    return false;
  return std::count_if(plan_.nodes.begin(), plan_.nodes.end(), [&](const Node& node) {
           return node.part == from.part && (op(node).x == y || op(node).x2 == y);
         }) == 1;
}

void CudaProgram::find_feedforwards() {
  fused_.assign(plan_.nodes.size(), Fused::no);
  if (!fuses_ops() || !tick_.steps.empty()) return;
  for (std::size_t n = 0; n < plan_.nodes.size(); ++n) {
    if (!is_feedforward(n)) continue;
    const std::size_t last = n + (takes_sum(n + 2) ? 3 : 2);
    for (std::size_t i = n; i < last; ++i) fused_[i] = Fused::inside;
    fused_[last] = Fused::last;
  }
}

bool CudaProgram::stays_on_chip(Part part, int id) const {
  return std::any_of(plan_.nodes.begin(), plan_.nodes.end(),
                     [&](const Node& node) { return node.part == part && op(node).y == id && inside(node); });
}

CudaProgram::Layer CudaProgram::layer(const Node& last) const {
  Layer l;
  l.sum = op(last).kind == OpKind::add ? &last : nullptr;
  l.down = l.sum ? &last - 1 : &last;
  l.gate_up = l.down - 2;
  if (!l.sum) return l;
  const bool second = op(*l.sum).x2 == op(*l.down).y;
  l.other = second ? op(*l.sum).x : op(*l.sum).x2;
  l.other_flow = second ? l.sum->x : l.sum->x2;
  return l;
}

FeedForward CudaProgram::feedforward(const Layer& l) const {
  const Op &down = op(*l.down), &gate_up = op(*l.gate_up);
  return {parameter(gate_up.w), parameter(down.w),      parameter(gate_up.b),
          parameter(down.b),    plan_.width(gate_up.x), plan_.width(down.x)};
}

std::size_t CudaProgram::feedforward_scratch(const Node& last) const {
  const Op& down = op(*layer(last).down);
  return feedforward_partials(grid(last.part), plan_.width(down.y), plan_.width(down.x));
}

void CudaProgram::feedforward_ahead(const Node& last) {
  const Layer l = layer(last);
  const Part part = last.part;
  const auto go = [&]<class T>(View<T> y) {
    feedforward_forward<T>(y, value<T>(part, op(*l.gate_up).x), l.sum ? value<T>(part, l.other) : View<T>(),
                           feedforward(l), grid(part), stream_);
  };
  std::visit(go, any_value(part, op(last).y));
}

void CudaProgram::feedforward_back(const Node& last) {
  std::visit([&]<class T>(View<T> dy) { feedforward_back_as<T>(last, dy); },
             any_slope(last.part, op(last).y));
}

template <class T>
void CudaProgram::feedforward_back_as(const Node& last, View<const T> dy) {
  const Layer l = layer(last);
  const Op &down = op(*l.down), &gate_up = op(*l.gate_up);
  const Part part = last.part;
  const Grid g = grid(part);
  const View<const T> x = value<T>(part, gate_up.x);
  if (l.sum) pass_on<T>(slope_of<T>(l.other_flow, part, l.other), l.other_flow, dy, g, plan_.width(down.y));
  const View<T> dx = slope_of<T>(l.gate_up->x, part, gate_up.x);
  if (dx.data) feedforward_backward<T>(dx, dy, x, feedforward(l), g, !l.gate_up->x.assign, stream_);
  const FeedForwardSlopes slopes{weight_slope(gate_up.w), weight_slope(down.w), weight_slope(gate_up.b)};
  if (slopes.gate_up || slopes.down || slopes.gate_up_bias)
    feedforward_over_rows<T>(slopes, scratch_, dy, x, feedforward(l), g, stream_);
  if (float* db = weight_slope(down.b))
    column_sum<T>(db, scratch_, dy, g, plan_.width(down.y), true, stream_);
}

}  // namespace emisopt::kernels::cuda
