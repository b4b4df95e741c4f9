// CudaProgram: SwiGLU layers that one kernel does (feedforward.cu), and when that pays.
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
  int readers = 0;
  for (const Node& node : plan_.nodes) {
    const Op& o = op(node);
    for (const int id : {o.x, o.x2})
      readers += node.part == one.part && (id == gate_up.y || id == swiglu.y) ? 1 : 0;
  }
  const OpList& ops = plan_.ops;
  return readers == 2 && ops.hidden != gate_up.y && ops.hidden != swiglu.y;
}

void CudaProgram::find_feedforwards() {
  fused_.assign(plan_.nodes.size(), Fused::no);
  if (!fuses_ops() || !tick_.steps.empty() || options_.precision == Precision::bfloat16) return;
  for (std::size_t n = 0; n < plan_.nodes.size(); ++n)
    if (is_feedforward(n)) fused_[n] = fused_[n + 1] = Fused::inside, fused_[n + 2] = Fused::last;
}

bool CudaProgram::stays_on_chip(Part part, int id) const {
  for (const Node& node : plan_.nodes)
    if (node.part == part && op(node).y == id && inside(node)) return true;
  return false;
}

FeedForward CudaProgram::feedforward(const Node& node) const {
  const Op &down = op(node), &gate_up = op(plan_.nodes[index_of(node) - 2]);
  return {parameter(gate_up.w), parameter(down.w),      parameter(gate_up.b),
          parameter(down.b),    plan_.width(gate_up.x), plan_.width(down.x)};
}

void CudaProgram::feedforward_ahead(const Node& node) {
  const Op& gate_up = op(plan_.nodes[index_of(node) - 2]);
  const auto go = [&]<class T>(View<T> y) {
    feedforward_forward<T>(y, value<T>(node.part, gate_up.x), feedforward(node), grid(node.part), stream_);
  };
  std::visit(go, any_value(node.part, op(node).y));
}

void CudaProgram::feedforward_back(const Node& node) {
  std::visit([&]<class T>(View<T> dy) { feedforward_back_as<T>(node, dy); },
             any_slope(node.part, op(node).y));
}

template <class T>
void CudaProgram::feedforward_back_as(const Node& node, View<const T> dy) {
  const Node& first = plan_.nodes[index_of(node) - 2];
  const Op &down = op(node), &gate_up = op(first);
  const Grid g = grid(node.part);
  const View<const T> x = value<T>(node.part, gate_up.x);
  if (first.x.wanted)
    feedforward_backward<T>(slope<T>(node.part, gate_up.x), dy, x, feedforward(node), g, !first.x.assign,
                            stream_);
  const FeedForwardSlopes slopes{weight_slope(gate_up.w), weight_slope(down.w), weight_slope(gate_up.b)};
  if (slopes.gate_up || slopes.down || slopes.gate_up_bias)
    feedforward_over_rows<T>(slopes, scratch_, dy, x, feedforward(node), g, stream_);
  if (float* db = weight_slope(down.b))
    column_sum<T>(db, scratch_, dy, g, plan_.width(down.y), true, stream_);
}

}  // namespace emisopt::kernels::cuda
