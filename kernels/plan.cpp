// From an OpList to nodes: what must run, in which order, and where gradients go.
#include "kernels/plan.hpp"

#include <algorithm>

namespace emisopt::kernels {
namespace {

std::size_t at(int id) { return static_cast<std::size_t>(id); }

// Marks values that reach an output and returns the nodes that make them, in order of execution.
void keep_live_nodes(Plan& plan) {
  plan.values[kFuture][at(plan.ops.quantiles)].live = true;
  if (plan.hidden) plan.values[kFuture][at(plan.ops.hidden)].live = true;
  std::vector<Node> reversed;
  for (const Part part : {kFuture, kHistory}) {
    if (plan.rows(part) == 0) continue;
    for (std::size_t i = plan.ops.ops.size(); i-- > 0;) {
      const Op& op = plan.ops.ops[i];
      if (!covers(op.rows, part) || !plan.values[part][at(op.y)].live) continue;
      plan.values[part][at(op.x)].live = true;
      if (op.x2 >= 0) plan.values[part][at(op.x2)].live = true;
      Node node;
      node.op = static_cast<int>(i);
      node.part = part;
      if (plan.has_past(node)) plan.values[kHistory][at(op.x)].live = true;
      reversed.push_back(node);
    }
  }
  plan.nodes.assign(reversed.rbegin(), reversed.rend());
  plan.first_future = static_cast<std::size_t>(
      std::find_if(plan.nodes.begin(), plan.nodes.end(), [](const Node& n) { return n.part == kFuture; }) -
      plan.nodes.begin());
}

// train: what a trainable weight feeds, directly or through other values. vjp, jacobian, tangent: what
// depends on the plan.
void mark_gradients(Plan& plan) {
  if (plan.mode == Mode::infer) return;
  auto& states = plan.values;
  if (plan.mode != Mode::train) states[kFuture][at(plan.ops.future)].gradient = true;
  for (const Node& node : plan.nodes) {
    const Op& op = plan.op(node);
    // attention writes the gradients of its own rows whenever it writes those of the rows before
    if (plan.mode == Mode::train && plan.has_past(node))
      states[kFuture][at(op.x)].gradient |= states[kHistory][at(op.x)].gradient;
    if (plan.mode == Mode::train)
      states[node.part][at(op.y)].gradient = plan.trains(op.w) || plan.trains(op.b) || plan.adapts(op) ||
                                             states[node.part][at(op.x)].gradient ||
                                             (op.x2 >= 0 && states[node.part][at(op.x2)].gradient);
    else if (node.part == kFuture)
      states[kFuture][at(op.y)].gradient |=
          states[kFuture][at(op.x)].gradient || (op.x2 >= 0 && states[kFuture][at(op.x2)].gradient);
  }
}

// In jacobian mode the seed is one row. It stays one row going backward until an attention op spreads it over
// the rows before; the ops after the last attention therefore work on one row per seed instead of t + 1.
void mark_single_rows(Plan& plan) {
  if (plan.mode != Mode::jacobian) return;
  auto& states = plan.values[kFuture];
  for (ValueState& state : states) state.single = true;
  for (auto node = plan.nodes.rbegin(); node != plan.nodes.rend() && node->part == kFuture; ++node) {
    const Op& op = plan.op(*node);
    const bool spread = op.kind == OpKind::attention || !states[at(op.y)].single;
    if (spread) states[at(op.x)].single = false;
    if (spread && op.x2 >= 0) states[at(op.x2)].single = false;
  }
}

// The order of the backward pass: that of execution turned round. In jacobian mode the nodes whose gradients
// are all single rows come first, so that the rows of all seeds and steps go through them together.
void settle_order(Plan& plan) {
  std::vector<int> rest;
  std::array<std::vector<bool>, kParts> late;  // a node of `rest` writes to this gradient
  for (auto& part : late) part.resize(plan.ops.values.size());
  for (int n = static_cast<int>(plan.nodes.size()); n-- > 0;) {
    Node& node = plan.nodes[at(n)];
    const Op& op = plan.op(node);
    const auto& states = plan.values[node.part];
    auto single = [&](int id) { return id < 0 || !states[at(id)].gradient || states[at(id)].single; };
    node.single = plan.mode == Mode::jacobian && node.part == kFuture && op.kind != OpKind::attention &&
                  states[at(op.y)].single && !late[node.part][at(op.y)] && single(op.x) && single(op.x2);
    (node.single ? plan.reverse : rest).push_back(n);
    if (node.single) continue;
    late[node.part][at(op.x)] = true;
    if (op.x2 >= 0) late[node.part][at(op.x2)] = true;
  }
  plan.reverse.insert(plan.reverse.end(), rest.begin(), rest.end());
}

// Walks backward once and notes who writes each gradient first.
void settle_flows(Plan& plan) {
  std::array<std::vector<bool>, kParts> written;
  for (auto& part : written) part.resize(plan.ops.values.size());
  std::vector<bool> weight_written(plan.ops.parameters.size());
  written[kFuture][at(plan.ops.quantiles)] = true;
  if (plan.hidden) written[kFuture][at(plan.ops.hidden)] = true;
  auto enter = [&](Flow& flow, Part part, int id, bool whole) {
    flow.wanted = plan.values[part][at(id)].gradient;
    if (!flow.wanted || written[part][at(id)]) return;
    (whole ? flow.assign : flow.zero) = true;
    written[part][at(id)] = true;
  };
  for (const int n : plan.reverse) {
    Node& node = plan.nodes[at(n)];
    const Op& op = plan.op(node);
    const Part part = node.part;
    node.backward = plan.values[part][at(op.y)].gradient && written[part][at(op.y)];
    if (!node.backward) continue;
    const bool attention = op.kind == OpKind::attention;
    // attention accumulates over heads; a single-row gradient does not fill a prefix
    auto whole = [&](int id) {
      return !attention && plan.values[part][at(op.y)].single == plan.values[part][at(id)].single;
    };
    enter(node.x, part, op.x, whole(op.x));
    if (op.x2 >= 0) enter(node.x2, part, op.x2, whole(op.x2));
    if (plan.has_past(node) && plan.mode == Mode::train) enter(node.past, kHistory, op.x, false);
    if (plan.mode == Mode::train && op.kind == OpKind::linear && plan.trains(op.w)) {
      node.first_w = !weight_written[at(op.w)];
      weight_written[at(op.w)] = true;
    }
  }
  std::erase_if(plan.reverse, [&](int n) { return !plan.nodes[at(n)].backward; });
}

// Tangents go the way of the forward pass, through every node that the plan reaches.
void settle_tangents(Plan& plan) {
  for (Node& node : plan.nodes)
    node.backward = node.part == kFuture && plan.values[kFuture][at(plan.op(node).y)].gradient;
}

// The products inside the layers: neither those that read an input nor those that the quantiles are made of,
// nor those with a correction, which are for learning.
void mark_int8(Plan& plan) {
  std::vector<bool> outer(plan.ops.values.size());
  outer[at(plan.ops.quantiles)] = true;
  if (plan.ops.hidden >= 0) outer[at(plan.ops.hidden)] = true;
  for (auto node = plan.nodes.rbegin(); node != plan.nodes.rend(); ++node) {
    const Op& op = plan.op(*node);
    node->int8 = op.kind == OpKind::linear && !outer[at(op.y)] && op.x != plan.ops.history &&
                 op.x != plan.ops.future && op.lora_a < 0;
    if (!outer[at(op.y)] || (op.kind != OpKind::add && op.kind != OpKind::quantiles)) continue;
    outer[at(op.x)] = true;
    if (op.x2 >= 0) outer[at(op.x2)] = true;
  }
}

double forward_flop(const Plan& plan, const Node& node, double rows) {
  const Op& op = plan.op(node);
  if (op.kind == OpKind::linear) return 2.0 * rows * plan.width(op.x) * plan.width(op.y);
  if (op.kind != OpKind::attention) return 10.0 * rows * plan.width(op.y);  // pointwise: a small share
  const double own = plan.rows(node.part), past = plan.has_past(node) ? plan.rows(kHistory) : 0;
  return 4.0 * rows * op.heads * op.head_dim * (past + 0.5 * (own + 1));
}

// Of a jacobian's attention going back, as it is done: the maps once; per seed dq through them, and dp, dk,
// dv of the pairs of own rows. Past keys are visited by the maps alone.
double seeds_attention_flop(const Plan& plan, const Node& node, int seeds) {
  const Op& op = plan.op(node);
  const double t = plan.rows(kFuture), past = plan.has_past(node) ? plan.rows(kHistory) : 0;
  const bool single = plan.state(kFuture, op.y).single;  // one query a seed
  const double rows = single ? t : t * (t + 1) / 2,
               pairs = single ? t * (t + 1) / 2 : t * (t + 1) * (t + 2) / 6;
  const double channels = 2.0 * op.heads * op.head_dim,
               maps = channels * op.head_dim * t * (past + (t + 1) / 2);
  return maps + seeds * (rows * channels * op.head_dim + 3 * pairs * channels);
}

// Likewise of all directions: the maps once; per direction and row a product with its map, and for pairs of
// own rows q dk, ds v, p dv.
double directions_attention_flop(const Plan& plan, const Node& node) {
  const Op& op = plan.op(node);
  const double t = plan.rows(kFuture), past = plan.has_past(node) ? plan.rows(kHistory) : 0;
  const double channels = 2.0 * op.heads * op.head_dim;
  double total = channels * op.head_dim * t * (past + (t + 1) / 2);
  for (const Direction& d : plan.directions) {
    const double rows = t - d.first;
    total += rows * channels * op.head_dim + 3 * channels * rows * (rows + 1) / 2;
  }
  return total;
}

}  // namespace

Plan make_plan(const OpList& ops, const Shapes& shapes, const CompileOptions& options) {
  Plan plan;
  plan.ops = ops;
  plan.shapes = shapes;
  plan.mode = options.mode;
  plan.hidden =
      ops.hidden >= 0 && (plan.mode == Mode::infer || (plan.mode == Mode::train && options.hidden > 0));
  if (plan.mode == Mode::train) plan.trainable = options.trainable;
  if (plan.mode == Mode::tangent) plan.directions = options.directions;
  for (auto& part : plan.values) part.resize(ops.values.size());
  keep_live_nodes(plan);
  mark_gradients(plan);
  if (plan.mode == Mode::tangent) {
    settle_tangents(plan);
  } else {
    mark_single_rows(plan);
    settle_order(plan);
    settle_flows(plan);
  }
  if (options.precision == Precision::int8) mark_int8(plan);
  return plan;
}

bool same_history(const Plan& a, const Plan& b) {
  if (a.mode == Mode::train || b.mode == Mode::train || a.rows(kHistory) != b.rows(kHistory) ||
      a.nodes.size() != b.nodes.size() || a.ops.values.size() != b.ops.values.size() ||
      a.ops.parameter_count() != b.ops.parameter_count())
    return false;
  for (std::size_t n = 0; n < a.nodes.size(); ++n) {
    const Node &mine = a.nodes[n], &its = b.nodes[n];
    const Op &x = a.op(mine), &y = b.op(its);
    if (mine.op != its.op || mine.part != its.part || mine.int8 != its.int8 || x.kind != y.kind ||
        x.x != y.x || x.x2 != y.x2 || x.y != y.y || x.w != y.w || x.b != y.b || x.lora_a != y.lora_a ||
        x.lora_b != y.lora_b || x.eps != y.eps || x.rope_base != y.rope_base || x.heads != y.heads ||
        x.kv_heads != y.kv_heads || x.head_dim != y.head_dim || a.width(x.x) != b.width(y.x))
      return false;
  }
  return true;
}

bool Plan::has_past(const Node& node) const {
  return op(node).kind == OpKind::attention && node.part == kFuture && rows(kHistory) > 0 &&
         covers(value(op(node).x).rows, kHistory);
}

double Plan::context_flop() const {
  double total = 0;
  for (const Node& node : nodes)
    if (node.part == kHistory && mode != Mode::train) total += forward_flop(*this, node, rows(kHistory));
  return total;
}

double Plan::flop(int seeds) const {
  double total = 0;
  for (const Node& node : nodes) {
    const Op& o = op(node);
    if (node.part == kHistory && mode != Mode::train) continue;  // run_context's
    const double forward_rows = static_cast<double>(shapes.batch) * rows(node.part);
    total += forward_flop(*this, node, forward_rows);
    if (!node.backward) continue;
    if (mode == Mode::jacobian && o.kind == OpKind::attention) {
      total += seeds_attention_flop(*this, node, seeds);
      continue;
    }
    if (mode == Mode::tangent) {
      double moved_rows = 0;
      for (const Direction& d : directions) moved_rows += rows(kFuture) - d.first;
      total += o.kind == OpKind::attention ? directions_attention_flop(*this, node)
                                           : forward_flop(*this, node, moved_rows);
      continue;
    }
    double backward_rows = forward_rows;
    if (mode == Mode::jacobian) {  // a seed of step t has t + 1 rows, or the one row alone
      const double steps = rows(kFuture);
      backward_rows = seeds * steps * (state(kFuture, o.y).single ? 1 : 0.5 * (steps + 1));
    }
    double passes = mode == Mode::train ? 2 : 1;  // gradients of input and weight, or input alone
    if (mode == Mode::train && o.kind == OpKind::linear) passes = int{node.x.wanted} + int{trains(o.w)};
    if (o.kind == OpKind::attention) passes = mode == Mode::train ? 2 : 1.25;  // dv, dp, dq, dk against s, y
    total += passes * forward_flop(*this, node, backward_rows);
    if (adapts(o)) total += std::min(low_flop(o, backward_rows), whole_flop(o, backward_rows));
  }
  return total;
}

}  // namespace emisopt::kernels
