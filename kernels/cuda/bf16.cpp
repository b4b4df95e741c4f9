// CudaProgram in bf16: what is kept in 8 significant bits, the weights that products read, and the products.
#include "kernels/cuda/body.hpp"

namespace emisopt::kernels::cuda {

// What the caller reads or writes stays fp32, and what is connected with it without a product, since all
// other ops have one type for what they read and what they write. A hidden value that only products touch (a
// projection for distillation) ends the network as the quantiles do; any other is shown as a copy, so that
// asking for it changes nothing.
std::vector<char> values_in_bf16(const Plan& plan) {
  const OpList& ops = plan.ops;
  std::vector<char> narrow(ops.values.size(), 1);
  for (const int id : {ops.history, ops.future, ops.quantiles})
    if (id >= 0) narrow[at(id)] = 0;
  bool only_products = plan.hidden;
  for (bool changed = true; changed;) {
    changed = false;
    for (const Op& op : ops.ops) {
      if (op.kind == OpKind::linear) continue;
      bool all = true;
      for (const int id : {op.x, op.x2, op.y}) {
        if (id < 0) continue;
        all = all && narrow[at(id)];
        only_products = only_products && id != ops.hidden;
      }
      if (all) continue;
      for (const int id : {op.x, op.x2, op.y}) {
        if (id < 0 || !narrow[at(id)]) continue;
        narrow[at(id)] = 0;
        changed = true;
      }
    }
  }
  if (only_products) narrow[at(ops.hidden)] = 0;
  return narrow;
}

void CudaProgram::lay_out_bf16_weights() {
  bf16_corrected_.assign(plan_.ops.parameters.size(), nullptr);
  if (in_bf16_.empty()) return;
  bf16_theta_ = weights_.take<Bf16>(plan_.ops.parameter_count());
  for (const Node& node : plan_.nodes) {
    const Op& o = op(node);
    if (o.kind == OpKind::linear && o.lora_a >= 0 && in_bf16(o) && !bf16_corrected_[at(o.w)])
      bf16_corrected_[at(o.w)] = weights_.take<Bf16>(plan_.ops.parameters[at(o.w)].size());
  }
}

// One launch for the whole buffer: norms and biases, of which nobody reads the copy, are a small share of it.
void CudaProgram::pack_bf16_weights() {
  if (in_bf16_.empty()) return;
  pack_bf16(bf16_theta_, theta_, static_cast<long>(plan_.ops.parameter_count()), stream_);
  for (std::size_t id = 0; id < bf16_corrected_.size(); ++id)
    if (bf16_corrected_[id])
      pack_bf16(bf16_corrected_[id], corrected_[id], static_cast<long>(plan_.ops.parameters[id].size()),
                stream_);
}

const Bf16* CudaProgram::bf16_matrix(const Op& op) const {
  return op.lora_a < 0 ? bf16_theta_ + plan_.ops.parameters[at(op.w)].offset : bf16_corrected_[at(op.w)];
}

void CudaProgram::linear_bf16(const Node& node) {
  const Op& o = op(node);
  product_bf16(any_value(node.part, o.y), any_value(node.part, o.x), bf16_matrix(o), false, parameter(o.b),
               grid(node.part), plan_.width(o.y), plan_.width(o.x), false);
}

void CudaProgram::linear_backward_bf16(const Node& node) {
  const Op& o = op(node);
  const Grid g = grid(node.part);
  const int x_width = plan_.width(o.x), y_width = plan_.width(o.y);
  const AnyView x = any_value(node.part, o.x), dy = any_slope(node.part, o.y);
  if (node.x.wanted)
    product_bf16(any_slope(node.part, o.x), dy, bf16_matrix(o), true, nullptr, g, x_width, y_width,
                 !node.x.assign);
  if (float* dw = weight_slope(o.w)) product_over_rows_bf16(dw, x, dy, g, x_width, y_width, true);
  if (train() && plan_.adapts(o)) {
    product_over_rows_bf16(whole_slope_, x, dy, g, x_width, y_width, false);
    correction_slopes(o);
  }
  if (float* db = weight_slope(o.b))
    std::visit(
        [&](auto rows) {
          using T = std::remove_pointer_t<decltype(rows.data)>;
          column_sum<T>(db, scratch_, rows, g, y_width, true, stream_);
        },
        dy);
}

namespace {

template <class T>
constexpr cudaDataType_t type_of(const T*) {
  return std::is_same_v<T, float> ? CUDA_R_32F : CUDA_R_16BF;
}

}  // namespace

// cuBLASLt takes operands of one type, so products that read an fp32 value (an input, or the head's gradient)
// are always our kernel's, which rounds it on the way.
void CudaProgram::product_bf16(AnyView c, AnyView a, const Bf16* b, bool turned, const float* bias, Grid g,
                               int n, int k, bool accumulate) {
  const auto go = [&](auto to, auto from) {
    using C = std::remove_pointer_t<decltype(to.data)>;
    using A = std::remove_pointer_t<decltype(from.data)>;
    const auto own = [&] { gemm_bf16<C, A, Bf16>(to, from, b, turned, bias, g, n, k, accumulate, stream_); };
    if constexpr (std::is_same_v<A, Bf16>)
      by_library_or({.m = static_cast<int>(g.count()),
                     .n = n,
                     .k = k,
                     .turned_b = turned,
                     .bias = bias != nullptr,
                     .accumulate = accumulate,
                     .operands = CUDA_R_16BF,
                     .result = type_of(to.data)},
                    {to.data, from.data, b, bias}, own);
    else
      own();
  };
  std::visit(go, c, a);
}

void CudaProgram::product_over_rows_bf16(float* c, AnyView a, AnyView b, Grid g, int k, int n,
                                         bool accumulate) {
  const auto go = [&](auto left, auto right) {
    using A = std::remove_pointer_t<decltype(left.data)>;
    using B = std::remove_pointer_t<decltype(right.data)>;
    const auto own = [&] {
      gemm_bf16_over_rows<A, B>(c, scratch_, left, right, g, k, n, accumulate, stream_);
    };
    if constexpr (std::is_same_v<A, Bf16> && std::is_same_v<B, Bf16>)
      by_library_or({.m = k,
                     .n = n,
                     .k = static_cast<int>(g.count()),
                     .turned_a = true,
                     .accumulate = accumulate,
                     .operands = CUDA_R_16BF},
                    {c, left.data, right.data, nullptr}, own);
    else
      own();
  };
  std::visit(go, a, b);
}

void CudaProgram::show_hidden() {
  const int id = plan_.ops.hidden;
  unpack_bf16(device_buffers_.hidden, value<Bf16>(kFuture, id).data, static_cast<long>(size(kFuture, id)),
              stream_);
}

}  // namespace emisopt::kernels::cuda
