// The engine: which instruction set it runs on, networks as data, compiled programs with their buffers as
// arrays on the arena. Any engine that can hold NumPy arrays can so average gradients or place weights.
#include <pybind11/stl.h>

#include "arrays.hpp"
#include "kernels/backend.hpp"
#include "module.hpp"

namespace emisopt::python {
namespace {

using namespace kernels;
using namespace pybind11::literals;

// A program with the shapes of its buffers.
struct BoundProgram {
  std::unique_ptr<Program<float>> program;
  OpList ops;
  Shapes shapes;
  CompileOptions options;

  py::ssize_t history_width() const { return ops.history < 0 ? 0 : ops.values[ops.history].width; }
  py::ssize_t future_width() const { return ops.values[ops.future].width; }
  py::ssize_t quantile_width() const { return py::ssize_t{ops.outputs} * ops.levels; }
  py::ssize_t hidden_width() const { return ops.values[static_cast<std::size_t>(ops.hidden)].width; }
  void require(bool there, const char* what, const char* needs) const {
    if (!there)
      throw StateError(std::string("Program.") + what + ": expected a program with " + needs + ", got none");
  }
  void require(Mode mode, const char* what) const {
    if (options.mode != mode)
      throw StateError(std::string("Program.") + what + ": not in this mode of the program");
  }
};

Op make_op(OpKind kind, Rows rows, int x, int y, int x2, int w, int b, int outputs, int levels, int middle) {
  Op op;
  op.kind = kind;
  op.rows = rows;
  op.x = x;
  op.x2 = x2;
  op.y = y;
  op.w = w;
  op.b = b;
  op.outputs = outputs;
  op.levels = levels;
  op.middle = middle;
  return op;
}

ArrayF borrow_f(const py::object& self, const float* data, std::vector<py::ssize_t> shape) {
  return borrow<float>(const_cast<float*>(data), std::move(shape), self);
}

BoundProgram compile_program(const OpList& ops, int batch, int history_tokens, int future_tokens, Mode mode,
                             Loss loss, std::vector<float> levels, int threads, Isa isa,
                             std::vector<float> level_weights, float multiscale, float distill,
                             float distill_multiscale, float hidden, std::vector<int> scales,
                             const std::vector<bool>& trainable) {
  BoundProgram bound;
  bound.ops = ops;
  bound.shapes = {batch, history_tokens, future_tokens};
  bound.options.mode = mode;
  bound.options.loss = loss;
  bound.options.levels = std::move(levels);
  bound.options.threads = threads;
  bound.options.level_weights = std::move(level_weights);
  bound.options.multiscale = multiscale;
  bound.options.distill = distill;
  bound.options.distill_multiscale = distill_multiscale;
  bound.options.hidden = hidden;
  bound.options.scales = std::move(scales);
  bound.options.trainable.assign(trainable.begin(), trainable.end());
  bound.program = compile(bound.ops, bound.shapes, bound.options, isa);
  return bound;
}

void bind_network(py::module_& m) {
  py::enum_<Rows>(m, "Rows", "Which token rows an op works on.")
      .value("history", Rows::history)
      .value("future", Rows::future)
      .value("all", Rows::all);
  py::enum_<OpKind>(m, "OpKind", "Operations of a network; kernels/backend.hpp has their formulas.")
      .value("linear", OpKind::linear)
      .value("rmsnorm", OpKind::rmsnorm)
      .value("swiglu", OpKind::swiglu)
      .value("add", OpKind::add)
      .value("quantiles", OpKind::quantiles);
  py::class_<OpList>(m, "OpList", "A network as data: values, parameters and ops in order of execution.")
      .def(py::init<>())
      .def("add_value", &OpList::add_value, "name"_a, "width"_a, "rows"_a,
           "Adds an activation of `width` numbers per token row; returns its id.")
      .def("add_parameter", &OpList::add_parameter, "name"_a, "shape"_a, "decay"_a,
           "Adds a weight to the contiguous buffer; returns its id.")
      .def(
          "add_op",
          [](OpList& self, OpKind kind, Rows rows, int x, int y, int x2, int w, int b, int outputs,
             int levels, int middle) {
            self.ops.push_back(make_op(kind, rows, x, y, x2, w, b, outputs, levels, middle));
          },
          "kind"_a, "rows"_a, "x"_a, "y"_a, "x2"_a = -1, "w"_a = -1, "b"_a = -1, "outputs"_a = 0,
          "levels"_a = 0, "middle"_a = 0, "Appends an op that reads the values x (and x2) and writes y.")
      .def(
          "set_io",
          [](OpList& self, int future, int quantiles, int outputs, int levels, int middle, int history,
             int hidden) {
            self.history = history;
            self.hidden = hidden;
            self.future = future;
            self.quantiles = quantiles;
            self.outputs = outputs;
            self.levels = levels;
            self.middle = middle;
          },
          "future"_a, "quantiles"_a, "outputs"_a, "levels"_a, "middle"_a, "history"_a = -1, "hidden"_a = -1,
          "Names the input and output values.")
      .def_property_readonly("parameter_count", &OpList::parameter_count, "Numbers in the contiguous buffer.")
      .def_property_readonly(
          "parameters",
          [](const OpList& self) {
            py::list rows;
            for (const Parameter& p : self.parameters)
              rows.append(py::make_tuple(p.name, p.shape, p.offset, p.decay));
            return rows;
          },
          "List of (name, shape, offset, decay) in canonical order.");
}

void bind_program(py::module_& m) {
  py::enum_<Mode>(m, "Mode", "What a program computes.")
      .value("infer", Mode::infer)
      .value("vjp", Mode::vjp)
      .value("train", Mode::train);
  py::enum_<Loss>(m, "Loss", "Training loss.")
      .value("pinball", Loss::pinball)
      .value("squared", Loss::squared)
      .value("huber", Loss::huber);
  py::class_<BoundProgram>(m, "Program", "A compiled network; its buffers are float32 arrays on one arena.")
      .def(py::init(&compile_program), "ops"_a, py::kw_only(), "batch"_a, "history_tokens"_a,
           "future_tokens"_a, "mode"_a, "loss"_a, "levels"_a, "threads"_a, "isa"_a,
           "level_weights"_a = std::vector<float>{}, "multiscale"_a = 0.0f, "distill"_a = 0.0f,
           "distill_multiscale"_a = 0.0f, "hidden"_a = 0.0f, "scales"_a = CompileOptions{}.scales,
           "trainable"_a = std::vector<bool>{})
      .def(
          "load",
          [](BoundProgram& self, const ArrayF& theta) {
            require_shape("Program.load(theta)", theta,
                          {{"parameters", static_cast<long>(self.ops.parameter_count())}});
            self.program->load(theta.data());
          },
          "theta"_a.noconvert(), "Copies the weights (parameter_count) and refreshes the packed forms.")
      .def(
          "run",
          [](BoundProgram& self) {
            py::gil_scoped_release nogil;
            self.program->run();
          },
          "Runs the future rows (train: all rows) on what the input buffers hold.")
      .def(
          "run_context",
          [](BoundProgram& self) {
            py::gil_scoped_release nogil;
            self.program->run_context();
          },
          "Runs the history rows and caches their keys and values.")
      .def_property_readonly(
          "future",
          [](const py::object& self) {
            auto& p = self.cast<BoundProgram&>();
            return borrow_f(self, p.program->future(),
                            {p.shapes.batch, p.shapes.future_tokens, p.future_width()});
          },
          "Input buffer (batch, future_tokens, width).")
      .def_property_readonly(
          "history",
          [](const py::object& self) {
            auto& p = self.cast<BoundProgram&>();
            const py::ssize_t batch = p.options.mode == Mode::train ? p.shapes.batch : 1;
            return borrow_f(self, p.program->history(), {batch, p.shapes.history_tokens, p.history_width()});
          },
          "Input buffer (1, history_tokens, width); train mode: (batch, ...).")
      .def_property_readonly(
          "quantiles",
          [](const py::object& self) {
            auto& p = self.cast<BoundProgram&>();
            return borrow_f(self, p.program->quantiles(),
                            {p.shapes.batch, p.shapes.future_tokens, p.quantile_width()});
          },
          "Output buffer (batch, future_tokens, outputs * levels).")
      .def_property_readonly(
          "target",
          [](const py::object& self) {
            auto& p = self.cast<BoundProgram&>();
            p.require(Mode::train, "target");
            return borrow_f(self, p.program->target(),
                            {p.shapes.batch, p.shapes.future_tokens, p.ops.outputs});
          },
          "Train: (batch, future_tokens, outputs).")
      .def_property_readonly(
          "weight",
          [](const py::object& self) {
            auto& p = self.cast<BoundProgram&>();
            p.require(Mode::train, "weight");
            return borrow_f(self, p.program->weight(),
                            {p.shapes.batch, p.shapes.future_tokens, p.ops.outputs});
          },
          "Train: weights of the targets (batch, future_tokens, outputs); 0 leaves an entry out.")
      .def_property_readonly(
          "gradient",
          [](const py::object& self) {
            auto& p = self.cast<BoundProgram&>();
            p.require(Mode::train, "gradient");
            return borrow_f(self, p.program->gradient(), {static_cast<py::ssize_t>(p.ops.parameter_count())});
          },
          "Train: gradient of the mean loss (parameter_count), overwritten by each run.")
      .def_property_readonly(
          "loss", [](BoundProgram& self) { return self.program->loss(); }, "Train: loss of the last run.")
      .def_property_readonly(
          "loss_parts",
          [](BoundProgram& self) {
            const LossParts parts = self.program->loss_parts();
            py::dict named;
            named["label"] = parts.label;
            named["multiscale"] = parts.multiscale;
            named["distill"] = parts.distill;
            named["distill_multiscale"] = parts.distill_multiscale;
            named["hidden"] = parts.hidden;
            return named;
          },
          "Train: parts of that loss by name, each before its coefficient.")
      .def_property_readonly(
          "teacher",
          [](const py::object& self) {
            auto& p = self.cast<BoundProgram&>();
            p.require(p.program->teacher() != nullptr, "teacher", "a coefficient distill above 0");
            return borrow_f(self, p.program->teacher(),
                            {p.shapes.batch, p.shapes.future_tokens, p.quantile_width()});
          },
          "Train, with distill: what a teacher said (batch, future_tokens, outputs * levels).")
      .def_property_readonly(
          "teacher_weight",
          [](const py::object& self) {
            auto& p = self.cast<BoundProgram&>();
            p.require(p.program->teacher() != nullptr, "teacher_weight", "a coefficient distill above 0");
            return borrow_f(self, p.program->teacher_weight(),
                            {p.shapes.batch, p.shapes.future_tokens, p.quantile_width()});
          },
          "Train, with distill: weights of the teacher's entries; 0 leaves an entry out.")
      .def_property_readonly(
          "hidden",
          [](const py::object& self) {
            auto& p = self.cast<BoundProgram&>();
            p.require(p.program->hidden() != nullptr, "hidden", "a network that names a hidden value");
            return borrow_f(self, p.program->hidden(),
                            {p.shapes.batch, p.shapes.future_tokens, p.hidden_width()});
          },
          "Infer: the network's hidden output (batch, future_tokens, width).")
      .def_property_readonly(
          "hidden_target",
          [](const py::object& self) {
            auto& p = self.cast<BoundProgram&>();
            p.require(p.program->hidden_target() != nullptr, "hidden_target", "a coefficient hidden above 0");
            return borrow_f(self, p.program->hidden_target(),
                            {p.shapes.batch, p.shapes.future_tokens, p.hidden_width()});
          },
          "Train, with hidden: what the hidden output should be.")
      .def_property_readonly(
          "hidden_weight",
          [](const py::object& self) {
            auto& p = self.cast<BoundProgram&>();
            p.require(p.program->hidden_target() != nullptr, "hidden_weight", "a coefficient hidden above 0");
            return borrow_f(self, p.program->hidden_weight(), {p.shapes.batch, p.shapes.future_tokens});
          },
          "Train, with hidden: weights of the rows (batch, future_tokens).")
      .def_property_readonly(
          "bytes", [](const BoundProgram& self) { return self.program->cost().bytes; }, "Size of the arena.");
}

}  // namespace

void bind_engine(py::module_& m) {
  py::enum_<Isa>(m, "Isa", "Instruction-set levels of the engine.")
      .value("ref", Isa::ref)
      .value("avx2", Isa::avx2)
      .value("avx512", Isa::avx512)
      .value("vnni", Isa::vnni);
  m.def("isa_level", &isa_level, "The level in use: the best of this CPU, lowered by EMISOPT_ISA.");
  m.def("isa_available", &isa_available, "Levels that this build and this CPU can run, lowest first.");
  m.def("default_threads", &default_threads, "EMISOPT_THREADS, else the hardware's, at least 1.");
  bind_network(m);
  bind_program(m);
  m.def(
      "adamw",
      [](ArrayF theta, ArrayF first, ArrayF second, const ArrayF& gradient, const ArrayF& decay_mask,
         float rate, float decay, float clip_scale, std::int64_t step, Isa isa) {
        const long n = static_cast<long>(theta.size());
        for (const py::array& a : {py::array(theta), py::array(first), py::array(second), py::array(gradient),
                                   py::array(decay_mask)})
          require_shape("adamw", a, {{"parameters", n}});
        AdamW options;
        options.rate = rate;
        options.decay = decay;
        options.clip_scale = clip_scale;
        options.step = step;
        kernels::adamw(theta.mutable_data(), first.mutable_data(), second.mutable_data(), gradient.data(),
                       decay_mask.data(), nullptr, nullptr, static_cast<std::size_t>(n), options, isa);
      },
      "theta"_a.noconvert(), "first"_a.noconvert(), "second"_a.noconvert(), "gradient"_a.noconvert(),
      "decay_mask"_a.noconvert(), py::kw_only(), "rate"_a, "decay"_a, "clip_scale"_a, "step"_a, "isa"_a,
      "One AdamW step in place on contiguous float32 buffers (parameter_count).");
  m.def(
      "squared_norm",
      [](const ArrayF& x) { return squared_norm(x.data(), static_cast<std::size_t>(x.size())); },
      "x"_a.noconvert(), "Sum of squares in double; the same bits for any number of threads.");
}

}  // namespace emisopt::python
