// Interpreter: one node forward. Included by interpreter.cpp only.
#pragma once
#include "kernels/interpreter.hpp"

namespace emisopt::kernels {

// Rows of value `id` from window `first` of the batch on; inputs and outputs are the caller's buffers.
template <class T>
T* Interpreter<T>::activation(const Frame& frame, Part part, int id, int first) const {
  const long at = static_cast<long>(first) * rows(part) * plan_.width(id);
  if (id == plan_.ops.history) return history_ + at;
  if (id == plan_.ops.future) return future_ + at;
  if (id == plan_.ops.quantiles) return quantiles_ + at;
  if (id == plan_.ops.hidden && hidden_ && part == kFuture) return hidden_ + at;
  return frame.value[part][static_cast<std::size_t>(id)];
}

template <class T>
void Interpreter<T>::forward(const Node& node, Frame& frame, Span span) {
  const Op& op = plan_.op(node);
  const int m = span.count * rows(node.part);  // windows lie one after the other
  const int x_width = plan_.width(op.x), y_width = plan_.width(op.y);
  const T* x = activation(frame, node.part, op.x, span.first);
  T* y = activation(frame, node.part, op.y, span.first);
  switch (op.kind) {
    case OpKind::linear:
      kernels_.gemm_packed(y, y_width, x, x_width, packed(op.w), op.b >= 0 ? weight_of(op.b) : nullptr, m,
                           y_width, x_width, false);
      break;
    case OpKind::rmsnorm:
      kernels_.rmsnorm_forward(y, frame.saved[static_cast<std::size_t>(&node - plan_.nodes.data())], x,
                               weight_of(op.w), m, x_width, static_cast<T>(op.eps));
      break;
    case OpKind::rope: {
      const long first_angle =
          node.part == kFuture ? static_cast<long>(rows(kHistory)) * (op.head_dim / 2) : 0;
      const auto id = static_cast<std::size_t>(node.op);
      const long step = static_cast<long>(rows(node.part)) * x_width;
      for (int w = 0; w < span.count; ++w)
        kernels_.rope(y + w * step, x + w * step, cosine_[id] + first_angle, sine_[id] + first_angle,
                      rows(node.part), x_width, op.heads, op.head_dim, false, false);
      break;
    }
    case OpKind::attention:
      attention_forward(node, frame, span);
      break;
    case OpKind::swiglu:
      kernels_.swiglu_forward(y, x, m, y_width);
      break;
    case OpKind::add:
      kernels_.add(y, x, activation(frame, node.part, op.x2, span.first), static_cast<long>(m) * x_width);
      break;
    case OpKind::quantiles:
      kernels_.quantiles_forward(y, x, m, op.outputs, op.levels, op.middle);
      break;
  }
}

// The keys and values of the history, one row per channel, as the score and gradient products want them.
template <class T>
void Interpreter<T>::transpose_past(const Node& node, Frame& frame, Span span) {
  const Op& op = plan_.op(node);
  const auto n = static_cast<std::size_t>(&node - plan_.nodes.data());
  const int width = plan_.width(op.x), channels = op.kv_heads * op.head_dim, past = rows(kHistory);
  const int stride = (past + 15) / 16 * 16;
  const T* x = activation(frame, kHistory, op.x, span.first);
  for (int w = 0; w < span.count; ++w, x += static_cast<long>(past) * width) {
    const long at = static_cast<long>(w) * channels * stride;
    kernels_.transpose(frame.past_kt[n] + at, stride, x + op.heads * op.head_dim, width, past, channels);
    kernels_.transpose(frame.past_vt[n] + at, stride, x + op.heads * op.head_dim + channels, width, past,
                       channels);
  }
}

template <class T>
AttentionArgs<T> Interpreter<T>::attention_args(const Node& node, const Frame& frame, Span span,
                                                int window) const {
  const Op& op = plan_.op(node);
  const auto n = static_cast<std::size_t>(&node - plan_.nodes.data());
  const int own = rows(node.part), width = plan_.width(op.x);
  AttentionArgs<T> a{};
  a.heads = op.heads;
  a.kv_heads = op.kv_heads;
  a.head_dim = op.head_dim;
  a.rows = own;
  a.past = plan_.has_past(node) ? rows(kHistory) : 0;
  a.x = activation(frame, node.part, op.x, span.first) + static_cast<long>(window) * own * width;
  if (a.past) {
    const bool train = plan_.mode == Mode::train;
    const Frame& home = train ? frame : context_;  // the one history of all plans, or the window's own
    const long w = train ? window : 0;
    a.past_stride = (a.past + 15) / 16 * 16;
    a.past_x = activation(home, kHistory, op.x, train ? span.first : 0) + w * a.past * width;
    a.past_kt = home.past_kt[n] + w * op.kv_heads * op.head_dim * a.past_stride;
    a.past_vt = home.past_vt[n] + w * op.kv_heads * op.head_dim * a.past_stride;
  }
  a.p_stride = (a.past + own + 15) / 16 * 16;
  a.p_head = static_cast<long>(own) * a.p_stride;
  a.p = frame.saved[n] + window * op.heads * a.p_head;
  a.scratch = frame.scratch;
  return a;
}

template <class T>
void Interpreter<T>::attention_forward(const Node& node, Frame& frame, Span span) {
  const Op& op = plan_.op(node);
  if (plan_.mode == Mode::train && plan_.has_past(node)) transpose_past(node, frame, span);
  T* y = activation(frame, node.part, op.y, span.first);
  for (int w = 0; w < span.count; ++w)
    kernels_.attention_forward(attention_args(node, frame, span, w),
                               y + static_cast<long>(w) * rows(node.part) * op.heads * op.head_dim);
}

}  // namespace emisopt::kernels
