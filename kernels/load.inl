// Interpreter: weights in, their gradients out. Included by interpreter.cpp only.
#pragma once
#include <algorithm>
#include <cstring>

#include "kernels/interpreter.hpp"
#include "kernels/threads.hpp"

namespace emisopt::kernels {

// Pieces of load() and of reduce_slots(), which the threads share out. Which thread takes one changes no bit.
template <class T>
void Interpreter<T>::list_pieces() {
  constexpr double kScalarsPerWorker = 32 * 1024;  // some microseconds of copying
  constexpr std::size_t kPiece = 4096;             // scalars of a gradient: stay in the first cache
  std::vector<const Op*> of(plan_.ops.parameters.size(), nullptr);  // a linear op of each weight
  for (const Node& node : plan_.nodes)
    if (plan_.op(node).kind == OpKind::linear)
      of[static_cast<std::size_t>(plan_.op(node).w)] = &plan_.op(node);
  double scalars = 0;
  std::vector<char> copied(plan_.ops.parameters.size(), 0);
  for (std::size_t id = 0; id < plan_.ops.parameters.size(); ++id) {
    const Parameter& p = plan_.ops.parameters[id];
    copied[id] = !packed_[id] && !transposed_[id] && !rounded_[id].scale;
    for (const bool turned : {false, true}) {
      if (!(turned ? transposed_ : packed_)[id]) continue;
      const int columns = p.shape[turned ? 0 : 1];
      for (int column = 0; column < columns; column += kernels_.panel)
        panels_.push_back({static_cast<int>(id), of[id]->lora_a, of[id]->lora_b, column, turned});
      scalars += static_cast<double>(p.size());
    }
  }
  copies_ = trainable_ranges(plan_.ops, copied);
  load_workers_ = std::clamp(static_cast<int>(scalars / kScalarsPerWorker), 1, threads_);
  if (plan_.mode != Mode::train) return;
  std::vector<char> cleared(plan_.ops.parameters.size());  // what no node overwrites
  for (std::size_t id = 0; id < cleared.size(); ++id) cleared[id] = plan_.trains(static_cast<int>(id));
  for (const int n : plan_.reverse) {
    const Node& node = plan_.nodes[static_cast<std::size_t>(n)];
    if (node.first_w) cleared[static_cast<std::size_t>(plan_.op(node).w)] = 0;
  }
  cleared_ = trainable_ranges(plan_.ops, cleared);
  scalars = 0;
  for (const Range& range : ranges_) {
    scalars += static_cast<double>(range.count) * items_;
    for (std::size_t at = 0; at < range.count; at += kPiece)
      pieces_.push_back({range.offset + at, std::min(kPiece, range.count - at)});
  }
  reduce_workers_ = std::clamp(static_cast<int>(scalars / kScalarsPerWorker), 1, workers_);
}

// Calls work(self, piece, worker) for all pieces, on as many threads as come.
template <class T>
template <class Work>
void Interpreter<T>::share_out(int workers, std::size_t count, Work work) {
  struct Call {
    Interpreter* self;
    int count;
    Work work;
  } call{this, static_cast<int>(count), work};
  next_item_.store(0, std::memory_order_relaxed);
  parallel(
      workers,
      [](void* c, int worker) {
        Call& call = *static_cast<Call*>(c);
        for (int i; (i = call.self->next_item_.fetch_add(1, std::memory_order_relaxed)) < call.count;)
          call.work(static_cast<std::size_t>(i), worker);
      },
      &call);
}

template <class T>
void Interpreter<T>::load(const T* theta) {
  for (const Range& range : copies_)
    std::memcpy(theta_ + range.offset, theta + range.offset, range.count * sizeof(T));
  const auto at = [&](int id) { return theta + plan_.ops.parameters[static_cast<std::size_t>(id)].offset; };
  for (std::size_t id = 0; id < rounded_.size(); ++id) {
    const Parameter& p = plan_.ops.parameters[id];
    const Rounded& r = rounded_[id];
    if (r.scale) kernels_.pack_int8(r.packed, r.scale, r.sum, theta + p.offset, p.shape[0], p.shape[1]);
  }
  for (std::size_t id = 0; id < low_.size(); ++id) {  // small
    const Op& op = plan_.ops.ops[id];
    const int r = plan_.rank(op), k = plan_.width(op.x), n = plan_.width(op.y);
    if (low_[id].a) kernels_.pack(low_[id].a, at(op.lora_a), r, k, r, false);
    if (low_[id].b) kernels_.pack(low_[id].b, at(op.lora_b), n, n, r, true);
  }
  share_out(load_workers_, panels_.size(), [&](std::size_t i, int worker) {
    load_panel(panels_[i], theta, scratch_[static_cast<std::size_t>(worker)]);
  });
  loaded_ = true;
  cached_ = !has_context();
}

// One panel of a weight, or of its transpose, with the low-rank correction added to what the products read:
// corrected weights cost a product no more than plain ones.
template <class T>
void Interpreter<T>::load_panel(const Panel& piece, const T* theta, T* scratch) {
  const auto parameter = [&](int id) -> const Parameter& {
    return plan_.ops.parameters[static_cast<std::size_t>(id)];
  };
  const Parameter& p = parameter(piece.weight);
  const int in = p.shape[0], out = p.shape[1], j = piece.column, panel = kernels_.panel;
  const T* w = theta + p.offset;
  const int k = piece.turned ? out : in, columns = std::min((piece.turned ? in : out) - j, panel);
  T* to = (piece.turned ? transposed_ : packed_)[static_cast<std::size_t>(piece.weight)] + long{j} * k;
  kernels_.pack(to, piece.turned ? w + long{j} * out : w + j, out, k, columns, piece.turned);
  if (piece.lora_a < 0) return;
  const int r = parameter(piece.lora_a).shape[1];
  const T *a = theta + parameter(piece.lora_a).offset, *b = theta + parameter(piece.lora_b).offset;
  if (!piece.turned) return kernels_.gemm(to, panel, a, r, 1, b + j, out, nullptr, k, columns, r, true);
  kernels_.transpose(scratch, panel, a + long{j} * r, r, columns, r);  // (r, columns) of Aᵀ
  kernels_.gemm(to, panel, b, 1, out, scratch, panel, nullptr, k, columns, r, true);
}

// A slot's sums begin at zero; a weight's gradient that a product overwrites need not be cleared.
template <class T>
void Interpreter<T>::clear_slot(T* weights) {
  for (const Range& range : cleared_) std::memset(weights + range.offset, 0, range.count * sizeof(T));
}

// Gradients of A and B from x and dy = d(x (W + A B)):  dA = xᵀ (dy Bᵀ),  dB = (x A)ᵀ dy; or, where the rank
// is large, from the weight's own: dA = dW Bᵀ, dB = Aᵀ dW. They accumulate.
template <class T>
void Interpreter<T>::correction_gradients(const Node& node, T* da, T* db, const T* x, const T* dy, int m,
                                          T* scratch) {
  const Op& op = plan_.op(node);
  const Low& low = low_[static_cast<std::size_t>(node.op)];
  const int r = plan_.rank(op), k = plan_.width(op.x), n = plan_.width(op.y);
  if (!plan_.stays_low(op, m)) {
    T* const dw = scratch + long{m} * kernels_.panel;
    kernels_.gemm_over_rows(dw, x, dy, m, k, n, scratch, false);
    if (da) kernels_.gemm_packed(da, r, dw, n, low.b, nullptr, k, r, n, true);
    if (db) kernels_.gemm(db, n, weight_of(op.lora_a), 1, r, dw, n, nullptr, r, n, k, true);
    return;
  }
  T *const rows = scratch, *const turned = scratch + long{m} * r;  // (m, r), (r, k)
  if (da) {
    kernels_.gemm_packed(rows, r, dy, n, low.b, nullptr, m, r, n, false);
    kernels_.gemm(turned, k, rows, 1, r, x, k, nullptr, r, k, m, false);
    T* const upright = turned + long{r} * k;
    kernels_.transpose(upright, r, turned, k, r, k);
    kernels_.add(da, upright, nullptr, long{r} * k);
  }
  if (db) {
    kernels_.gemm_packed(rows, r, x, k, low.a, nullptr, m, r, k, false);
    kernels_.gemm(db, n, rows, 1, r, dy, n, nullptr, r, n, m, true);
  }
}

// Scalars that correction_gradients() needs for any node.
template <class T>
long Interpreter<T>::correction_scratch() const {
  long most = 0;
  for (const Node& node : plan_.nodes) {
    const Op& op = plan_.op(node);
    if (op.lora_a < 0) continue;
    const long m = static_cast<long>(windows_per_frame_) * rows(node.part), r = plan_.rank(op);
    const long k = plan_.width(op.x), n = plan_.width(op.y);
    most = std::max({most, m * r + 2 * r * k, m * kernels_.panel + k * n, r * kernels_.panel});
  }
  return most;
}

// Piece by piece, each of them slot by slot, in order: a piece of the sum stays in the first cache.
template <class T>
void Interpreter<T>::add_slots() {
  share_out(reduce_workers_, pieces_.size(), [&](std::size_t i, int) {
    const Range& piece = pieces_[i];
    T* const sum = gradient_ + piece.offset;
    const T* slot = slots_ + piece.offset;
    std::memcpy(sum, slot, piece.count * sizeof(T));
    for (int s = 1; s < items_; ++s)
      kernels_.add(sum, slot += slot_stride(), nullptr, static_cast<long>(piece.count));
  });
}

}  // namespace emisopt::kernels
