// CudaProgram: one node forward and backward, and the loss between the two.
#include <algorithm>

#include "kernels/cuda/body.hpp"

namespace emisopt::kernels::cuda {

// w + A B, once per load.
void CudaProgram::add_corrections() {
  std::vector<bool> done(plan_.ops.parameters.size());
  for (const Node& node : plan_.nodes) {
    const Op& o = op(node);
    if (o.kind != OpKind::linear || o.lora_a < 0 || done[at(o.w)]) continue;
    done[at(o.w)] = true;
    const int k = plan_.width(o.x), n = plan_.width(o.y), rank = plan_.rank(o);
    float* sum = corrected_[at(o.w)];
    expect(cudaMemcpyAsync(sum, parameter(o.w), at(k) * at(n) * sizeof(float), cudaMemcpyDeviceToDevice,
                           stream_),
           "Program.load");
    gemm({sum, 0}, {parameter(o.lora_a), 0}, parameter(o.lora_b), false, nullptr, {1, k}, n, rank, true,
         stream_);
  }
}

// Weights in bf16 and in 8 bits, once per load or step.
void CudaProgram::pack_weights() {
  pack_bf16_weights();
  for (std::size_t id = 0; id < rounded_.size(); ++id) {
    const Parameter& p = plan_.ops.parameters[id];
    if (rounded_[id].packed)
      pack_int8(rounded_[id].packed, rounded_[id].scale, theta_ + p.offset, p.shape[0], p.shape[1], stream_);
  }
}

void CudaProgram::linear_int8(const Node& node) {
  const Op& o = op(node);
  const Grid g = grid(node.part);
  const Rounded& w = rounded_[at(o.w)];
  quantize(rounded_rows_, row_scale_, value(node.part, o.x), g, plan_.width(o.x), stream_);
  gemm_int8(value(node.part, o.y), rounded_rows_, row_scale_, w.packed, w.scale, parameter(o.b), g,
            plan_.width(o.y), plan_.width(o.x), stream_);
}

template <class T>
Attention<T> CudaProgram::attention(const Node& node) const {
  const Op& o = op(node);
  Attention<T> a;
  a.windows = windows(node.part);
  a.rows = rows(node.part);
  a.heads = o.heads, a.kv_heads = o.kv_heads, a.head_dim = o.head_dim;
  a.x = value<T>(node.part, o.x);
  if (plan_.has_past(node)) {
    a.past = rows(kHistory);
    a.past_x = value<T>(kHistory, o.x);
    if (!train()) a.past_x.window = 0;  // one history, all plans
  }
  return a;
}

template Attention<float> CudaProgram::attention(const Node&) const;  // passes_many.cpp

void CudaProgram::forward(const Node& node) {
  if (inside(node)) return;
  const Op& o = op(node);
  if (fused(node))
    feedforward_ahead(node);
  else if (o.kind == OpKind::linear)
    linear(node);
  else if (in_bf16(o.y))
    forward_as<Bf16>(node);
  else
    forward_as<float>(node);
  if (node.part == kFuture && o.y == plan_.ops.hidden && copies_hidden()) show_hidden();
}

void CudaProgram::linear(const Node& node) {
  const Op& o = op(node);
  if (node.int8)
    linear_int8(node);
  else if (in_bf16(o))
    linear_bf16(node);
  else
    product(value(node.part, o.y), value(node.part, o.x), matrix(o), false, parameter(o.b), grid(node.part),
            plan_.width(o.y), plan_.width(o.x), false);
}

// All but products; T: of input and result alike.
template <class T>
void CudaProgram::forward_as(const Node& node) {
  const Op& o = op(node);
  const Part part = node.part;
  const Grid g = grid(part);
  const int x_width = plan_.width(o.x), y_width = plan_.width(o.y);
  const View<T> x = value<T>(part, o.x), y = value<T>(part, o.y);
  switch (o.kind) {
    case OpKind::linear:
      break;
    case OpKind::rmsnorm:
      rmsnorm_forward<T>(y, saved_[index_of(node)], x, parameter(o.w), g, x_width, o.eps, stream_);
      break;
    case OpKind::rope: {
      const long first = static_cast<long>(part == kFuture ? rows(kHistory) : 0) * (o.head_dim / 2);
      rope<T>(y, x, cosine_[at(node.op)] + first, sine_[at(node.op)] + first, g, x_width, o.heads, o.head_dim,
              false, false, stream_);
      break;
    }
    case OpKind::attention:
      attention_forward<T>(y, saved_[index_of(node)], attention<T>(node), stream_);
      break;
    case OpKind::swiglu:
      swiglu_forward<T>(y, x, g, y_width, stream_);
      break;
    case OpKind::add:
      add<T>(y, x, value<T>(part, o.x2), g, x_width, stream_);
      break;
    case OpKind::quantiles:
      if constexpr (std::is_same_v<T, float>)  // always: the quantiles are the user's
        quantiles_forward(y, x, g, o.outputs, o.levels, o.middle, stream_);
      break;
  }
}

void CudaProgram::backward(const Node& node) {
  if (inside(node)) return;
  if (fused(node)) return feedforward_back(node);
  const Op& o = op(node);
  if (o.kind == OpKind::linear)
    in_bf16(o) ? linear_backward_bf16(node) : linear_backward(node);
  else if (in_bf16(o.y))
    backward_as<Bf16>(node);
  else
    backward_as<float>(node);
}

template <class T>
void CudaProgram::backward_as(const Node& node) {
  const Op& o = op(node);
  const Part part = node.part;
  const Grid g = grid(part);
  const int x_width = plan_.width(o.x), y_width = plan_.width(o.y);
  const View<const T> x = value<T>(part, o.x), dy = slope<T>(part, o.y);
  const View<T> dx = slope_of<T>(node.x, part, o.x);
  const bool accumulate = !node.x.assign;
  switch (o.kind) {
    case OpKind::linear:
      break;
    case OpKind::rmsnorm: {
      float* dw = weight_slope(o.w);
      rmsnorm_backward<T>(dx, dw ? scratch_ : nullptr, dy, x, saved_[index_of(node)], parameter(o.w), g,
                          x_width, accumulate, stream_);
      if (dw) add_partials(dw, scratch_, norm_partials(g), x_width, true, stream_);
      break;
    }
    case OpKind::rope: {
      const long first = static_cast<long>(part == kFuture ? rows(kHistory) : 0) * (o.head_dim / 2);
      if (dx.data)
        rope<T>(dx, dy, cosine_[at(node.op)] + first, sine_[at(node.op)] + first, g, x_width, o.heads,
                o.head_dim, true, accumulate, stream_);
      break;
    }
    case OpKind::attention: {
      if (!dx.data) break;
      const View<T> dpast = slope_of<T>(node.past, kHistory, o.x);
      attention_backward<T>(dx, dpast, dy, value<T>(part, o.y), saved_[index_of(node)], dots_,
                            attention<T>(node), stream_);
      break;
    }
    case OpKind::swiglu:
      if (dx.data) swiglu_backward<T>(dx, dy, x, g, y_width, accumulate, stream_);
      break;
    case OpKind::add:
      pass_on<T>(dx, node.x, dy, g, x_width);
      pass_on<T>(slope_of<T>(node.x2, part, o.x2), node.x2, dy, g, x_width);
      break;
    case OpKind::quantiles:
      if constexpr (std::is_same_v<T, float>)
        if (dx.data) quantiles_backward(dx, dy, x, g, o.outputs, o.levels, o.middle, accumulate, stream_);
      break;
  }
}

void CudaProgram::linear_backward(const Node& node) {
  const Op& o = op(node);
  const Grid g = grid(node.part);
  const int x_width = plan_.width(o.x), y_width = plan_.width(o.y);
  const View<const float> x = value(node.part, o.x), dy = slope(node.part, o.y);
  const View<float> dx = slope_of<float>(node.x, node.part, o.x);
  if (dx.data) product(dx, dy, matrix(o), true, nullptr, g, x_width, y_width, !node.x.assign);
  if (float* dw = weight_slope(o.w)) product_over_rows(dw, x, dy, g, x_width, y_width, true);
  if (train() && plan_.adapts(o)) {
    gemm_over_rows(whole_slope_, scratch_, x, dy, g, x_width, y_width, false, stream_);
    correction_slopes(o);
  }
  if (float* db = weight_slope(o.b)) column_sum(db, scratch_, dy, g, y_width, true, stream_);
}

// dA = dW Bᵀ, dB = Aᵀ dW, by way of the whole weight's gradient, which is made.
void CudaProgram::correction_slopes(const Op& o) {
  const int k = plan_.width(o.x), n = plan_.width(o.y), rank = plan_.rank(o);
  if (float* da = weight_slope(o.lora_a))
    gemm({da, 0}, {whole_slope_, 0}, parameter(o.lora_b), true, nullptr, {1, k}, rank, n, true, stream_);
  if (float* db = weight_slope(o.lora_b))
    gemm_over_rows(db, scratch_, {parameter(o.lora_a), 0}, {whole_slope_, 0}, {1, k}, rank, n, true, stream_);
}

// The loss's denominators.
void CudaProgram::weight_sums() {
  const Buffers& b = device_buffers_;
  const long steps = grid(kFuture).count();
  positive_sum(weight_sum_, b.weight, steps * plan_.ops.outputs, stream_);
  if (b.teacher)
    positive_sum(teacher_sum_, b.teacher_weight, steps * plan_.width(plan_.ops.quantiles), stream_);
  if (plan_.hidden) positive_sum(hidden_sum_, b.hidden_weight, steps, stream_);
}

// Values of the loss by window, and where its gradient enters the network.
void CudaProgram::losses() {
  const OpList& ops = plan_.ops;
  const Buffers& b = device_buffers_;
  const Grid g = grid(kFuture);
  const int out = plan_.width(ops.quantiles), batch = plan_.shapes.batch;
  float* dq = slope(kFuture, ops.quantiles).data;
  const auto part = [&](int which) { return b.losses + which * batch; };
  double level_weight = options_.level_weights.empty() ? ops.levels : 0.0;
  for (const float w : options_.level_weights) level_weight += static_cast<double>(w);
  const LossKernel label{options_.loss,
                         ops.outputs,
                         ops.levels,
                         ops.middle,
                         taus_,
                         static_cast<double>(options_.huber_delta),
                         options_.level_weights.empty() ? nullptr : level_weights_,
                         1 / level_weight};
  const int scale_count = static_cast<int>(options_.scales.size());
  label_loss(dq, part(kLabel), b.quantiles, b.target, b.weight, weight_sum_, g, label, stream_);
  if (options_.multiscale > 0)
    pooled_distance(dq, part(kMultiscale), b.quantiles, b.target, b.weight, weight_sum_, g,
                    {scales_, scale_count, ops.outputs, out, ops.middle, ops.levels},
                    static_cast<double>(options_.multiscale), stream_);
  if (options_.distill > 0)
    squared_distance(dq, part(kDistill), b.quantiles, b.teacher, b.teacher_weight, teacher_sum_,
                     {g.windows, g.rows * out}, 1, static_cast<double>(options_.distill), stream_);
  if (options_.distill_multiscale > 0)
    pooled_distance(dq, part(kDistillMultiscale), b.quantiles, b.teacher, b.teacher_weight, teacher_sum_, g,
                    {scales_, scale_count, out, out, 0, 1}, static_cast<double>(options_.distill_multiscale),
                    stream_);
  if (!plan_.hidden) return;
  float* dh = copies_hidden() ? hidden_slope_ : slope(kFuture, ops.hidden).data;
  zero(dh, size(kFuture, ops.hidden));
  squared_distance(dh, part(kHidden), b.hidden, b.hidden_target, b.hidden_weight, hidden_sum_, g,
                   plan_.width(ops.hidden), static_cast<double>(options_.hidden), stream_);
  if (copies_hidden())
    pack_bf16(slope<Bf16>(kFuture, ops.hidden).data, dh, static_cast<long>(size(kFuture, ops.hidden)),
              stream_);
}

}  // namespace emisopt::kernels::cuda
