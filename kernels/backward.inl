// Interpreter: one node backward. Included by interpreter.cpp only.
#pragma once
#include <algorithm>
#include <cstring>

#include "kernels/interpreter.hpp"

namespace emisopt::kernels {

template <class T>
T* Interpreter<T>::gradient_of(const Gradients& gradients, Part part, int id, const Reverse& at) const {
  const auto value = static_cast<std::size_t>(id);
  if (plan_.mode == Mode::vjp && part == kFuture && (id == plan_.ops.quantiles || id == plan_.ops.future)) {
    const long first = static_cast<long>(at.first) * rows(part) * plan_.width(id);
    return (id == plan_.ops.quantiles ? seed_ : future_gradient_) + first;
  }
  if (plan_.mode == Mode::jacobian && singles_[value])
    return singles_[value] + static_cast<long>(at.first) * plan_.width(id);
  return gradients.value[part][value];
}

// jacobian: rows in hand of a gradient.
template <class T>
int Interpreter<T>::gradient_rows(Part part, int id, const Reverse& at) const {
  return plan_.state(part, id).single ? at.count : at.offset[at.count] - at.offset[0];
}

template <class T>
void Interpreter<T>::backward(const Node& node, const Frame& frame, Gradients& gradients, Reverse at,
                              Member& member) {
  const Op& op = plan_.op(node);
  if (op.kind == OpKind::attention) return attention_backward(node, frame, gradients, at, member);
  const Part part = node.part;
  const bool jacobian = plan_.mode == Mode::jacobian;
  const int x_width = plan_.width(op.x), y_width = plan_.width(op.y);
  if (plan_.mode != Mode::vjp) at.begin = 0, at.end = at.count * rows(part);
  const long begin = at.begin;
  const int m = jacobian ? gradient_rows(part, op.y, at) : at.end - at.begin;
  const T* dy = gradient_of(gradients, part, op.y, at) + begin * y_width;
  const T* x = activation(frame, part, op.x, jacobian ? 0 : at.first);

  // Calls f(row of the activations, of dy, of dx, rows) for each window of a jacobian, once for all else.
  // Where dy has one row per window and dx all, it is the last.
  auto blocks = [&](int id, auto f) {
    if (!jacobian) return f(begin, 0L, 0L, m);
    const bool single_x = plan_.state(part, id).single, single_y = plan_.state(part, op.y).single;
    for (int w = 0; w < at.count; ++w) {
      const long top = at.top[w], row = at.offset[w] - at.offset[0], n = single_y ? 1 : top;
      f(top - n, single_y ? w : row, single_x ? w : row + top - n, static_cast<int>(n));
    }
  };
  auto input_gradient = [&](const Flow& flow, int id) -> T* {  // rows in hand, cleared if need be
    if (!flow.wanted) return nullptr;
    const long width = plan_.width(id), n = jacobian ? gradient_rows(part, id, at) : m;
    T* dx = gradient_of(gradients, part, id, at) + begin * width;
    if (flow.zero) std::memset(dx, 0, sizeof(T) * static_cast<std::size_t>(n * width));
    return dx;
  };
  T* const dx = input_gradient(node.x, op.x);
  const bool accumulate = !node.x.assign;
  auto weight_gradient = [&](int id) -> T* {  // null: not wanted
    return gradients.weights && plan_.trains(id)
               ? gradients.weights + plan_.ops.parameters[static_cast<std::size_t>(id)].offset
               : nullptr;
  };

  switch (op.kind) {
    case OpKind::linear: {
      if (dx) {
        if (!jacobian || gradient_rows(part, op.x, at) == m)
          kernels_.gemm_packed(dx, x_width, dy, y_width, transposed(op.w), nullptr, m, x_width, y_width,
                               accumulate);
        else
          blocks(op.x, [&](long, long row, long to, int n) {
            kernels_.gemm_packed(dx + to * x_width, x_width, dy + row * y_width, y_width, transposed(op.w),
                                 nullptr, n, x_width, y_width, accumulate);
          });
      }
      if (T* dw = weight_gradient(op.w))
        kernels_.gemm_over_rows(dw, x, dy, m, x_width, y_width, scratch(member),
                                !(node.first_w && gradients.fresh));
      if (gradients.weights && plan_.adapts(op))
        correction_gradients(node, weight_gradient(op.lora_a), weight_gradient(op.lora_b), x, dy, m,
                             scratch(member));
      if (T* db = weight_gradient(op.b)) kernels_.column_sum(db, dy, m, y_width);
      break;
    }
    case OpKind::rmsnorm: {
      const T* rstd = frame.saved[index_of(node)];
      if (dx)
        blocks(op.x, [&](long act, long row, long to, int n) {
          kernels_.rmsnorm_backward(dx + to * x_width, weight_gradient(op.w), dy + row * x_width,
                                    x + act * x_width, rstd + act, weight_of(op.w), n, x_width, accumulate);
        });
      else if (T* dw = weight_gradient(op.w))  // nothing trainable below
        kernels_.rmsnorm_backward(nullptr, dw, dy, x, rstd, weight_of(op.w), m, x_width, false);
      break;
    }
    case OpKind::rope: {
      if (!dx) break;
      const auto id = static_cast<std::size_t>(node.op);
      const int half = op.head_dim / 2, before = part == kFuture ? rows(kHistory) : 0;
      blocks(op.x, [&](long act, long row, long to, int all) {
        for (int n; all > 0; all -= n, act += n, row += n, to += n) {
          const int in_window = static_cast<int>(act % rows(part));
          n = std::min(all, rows(part) - in_window);
          const long angle = static_cast<long>(before + in_window) * half;
          kernels_.rope(dx + to * x_width, dy + row * x_width, cosine_[id] + angle, sine_[id] + angle, n,
                        x_width, op.heads, op.head_dim, true, accumulate);
        }
      });
      break;
    }
    case OpKind::swiglu:
      if (dx)
        blocks(op.x, [&](long act, long row, long to, int n) {
          T* const to_rows = dx + to * x_width;
          if (jacobian)
            kernels_.swiglu_backward_by_slopes(to_rows, dy + row * y_width,
                                               maps_[index_of(node)] + act * x_width, n, y_width, accumulate);
          else
            kernels_.swiglu_backward(to_rows, dy + row * y_width, x + act * x_width, n, y_width, accumulate);
        });
      break;
    case OpKind::add: {
      auto pass = [&](T* to, const Flow& flow, int id) {
        if (!to) return;
        auto rows_to = [&](long, long row, long target, int n) {
          const std::size_t count = static_cast<std::size_t>(n) * static_cast<std::size_t>(x_width);
          T* out = to + target * x_width;
          if (flow.assign && out == dy + row * x_width) return;  // it took the memory over
          if (flow.assign)
            std::memcpy(out, dy + row * x_width, count * sizeof(T));
          else
            kernels_.add(out, dy + row * x_width, nullptr, static_cast<long>(count));
        };
        if (!jacobian || gradient_rows(part, id, at) == m)
          rows_to(0, 0, 0, m);
        else
          blocks(id, rows_to);
      };
      pass(dx, node.x, op.x);
      pass(input_gradient(node.x2, op.x2), node.x2, op.x2);
      break;
    }
    case OpKind::quantiles:
      if (dx)
        blocks(op.x, [&](long act, long row, long to, int n) {
          kernels_.quantiles_backward(dx + to * x_width, dy + row * x_width, x + act * x_width, n, op.outputs,
                                      op.levels, op.middle, accumulate);
        });
      break;
    case OpKind::attention:
      break;  // above
  }
}

// A team meets before, when all rows of dy are there, each member takes heads, and it meets after, when all
// heads of dx are there.
template <class T>
void Interpreter<T>::attention_backward(const Node& node, const Frame& frame, Gradients& gradients,
                                        Reverse at, Member& member) {
  if (!node.x.wanted) return;
  if (plan_.mode == Mode::jacobian) return seeds_attention_backward(node, frame, gradients, at, member);
  const Op& op = plan_.op(node);
  const Part part = node.part;
  const long width = plan_.width(op.x), own = rows(part), past_size = rows(kHistory) * width;
  if (plan_.mode != Mode::vjp) at.begin = 0, at.end = at.count * static_cast<int>(own);
  const T* dy = gradient_of(gradients, part, op.y, at);
  T* dx = gradient_of(gradients, part, op.x, at);
  T* dpast = node.past.wanted ? gradient_of(gradients, kHistory, op.x, at) : nullptr;
  auto clear = [](T* to, long count) { std::memset(to, 0, sizeof(T) * static_cast<std::size_t>(count)); };
  if (node.x.zero) clear(dx + at.begin * width, (at.end - at.begin) * width);
  if (dpast && node.past.zero) clear(dpast, at.count * past_size);
  member.meet();
  for (int w = 0; w < at.count; ++w) {
    AttentionArgs<T> a = attention_args(node, frame, {at.first, at.count, 0, 0}, w, member.worker);
    const int group = op.heads / op.kv_heads;
    a.y = activation(frame, part, op.y, at.first) + w * own * op.heads * op.head_dim;
    a.head_begin = op.kv_heads * member.place / member.size * group;
    a.head_end = op.kv_heads * (member.place + 1) / member.size * group;
    kernels_.attention_backward(a, dy + w * own * op.heads * op.head_dim, dx + w * own * width,
                                dpast ? dpast + w * past_size : nullptr);
  }
  member.meet();
}

// Neighbouring seeds of one step together.
template <class T>
void Interpreter<T>::seeds_attention_backward(const Node& node, const Frame& frame, Gradients& gradients,
                                              Reverse at, const Member& member) {
  const Op& op = plan_.op(node);
  const long width = plan_.width(op.x), y_width = plan_.width(op.y);
  const bool single = plan_.state(kFuture, op.y).single;
  const T* dy = gradient_of(gradients, kFuture, op.y, at);
  T* dx = gradient_of(gradients, kFuture, op.x, at);
  if (node.x.zero)
    std::memset(dx, 0, sizeof(T) * static_cast<std::size_t>(gradient_rows(kFuture, op.x, at) * width));
  AttentionArgs<T> a = attention_args(node, frame, {0, 1, 0, 0}, 0, member.worker);
  a.y = activation(frame, kFuture, op.y, 0);
  a.maps = maps_[index_of(node)];
  a.map_head = static_cast<long>(rows(kFuture)) * op.head_dim * op.head_dim;
  for (int w = 0; w < at.count; w += a.windows) {
    for (a.windows = 1; w + a.windows < at.count && at.top[w + a.windows] == at.top[w];) ++a.windows;
    const long row = at.offset[w] - at.offset[0];
    a.rows = at.top[w];
    a.first = single ? a.rows - 1 : 0;
    a.dy_window = (a.rows - a.first) * y_width;
    a.dx_window = a.rows * width;
    kernels_.attention_backward(a, dy + (single ? w : row) * y_width, dx + row * width, nullptr);
  }
}

}  // namespace emisopt::kernels
