// How the gradients of a Jacobian, or its tangents, are packed into rows (many.hpp), and which buffer holds
// which of them when.
#include <algorithm>
#include <map>

#include "kernels/cuda/many.hpp"

namespace emisopt::kernels::cuda {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

/// Rows first .. last of the activations. column: the seeded one; block: of what the caller reads.
struct Window {
  int first, last, column, block;
};

std::vector<Window> list_windows(const Plan& plan, const std::vector<Seed>& seeds) {
  const int steps = plan.rows(kFuture);
  std::vector<Window> all;
  if (plan.mode == Mode::tangent)
    for (std::size_t d = 0; d < plan.directions.size(); ++d)
      all.push_back({plan.directions[d].first, steps - 1, 0, static_cast<int>(d)});
  else
    for (int step = 0; step < steps; ++step)
      for (std::size_t s = 0; s < seeds.size(); ++s)
        all.push_back({0, step, seeds[s].output * plan.ops.levels + seeds[s].level,
                       static_cast<int>(s) * steps + step});
  return all;
}

void pack(ManyPlan& many, const Plan& plan, const Window* begin, const Window* end) {
  const int steps = plan.rows(kFuture);
  ManyChunk chunk;
  chunk.windows = static_cast<int>(end - begin);
  std::vector<int> step, offset, last, ends, hot, source, target, single_target;
  std::vector<std::vector<int>> by_step(at(steps)), single_by_step(at(steps));  // packed rows; windows
  for (const Window* w = begin; w < end; ++w) {
    const int row0 = static_cast<int>(step.size()), window = static_cast<int>(w - begin);
    offset.push_back(row0);
    last.push_back(w->last);
    hot.push_back(w->column);
    for (int s = w->first; s <= w->last; ++s) {
      by_step[at(s)].push_back(static_cast<int>(step.size()));
      step.push_back(s);
      target.push_back(w->block * steps + s);
      if (plan.mode == Mode::tangent)
        source.push_back(s <= plan.directions[at(w->block)].last ? target.back() : -1);
    }
    ends.push_back(static_cast<int>(step.size()) - 1);
    single_target.push_back(target.back());
    single_by_step[at(w->last)].push_back(window);
  }
  chunk.rows = static_cast<int>(step.size());
  offset.push_back(chunk.rows);
  const auto keep = [&](const std::vector<int>& values) {
    const std::size_t where = many.indices.size();
    many.indices.insert(many.indices.end(), values.begin(), values.end());
    return where;
  };
  std::vector<int> begins{0}, list, single_begins{0}, single_from, single_to;
  for (int s = 0; s < steps; ++s) {
    list.insert(list.end(), by_step[at(s)].begin(), by_step[at(s)].end());
    for (const int w : single_by_step[at(s)]) {
      single_from.push_back(w);
      single_to.push_back(ends[at(w)]);
    }
    begins.push_back(static_cast<int>(list.size()));
    single_begins.push_back(static_cast<int>(single_from.size()));
    chunk.longest = std::max(chunk.longest, static_cast<int>(by_step[at(s)].size()));
    chunk.single_longest = std::max(chunk.single_longest, static_cast<int>(single_by_step[at(s)].size()));
  }
  chunk.step = keep(step), chunk.offset = keep(offset), chunk.last = keep(last), chunk.end = keep(ends);
  chunk.hot = keep(hot), chunk.source = keep(source);
  chunk.target = keep(target), chunk.single_target = keep(single_target);
  chunk.begin = keep(begins), chunk.list = keep(list), chunk.single_begin = keep(single_begins);
  chunk.single_from = keep(single_from), chunk.single_to = keep(single_to);
  many.chunks.push_back(chunk);
}

// Buffers by size; one that is free serves the next value that fits.
class Slots {
 public:
  explicit Slots(ManyPlan& many) : many_(many) {}
  void place(int id, std::size_t scalars) {
    int& slot = many_.slot[at(id)];
    if (slot >= 0) return;
    auto found = idle_.lower_bound(scalars);
    if (found == idle_.end() && !idle_.empty()) found = std::prev(idle_.end());  // the largest, made larger
    if (found == idle_.end()) {
      slot = static_cast<int>(many_.slot_size.size());
      many_.slot_size.push_back(scalars);
      return;
    }
    slot = found->second;
    many_.slot_size[at(slot)] = std::max(many_.slot_size[at(slot)], scalars);
    idle_.erase(found);
  }
  void release(int id) {
    const int slot = many_.slot[at(id)];
    if (slot >= 0) idle_.emplace(many_.slot_size[at(slot)], slot);
  }

 private:
  ManyPlan& many_;
  std::multimap<std::size_t, int> idle_;
};

}  // namespace

ManyPlan make_many_plan(const Plan& plan, const std::vector<Seed>& seeds, int rows_in_hand) {
  ManyPlan many;
  const std::vector<Window> windows = list_windows(plan, seeds);
  std::size_t most_windows = 0, most_rows = 0;
  for (std::size_t i = 0, rows = 0, begin = 0; i <= windows.size(); ++i) {
    const std::size_t more = i < windows.size() ? at(windows[i].last - windows[i].first + 1) : 0;
    if (i > begin && (i == windows.size() || rows + more > at(rows_in_hand))) {
      pack(many, plan, windows.data() + begin, windows.data() + i);
      most_windows = std::max(most_windows, i - begin);
      most_rows = std::max(most_rows, rows);
      begin = i;
      rows = 0;
    }
    rows += more;
  }

  const bool jacobian = plan.mode == Mode::jacobian;
  many.slot.assign(plan.ops.values.size(), -1);
  Slots slots(many);
  const auto size = [&](int id) {
    return (jacobian && plan.state(kFuture, id).single ? most_windows : most_rows) * at(plan.width(id));
  };
  const auto moves = [&](int id) { return id >= 0 && plan.state(kFuture, id).gradient; };
  if (jacobian) {
    slots.place(plan.ops.quantiles, size(plan.ops.quantiles));
    for (const int n : plan.reverse) {  // each gradient lives until the op that made the value has run
      const Node& node = plan.nodes[at(n)];
      const Op& op = plan.op(node);
      for (const auto& [flow, id] : {std::pair{node.x, op.x}, std::pair{node.x2, op.x2}}) {
        if (!flow.wanted) continue;
        slots.place(id, size(id));
        if (plan.state(kFuture, op.y).single && !plan.state(kFuture, id).single &&
            op.kind != OpKind::attention)
          many.spread = std::max(many.spread, most_windows * at(plan.width(id)));
      }
      slots.release(op.y);
    }
    return many;
  }
  std::vector<std::size_t> reader(plan.ops.values.size(), 0);  // the last node that reads a value
  for (std::size_t n = 0; n < plan.nodes.size(); ++n) {
    if (!plan.nodes[n].backward) continue;
    const Op& op = plan.op(plan.nodes[n]);
    for (const int id : {op.x, op.x2})
      if (id >= 0) reader[at(id)] = n;
  }
  slots.place(plan.ops.future, size(plan.ops.future));
  for (std::size_t n = 0; n < plan.nodes.size(); ++n) {
    if (!plan.nodes[n].backward) continue;
    const Op& op = plan.op(plan.nodes[n]);
    slots.place(op.y, size(op.y));
    for (const int id : {op.x, op.x2 == op.x ? -1 : op.x2})
      if (moves(id) && reader[at(id)] == n) slots.release(id);
  }
  return many;
}

}  // namespace emisopt::kernels::cuda
