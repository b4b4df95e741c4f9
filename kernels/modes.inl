// Interpreter: what each mode does with the nodes. Included by interpreter.cpp only.
#pragma once
#include <algorithm>
#include <cstring>

#include "emisopt/base/error.hpp"
#include "kernels/interpreter.hpp"
#include "kernels/threads.hpp"

namespace emisopt::kernels {

template <class T>
void Interpreter<T>::run_context() {
  if (!loaded_) throw StateError("Program.run_context: expected weights, none came yet; call load() first");
  if (!has_context()) return;
  for (std::size_t n = 0; n < plan_.first_future; ++n) forward(plan_.nodes[n], context_, {0, 1});
  for (std::size_t n = plan_.first_future; n < plan_.nodes.size(); ++n)
    if (plan_.has_past(plan_.nodes[n])) transpose_past(plan_.nodes[n], context_, {0, 1});
  cached_ = true;
}

template <class T>
void Interpreter<T>::run() {
  if (!cached_)
    throw StateError(loaded_ ? "Program.run: expected the history's keys and values under the weights loaded "
                               "last, got none; call run_context() after each load()"
                             : "Program.run: expected weights, none came yet; call load() first");
  next_item_.store(0, std::memory_order_relaxed);
  auto in_parallel = [this](auto member) {
    struct Call {
      Interpreter* self;
      decltype(member) f;
    } call{this, member};
    parallel(
        workers_,
        [](void* c, int worker) {
          Call& call = *static_cast<Call*>(c);
          (call.self->*call.f)(worker);
        },
        &call);
  };
  if (plan_.mode == Mode::train) {
    double total = 0;  // in the order of the batch
    const long entries = static_cast<long>(plan_.shapes.batch) * rows(kFuture) * plan_.ops.outputs;
    for (long i = 0; i < entries; ++i)
      if (weight_[i] > 0) total += static_cast<double>(weight_[i]);
    loss_args_.scale = total > 0 ? 1 / total : 0;
    in_parallel(&Interpreter::train_slots);
    reduce_slots();
  } else if (plan_.mode == Mode::jacobian) {
    for (std::size_t n = plan_.first_future; n < plan_.nodes.size(); ++n)
      forward(plan_.nodes[n], frames_[0], {0, 1});
    in_parallel(&Interpreter::run_seeds);
  } else {
    in_parallel(&Interpreter::run_plans);
  }
}

// infer, vjp: chunks of candidate plans over the one cached history.
template <class T>
void Interpreter<T>::run_plans(int worker) {
  Frame& frame = frames_[static_cast<std::size_t>(worker)];
  for (int item; (item = next_item_.fetch_add(1, std::memory_order_relaxed)) < items_;) {
    const int first = item * windows_per_frame_;
    const Span span{first, std::min(windows_per_frame_, plan_.shapes.batch - first)};
    for (std::size_t n = plan_.first_future; n < plan_.nodes.size(); ++n)
      forward(plan_.nodes[n], frame, span);
    if (plan_.mode != Mode::vjp) continue;
    if (!plan_.state(kFuture, plan_.ops.quantiles).gradient) continue;  // the plan does not reach the output
    backward_future(frame, gradients_[static_cast<std::size_t>(worker)],
                    {span.first, span.count, rows(kFuture), false});
  }
}

// jacobian: an item is one step t and a group of seeds; only rows 0..t are touched. Steps with the most rows
// come first, so that the threads end together.
template <class T>
void Interpreter<T>::run_seeds(int worker) {
  const OpList& ops = plan_.ops;
  const int steps = rows(kFuture), width = plan_.width(ops.future), out = plan_.width(ops.quantiles);
  const int seeds = static_cast<int>(seeds_.size());
  const int groups = items_ / steps;
  const ValueState& quantiles = plan_.state(kFuture, ops.quantiles);
  if (!quantiles.gradient) return;  // the plan does not reach the output: the buffer stays zero
  Gradients& gradients = gradients_[static_cast<std::size_t>(worker)];
  for (int item; (item = next_item_.fetch_add(1, std::memory_order_relaxed)) < items_;) {
    const int step = steps - 1 - item / groups, first = item % groups * seeds_per_item_;
    const int count = std::min(seeds_per_item_, seeds - first);
    T* dq = gradients.value[kFuture][static_cast<std::size_t>(ops.quantiles)];  // (count, 1, out)
    std::memset(dq, 0, sizeof(T) * static_cast<std::size_t>(count * out));
    for (int s = 0; s < count; ++s) {
      const Seed& seed = seeds_[static_cast<std::size_t>(first + s)];
      dq[s * out + seed.output * ops.levels + seed.level] = 1;
    }
    backward_future(frames_[0], gradients, {0, count, step + 1, true});
    const T* du = gradients.value[kFuture][static_cast<std::size_t>(ops.future)];
    const bool single = plan_.state(kFuture, ops.future).single;  // no attention between: step t alone
    const long n = static_cast<long>(single ? 1 : step + 1) * width;
    for (int s = 0; s < count; ++s) {
      T* row = jacobian_ + (static_cast<long>(first + s) * steps + step) * steps * width;
      std::memcpy(row + (single ? static_cast<long>(step) * width : 0), du + s * n,
                  sizeof(T) * static_cast<std::size_t>(n));
    }
  }
}

// train: a slot is a fixed share of the batch with its own weight gradient, so the sums do not depend on who
// computed them.
template <class T>
void Interpreter<T>::train_slots(int worker) {
  const std::size_t parameters = plan_.ops.parameter_count();
  const long batch = plan_.shapes.batch;
  Gradients& gradients = gradients_[static_cast<std::size_t>(worker)];
  for (int slot; (slot = next_item_.fetch_add(1, std::memory_order_relaxed)) < items_;) {
    gradients.weights = slots_ + static_cast<std::size_t>(slot) * slot_stride();
    std::memset(gradients.weights, 0, parameters * sizeof(T));
    const int begin = static_cast<int>(batch * slot / items_),
              end = static_cast<int>(batch * (slot + 1) / items_);
    for (int first = begin; first < end; first += windows_per_frame_)
      train_windows(frames_[static_cast<std::size_t>(worker)], gradients,
                    {first, std::min(windows_per_frame_, end - first)});
  }
}

template <class T>
void Interpreter<T>::train_windows(Frame& frame, Gradients& gradients, Span span) {
  for (const Node& node : plan_.nodes) forward(node, frame, span);
  const OpList& ops = plan_.ops;
  const long out = plan_.width(ops.quantiles), future_rows = rows(kFuture);
  T* dq = gradients.value[kFuture][static_cast<std::size_t>(ops.quantiles)];
  for (int w = 0; w < span.count; ++w) {
    const long row = (span.first + w) * future_rows;
    window_loss_[span.first + w] =
        ref::loss(dq + w * future_rows * out, quantiles_ + row * out, target_ + row * ops.outputs,
                  weight_ + row * ops.outputs, rows(kFuture), loss_args_);
  }
  for (std::size_t n = plan_.nodes.size(); n-- > 0;)
    if (plan_.nodes[n].backward)
      backward(plan_.nodes[n], frame, gradients, {span.first, span.count, rows(plan_.nodes[n].part), false});
}

template <class T>
void Interpreter<T>::reduce_slots() {
  const std::size_t parameters = plan_.ops.parameter_count();
  std::memcpy(gradient_, slots_, parameters * sizeof(T));
  for (int slot = 1; slot < items_; ++slot)
    kernels_.add(gradient_, slots_ + static_cast<std::size_t>(slot) * slot_stride(), nullptr,
                 static_cast<long>(parameters));
  loss_ = 0;
  for (int w = 0; w < plan_.shapes.batch; ++w) loss_ += window_loss_[w];
}

}  // namespace emisopt::kernels
