// Private to the engine: an OpList checked and put in order of execution. Rows split into two parts, history
// and future. History never depends on the future, so every mode runs the same nodes: history first, then
// future; infer, vjp and jacobian run history once (run_context) and the future part as often as they like.
#pragma once
#include <array>
#include <vector>

#include "kernels/backend.hpp"

namespace emisopt::kernels {

enum Part : int { kHistory = 0, kFuture = 1 };
inline constexpr int kParts = 2;

/// What the backward pass of a node does with the gradient of one input.
struct Flow {
  bool wanted = false;
  bool zero = false;    // first to write it, and not in whole: clear the buffer before accumulating
  bool assign = false;  // first to write it, and in whole: overwrite
};

/// One op on one part of the rows.
struct Node {
  int op = -1;
  Part part = kFuture;
  bool backward = false;  // takes part in the backward pass of the plan's mode; tangent: in that of tangents
  bool single = false;    // jacobian: works on the seeded step's row alone, and so do all that it feeds
  bool int8 = false;      // a product in 8 bits
  Flow x, x2;             // gradients of the inputs in the node's own part
  Flow past;              // attention on the future part: gradient of the history's keys and values
  bool first_w = false;   // linear, train: first of the backward pass to write its weight's gradient
};

/// A value on one part of the rows.
struct ValueState {
  bool live = false;      // the quantiles depend on it
  bool gradient = false;  // the backward pass of the plan's mode needs its gradient; tangent: it has one
  bool single = false;    // jacobian: only the seeded step's row has a gradient, not the rows before it
};

struct Plan {
  OpList ops;
  Mode mode = Mode::infer;
  Shapes shapes;
  bool hidden = false;                // OpList.hidden is computed and, in train mode, has a loss
  std::vector<char> trainable;        // train: by parameter id; empty: all
  std::vector<Direction> directions;  // tangent
  std::vector<Node> nodes;            // history part, then future part
  std::size_t first_future = 0;       // index of the first future node
  std::vector<int> reverse;  // nodes of the backward pass in its order; jacobian: the single ones first
  std::array<std::vector<ValueState>, kParts> values;  // by part, then value id

  int rows(Part part) const { return part == kHistory ? shapes.history_tokens : shapes.future_tokens; }
  const Op& op(const Node& node) const { return ops.ops[static_cast<std::size_t>(node.op)]; }
  const Value& value(int id) const { return ops.values[static_cast<std::size_t>(id)]; }
  int width(int id) const { return value(id).width; }
  const ValueState& state(Part part, int id) const { return values[part][static_cast<std::size_t>(id)]; }
  /// Whether parameter `id` gets a gradient in train mode; -1 (none) does not.
  bool trains(int id) const {
    return id >= 0 && (trainable.empty() || trainable[static_cast<std::size_t>(id)]);
  }
  /// Whether a linear op's low-rank correction gets a gradient; its rank, 0 without one.
  bool adapts(const Op& op) const { return trains(op.lora_a) || trains(op.lora_b); }
  int rank(const Op& op) const {
    return op.lora_a < 0 ? 0 : ops.parameters[static_cast<std::size_t>(op.lora_a)].shape[1];
  }
  /// Whether those gradients are made of products with `rank` columns, over `rows` rows at a time; if not,
  /// of the whole weight's gradient, which is less work for a rank near the weight's shorter side.
  bool stays_low(const Op& op, double rows) const { return low_flop(op, rows) <= whole_flop(op, rows); }
  double low_flop(const Op& op, double rows) const {
    return 4.0 * rows * rank(op) * (width(op.x) + width(op.y));
  }
  double whole_flop(const Op& op, double rows) const {
    return (2.0 * rows + 4.0 * rank(op)) * width(op.x) * width(op.y);
  }
  /// Whether an attention node has the history's keys before its own.
  bool has_past(const Node& node) const;
  /// Of one run(), multiply and add counted apart; seeds: jacobian's, else unused.
  double flop(int seeds) const;
  double context_flop() const;  // of one run_context()
};

/// Throws InputError naming the op, value or option at fault.
void validate(const OpList& ops);
void validate(const OpList& ops, const Shapes& shapes, const CompileOptions& options);
/// Drops what the outputs do not depend on and settles the backward flows. All arguments must be valid.
Plan make_plan(const OpList& ops, const Shapes& shapes, const CompileOptions& options);

/// Whether what one plan's history makes is where the other looks for it: the same nodes in the same places,
/// neither of train mode. Modes and batches may differ.
bool same_history(const Plan& a, const Plan& b);

/// "op 7 (attention)", for messages.
std::string describe(const OpList& ops, std::size_t op);
const char* to_string(OpKind);
const char* to_string(Rows);

inline bool covers(Rows rows, Part part) {
  return rows == Rows::all || (rows == Rows::history) == (part == kHistory);
}

}  // namespace emisopt::kernels
