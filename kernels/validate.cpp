// Every way in which an OpList or its shapes can be wrong, named.
#include <cmath>

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
  }

  const OpList& ops_;
  std::size_t op_ = 0;
  std::array<std::vector<bool>, kParts> written_;
};

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
  if (options.mode == Mode::train && options.loss == Loss::pinball) {
    if (int(options.levels.size()) != ops.levels)
      throw InputError("CompileOptions.levels: expected " + text(ops.levels) + " quantile levels, got " +
                       text(int(options.levels.size())));
    for (std::size_t i = 0; i < options.levels.size(); ++i)
      if (!(options.levels[i] > (i ? options.levels[i - 1] : 0.0f)) || !(options.levels[i] < 1))
        throw InputError("CompileOptions.levels[" + std::to_string(i) +
                         "]: expected rising levels in (0, 1), got " + std::to_string(options.levels[i]));
  }
  if (options.mode == Mode::train && options.loss == Loss::huber &&
      !(options.huber_delta > 0 && std::isfinite(options.huber_delta)))
    throw InputError("CompileOptions.huber_delta: expected a positive number, got " +
                     std::to_string(options.huber_delta));
  if (options.mode != Mode::jacobian) return;
  if (shapes.batch != 1)
    throw InputError("Shapes.batch: expected 1 in jacobian mode, got " + text(shapes.batch));
  if (options.seeds.empty())
    throw InputError("CompileOptions.seeds: expected at least one seed in jacobian mode, got none");
  for (const Seed& seed : options.seeds)
    if (seed.output < 0 || seed.output >= ops.outputs || seed.level < 0 || seed.level >= ops.levels)
      throw InputError("CompileOptions.seeds: expected output below " + text(ops.outputs) +
                       " and level below " + text(ops.levels) + ", got (" + text(seed.output) + ", " +
                       text(seed.level) + ")");
}

}  // namespace emisopt::kernels
