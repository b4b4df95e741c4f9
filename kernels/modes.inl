// Interpreter: what each mode does with the nodes. Included by interpreter.cpp only.
#pragma once
#include <algorithm>
#include <cstring>
#include <string>

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
void Interpreter<T>::in_parallel(void (Interpreter::*work)(int worker)) {
  struct Call {
    Interpreter* self;
    void (Interpreter::*work)(int worker);
  } call{this, work};
  parallel(
      workers_,
      [](void* c, int worker) {
        Call& call = *static_cast<Call*>(c);
        (call.self->*call.work)(worker);
      },
      &call);
}

template <class T>
void Interpreter<T>::run() {
  if (plan_.mode == Mode::train) {
    run_slots(0, items_);
    reduce_slots();
    return;
  }
  if (!cached_)
    throw StateError(loaded_ ? "Program.run: expected the history's keys and values under the weights loaded "
                               "last, got none; call run_context() after each load()"
                             : "Program.run: expected weights, none came yet; call load() first");
  next_item_.store(0, std::memory_order_relaxed);
  if (plan_.mode == Mode::jacobian) {
    for (std::size_t n = plan_.first_future; n < plan_.nodes.size(); ++n)
      forward(plan_.nodes[n], frames_[0], {0, 1});
    in_parallel(&Interpreter::run_seeds);
  } else {
    in_parallel(&Interpreter::run_plans);
  }
}

template <class T>
void Interpreter<T>::run_slots(int first, int last) {
  if (!loaded_) throw StateError("Program.run: expected weights, none came yet; call load() first");
  if (plan_.mode != Mode::train || first < 0 || last < first || last > items_)
    throw InputError("Program.run_slots(first, last): expected slots of a train program, 0.." +
                     std::to_string(plan_.mode == Mode::train ? items_ : 0) + ", got " +
                     std::to_string(first) + ".." + std::to_string(last));
  settle_scales();
  next_item_.store(first, std::memory_order_relaxed);
  last_slot_ = last;
  in_parallel(&Interpreter::train_slots);
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

// What turns sums over the batch into weighted means; in the order of the batch.
template <class T>
void Interpreter<T>::settle_scales() {
  const auto inverse_sum = [](const T* weight, long count) {
    double total = 0;
    for (long i = 0; i < count; ++i)
      if (weight[i] > 0) total += static_cast<double>(weight[i]);
    return total > 0 ? 1 / total : 0;
  };
  const long future_rows = static_cast<long>(plan_.shapes.batch) * rows(kFuture);
  loss_args_.scale = inverse_sum(weight_, future_rows * plan_.ops.outputs);
  if (teacher_) teacher_scale_ = inverse_sum(teacher_weight_, future_rows * plan_.width(plan_.ops.quantiles));
  if (plan_.hidden) hidden_scale_ = inverse_sum(hidden_weight_, future_rows) / plan_.width(plan_.ops.hidden);
}

// train: a slot is a fixed share of the batch with its own weight gradient, so the sums do not depend on who
// computed them.
template <class T>
void Interpreter<T>::train_slots(int worker) {
  const long batch = plan_.shapes.batch;
  Gradients& gradients = gradients_[static_cast<std::size_t>(worker)];
  for (int slot; (slot = next_item_.fetch_add(1, std::memory_order_relaxed)) < last_slot_;) {
    gradients.weights = slots_ + static_cast<std::size_t>(slot) * slot_stride();
    for (const Range& range : ranges_)
      std::memset(gradients.weights + range.offset, 0, range.count * sizeof(T));
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
  const long out = static_cast<long>(rows(kFuture)) * plan_.width(ops.quantiles);
  const long hidden = plan_.hidden ? static_cast<long>(rows(kFuture)) * plan_.width(ops.hidden) : 0;
  T* dq = gradients.value[kFuture][static_cast<std::size_t>(ops.quantiles)];
  T* dh = plan_.hidden ? gradients.value[kFuture][static_cast<std::size_t>(ops.hidden)] : nullptr;
  for (int w = 0; w < span.count; ++w)
    window_parts_[span.first + w] = window_loss(span.first + w, dq + w * out, dh ? dh + w * hidden : nullptr);
  for (std::size_t n = plan_.nodes.size(); n-- > 0;)
    if (plan_.nodes[n].backward)
      backward(plan_.nodes[n], frame, gradients, {span.first, span.count, rows(plan_.nodes[n].part), false});
}

// The parts of one window's loss; their gradients, coefficients included, go to dq (future rows, outputs *
// levels) and dhidden (future rows, width).
template <class T>
LossParts Interpreter<T>::window_loss(int window, T* dq, T* dhidden) const {
  const OpList& ops = plan_.ops;
  const int steps = rows(kFuture), out = plan_.width(ops.quantiles);
  const long row = static_cast<long>(window) * steps;
  const T *q = quantiles_ + row * out, *target = target_ + row * ops.outputs,
          *weight = weight_ + row * ops.outputs;
  LossParts parts;
  parts.label = ref::loss(dq, q, target, weight, steps, loss_args_);
  const ref::Pooling pooling{scales_.data(), static_cast<int>(scales_.size()), steps};
  if (coefficients_.multiscale > 0)
    for (int o = 0; o < ops.outputs; ++o)
      parts.multiscale +=
          ref::pooled<T>({dq, q, out, o * ops.levels + ops.middle}, {target, weight, ops.outputs, o}, pooling,
                         loss_args_.scale, coefficients_.multiscale);
  if (coefficients_.distill > 0)
    parts.distill = ref::squared_distance(dq, q, teacher_ + row * out, teacher_weight_ + row * out,
                                          steps * out, 1, teacher_scale_, coefficients_.distill);
  if (coefficients_.distill_multiscale > 0)
    for (int i = 0; i < out; ++i)
      parts.distill_multiscale +=
          ref::pooled<T>({dq, q, out, i}, {teacher_ + row * out, teacher_weight_ + row * out, out, i},
                         pooling, teacher_scale_, coefficients_.distill_multiscale);
  if (dhidden) {
    const int width = plan_.width(ops.hidden);
    std::memset(dhidden, 0, sizeof(T) * static_cast<std::size_t>(steps) * static_cast<std::size_t>(width));
    parts.hidden =
        ref::squared_distance(dhidden, hidden_ + row * width, hidden_target_ + row * width,
                              hidden_weight_ + row, steps, width, hidden_scale_, coefficients_.hidden);
  }
  return parts;
}

template <class T>
void Interpreter<T>::reduce_slots() {
  for (const Range& range : ranges_) {
    std::memcpy(gradient_ + range.offset, slots_ + range.offset, range.count * sizeof(T));
    for (int slot = 1; slot < items_; ++slot)
      kernels_.add(gradient_ + range.offset,
                   slots_ + static_cast<std::size_t>(slot) * slot_stride() + range.offset, nullptr,
                   static_cast<long>(range.count));
  }
  parts_ = {};
  for (int w = 0; w < plan_.shapes.batch; ++w) {
    parts_.label += window_parts_[w].label;
    parts_.multiscale += window_parts_[w].multiscale;
    parts_.distill += window_parts_[w].distill;
    parts_.distill_multiscale += window_parts_[w].distill_multiscale;
    parts_.hidden += window_parts_[w].hidden;
  }
  // a part that is not asked for is 0, and adding 0 leaves the label loss its bits
  loss_ = parts_.label + coefficients_.multiscale * parts_.multiscale +
          coefficients_.distill * parts_.distill +
          coefficients_.distill_multiscale * parts_.distill_multiscale + coefficients_.hidden * parts_.hidden;
}

}  // namespace emisopt::kernels
