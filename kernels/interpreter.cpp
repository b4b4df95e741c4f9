// Memory of a program: what lies in the arena and how large the pieces of work are.
#include "kernels/interpreter.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <numeric>
#include <set>
#include <utility>

#include "kernels/backward.inl"
#include "kernels/forward.inl"
#include "kernels/load.inl"
#include "kernels/modes.inl"
#include "kernels/tangent.inl"
#include "kernels/threads.hpp"

namespace emisopt::kernels {
namespace {

constexpr int kRowsPerChunk = 96;        // enough rows for full register tiles, few enough for the cache
constexpr int kRowsPerTrainChunk = 240;  // more: a weight's gradient is read and written once for all of them
constexpr int kRowsPerItem = 120;  // of a jacobian: as many, and the gradients stay in the second-level cache
constexpr double kFlopPerWorker = 0.5e6;  // some microseconds: a meeting costs a few tenths of one
constexpr double kFlopPerPause = 8e4;     // of waiting for a sleeper: a few hundredths of the work's time
constexpr int kMaxSlots = 8;              // partial weight gradients; the bits depend on their number
constexpr double kMaxSlotScalars = 64.0 * 1024 * 1024;

int patience(double flop) { return static_cast<int>(std::min(flop / kFlopPerPause, 2000.0)); }

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
  threads_ = threads;
  windows_per_frame_ =
      std::clamp((plan_.mode == Mode::train ? kRowsPerTrainChunk : kRowsPerChunk) / window_rows, 1, s.batch);
  if (plan_.mode == Mode::train) {
    const double parameters = static_cast<double>(plan_.ops.parameter_count());
    const int affordable =
        static_cast<int>(std::clamp(kMaxSlotScalars / std::max(parameters, 1.0), 2.0, 8.0));
    items_ = std::min({kMaxSlots, affordable, s.batch});
    workers_ = std::min(threads, items_);
  } else if (many()) {
    plan_.mode == Mode::jacobian ? list_windows() : list_directions();
    workers_ = team_size(plan_.flop(static_cast<int>(seeds_.size())), static_cast<int>(windows_.size()));
  } else {
    items_ = divide_up(s.batch, windows_per_frame_);
    team_ = items_ < threads;
    if (team_) windows_per_frame_ = s.batch;
    workers_ = team_ ? team_size(plan_.flop(0), s.batch * s.future_tokens) : std::min(threads, items_);
  }
  patience_ = patience(plan_.flop(static_cast<int>(seeds_.size())));
  context_patience_ = patience(plan_.context_flop());
  context_workers_ = has_context() ? team_size(plan_.context_flop(), s.history_tokens) : 1;
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
  list_pieces();
  reserve_threads(std::max({workers_, context_workers_, load_workers_}));
}

// Workers that are worth a meeting: none for a few microseconds of work, none for less than a row.
template <class T>
int Interpreter<T>::team_size(double flop, int rows) const {
  return std::clamp(static_cast<int>(flop / kFlopPerWorker), 1, std::min(threads_, std::max(rows, 1)));
}

// jacobian: long windows beside short ones, so that items are alike; then as many to an item as fill the
// register tiles, but no so many that a thread has none.
template <class T>
void Interpreter<T>::list_windows() {
  const int steps = rows(kFuture), seeds = static_cast<int>(seeds_.size());
  for (int i = 0; i < steps; ++i) {
    const int step = i % 2 == 0 ? steps - 1 - i / 2 : i / 2;
    for (int s = 0; s < seeds; ++s) windows_.push_back({s, step});
  }
  list_items();
}

template <class T>
void Interpreter<T>::list_items() {
  int all = 0;
  for (const SeedWindow& window : windows_) all += window.step + 1;
  const int enough = std::clamp(all / (4 * threads_), 24, kRowsPerItem);
  offsets_.push_back(0);
  item_begin_.push_back(0);
  for (const SeedWindow& window : windows_) {
    const int top = window.step + 1, index = static_cast<int>(tops_.size());
    const int begun = offsets_[static_cast<std::size_t>(item_begin_.back())];
    if (index > item_begin_.back() && offsets_.back() + top - begun > enough) item_begin_.push_back(index);
    tops_.push_back(top);
    offsets_.push_back(offsets_.back() + top);
  }
  item_begin_.push_back(static_cast<int>(windows_.size()));
  items_ = static_cast<int>(item_begin_.size()) - 1;
}

template <class T>
void Interpreter<T>::lay_out() {
  const OpList& ops = plan_.ops;
  const Shapes& s = plan_.shapes;
  const bool train = plan_.mode == Mode::train;
  lay_out_weights();
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
  if (plan_.mode == Mode::jacobian) lay_out_jacobian();
  if (plan_.mode == Mode::tangent) lay_out_tangents();
  if (many()) lay_out_maps();
  if (train) {
    target_ = arena_.template take<T>(future_rows * static_cast<std::size_t>(ops.outputs));
    weight_ = arena_.template take<T>(future_rows * static_cast<std::size_t>(ops.outputs));
    gradient_ = arena_.template take<T>(ops.parameter_count());
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
  }
  frames_.resize(static_cast<std::size_t>(many() || team_ ? 1 : workers_));
  for (Frame& frame : frames_) {
    if (train) lay_out_frame(frame, windows_per_frame_, kHistory);
    lay_out_frame(frame, windows_per_frame_, kFuture);
  }
  scratch_.assign(static_cast<std::size_t>(std::max({workers_, context_workers_, threads_})), nullptr);
  for (T*& scratch : scratch_) scratch = arena_.template take<T>(scratch_scalars());
  lay_out_int8();
  if (!reverse_mode()) return;
  gradients_.resize(static_cast<std::size_t>(team_ ? 1 : workers_));
  for (Gradients& gradients : gradients_)
    plan_.mode == Mode::tangent ? lay_out_tangents(gradients)
                                : lay_out_gradients(gradients, windows_per_frame_);
}

template <class T>
void Interpreter<T>::lay_out_weights() {
  const OpList& ops = plan_.ops;
  const Shapes& s = plan_.shapes;
  theta_ = arena_.template take<T>(ops.parameter_count());
  packed_.assign(ops.parameters.size(), nullptr);
  transposed_.assign(ops.parameters.size(), nullptr);
  cosine_.assign(ops.ops.size(), nullptr);
  sine_.assign(ops.ops.size(), nullptr);
  std::set<const void*> taken;  // not by the pointers, which are null while the layout is measured
  for (const Node& node : plan_.nodes) {
    const Op& op = plan_.op(node);
    const auto id = static_cast<std::size_t>(node.op);
    // one after the other: who reads ahead finds the next op's weight
    if (op.kind == OpKind::linear && !node.int8) {
      T*& w = packed_[static_cast<std::size_t>(op.w)];
      if (taken.insert(&w).second)
        w = arena_.template take<T>(packed_count(plan_.width(op.x), plan_.width(op.y)));
    }
    if (op.kind == OpKind::rope && taken.insert(&cosine_[id]).second) {
      const std::size_t count = product({s.history_tokens + s.future_tokens, op.head_dim / 2});
      cosine_[id] = arena_.template take<T>(count);
      sine_[id] = arena_.template take<T>(count);
    }
  }
  low_.assign(ops.ops.size(), {});
  for (const int n : plan_.reverse) {  // in the order of their use
    const Node& node = plan_.nodes[static_cast<std::size_t>(n)];
    const Op& op = plan_.op(node);
    if (op.kind != OpKind::linear) continue;
    Low& low = low_[static_cast<std::size_t>(node.op)];
    if (plan_.trains(op.lora_b) && taken.insert(&low.a).second)
      low.a = arena_.template take<T>(packed_count(plan_.width(op.x), plan_.rank(op)));
    if (plan_.trains(op.lora_a) && taken.insert(&low.b).second)
      low.b = arena_.template take<T>(packed_count(plan_.width(op.y), plan_.rank(op)));
    if (!node.x.wanted) continue;
    T*& w = transposed_[static_cast<std::size_t>(op.w)];
    if (taken.insert(&w).second)
      w = arena_.template take<T>(packed_count(plan_.width(op.y), plan_.width(op.x)));
  }
}

template <class T>
void Interpreter<T>::lay_out_int8() {
  rounded_.assign(plan_.ops.parameters.size(), {});
  std::set<const void*> taken;
  long most_rows = 0, most_bytes = 0;
  for (const Node& node : plan_.nodes) {
    if (!node.int8) continue;
    const Op& op = plan_.op(node);
    const int k = plan_.width(op.x), n = plan_.width(op.y), panel = kernels_.panel;
    const long m = static_cast<long>(node.part == kHistory ? 1 : windows_per_frame_) * rows(node.part);
    most_rows = std::max(most_rows, m);
    most_bytes = std::max(most_bytes, m * int8_row(k));
    Rounded& w = rounded_[static_cast<std::size_t>(op.w)];
    const auto columns = static_cast<std::size_t>(round_up(n, panel));
    if (!taken.insert(&w).second) continue;
    w.packed = arena_.template take<std::int8_t>(static_cast<std::size_t>(int8_size(k, n, panel)));
    w.scale = arena_.template take<T>(columns);
    w.sum = arena_.template take<std::int32_t>(columns);
  }
  rounded_rows_.assign(scratch_.size(), {});
  for (RoundedRows& r : rounded_rows_) {
    r.q = arena_.template take<std::uint8_t>(static_cast<std::size_t>(most_bytes));
    r.scale = arena_.template take<T>(static_cast<std::size_t>(most_rows));
  }
}

template <class T>
void Interpreter<T>::lay_out_jacobian() {
  const OpList& ops = plan_.ops;
  const int steps = rows(kFuture);
  jacobian_ = arena_.template take<T>(product({long(seeds_.size()), steps, steps, plan_.width(ops.future)}));
  singles_.assign(ops.values.size(), nullptr);
  for (std::size_t id = 0; id < ops.values.size(); ++id) {
    if (single_gradient(int(id)))
      singles_[id] = arena_.template take<T>(product({long(windows_.size()), plan_.width(int(id))}));
  }
}

template <class T>
void Interpreter<T>::lay_out_maps() {
  const int steps = rows(kFuture);
  maps_.assign(plan_.nodes.size(), nullptr);
  for (std::size_t n = 0; n < plan_.nodes.size(); ++n) {
    if (!plan_.nodes[n].backward) continue;
    const Op& op = plan_.op(plan_.nodes[n]);
    if (op.kind == OpKind::attention)
      maps_[n] = arena_.template take<T>(product({op.heads, steps, op.head_dim, op.head_dim}));
    if (op.kind == OpKind::swiglu) maps_[n] = arena_.template take<T>(product({steps, plan_.width(op.x)}));
  }
}

// jacobian, tangent: most rows that an item has.
template <class T>
long Interpreter<T>::item_rows() const {
  long most = 0;
  for (std::size_t item = 0; item + 1 < item_begin_.size(); ++item)
    most = std::max<long>(most, offsets_[static_cast<std::size_t>(item_begin_[item + 1])] -
                                    offsets_[static_cast<std::size_t>(item_begin_[item])]);
  return most;
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
  scratch = std::max(scratch, correction_scratch());
  if (plan_.mode == Mode::train)
    scratch = std::max(scratch, static_cast<long>(windows_per_frame_) *
                                    std::max(rows(kHistory), rows(kFuture)) * kernels_.panel);
  return static_cast<std::size_t>(scratch);
}

template <class T>
void Interpreter<T>::lay_out_frame(Frame& frame, int windows, Part part) {
  frame.saved.resize(plan_.nodes.size(), nullptr);
  frame.past_kt.resize(plan_.nodes.size(), nullptr);
  frame.past_vt.resize(plan_.nodes.size(), nullptr);
  lay_out_values(frame, windows, part);
  std::map<int, T*> probabilities;  // by heads: shared where no backward pass asks for them again
  for (std::size_t n = 0; n < plan_.nodes.size(); ++n) {
    const Node& node = plan_.nodes[n];
    const Op& op = plan_.op(node);
    if (node.part != part) continue;
    if (op.kind == OpKind::rmsnorm) frame.saved[n] = arena_.template take<T>(product({windows, rows(part)}));
    if (op.kind != OpKind::attention) continue;
    const bool has_past = plan_.has_past(node);
    const int past = has_past ? rows(kHistory) : 0;
    const std::size_t scores = product({windows, op.heads, rows(part), round_up(past + rows(part), 16)});
    if (node.backward) {
      frame.saved[n] = arena_.template take<T>(scores);
    } else {
      const auto [shared, first] = probabilities.try_emplace(op.heads, nullptr);
      if (first) shared->second = arena_.template take<T>(scores);
      frame.saved[n] = shared->second;
    }
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

// Where no backward pass asks for it again a value's memory serves the next of its width once its last reader
// has run: rows then stay in the same places, so that a team's members never meet in each other's rows. What
// attention reads is kept, since one member may still read it when the next layer has begun for another.
template <class T>
void Interpreter<T>::lay_out_values(Frame& frame, int windows, Part part) {
  const OpList& ops = plan_.ops;
  frame.value[part].assign(ops.values.size(), nullptr);
  std::vector<std::size_t> last(ops.values.size(), 0);  // node that reads the value last
  std::vector<bool> kept(ops.values.size(), plan_.mode == Mode::train || (reverse_mode() && part == kFuture));
  for (std::size_t n = 0; n < plan_.nodes.size(); ++n) {
    const Op& op = plan_.op(plan_.nodes[n]);
    if (op.kind == OpKind::attention) kept[static_cast<std::size_t>(op.x)] = true;
    if (plan_.nodes[n].part != part) continue;
    last[static_cast<std::size_t>(op.x)] = n;
    if (op.x2 >= 0) last[static_cast<std::size_t>(op.x2)] = n;
  }
  std::multimap<int, T*> idle;  // by width
  std::vector<bool> placed(ops.values.size());
  for (std::size_t n = 0; n < plan_.nodes.size(); ++n) {
    if (plan_.nodes[n].part != part) continue;
    const Op& op = plan_.op(plan_.nodes[n]);
    const bool outside = op.y == ops.quantiles || (op.y == ops.hidden && plan_.hidden && part == kFuture);
    const auto id = static_cast<std::size_t>(op.y);
    if (!outside && !placed[id]) {
      placed[id] = true;
      const auto found = kept[id] ? idle.end() : idle.find(plan_.width(op.y));
      if (found == idle.end()) {
        frame.value[part][id] = arena_.template take<T>(product({windows, rows(part), plan_.width(op.y)}));
      } else {
        frame.value[part][id] = found->second;
        idle.erase(found);
      }
    }
    for (const int x : {op.x, op.x2 == op.x ? -1 : op.x2}) {
      const auto read = static_cast<std::size_t>(x);
      if (x >= 0 && placed[read] && !kept[read] && last[read] == n)
        idle.emplace(plan_.width(x), frame.value[part][read]);
    }
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
  const long of_item = item_rows();  // 0 but for jacobian
  auto all_rows = [&](Part part) { return of_item ? of_item : static_cast<long>(windows) * rows(part); };
  auto acquire = [&](Part part, int id) {
    // vjp reads the caller's seed and writes the caller's future_gradient; the rest is the worker's own
    if (plan_.mode == Mode::vjp && (id == ops.quantiles || id == ops.future)) return;
    if (single_gradient(id)) return;
    const std::size_t count = product({all_rows(part), plan_.width(id)});
    // a team keeps rows in their places (lay_out_values)
    auto best = idle.end();
    for (auto piece = idle.begin(); piece != idle.end(); ++piece)
      if ((team_ ? piece->count == count : piece->count >= count) &&
          (best == idle.end() || piece->count < best->count))
        best = piece;
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
  for (const int n : plan_.reverse) {
    const Node& node = plan_.nodes[static_cast<std::size_t>(n)];
    const Op& op = plan_.op(node);
    const auto y = static_cast<std::size_t>(op.y);
    if (plan_.mode == Mode::train && op.kind == OpKind::add && node.x.assign) {  // dx is dy, which ends here
      std::swap(held[node.part][static_cast<std::size_t>(op.x)], held[node.part][y]);
      gradients.value[node.part][static_cast<std::size_t>(op.x)] = gradients.value[node.part][y];
    } else if (node.x.assign || node.x.zero) {
      acquire(node.part, op.x);
    }
    if (node.x2.assign || node.x2.zero) acquire(node.part, op.x2);
    if (node.past.zero) acquire(kHistory, op.x);
    const Piece& done = held[node.part][y];
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

template class Interpreter<float>;
template class Interpreter<double>;

}  // namespace emisopt::kernels
