// CudaProgram: a plan's nodes as tapes for tick.cu, and when that pays.
#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "kernels/cuda/body.hpp"

namespace emisopt::kernels::cuda {
namespace {

// A launch costs some 2 to 3 us in a graph, whatever it does. A block of a tape reads its weights at about
// 100 GB/s from the L2 cache, 10 us for 1 MiB, in place of eleven launches per layer; and while all
// multiprocessors read, two waves of 132 blocks of four rows still take less than those launches.
constexpr std::size_t kTickWeightBytes = 1 << 20;
constexpr long kTickAllRows = 2L * 132 * kTickRows;

enum class Kind : std::uint8_t { value, slope, stat };  // stat: by node, rstd
struct Key {
  Kind kind;
  int id;
  friend auto operator<=>(const Key&, const Key&) = default;
};

struct Tape {
  std::vector<TickStep> loads, computes, stores;
  std::map<Key, int> place;  // in a row's part of shared memory
  std::set<Key> read, written;
  int values = 0, scores = 0;
  std::size_t weights = 0;  // scalars
};

}  // namespace

// Ops of one part, in order; attention begins a tape, since it reads what other blocks have written.
struct CudaProgram::TickBuilder {
  const CudaProgram& p;
  Part part;
  std::vector<Tape> tapes = std::vector<Tape>(1);
  std::set<Key> kept = {};  // to be found in global memory afterwards

  Tape& tape() { return tapes.back(); }
  int width(Key key) const { return key.kind == Kind::stat ? 1 : p.plan_.width(key.id); }
  float* global(Key key) const {
    if (key.kind == Kind::stat) return p.saved_[at(key.id)];
    return (key.kind == Kind::value ? p.value(part, key.id) : p.slope(part, key.id)).data;
  }
  int place(Key key) {
    const auto found = tape().place.find(key);
    if (found != tape().place.end()) return found->second;
    const int where = tape().values;
    tape().values += tick_line(width(key));
    return tape().place[key] = where;
  }
  int in(Key key) {
    if (!tape().place.contains(key)) {
      tape().read.insert(key);
      TickStep load;
      load.kind = TickKind::load;
      load.y = place(key), load.y_width = width(key), load.from = global(key);
      tape().loads.push_back(load);
    }
    return place(key);
  }
  int out(Key key, bool accumulate = false) {
    if (accumulate) in(key);
    tape().written.insert(key);
    return place(key);
  }
  void cut() {
    if (!tape().computes.empty()) tapes.emplace_back();
  }
  TickStep& step(TickKind kind, int x_width, int y_width) {
    TickStep s;
    s.kind = kind, s.x_width = x_width, s.y_width = y_width;
    tape().computes.push_back(s);
    return tape().computes.back();
  }
  TickStep step_of(TickKind kind, const Op& o) const {
    TickStep s;
    s.kind = kind;
    s.x_width = p.plan_.width(o.x), s.y_width = p.plan_.width(o.y);
    s.heads = o.heads, s.kv_heads = o.kv_heads, s.head_dim = o.head_dim;
    s.outputs = o.outputs, s.levels = o.levels, s.middle = o.middle, s.eps = o.eps;
    return s;
  }
  TickStep attention_of(TickKind kind, const Node& node) {
    const Op& o = p.op(node);
    TickStep s = step_of(kind, o);
    s.own_x = p.value(part, o.x).data;
    if (p.plan_.has_past(node)) s.past = p.rows(kHistory), s.past_x = p.value(kHistory, o.x).data;
    s.p = p.tick_p_[p.index_of(node)];
    s.ds = p.tick_ds_[p.index_of(node)];
    tape().scores = std::max(tape().scores, tick_scores(o.heads, o.head_dim, s.past + p.rows(part)));
    return s;
  }
  void put(const TickStep& s) { tape().computes.push_back(s); }

  void forward(const Node& node) {
    const Op& o = p.op(node);
    const Key x{Kind::value, o.x}, y{Kind::value, o.y}, stat{Kind::stat, static_cast<int>(p.index_of(node))};
    if (o.kind == OpKind::attention) {
      cut();
      TickStep s = attention_of(TickKind::attend, node);
      if (p.many()) s.lse = p.saved_[p.index_of(node)];
      s.y = out(y);
      return put(s);
    }
    TickStep s = step_of(TickKind::copy, o);
    s.x = in(x);
    switch (o.kind) {
      case OpKind::linear:
        s.kind = TickKind::linear;
        s.w = weight(o), s.b = parameter(o.b);
        tape().weights += at(s.x_width) * at(s.y_width);
        break;
      case OpKind::rmsnorm:
        s.kind = TickKind::rmsnorm;
        s.w = parameter(o.w), s.x2 = out(stat);
        break;
      case OpKind::rope:
        s.kind = TickKind::rope;
        angles(s, node);
        break;
      case OpKind::swiglu:
        s.kind = TickKind::swiglu;
        break;
      case OpKind::add:
        s.kind = TickKind::sum;
        s.x2 = in({Kind::value, o.x2});
        break;
      case OpKind::quantiles:
        s.kind = TickKind::quantiles;
        break;
      case OpKind::attention:
        break;  // above
    }
    s.y = out(y);
    put(s);
  }

  const float* parameter(int id) const { return p.theta_ ? p.parameter(id) : nullptr; }
  const float* weight(const Op& o) const { return p.theta_ ? p.matrix(o) : nullptr; }
  void angles(TickStep& s, const Node& node) const {
    if (!p.theta_) return;
    const long first = static_cast<long>(part == kFuture ? p.rows(kHistory) : 0) * (s.head_dim / 2);
    s.w = p.cosine_[at(node.op)] + first;
    s.b = p.sine_[at(node.op)] + first;
  }

  void backward(const Node& node) {
    const Op& o = p.op(node);
    const Key dx{Kind::slope, o.x}, dy{Kind::slope, o.y}, x{Kind::value, o.x};
    if (o.kind == OpKind::attention) return attention_back(node);
    if (o.kind == OpKind::add) {
      pass_on(node.x, dx, dy);
      return pass_on(node.x2, {Kind::slope, o.x2}, dy);
    }
    if (!node.x.wanted) return;
    TickStep s = step_of(TickKind::copy, o);
    std::swap(s.x_width, s.y_width);  // from the output's gradient to the input's
    s.accumulate = !node.x.assign;
    s.x = in(dy);
    switch (o.kind) {
      case OpKind::linear:
        s.kind = TickKind::turned;
        s.w = weight(o);
        tape().weights += at(s.x_width) * at(s.y_width);
        break;
      case OpKind::rmsnorm:
        s.kind = TickKind::unnorm;
        s.w = parameter(o.w), s.x2 = in(x);
        s.x3 = in({Kind::stat, static_cast<int>(p.index_of(node))});
        break;
      case OpKind::rope:
        s.kind = TickKind::rope;
        s.inverse = true;
        angles(s, node);
        break;
      case OpKind::swiglu:
        s.kind = TickKind::unswiglu;
        s.x2 = in(x);
        break;
      case OpKind::quantiles:
        s.kind = TickKind::unquantile;
        s.x2 = in(x);
        break;
      case OpKind::add:
      case OpKind::attention:
        break;  // above
    }
    s.y = out(dx, s.accumulate);
    put(s);
  }

  void pass_on(const Flow& flow, Key to, Key from) {
    if (!flow.wanted) return;
    TickStep& s = step(flow.assign ? TickKind::copy : TickKind::sum, width(to), width(to));
    s.accumulate = !flow.assign;
    const int x = in(from), y = out(to, s.accumulate);
    s.x = x, s.y = y;
  }

  // Queries here; keys and values in the next launch, when all rows' queries are done.
  void attention_back(const Node& node) {
    const Op& o = p.op(node);
    if (!node.x.wanted) return;
    const Key dx{Kind::slope, o.x}, dy{Kind::slope, o.y};
    TickStep queries = attention_of(TickKind::unattend, node);
    queries.zero = node.x.zero;
    queries.x = in(dy), queries.y = out(dx, !queries.zero);
    put(queries);
    kept.insert(dy);
    tapes.emplace_back();
    TickStep keys = attention_of(TickKind::unkeys, node);
    keys.dy = p.slope(part, o.y).data;
    keys.y = out(dx, true);
    put(keys);
  }

  // Every value that a later tape reads, or that is kept, is stored by the last tape that writes it before.
  void settle_stores() {
    std::vector<std::set<Key>> stored(tapes.size());
    const auto store = [&](Key key, std::size_t before) {
      while (before-- > 0)
        if (tapes[before].written.contains(key)) return void(stored[before].insert(key));
    };
    for (std::size_t t = 0; t < tapes.size(); ++t)
      for (const Key& key : tapes[t].read) store(key, t);
    for (const Key& key : kept) store(key, tapes.size());
    for (std::size_t t = 0; t < tapes.size(); ++t)
      for (const Key& key : stored[t]) {
        TickStep s;
        s.kind = TickKind::store;
        s.x = tapes[t].place.at(key), s.x_width = width(key), s.to = global(key);
        tapes[t].stores.push_back(s);
      }
  }
};

// Before there is memory the same tapes, but pointers are null.
CudaProgram::TickTapes CudaProgram::tick_tapes() const {
  TickTapes all;
  const auto append = [&](std::vector<TickTape>& to, const Tape& tape) {
    TickTape t;
    t.steps = tick_steps_ ? tick_steps_ + all.steps.size() : nullptr;
    t.loads = static_cast<int>(tape.loads.size());
    t.computes = static_cast<int>(tape.computes.size());
    t.stores = static_cast<int>(tape.stores.size());
    t.values = tape.values, t.scores = tape.scores;
    for (const auto* steps : {&tape.loads, &tape.computes, &tape.stores})
      all.steps.insert(all.steps.end(), steps->begin(), steps->end());
    to.push_back(t);
  };
  const std::size_t shared = std::min(kTickSharedBytes, block_shared_bytes());
  bool fits = true;
  for (const Part part : {kHistory, kFuture}) {
    TickBuilder build{*this, part};
    for (const Node& node : plan_.nodes) {
      if (op(node).kind == OpKind::attention && (node.part == part || plan_.has_past(node)))
        build.kept.insert({Kind::value, op(node).x});  // keys and values for other blocks
      if (node.part == part) build.forward(node);
    }
    if (part == kFuture) {
      build.kept.insert({Kind::value, plan_.ops.quantiles});
      if (plan_.hidden) build.kept.insert({Kind::value, plan_.ops.hidden});
      if (many())  // what the seeds' and directions' passes are linearised at
        for (const Tape& tape : build.tapes) build.kept.insert(tape.written.begin(), tape.written.end());
    }
    const std::size_t ahead = build.tapes.size();
    if (plan_.mode == Mode::vjp && part == kFuture) {
      build.tapes.emplace_back();
      for (const int n : plan_.reverse) build.backward(plan_.nodes[at(n)]);
      build.kept.insert({Kind::slope, plan_.ops.future});
    }
    build.settle_stores();
    for (std::size_t t = 0; t < build.tapes.size(); ++t) {
      const Tape& tape = build.tapes[t];
      if (tape.computes.empty()) continue;
      append(part == kHistory ? all.history : t < ahead ? all.ahead : all.back, tape);
      const std::vector<TickTape>& into = part == kHistory ? all.history : t < ahead ? all.ahead : all.back;
      fits &= tape.weights * sizeof(float) <= kTickWeightBytes &&
              tick_bytes(into.back(), tick_rows(grid(part))) <= shared;
    }
    fits &= grid(part).count() <= kTickAllRows;
  }
  return fits ? all : TickTapes{};
}

void CudaProgram::plan_tick() {
  const bool rounds =
      std::any_of(plan_.nodes.begin(), plan_.nodes.end(), [](const Node& n) { return n.int8; });
  if (train() || rounds || !in_bf16_.empty() || !fuses_ops()) return;
  for (auto* by_node : {&saved_, &tick_p_, &tick_ds_}) by_node->assign(plan_.nodes.size(), nullptr);
  for (const Part part : {kHistory, kFuture})
    for (auto* by_value : {&value_[part], &slope_[part]}) by_value->assign(plan_.ops.values.size(), nullptr);
  cosine_.assign(plan_.ops.ops.size(), nullptr);
  sine_.assign(plan_.ops.ops.size(), nullptr);
  corrected_.assign(plan_.ops.parameters.size(), nullptr);
  tick_ = tick_tapes();
}

void CudaProgram::lay_out_tick() {
  tick_steps_ = device_.take<TickStep>(tick_.steps.size());
  if (tick_.back.empty()) return;
  for (const Node& node : plan_.nodes) {
    const Op& o = op(node);
    if (o.kind != OpKind::attention || node.part != kFuture) continue;
    const std::size_t pairs = static_cast<std::size_t>(grid(kFuture).count()) * at(o.heads),
                      past = plan_.has_past(node) ? at(rows(kHistory)) : 0;
    tick_p_[index_of(node)] = device_.take<float>(pairs * (past + at(rows(kFuture))));
    tick_ds_[index_of(node)] = device_.take<float>(pairs * at(rows(kFuture)));
  }
}

void CudaProgram::fill_tick() {
  if (tick_.steps.empty()) return;
  tick_ = tick_tapes();
  expect(cudaMemcpy(tick_steps_, tick_.steps.data(), tick_.steps.size() * sizeof(TickStep),
                    cudaMemcpyHostToDevice),
         "compile for CUDA");
  expect(cudaDeviceSynchronize(), "compile for CUDA");  // went to the default stream
}

void CudaProgram::run_tapes(const std::vector<TickTape>& tapes, Part part) {
  for (const TickTape& tape : tapes) tick(tape, grid(part), stream_);
}

}  // namespace emisopt::kernels::cuda
