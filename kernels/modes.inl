// Interpreter: what each mode does with the nodes. Included by interpreter.cpp only.
#pragma once
#include <algorithm>
#include <cstring>
#include <string>

#include "emisopt/base/error.hpp"
#include "kernels/interpreter.hpp"
#include "kernels/threads.hpp"

namespace emisopt::kernels {

// Runs `work` on the workers: in step, or sharing out items by next_item_.
template <class T>
void Interpreter<T>::call(void (Interpreter::*work)(Member&), bool step) {
  struct Call {
    Interpreter* self;
    void (Interpreter::*work)(Member&);
  } call{this, work};
  const bool context = work == &Interpreter::context;
  if (step)
    in_step(
        context ? context_workers_ : workers_, context ? context_patience_ : patience_,
        [](void* c, Member& member) {
          Call& call = *static_cast<Call*>(c);
          (call.self->*call.work)(member);
        },
        &call);
  else
    parallel(
        workers_,
        [](void* c, int worker) {
          Call& call = *static_cast<Call*>(c);
          Member member;  // works alone, with the memory of its number
          member.worker = worker;
          (call.self->*call.work)(member);
        },
        &call);
}

template <class T>
bool Interpreter<T>::share(Program<T>& other) {
  auto* source = dynamic_cast<Interpreter*>(&other);
  if (source && source->source_) source = source->source_;
  if (!source || source == this || &kernels_ != &source->kernels_ || !same_history(plan_, source->plan_))
    return false;
  source_ = source;
  for (std::size_t id = 0; id < packed_.size(); ++id)
    if (packed_[id] && source->packed_[id]) packed_[id] = source->packed_[id];
  std::erase_if(panels_, [&](const Panel& p) {
    const auto id = static_cast<std::size_t>(p.weight);
    return !p.turned && packed_[id] == source->packed_[id];
  });
  return true;
}

template <class T>
void Interpreter<T>::run_context() {
  if (source_) return source_->run_context();
  if (!loaded_) throw StateError("Program.run_context: expected weights, none came yet; call load() first");
  if (!has_context()) return;
  call(&Interpreter::context, true);
  cached_ = true;
}

template <class T>
void Interpreter<T>::context(Member& member) {
  const Span span = share(kHistory, 0, 1, member);
  for (std::size_t n = 0; n < plan_.first_future; ++n) forward(plan_.nodes[n], context_, span, member);
  member.meet();
  int turn = 0;
  for (std::size_t n = plan_.first_future; n < plan_.nodes.size(); ++n)
    if (plan_.has_past(plan_.nodes[n]) && turn++ % member.size == member.place)
      transpose_past(plan_.nodes[n], context_, whole(kHistory, 0, 1));
}

template <class T>
void Interpreter<T>::expect_ready() const {
  if (!(loaded_ && (source_ ? source_->cached_ : cached_)))
    throw StateError(loaded_ ? "Program.run: expected the history's keys and values under the weights loaded "
                               "last, got none; call run_context() after each load()"
                             : "Program.run: expected weights, none came yet; call load() first");
}

template <class T>
void Interpreter<T>::expect_halves(const char* where) const {
  expect_ready();
  if (plan_.mode != Mode::vjp || plan_.shapes.batch != 1)
    throw StateError(std::string(where) + ": expected a vjp program of one plan, got another one");
}

template <class T>
void Interpreter<T>::run_ahead() {
  expect_halves("Program.run_ahead");
  back_ = false;
  run();
  back_ = true;
}

template <class T>
void Interpreter<T>::run_back() {
  expect_halves("Program.run_back");
  ahead_ = false;
  run();
  ahead_ = true;
}

template <class T>
void Interpreter<T>::run() {
  if (plan_.mode == Mode::train) {
    run_slots(0, items_);
    reduce_slots();
    return;
  }
  expect_ready();
  next_item_.store(0, std::memory_order_relaxed);
  if (plan_.mode == Mode::jacobian)
    call(&Interpreter::run_jacobian, true);
  else if (plan_.mode == Mode::tangent)
    call(&Interpreter::run_tangents, true);
  else
    call(&Interpreter::run_plans, team_);
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
  call(&Interpreter::train_slots, false);
}

// infer, vjp: candidate plans over the one cached history, in chunks, or all of them by a team.
template <class T>
void Interpreter<T>::run_plans(Member& member) {
  const int batch = plan_.shapes.batch;
  if (team_) {
    run_chunk(frames_[0], gradients_.data(), share(kFuture, 0, batch, member), member);
    return;
  }
  const auto worker = static_cast<std::size_t>(member.worker);
  for (int item; (item = next_item_.fetch_add(1, std::memory_order_relaxed)) < items_;) {
    const int first = item * windows_per_frame_;
    run_chunk(frames_[worker], gradients_.data() + (reverse_mode() ? worker : 0),
              whole(kFuture, first, std::min(windows_per_frame_, batch - first)), member);
  }
}

template <class T>
void Interpreter<T>::run_chunk(Frame& frame, Gradients* gradients, Span span, Member& member) {
  for (std::size_t n = plan_.first_future; ahead_ && n < plan_.nodes.size(); ++n)
    forward(plan_.nodes[n], frame, span, member);
  if (plan_.mode != Mode::vjp || !back_) return;
  for (const int n : plan_.reverse)
    backward(plan_.nodes[static_cast<std::size_t>(n)], frame, *gradients,
             {span.first, span.count, span.begin, span.end, nullptr, nullptr}, member);
}

// jacobian: the forward pass in step; then all seeds through what works on their own rows, shared by rows;
// then items, groups of seeds whose rows spread backward.
template <class T>
void Interpreter<T>::run_jacobian(Member& member) {
  const Span span = share(kFuture, 0, 1, member);
  for (std::size_t n = plan_.first_future; n < plan_.nodes.size(); ++n)
    forward(plan_.nodes[n], frames_[0], span, member);
  if (plan_.reverse.empty()) return;  // the plan does not reach the output: the buffer stays zero
  member.meet();
  const OpList& ops = plan_.ops;
  const int windows = static_cast<int>(windows_.size());
  const int begin = windows * member.place / member.size, end = windows * (member.place + 1) / member.size;
  const long out = plan_.width(ops.quantiles);
  T* dq = singles_[static_cast<std::size_t>(ops.quantiles)] + begin * out;
  std::memset(dq, 0, sizeof(T) * static_cast<std::size_t>((end - begin) * out));
  for (int w = begin; w < end; ++w) {
    const Seed& seed = seeds_[static_cast<std::size_t>(windows_[static_cast<std::size_t>(w)].seed)];
    dq[(w - begin) * out + seed.output * ops.levels + seed.level] = 1;
  }
  if (end > begin)
    for (const int n : plan_.reverse) {
      const Node& node = plan_.nodes[static_cast<std::size_t>(n)];
      if (!node.single) break;
      backward(node, frames_[0], gradients_[static_cast<std::size_t>(member.worker)],
               {begin, end - begin, 0, 0, tops_.data() + begin, offsets_.data() + begin}, member);
    }
  member.meet();
  for (int item; (item = next_item_.fetch_add(1, std::memory_order_relaxed)) < items_;)
    run_item(item, member);
}

template <class T>
void Interpreter<T>::run_item(int item, Member& member) {
  const OpList& ops = plan_.ops;
  const int begin = item_begin_[static_cast<std::size_t>(item)],
            end = item_begin_[static_cast<std::size_t>(item) + 1];
  const Reverse at{begin, end - begin, 0, 0, tops_.data() + begin, offsets_.data() + begin};
  Gradients& gradients = gradients_[static_cast<std::size_t>(member.worker)];
  for (const int n : plan_.reverse)
    if (!plan_.nodes[static_cast<std::size_t>(n)].single)
      backward(plan_.nodes[static_cast<std::size_t>(n)], frames_[0], gradients, at, member);
  const T* du = gradient_of(gradients, kFuture, ops.future, at);
  const bool single = plan_.state(kFuture, ops.future).single;  // no attention between: the step's row alone
  const long steps = rows(kFuture), width = plan_.width(ops.future);
  for (int w = 0; w < at.count; ++w) {
    const SeedWindow& window = windows_[static_cast<std::size_t>(begin + w)];
    T* block = jacobian_ + (window.seed * steps + window.step) * steps * width;  // (steps, width)
    const long from = single ? w : at.offset[w] - at.offset[0], n = single ? 1 : at.top[w];
    std::memcpy(block + (at.top[w] - n) * width, du + from * width,
                sizeof(T) * static_cast<std::size_t>(n * width));
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
void Interpreter<T>::train_slots(Member& member) {
  const long batch = plan_.shapes.batch;
  Gradients& gradients = gradients_[static_cast<std::size_t>(member.worker)];
  for (int slot; (slot = next_item_.fetch_add(1, std::memory_order_relaxed)) < last_slot_;) {
    gradients.weights = slots_ + static_cast<std::size_t>(slot) * slot_stride();
    clear_slot(gradients.weights);
    gradients.fresh = true;
    const int begin = static_cast<int>(batch * slot / items_),
              end = static_cast<int>(batch * (slot + 1) / items_);
    for (int first = begin; first < end; first += windows_per_frame_)
      train_windows(frames_[static_cast<std::size_t>(member.worker)], gradients, first,
                    std::min(windows_per_frame_, end - first), member);
  }
}

template <class T>
void Interpreter<T>::train_windows(Frame& frame, Gradients& gradients, int first, int count, Member& member) {
  for (const Node& node : plan_.nodes) forward(node, frame, whole(node.part, first, count), member);
  const OpList& ops = plan_.ops;
  const long out = static_cast<long>(rows(kFuture)) * plan_.width(ops.quantiles);
  const long hidden = plan_.hidden ? static_cast<long>(rows(kFuture)) * plan_.width(ops.hidden) : 0;
  T* dq = gradients.value[kFuture][static_cast<std::size_t>(ops.quantiles)];
  T* dh = plan_.hidden ? gradients.value[kFuture][static_cast<std::size_t>(ops.hidden)] : nullptr;
  for (int w = 0; w < count; ++w)
    window_parts_[first + w] = window_loss(first + w, dq + w * out, dh ? dh + w * hidden : nullptr);
  for (const int n : plan_.reverse)
    backward(plan_.nodes[static_cast<std::size_t>(n)], frame, gradients,
             {first, count, 0, 0, nullptr, nullptr}, member);
  gradients.fresh = false;
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
  add_slots();
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
