// Interpreter: one node forward. Included by interpreter.cpp only.
#pragma once
#include <algorithm>

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

// A member's rows: stretches of the same length, one after the other.
template <class T>
typename Interpreter<T>::Span Interpreter<T>::share(Part part, int first, int count,
                                                    const Member& member) const {
  const int all = count * rows(part);
  return {first, count, all * member.place / member.size, all * (member.place + 1) / member.size};
}

template <class T>
void Interpreter<T>::forward(const Node& node, Frame& frame, Span span, Member& member) {
  const Op& op = plan_.op(node);
  if (op.kind == OpKind::attention) return attention_forward(node, frame, span, member);
  const int m = span.end - span.begin;  // windows lie one after the other
  const int x_width = plan_.width(op.x), y_width = plan_.width(op.y);
  const long x_at = static_cast<long>(span.begin) * x_width, y_at = static_cast<long>(span.begin) * y_width;
  const T* x = activation(frame, node.part, op.x, span.first) + x_at;
  T* y = activation(frame, node.part, op.y, span.first) + y_at;
  switch (op.kind) {
    case OpKind::linear:
      if (node.int8) {
        linear_int8(node, y, x, m, member);
        break;
      }
      kernels_.gemm_packed(y, y_width, x, x_width, packed(op.w), op.b >= 0 ? weight_of(op.b) : nullptr, m,
                           y_width, x_width, false);
      break;
    case OpKind::rmsnorm:
      kernels_.rmsnorm_forward(y, frame.saved[index_of(node)] + span.begin, x, weight_of(op.w), m, x_width,
                               static_cast<T>(op.eps));
      break;
    case OpKind::rope: {
      const int half = op.head_dim / 2, before = node.part == kFuture ? rows(kHistory) : 0;
      const auto id = static_cast<std::size_t>(node.op);
      for (int row = span.begin, n; row < span.end;
           row += n, x += n * long{x_width}, y += n * long{y_width}) {
        const int in_window = row % rows(node.part);
        n = std::min(span.end - row, rows(node.part) - in_window);
        const long angle = static_cast<long>(before + in_window) * half;
        kernels_.rope(y, x, cosine_[id] + angle, sine_[id] + angle, n, x_width, op.heads, op.head_dim, false,
                      false);
      }
      break;
    }
    case OpKind::swiglu:
      kernels_.swiglu_forward(y, x, m, y_width);
      if (many() && node.backward) kernels_.swiglu_slopes(maps_[index_of(node)] + x_at, x, m, y_width);
      break;
    case OpKind::add:
      kernels_.add(y, x, activation(frame, node.part, op.x2, span.first) + x_at,
                   static_cast<long>(m) * x_width);
      break;
    case OpKind::quantiles:
      kernels_.quantiles_forward(y, x, m, op.outputs, op.levels, op.middle);
      break;
    case OpKind::attention:
      break;  // above
  }
}

template <class T>
void Interpreter<T>::linear_int8(const Node& node, T* y, const T* x, int m, const Member& member) {
  const Op& op = plan_.op(node);
  const int k = plan_.width(op.x), n = plan_.width(op.y);
  const Rounded& w = rounded_[static_cast<std::size_t>(op.w)];
  const RoundedRows& rows = rounded_rows_[static_cast<std::size_t>(member.worker)];
  kernels_.quantize(rows.q, rows.scale, x, m, k);
  kernels_.gemm_int8(y, rows.q, rows.scale, w.packed, w.scale, w.sum, op.b >= 0 ? weight_of(op.b) : nullptr,
                     m, n, k);
}

// The keys and values of the history, one row per channel, as the score and gradient products want them.
template <class T>
void Interpreter<T>::transpose_past(const Node& node, Frame& frame, Span span) {
  const Op& op = plan_.op(node);
  const std::size_t n = index_of(node);
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
AttentionArgs<T> Interpreter<T>::attention_args(const Node& node, const Frame& frame, Span span, int window,
                                                int worker) const {
  const Op& op = plan_.op(node);
  const std::size_t n = index_of(node);
  const int own = rows(node.part), width = plan_.width(op.x);
  AttentionArgs<T> a{};
  a.heads = a.head_end = op.heads;
  a.kv_heads = op.kv_heads;
  a.head_dim = op.head_dim;
  a.rows = own;
  a.past = plan_.has_past(node) ? rows(kHistory) : 0;
  a.x = activation(frame, node.part, op.x, span.first) + static_cast<long>(window) * own * width;
  if (a.past) {
    const bool train = plan_.mode == Mode::train;
    // the one history of all plans, or the window's own
    const Frame& home = train ? frame : source_ ? source_->context_ : context_;
    const long w = train ? window : 0;
    a.past_stride = (a.past + 15) / 16 * 16;
    a.past_x = activation(home, kHistory, op.x, train ? span.first : 0) + w * a.past * width;
    a.past_kt = home.past_kt[n] + w * op.kv_heads * op.head_dim * a.past_stride;
    a.past_vt = home.past_vt[n] + w * op.kv_heads * op.head_dim * a.past_stride;
  }
  a.p_stride = (a.past + own + 15) / 16 * 16;
  a.p_head = static_cast<long>(own) * a.p_stride;
  a.keep_p = node.backward;
  a.p = frame.saved[n] + window * op.heads * a.p_head;
  a.scratch = scratch_[static_cast<std::size_t>(worker)];
  a.windows = 1;
  return a;
}

// A team meets before: keys and values are others' rows. Then each takes its own rows of the future, where
// all see nearly as many keys; of the history, whose last rows see many more than the first, each takes
// heads.
template <class T>
void Interpreter<T>::attention_forward(const Node& node, Frame& frame, Span span, Member& member) {
  const Op& op = plan_.op(node);
  if (plan_.mode == Mode::train && plan_.has_past(node)) transpose_past(node, frame, span);
  const int own = rows(node.part), width = op.heads * op.head_dim, group = op.heads / op.kv_heads;
  T* y = activation(frame, node.part, op.y, span.first);
  member.meet();
  const bool by_heads = node.part == kHistory && member.size > 1;
  if (by_heads) span.begin = 0, span.end = span.count * own;
  for (int row = span.begin, n; row < span.end; row += n) {
    const int window = row / own;
    AttentionArgs<T> a = attention_args(node, frame, span, window, member.worker);
    a.first = row % own;
    n = std::min(span.end - row, own - a.first);
    a.rows = a.first + n;
    if (by_heads) {
      a.head_begin = op.kv_heads * member.place / member.size * group;
      a.head_end = op.kv_heads * (member.place + 1) / member.size * group;
    }
    kernels_.attention_forward(a, y + static_cast<long>(row) * width);
    if (!many() || !node.backward) continue;
    a.y = y;
    a.maps_turned = plan_.mode == Mode::tangent;
    a.map_head = static_cast<long>(own) * op.head_dim * op.head_dim;
    kernels_.attention_maps(a, maps_[index_of(node)]);
  }
  if (by_heads) member.meet();
}

}  // namespace emisopt::kernels
