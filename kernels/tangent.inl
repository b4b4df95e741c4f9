// Interpreter: what changes of the plan make of the outputs, forward through the nodes. Included by
// interpreter.cpp only. A direction's rows before its first step stay 0 and are nowhere stored.
#pragma once
#include <algorithm>
#include <cstring>
#include <map>
#include <vector>

#include "kernels/interpreter.hpp"

namespace emisopt::kernels {

// Long windows beside short ones, so that items are alike; directions of one first step side by side.
template <class T>
void Interpreter<T>::list_directions() {
  std::map<int, std::vector<int>> by_first;
  for (std::size_t d = 0; d < plan_.directions.size(); ++d)
    by_first[plan_.directions[d].first].push_back(static_cast<int>(d));
  while (!by_first.empty()) {
    for (const bool longest : {true, false}) {
      if (by_first.empty()) break;
      const auto group = longest ? by_first.begin() : std::prev(by_first.end());
      for (const int d : group->second) windows_.push_back({d, rows(kFuture) - group->first - 1});
      by_first.erase(group);
    }
  }
  list_items();
}

template <class T>
void Interpreter<T>::lay_out_tangents() {
  const OpList& ops = plan_.ops;
  const long count = static_cast<long>(plan_.directions.size()) * rows(kFuture);
  direction_ = arena_.template take<T>(static_cast<std::size_t>(count * plan_.width(ops.future)));
  tangent_ = arena_.template take<T>(static_cast<std::size_t>(count * plan_.width(ops.quantiles)));
}

// A tangent's memory serves the next value once its last reader has run.
template <class T>
void Interpreter<T>::lay_out_tangents(Gradients& tangents) {
  const OpList& ops = plan_.ops;
  std::vector<T*>& value = tangents.value[kFuture];
  value.assign(ops.values.size(), nullptr);
  std::vector<std::size_t> last(ops.values.size(), 0);
  for (std::size_t n = 0; n < plan_.nodes.size(); ++n) {
    if (!plan_.nodes[n].backward) continue;
    const Op& op = plan_.op(plan_.nodes[n]);
    last[static_cast<std::size_t>(op.x)] = n;
    if (op.x2 >= 0) last[static_cast<std::size_t>(op.x2)] = n;
  }
  std::multimap<int, T*> idle;  // by width
  const auto place = [&](int id) {
    const auto found = idle.find(plan_.width(id));
    T*& to = value[static_cast<std::size_t>(id)];
    if (found == idle.end()) {
      to = arena_.template take<T>(static_cast<std::size_t>(item_rows()) *
                                   static_cast<std::size_t>(plan_.width(id)));
    } else {
      to = found->second;
      idle.erase(found);
    }
  };
  place(ops.future);
  for (std::size_t n = 0; n < plan_.nodes.size(); ++n) {
    if (!plan_.nodes[n].backward) continue;
    const Op& op = plan_.op(plan_.nodes[n]);
    place(op.y);
    for (const int x : {op.x, op.x2 == op.x ? -1 : op.x2})
      if (x >= 0 && plan_.state(kFuture, x).gradient && last[static_cast<std::size_t>(x)] == n)
        idle.emplace(plan_.width(x), value[static_cast<std::size_t>(x)]);
  }
}

template <class T>
void Interpreter<T>::run_tangents(Member& member) {
  const Span span = share(kFuture, 0, 1, member);
  for (std::size_t n = plan_.first_future; n < plan_.nodes.size(); ++n)
    forward(plan_.nodes[n], frames_[0], span, member);
  if (!plan_.state(kFuture, plan_.ops.quantiles).gradient) return;  // the plan does not reach the output
  member.meet();
  for (int item; (item = next_item_.fetch_add(1, std::memory_order_relaxed)) < items_;)
    run_directions(item, member);
}

template <class T>
void Interpreter<T>::run_directions(int item, Member& member) {
  const OpList& ops = plan_.ops;
  const int begin = item_begin_[static_cast<std::size_t>(item)],
            end = item_begin_[static_cast<std::size_t>(item) + 1], steps = rows(kFuture);
  const Reverse at{begin, end - begin, 0, 0, tops_.data() + begin, offsets_.data() + begin};
  const Gradients& tangents = gradients_[static_cast<std::size_t>(member.worker)];
  const auto each = [&](T* buffer, int id,
                        auto f) {  // f(window's rows, where they lie for the caller, scalars)
    const long width = plan_.width(id);
    T* const mine = tangents.value[kFuture][static_cast<std::size_t>(id)];
    for (int w = 0; w < at.count; ++w) {
      const int d = windows_[static_cast<std::size_t>(begin + w)].seed;
      f(mine + (at.offset[w] - at.offset[0]) * width, buffer + (d * long{steps} + steps - at.top[w]) * width,
        plan_.directions[static_cast<std::size_t>(d)], static_cast<std::size_t>(at.top[w]),
        static_cast<std::size_t>(width));
    }
  };
  each(direction_, ops.future,
       [](T* to, const T* from, const Direction& d, std::size_t n, std::size_t width) {
         const auto moved = static_cast<std::size_t>(d.last - d.first + 1) * width;
         std::memcpy(to, from, moved * sizeof(T));
         std::memset(to + moved, 0, (n * width - moved) * sizeof(T));
       });
  for (std::size_t n = plan_.first_future; n < plan_.nodes.size(); ++n)
    if (plan_.nodes[n].backward) tangent(plan_.nodes[n], tangents, at, member);
  each(tangent_, ops.quantiles, [](const T* from, T* to, const Direction&, std::size_t n, std::size_t width) {
    std::memcpy(to, from, n * width * sizeof(T));
  });
}

template <class T>
void Interpreter<T>::tangent(const Node& node, const Gradients& tangents, const Reverse& at,
                             const Member& member) {
  const Op& op = plan_.op(node);
  const Frame& frame = frames_[0];
  const int x_width = plan_.width(op.x), y_width = plan_.width(op.y), m = at.offset[at.count] - at.offset[0];
  const auto of = [&](int id) { return tangents.value[kFuture][static_cast<std::size_t>(id)]; };
  const T* dx = of(op.x);
  T* dy = of(op.y);
  // Calls f(first step, row in hand, rows) for each window.
  const auto windows = [&](auto f) {
    for (int w = 0; w < at.count; ++w)
      f(static_cast<long>(rows(kFuture) - at.top[w]), static_cast<long>(at.offset[w] - at.offset[0]),
        at.top[w]);
  };
  const T* x = activation(frame, kFuture, op.x, 0);
  switch (op.kind) {
    case OpKind::linear:
      kernels_.gemm_packed(dy, y_width, dx, x_width, packed(op.w), nullptr, m, y_width, x_width, false);
      break;
    case OpKind::rmsnorm: {
      const T* rstd = frame.saved[index_of(node)];
      windows([&](long step, long row, int n) {
        kernels_.rmsnorm_tangent(dy + row * x_width, dx + row * x_width, x + step * x_width, rstd + step,
                                 weight_of(op.w), n, x_width);
      });
      break;
    }
    case OpKind::rope: {
      const auto id = static_cast<std::size_t>(node.op);
      windows([&](long step, long row, int n) {
        const long angle = (rows(kHistory) + step) * (op.head_dim / 2);
        kernels_.rope(dy + row * x_width, dx + row * x_width, cosine_[id] + angle, sine_[id] + angle, n,
                      x_width, op.heads, op.head_dim, false, false);
      });
      break;
    }
    case OpKind::swiglu:
      windows([&](long step, long row, int n) {
        kernels_.swiglu_tangent(dy + row * y_width, dx + row * x_width,
                                maps_[index_of(node)] + step * x_width, n, y_width);
      });
      break;
    case OpKind::add: {
      const T* other = of(op.x2);  // null: no tangent
      const long count = static_cast<long>(m) * x_width;
      if (dx && other)
        kernels_.add(dy, dx, other, count);
      else
        std::memcpy(dy, dx ? dx : other, sizeof(T) * static_cast<std::size_t>(count));
      break;
    }
    case OpKind::quantiles:
      windows([&](long step, long row, int n) {
        kernels_.quantiles_tangent(dy + row * x_width, dx + row * x_width, x + step * x_width, n, op.outputs,
                                   op.levels, op.middle);
      });
      break;
    case OpKind::attention: {
      AttentionArgs<T> a = attention_args(node, frame, {0, 1, 0, 0}, 0, member.worker);
      a.y = activation(frame, kFuture, op.y, 0);
      a.maps = maps_[index_of(node)];
      a.map_head = static_cast<long>(rows(kFuture)) * op.head_dim * op.head_dim;
      for (int w = 0; w < at.count; w += a.windows) {
        for (a.windows = 1; w + a.windows < at.count && at.top[w + a.windows] == at.top[w];) ++a.windows;
        const long row = at.offset[w] - at.offset[0];
        a.first = a.rows - at.top[w];
        a.dy_window = static_cast<long>(at.top[w]) * y_width;
        a.dx_window = static_cast<long>(at.top[w]) * x_width;
        kernels_.attention_tangent(a, dx + row * x_width, dy + row * y_width);
      }
      break;
    }
  }
}

}  // namespace emisopt::kernels
