// Memory of a program: what lies in the arena and how large the pieces of work are.
#include "kernels/interpreter.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "kernels/backward.inl"
#include "kernels/forward.inl"
#include "kernels/modes.inl"
#include "kernels/threads.hpp"

namespace emisopt::kernels {
namespace {

constexpr int kRowsPerChunk = 96;  // enough rows for full register tiles, few enough for the cache
constexpr int kMaxSlots = 8;       // partial weight gradients; the bits depend on their number
constexpr double kMaxSlotScalars = 64.0 * 1024 * 1024;

std::size_t product(std::initializer_list<long> lengths) {
  std::size_t n = 1;
  for (const long length : lengths) n *= static_cast<std::size_t>(length);
  return n;
}

int round_up(int n, int to) { return (n + to - 1) / to * to; }
int divide_up(int n, int by) { return (n + by - 1) / by; }

}  // namespace

template <class T>
Interpreter<T>::Interpreter(Plan plan, const CompileOptions& options, const KernelTable<T>& kernels, Isa isa,
                            int threads)
    : plan_(std::move(plan)),
      kernels_(kernels),
      isa_(isa),
      seeds_(options.seeds),
      taus_(options.levels),
      level_weights_(options.level_weights),
      scales_(options.scales) {
  const Shapes& s = plan_.shapes;
  const int window_rows = plan_.mode == Mode::train ? s.history_tokens + s.future_tokens : s.future_tokens;
  windows_per_frame_ = std::clamp(kRowsPerChunk / window_rows, 1, s.batch);
  if (plan_.mode == Mode::train) {
    const double parameters = static_cast<double>(plan_.ops.parameter_count());
    const int affordable =
        static_cast<int>(std::clamp(kMaxSlotScalars / std::max(parameters, 1.0), 2.0, 8.0));
    items_ = std::min({kMaxSlots, affordable, s.batch});
  } else if (plan_.mode == Mode::jacobian) {
    const int groups = divide_up(static_cast<int>(seeds_.size()) * s.future_tokens, 2 * kRowsPerChunk);
    seeds_per_item_ = divide_up(static_cast<int>(seeds_.size()), groups);
    items_ = divide_up(static_cast<int>(seeds_.size()), seeds_per_item_) * s.future_tokens;
  } else {
    items_ = divide_up(s.batch, windows_per_frame_);
  }
  workers_ = std::min(threads, items_);
  loss_args_ = {options.loss,
                plan_.ops.outputs,
                plan_.ops.levels,
                plan_.ops.middle,
                taus_.data(),
                options.huber_delta,
                0,
                level_weights_.empty() ? nullptr : level_weights_.data(),
                std::accumulate(level_weights_.begin(), level_weights_.end(), 0.0)};
  coefficients_ = {1, options.multiscale, options.distill, options.distill_multiscale,
                   plan_.hidden ? options.hidden : 0};
  ranges_ = trainable_ranges(plan_.ops, plan_.trainable);
  lay_out();
  arena_.allocate();
  lay_out();
  fill_rope_tables();
  reserve_threads(workers_);
}

template <class T>
void Interpreter<T>::lay_out() {
  const OpList& ops = plan_.ops;
  const Shapes& s = plan_.shapes;
  const bool train = plan_.mode == Mode::train, jacobian = plan_.mode == Mode::jacobian;
  const std::size_t parameters = ops.parameter_count(), scratch = scratch_scalars();
  theta_ = arena_.template take<T>(parameters);
  packed_.assign(ops.parameters.size(), nullptr);
  transposed_.assign(ops.parameters.size(), nullptr);
  cosine_.assign(ops.ops.size(), nullptr);
  sine_.assign(ops.ops.size(), nullptr);
  for (const Node& node : plan_.nodes) {
    const Op& op = plan_.op(node);
    const auto id = static_cast<std::size_t>(node.op);
    if (op.kind == OpKind::linear) {  // one after the other: who reads ahead finds the next op's weight
      T*& w = packed_[static_cast<std::size_t>(op.w)];
      if (!w) w = arena_.template take<T>(packed_count(plan_.width(op.x), plan_.width(op.y)));
    }
    if (op.kind == OpKind::rope && !cosine_[id]) {
      const std::size_t count = product({s.history_tokens + s.future_tokens, op.head_dim / 2});
      cosine_[id] = arena_.template take<T>(count);
      sine_[id] = arena_.template take<T>(count);
    }
  }
  for (auto node = plan_.nodes.rbegin(); node != plan_.nodes.rend(); ++node) {  // in the order of their use
    const Op& op = plan_.op(*node);
    if (op.kind != OpKind::linear || !node->backward || !node->x.wanted) continue;
    T*& w = transposed_[static_cast<std::size_t>(op.w)];
    if (!w) w = arena_.template take<T>(packed_count(plan_.width(op.y), plan_.width(op.x)));
  }
  const std::size_t out = static_cast<std::size_t>(plan_.width(ops.quantiles));
  const std::size_t future_rows = product({s.batch, s.future_tokens});
  history_ =
      arena_.template take<T>(product({train ? s.batch : 1, s.history_tokens, plan_.width(ops.history)}));
  future_ = arena_.template take<T>(future_rows * static_cast<std::size_t>(plan_.width(ops.future)));
  quantiles_ = arena_.template take<T>(future_rows * out);
  if (plan_.hidden)
    hidden_ = arena_.template take<T>(future_rows * static_cast<std::size_t>(plan_.width(ops.hidden)));
  if (plan_.mode == Mode::vjp) {
    seed_ = arena_.template take<T>(future_rows * out);
    future_gradient_ =
        arena_.template take<T>(future_rows * static_cast<std::size_t>(plan_.width(ops.future)));
  }
  if (jacobian)
    jacobian_ = arena_.template take<T>(
        product({long(seeds_.size()), s.future_tokens, s.future_tokens, plan_.width(ops.future)}));
  if (train) {
    target_ = arena_.template take<T>(future_rows * static_cast<std::size_t>(ops.outputs));
    weight_ = arena_.template take<T>(future_rows * static_cast<std::size_t>(ops.outputs));
    gradient_ = arena_.template take<T>(parameters);
    slots_ = arena_.template take<T>(static_cast<std::size_t>(items_) * slot_stride());
    window_parts_ = arena_.template take<LossParts>(static_cast<std::size_t>(s.batch));
    if (coefficients_.distill > 0 || coefficients_.distill_multiscale > 0) {
      teacher_ = arena_.template take<T>(future_rows * out);
      teacher_weight_ = arena_.template take<T>(future_rows * out);
    }
    if (plan_.hidden) {
      hidden_target_ =
          arena_.template take<T>(future_rows * static_cast<std::size_t>(plan_.width(ops.hidden)));
      hidden_weight_ = arena_.template take<T>(future_rows);
    }
  } else {
    lay_out_frame(context_, 1, kHistory);
    context_.scratch = arena_.template take<T>(scratch);
  }
  frames_.resize(static_cast<std::size_t>(jacobian ? 1 : workers_));
  for (Frame& frame : frames_) {
    if (train) lay_out_frame(frame, windows_per_frame_, kHistory);
    lay_out_frame(frame, windows_per_frame_, kFuture);
    frame.scratch = arena_.template take<T>(scratch);
  }
  if (!reverse_mode()) return;
  gradients_.resize(static_cast<std::size_t>(workers_));
  for (Gradients& gradients : gradients_) {
    lay_out_gradients(gradients, jacobian ? seeds_per_item_ : windows_per_frame_);
    gradients.scratch = arena_.template take<T>(scratch);
  }
}

template <class T>
std::size_t Interpreter<T>::packed_count(int k, int n) const {
  return static_cast<std::size_t>(packed_size(k, n, kernels_.panel));
}

template <class T>
std::size_t Interpreter<T>::scratch_scalars() const {
  long scratch = 0;
  for (const Node& node : plan_.nodes)
    if (plan_.op(node).kind == OpKind::attention)
      scratch = std::max(scratch, attention_scratch(plan_.op(node).head_dim, rows(node.part),
                                                    plan_.has_past(node) ? rows(kHistory) : 0));
  return static_cast<std::size_t>(scratch);
}

template <class T>
void Interpreter<T>::lay_out_frame(Frame& frame, int windows, Part part) {
  const OpList& ops = plan_.ops;
  frame.value[part].assign(ops.values.size(), nullptr);
  frame.saved.resize(plan_.nodes.size(), nullptr);
  frame.past_kt.resize(plan_.nodes.size(), nullptr);
  frame.past_vt.resize(plan_.nodes.size(), nullptr);
  for (std::size_t id = 0; id < ops.values.size(); ++id) {
    const bool outside = int(id) == ops.history || int(id) == ops.future || int(id) == ops.quantiles ||
                         (int(id) == ops.hidden && plan_.hidden && part == kFuture);
    if (plan_.values[part][id].live && !outside)
      frame.value[part][id] = arena_.template take<T>(product({windows, rows(part), plan_.width(int(id))}));
  }
  for (std::size_t n = 0; n < plan_.nodes.size(); ++n) {
    const Node& node = plan_.nodes[n];
    const Op& op = plan_.op(node);
    if (node.part != part) continue;
    if (op.kind == OpKind::rmsnorm) frame.saved[n] = arena_.template take<T>(product({windows, rows(part)}));
    if (op.kind != OpKind::attention) continue;
    const bool has_past = plan_.has_past(node);
    const int past = has_past ? rows(kHistory) : 0;
    frame.saved[n] =
        arena_.template take<T>(product({windows, op.heads, rows(part), round_up(past + rows(part), 16)}));
    // infer, vjp and jacobian share the context's transposed keys; train transposes each window's
    if (has_past && plan_.mode == Mode::train) {
      const std::size_t count = product({windows, op.kv_heads * op.head_dim, round_up(past, 16)});
      frame.past_kt[n] = arena_.template take<T>(count);
      frame.past_vt[n] = arena_.template take<T>(count);
    }
  }
  if (part == kHistory && plan_.mode != Mode::train)
    for (std::size_t n = 0; n < plan_.nodes.size(); ++n) {
      if (!plan_.has_past(plan_.nodes[n])) continue;
      const Op& op = plan_.op(plan_.nodes[n]);
      const std::size_t count = product({op.kv_heads * op.head_dim, round_up(rows(kHistory), 16)});
      frame.past_kt[n] = arena_.template take<T>(count);
      frame.past_vt[n] = arena_.template take<T>(count);
    }
}

// A gradient lives from its first writer to the backward pass of the op that made its value; its memory then
// serves the next one. The whole pass so stays in the second-level cache.
template <class T>
void Interpreter<T>::lay_out_gradients(Gradients& gradients, int windows) {
  const OpList& ops = plan_.ops;
  struct Piece {
    T* data = nullptr;
    std::size_t count = 0;
  };
  std::vector<Piece> idle;
  std::vector<Piece> held[kParts];
  for (const Part part : {kHistory, kFuture}) {
    gradients.value[part].assign(ops.values.size(), nullptr);
    held[part].resize(ops.values.size());
  }
  auto acquire = [&](Part part, int id) {
    // vjp reads the caller's seed and writes the caller's future_gradient; the rest is the worker's own
    if (plan_.mode == Mode::vjp && (id == ops.quantiles || id == ops.future)) return;
    const int value_rows = plan_.state(part, id).single ? 1 : rows(part);
    const std::size_t count = product({windows, value_rows, plan_.width(id)});
    auto best = idle.end();
    for (auto piece = idle.begin(); piece != idle.end(); ++piece)
      if (piece->count >= count && (best == idle.end() || piece->count < best->count)) best = piece;
    Piece& piece = held[part][static_cast<std::size_t>(id)];
    if (best == idle.end()) {
      piece = {arena_.template take<T>(count), count};
    } else {
      piece = *best;
      idle.erase(best);
    }
    gradients.value[part][static_cast<std::size_t>(id)] = piece.data;
  };
  acquire(kFuture, ops.quantiles);
  if (plan_.hidden) acquire(kFuture, ops.hidden);
  for (auto node = plan_.nodes.rbegin(); node != plan_.nodes.rend(); ++node) {
    if (!node->backward) continue;
    const Op& op = plan_.op(*node);
    if (node->x.assign || node->x.zero) acquire(node->part, op.x);
    if (node->x2.assign || node->x2.zero) acquire(node->part, op.x2);
    if (node->past.zero) acquire(kHistory, op.x);
    const Piece& done = held[node->part][static_cast<std::size_t>(op.y)];
    if (done.count) idle.push_back(done);
  }
}

// Angles in double: float loses the last digits of position * frequency first.
template <class T>
void Interpreter<T>::fill_rope_tables() {
  for (std::size_t id = 0; id < plan_.ops.ops.size(); ++id) {
    if (!cosine_[id]) continue;
    const Op& op = plan_.ops.ops[id];
    const int half = op.head_dim / 2, positions = plan_.shapes.history_tokens + plan_.shapes.future_tokens;
    for (int r = 0; r < positions; ++r)
      for (int i = 0; i < half; ++i) {
        const double angle = r * std::pow(double(op.rope_base), -double(i) / half);
        cosine_[id][r * half + i] = static_cast<T>(std::cos(angle));
        sine_[id][r * half + i] = static_cast<T>(std::sin(angle));
      }
  }
}

template <class T>
void Interpreter<T>::load(const T* theta) {
  const std::size_t count = plan_.ops.parameter_count();
  if (count) std::memcpy(theta_, theta, count * sizeof(T));
  for (std::size_t id = 0; id < packed_.size(); ++id) {
    const Parameter& p = plan_.ops.parameters[id];
    if (packed_[id]) kernels_.pack(packed_[id], theta_ + p.offset, p.shape[1], p.shape[0], p.shape[1], false);
    if (transposed_[id])
      kernels_.pack(transposed_[id], theta_ + p.offset, p.shape[1], p.shape[1], p.shape[0], true);
  }
  loaded_ = true;
  cached_ = !has_context();
}

template class Interpreter<float>;
template class Interpreter<double>;

}  // namespace emisopt::kernels
