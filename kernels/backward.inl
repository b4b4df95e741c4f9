// Interpreter: one node backward. Included by interpreter.cpp only.
#pragma once
#include <cstring>

#include "kernels/interpreter.hpp"

namespace emisopt::kernels {

template <class T>
T* Interpreter<T>::gradient_of(const Gradients& gradients, Part part, int id, int first) const {
  if (plan_.mode == Mode::vjp && part == kFuture && (id == plan_.ops.quantiles || id == plan_.ops.future)) {
    const long at = static_cast<long>(first) * rows(part) * plan_.width(id);
    return (id == plan_.ops.quantiles ? seed_ : future_gradient_) + at;
  }
  return gradients.value[part][static_cast<std::size_t>(id)];
}

template <class T>
int Interpreter<T>::gradient_rows(Part part, int id, const Reverse& at) const {
  return part == kHistory ? rows(part) : plan_.state(part, id).single ? 1 : at.top;
}

template <class T>
void Interpreter<T>::backward(const Node& node, const Frame& frame, Gradients& gradients, Reverse at) {
  const Op& op = plan_.op(node);
  const Part part = node.part;
  const int x_width = plan_.width(op.x), y_width = plan_.width(op.y);
  const int y_rows = gradient_rows(part, op.y, at);
  const T* dy = gradient_of(gradients, part, op.y, at.first);
  const T* x = activation(frame, part, op.x, at.first);

  // Calls f(activation row, dy row, dx row, rows) for blocks of rows; one block when all are in step.
  auto blocks = [&](int id, auto f) {
    const int x_rows = gradient_rows(part, id, at), window_rows = rows(part);
    if (!at.shared && x_rows == y_rows && y_rows == window_rows) return f(0L, 0L, 0L, at.count * y_rows);
    const int top = part == kHistory ? window_rows : at.top;
    for (long w = 0; w < at.count; ++w)
      f((at.shared ? 0 : w * window_rows) + top - y_rows, w * y_rows, w * x_rows + x_rows - y_rows, y_rows);
  };
  auto input_gradient = [&](const Flow& flow, int id) -> T* {  // (count, x_rows, width), cleared if need be
    if (!flow.wanted) return nullptr;
    T* dx = gradient_of(gradients, part, id, at.first);
    if (flow.zero)
      std::memset(dx, 0,
                  sizeof(T) * static_cast<std::size_t>(at.count) *
                      static_cast<std::size_t>(gradient_rows(part, id, at) * plan_.width(id)));
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
        const int x_rows = gradient_rows(part, op.x, at);
        if (x_rows == y_rows)
          kernels_.gemm_packed(dx, x_width, dy, y_width, transposed(op.w), nullptr, at.count * y_rows,
                               x_width, y_width, accumulate);
        else
          blocks(op.x, [&](long, long row, long to, int n) {
            kernels_.gemm_packed(dx + to * x_width, x_width, dy + row * y_width, y_width, transposed(op.w),
                                 nullptr, n, x_width, y_width, accumulate);
          });
      }
      const int m = at.count * y_rows;
      if (T* dw = weight_gradient(op.w))
        kernels_.gemm(dw, y_width, x, 1, x_width, dy, y_width, nullptr, x_width, y_width, m, true);
      if (T* db = weight_gradient(op.b)) kernels_.column_sum(db, dy, m, y_width);
      break;
    }
    case OpKind::rmsnorm: {
      const T* rstd = frame.saved[static_cast<std::size_t>(&node - plan_.nodes.data())];
      if (dx)
        blocks(op.x, [&](long act, long row, long to, int n) {
          kernels_.rmsnorm_backward(dx + to * x_width, weight_gradient(op.w), dy + row * x_width,
                                    x + act * x_width, rstd + act, weight_of(op.w), n, x_width, accumulate);
        });
      else if (T* dw = weight_gradient(op.w))  // nothing trainable below
        kernels_.rmsnorm_backward(nullptr, dw, dy, x, rstd, weight_of(op.w), at.count * y_rows, x_width,
                                  false);
      break;
    }
    case OpKind::rope: {
      if (!dx) break;
      const auto id = static_cast<std::size_t>(node.op);
      const int half = op.head_dim / 2, top = part == kHistory ? rows(part) : at.top;
      const int x_rows = gradient_rows(part, op.x, at);
      const long angle = (static_cast<long>(part == kFuture ? rows(kHistory) : 0) + top - y_rows) * half;
      for (long w = 0; w < at.count; ++w)
        kernels_.rope(dx + (w * x_rows + x_rows - y_rows) * x_width, dy + w * y_rows * x_width,
                      cosine_[id] + angle, sine_[id] + angle, y_rows, x_width, op.heads, op.head_dim, true,
                      accumulate);
      break;
    }
    case OpKind::attention:
      attention_backward(node, frame, gradients, at);
      break;
    case OpKind::swiglu:
      if (dx)
        blocks(op.x, [&](long act, long row, long to, int n) {
          kernels_.swiglu_backward(dx + to * x_width, dy + row * y_width, x + act * x_width, n, y_width,
                                   accumulate);
        });
      break;
    case OpKind::add: {
      auto pass = [&](T* to, const Flow& flow, int id) {
        if (!to) return;
        blocks(id, [&](long, long row, long target, int n) {
          const std::size_t count = static_cast<std::size_t>(n) * static_cast<std::size_t>(x_width);
          T* out = to + target * x_width;
          if (flow.assign)
            std::memcpy(out, dy + row * x_width, count * sizeof(T));
          else
            kernels_.add(out, dy + row * x_width, nullptr, static_cast<long>(count));
        });
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
  }
}

template <class T>
void Interpreter<T>::attention_backward(const Node& node, const Frame& frame, Gradients& gradients,
                                        Reverse at) {
  if (!node.x.wanted) return;
  const Op& op = plan_.op(node);
  const int width = plan_.width(op.x), top = node.part == kHistory ? rows(kHistory) : at.top;
  const int y_rows = gradient_rows(node.part, op.y, at);
  const T* dy = gradient_of(gradients, node.part, op.y, at.first);
  T* dx = gradient_of(gradients, node.part, op.x, at.first);
  T* dpast = node.past.wanted ? gradient_of(gradients, kHistory, op.x, at.first) : nullptr;
  const long past_size = static_cast<long>(rows(kHistory)) * width;
  if (dpast && node.past.zero)
    std::memset(dpast, 0, sizeof(T) * static_cast<std::size_t>(at.count * past_size));
  for (int w = 0; w < at.count; ++w) {
    AttentionArgs<T> a = attention_args(node, frame, {at.first, at.count}, at.shared ? 0 : w);
    a.rows = top;
    a.first = top - y_rows;
    a.scratch = gradients.scratch;
    kernels_.attention_backward(a, dy + static_cast<long>(w) * y_rows * op.heads * op.head_dim,
                                dx + static_cast<long>(w) * top * width,
                                dpast ? dpast + w * past_size : nullptr);
  }
}

template <class T>
void Interpreter<T>::backward_future(const Frame& frame, Gradients& gradients, Reverse at) {
  for (std::size_t n = plan_.nodes.size(); n-- > plan_.first_future;)
    if (plan_.nodes[n].backward) backward(plan_.nodes[n], frame, gradients, at);
}

}  // namespace emisopt::kernels
