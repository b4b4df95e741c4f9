// Every way in which an OpList or its shapes can be wrong, named.
#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "emisopt/base/error.hpp"
#include "kernels/plan.hpp"

namespace emisopt::kernels {
namespace {

std::string text(int n) { return std::to_string(n); }

class Checker {
 public:
  explicit Checker(const OpList& ops) : ops_(ops) {
    for (auto& part : written_) part.resize(ops.values.size());
  }

  void run() {
    for (std::size_t v = 0; v < ops_.values.size(); ++v)
      if (ops_.values[v].width < 1)
        throw InputError("value " + text(int(v)) + " (" + ops_.values[v].name +
                         "): expected a width of at least 1, got " + text(ops_.values[v].width));
    parameters();
    input(ops_.history, "history", Rows::history);
    input(ops_.future, "future", Rows::future);
    for (op_ = 0; op_ < ops_.ops.size(); ++op_) check(ops_.ops[op_]);
    output();
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw InputError(describe(ops_, op_) + ": " + what);
  }

  void parameters() const {
    std::size_t end = 0;
    for (const Parameter& p : ops_.parameters) {
      for (const int length : p.shape)
        if (length < 1)
          throw InputError("parameter " + p.name + ": expected lengths of at least 1, got " + text(length));
      if (p.offset != end)
        throw InputError("parameter " + p.name + ": expected offset " + std::to_string(end) +
                         " (parameters lie one after the other), got " + std::to_string(p.offset));
      end += p.size();
    }
  }

  void input(int id, const std::string& name, Rows rows) {
    if (id < 0 || id >= int(ops_.values.size()))
      throw InputError("OpList." + name + ": expected a value id, got " + text(id));
    if (ops_.values[std::size_t(id)].rows != rows)
      throw InputError("OpList." + name + ": expected a value on " + name + " rows, got rows " +
                       to_string(ops_.values[std::size_t(id)].rows));
    written_[rows == Rows::history ? kHistory : kFuture][std::size_t(id)] = true;
  }

  const Value& value(int id, const char* field) const {
    if (id < 0 || id >= int(ops_.values.size()))
      fail(std::string(field) + ": expected a value id below " + text(int(ops_.values.size())) + ", got " +
           text(id));
    return ops_.values[std::size_t(id)];
  }

  void width(int id, const char* field, int expected) const {
    const Value& v = value(id, field);
    if (v.width != expected)
      fail(std::string(field) + " (" + v.name + "): expected width " + text(expected) + ", got " +
           text(v.width));
  }

  void readable(const Op& op, int id, const char* field) const {
    const Value& v = value(id, field);
    for (const Part part : {kHistory, kFuture}) {
      if (!covers(op.rows, part)) continue;
      if (!written_[part][std::size_t(id)])
        fail(std::string(field) + " (" + v.name + "): " + (part == kHistory ? "history" : "future") +
             " rows are read before any op writes them");
    }
  }

  void parameter(int id, const char* field, const std::vector<int>& shape) const {
    if (id < 0 || id >= int(ops_.parameters.size()))
      fail(std::string(field) + ": expected a parameter id below " + text(int(ops_.parameters.size())) +
           ", got " + text(id));
    const Parameter& p = ops_.parameters[std::size_t(id)];
    if (p.shape == shape) return;
    auto list = [](const std::vector<int>& s) {
      std::string t = "(";
      for (std::size_t i = 0; i < s.size(); ++i) t += (i ? ", " : "") + text(s[i]);
      return t + ")";
    };
    fail(std::string(field) + " (" + p.name + "): expected shape " + list(shape) + ", got " + list(p.shape));
  }

  // What load() keeps of a weight has its correction in it: all ops that read it must mean the same.
  void correction(const Op& op) {
    const auto [found, first] = corrections_.try_emplace(op.w, op.lora_a, op.lora_b);
    if (!first && found->second != std::pair{op.lora_a, op.lora_b})
      fail("lora_a, lora_b: expected the corrections that an earlier op gives the same weight (" +
           text(found->second.first) + ", " + text(found->second.second) + "), got (" + text(op.lora_a) +
           ", " + text(op.lora_b) + ")");
    if (op.lora_a < 0 && op.lora_b < 0) return;
    if (op.lora_a < 0 || op.lora_b < 0)
      fail("lora_a, lora_b: expected both or neither, got (" + text(op.lora_a) + ", " + text(op.lora_b) +
           ")");
    const auto& parameters = ops_.parameters;
    const bool matrix =
        op.lora_a < int(parameters.size()) && parameters[std::size_t(op.lora_a)].shape.size() == 2;
    const int rank = matrix ? parameters[std::size_t(op.lora_a)].shape[1] : 1;
    parameter(op.lora_a, "lora_a", {value(op.x, "x").width, rank});
    parameter(op.lora_b, "lora_b", {rank, value(op.y, "y").width});
  }

  void head_sizes(const Op& op, int heads) const {
    if (op.heads < 1 || op.head_dim < 1 || heads < 1)
      fail("expected heads, kv_heads and head_dim of at least 1, got " + text(op.heads) + ", " +
           text(op.kv_heads) + ", " + text(op.head_dim));
  }

  void check(const Op& op) {
    readable(op, op.x, "x");
    const int x_width = value(op.x, "x").width;
    switch (op.kind) {
      case OpKind::linear:
        parameter(op.w, "w", {x_width, value(op.y, "y").width});
        if (op.b >= 0) parameter(op.b, "b", {value(op.y, "y").width});
        correction(op);
        break;
      case OpKind::rmsnorm:
        parameter(op.w, "w", {x_width});
        width(op.y, "y", x_width);
        if (!(op.eps > 0)) fail("eps: expected a positive number, got " + std::to_string(op.eps));
        break;
      case OpKind::rope:
        head_sizes(op, 1);
        width(op.y, "y", x_width);
        if (op.head_dim % 2) fail("head_dim: expected an even number, got " + text(op.head_dim));
        if (op.heads * op.head_dim > x_width)
          fail("expected heads * head_dim of at most the width " + text(x_width) + ", got " +
               text(op.heads * op.head_dim));
        if (!(op.rope_base > 1)) fail("rope_base: expected more than 1, got " + std::to_string(op.rope_base));
        break;
      case OpKind::attention:
        head_sizes(op, op.kv_heads);
        if (op.heads % op.kv_heads)
          fail("expected kv_heads that divide heads, got " + text(op.kv_heads) + " and " + text(op.heads));
        width(op.x, "x", (op.heads + 2 * op.kv_heads) * op.head_dim);
        width(op.y, "y", op.heads * op.head_dim);
        if (op.rows == Rows::future && ops_.values[std::size_t(op.x)].rows == Rows::all &&
            !written_[kHistory][std::size_t(op.x)])
          fail("x: history rows are read as keys before any op writes them");
        break;
      case OpKind::swiglu:
        width(op.x, "x", 2 * value(op.y, "y").width);
        break;
      case OpKind::add:
        readable(op, op.x2, "x2");
        width(op.x2, "x2", x_width);
        width(op.y, "y", x_width);
        break;
      case OpKind::quantiles:
        if (op.outputs < 1 || op.levels < 1 || op.middle < 0 || op.middle >= op.levels)
          fail("expected outputs and levels of at least 1 and middle below levels, got " + text(op.outputs) +
               ", " + text(op.levels) + ", " + text(op.middle));
        width(op.x, "x", op.outputs * op.levels);
        width(op.y, "y", op.outputs * op.levels);
        break;
      default:
        fail("unknown kind " + text(int(op.kind)));
    }
    write(op);
  }

  void write(const Op& op) {
    const Value& y = value(op.y, "y");
    if (op.y == op.x || op.y == op.x2)
      fail("y: expected another value than the inputs, got the same id " + text(op.y));
    for (const Part part : {kHistory, kFuture}) {
      if (!covers(op.rows, part)) continue;
      if (!covers(y.rows, part))
        fail("y (" + y.name + "): the op works on " + to_string(op.rows) + " rows, the value has " +
             to_string(y.rows));
      if (written_[part][std::size_t(op.y)])
        fail("y (" + y.name + "): " + (part == kHistory ? "history" : "future") + " rows are written twice");
      written_[part][std::size_t(op.y)] = true;
    }
  }

  void output() const {
    if (ops_.quantiles < 0 || ops_.quantiles >= int(ops_.values.size()))
      throw InputError("OpList.quantiles: expected a value id, got " + text(ops_.quantiles));
    const Value& q = ops_.values[std::size_t(ops_.quantiles)];
    if (!written_[kFuture][std::size_t(ops_.quantiles)] || ops_.quantiles == ops_.future)
      throw InputError("OpList.quantiles (" + q.name +
                       "): expected a value that an op writes on future rows");
    if (ops_.outputs < 1 || ops_.levels < 1 || ops_.middle < 0 || ops_.middle >= ops_.levels ||
        q.width != ops_.outputs * ops_.levels)
      throw InputError("OpList.quantiles (" + q.name + "): expected width outputs * levels = " +
                       text(ops_.outputs) + " * " + text(ops_.levels) + " and middle " + text(ops_.middle) +
                       " below levels, got width " + text(q.width));
    for (std::size_t i = 0; i < ops_.ops.size(); ++i) {  // its buffer is the caller's, in the caller's layout
      const Op& op = ops_.ops[i];
      if (op.x == ops_.quantiles || op.x2 == ops_.quantiles)
        throw InputError(describe(ops_, i) + ": reads the quantiles, which must be the end of the network");
    }
    if (ops_.hidden < 0) return;
    if (ops_.hidden >= int(ops_.values.size()))
      throw InputError("OpList.hidden: expected a value id, got " + text(ops_.hidden));
    if (!written_[kFuture][std::size_t(ops_.hidden)] || ops_.hidden == ops_.future ||
        ops_.hidden == ops_.quantiles)
      throw InputError("OpList.hidden (" + ops_.values[std::size_t(ops_.hidden)].name +
                       "): expected a value inside the network that an op writes on future rows");
  }

  const OpList& ops_;
  std::size_t op_ = 0;
  std::array<std::vector<bool>, kParts> written_;
  std::map<int, std::pair<int, int>> corrections_;  // by weight: ids of A and B
};

void validate_train(const OpList& ops, const CompileOptions& o) {
  const auto fail = [](const char* field, const std::string& expected, const std::string& got) {
    throw InputError(std::string("CompileOptions.") + field + ": expected " + expected + ", got " + got);
  };
  if (o.loss == Loss::pinball) {
    if (int(o.levels.size()) != ops.levels)
      fail("levels", text(ops.levels) + " quantile levels", text(int(o.levels.size())));
    for (std::size_t i = 0; i < o.levels.size(); ++i)
      if (!(o.levels[i] > (i ? o.levels[i - 1] : 0.0f)) || !(o.levels[i] < 1))
        fail(("levels[" + std::to_string(i) + "]").c_str(), "rising levels in (0, 1)",
             std::to_string(o.levels[i]));
  }
  if (o.loss == Loss::huber && !(o.huber_delta > 0 && std::isfinite(o.huber_delta)))
    fail("huber_delta", "a positive number", std::to_string(o.huber_delta));
  if (!o.level_weights.empty()) {
    if (int(o.level_weights.size()) != ops.levels)
      fail("level_weights", text(ops.levels) + " weights, one per level", text(int(o.level_weights.size())));
    double sum = 0;
    for (const float w : o.level_weights) {
      if (!(w >= 0 && std::isfinite(w))) fail("level_weights", "0 or positive numbers", std::to_string(w));
      sum += double(w);
    }
    if (!(sum > 0)) fail("level_weights", "a positive number among them", "zeros only");
  }
  for (const auto& [name, c] : {std::pair{"multiscale", o.multiscale},
                                {"distill", o.distill},
                                {"distill_multiscale", o.distill_multiscale},
                                {"hidden", o.hidden}})
    if (!(c >= 0 && std::isfinite(c))) fail(name, "0 or a positive coefficient", std::to_string(c));
  if (o.multiscale > 0 || o.distill_multiscale > 0) {
    if (o.scales.empty()) fail("scales", "at least one for the multi-scale loss", "none");
    for (const int scale : o.scales)
      if (scale < 2) fail("scales", "2 or more steps each", text(scale));
  }
  if (o.hidden > 0 && ops.hidden < 0)
    fail("hidden", "0, since the network names no OpList.hidden", std::to_string(o.hidden));
  if (!o.trainable.empty()) {
    if (o.trainable.size() != ops.parameters.size())
      fail("trainable", std::to_string(ops.parameters.size()) + " entries, one per parameter",
           std::to_string(o.trainable.size()));
    if (std::none_of(o.trainable.begin(), o.trainable.end(), [](char t) { return t != 0; }))
      fail("trainable", "at least one parameter to train", "none");
  }
}

}  // namespace

std::string describe(const OpList& ops, std::size_t op) {
  return "op " + std::to_string(op) + " (" + to_string(ops.ops[op].kind) + ")";
}

void validate(const OpList& ops) { Checker(ops).run(); }

void validate(const OpList& ops, const Shapes& shapes, const CompileOptions& options) {
  validate(ops);
  if (shapes.batch < 1 || shapes.history_tokens < 0 || shapes.future_tokens < 1)
    throw InputError("Shapes: expected batch >= 1, history_tokens >= 0, future_tokens >= 1, got " +
                     text(shapes.batch) + ", " + text(shapes.history_tokens) + ", " +
                     text(shapes.future_tokens));
  if (options.threads < 0)
    throw InputError("CompileOptions.threads: expected 0 or more, got " + text(options.threads));
  if (options.precision == Precision::int8 && options.mode != Mode::infer)
    throw InputError(
        "CompileOptions.precision: expected float32 where gradients are asked for, got int8; int8 is for "
        "infer");
  if (options.precision == Precision::bfloat16 &&
      (options.mode == Mode::jacobian || options.mode == Mode::tangent))
    throw InputError(
        "CompileOptions.precision: expected float32 for Jacobians and tangents, got bfloat16; bfloat16 is "
        "for infer, vjp and train");
  if (options.mode == Mode::train) validate_train(ops, options);
  if (options.mode != Mode::jacobian && options.mode != Mode::tangent) return;
  if (shapes.batch != 1)
    throw InputError("Shapes.batch: expected 1 in jacobian and tangent mode, got " + text(shapes.batch));
  if (options.mode == Mode::tangent) {
    if (options.directions.empty())
      throw InputError("CompileOptions.directions: expected at least one in tangent mode, got none");
    for (const Direction& d : options.directions)
      if (d.first < 0 || d.last < d.first || d.last >= shapes.future_tokens)
        throw InputError("CompileOptions.directions: expected 0 <= first <= last < " +
                         text(shapes.future_tokens) + ", got (" + text(d.first) + ", " + text(d.last) + ")");
    return;
  }
  if (options.seeds.empty())
    throw InputError("CompileOptions.seeds: expected at least one seed in jacobian mode, got none");
  for (const Seed& seed : options.seeds)
    if (seed.output < 0 || seed.output >= ops.outputs || seed.level < 0 || seed.level >= ops.levels)
      throw InputError("CompileOptions.seeds: expected output below " + text(ops.outputs) +
                       " and level below " + text(ops.levels) + ", got (" + text(seed.output) + ", " +
                       text(seed.level) + ")");
}

}  // namespace emisopt::kernels
