// Compiled programs with their buffers as arrays on the arena. Any engine that can hold NumPy arrays can so
// fill plans, place weights or average gradients without a copy.
#include "program.hpp"

#include <pybind11/stl.h>

#include "emisopt/model/lora.hpp"
#include "emisopt/model/network.hpp"
#include "kernels/backend.hpp"
#include "module.hpp"

namespace emisopt::python {
namespace {

using namespace kernels;
using namespace pybind11::literals;

/// A buffer as an array on its memory: what a run answers is read-only.
void bind_buffer(Bound& program, Buffer buffer, const char* doc) {
  program.def_property_readonly(
      name_of(buffer),
      [buffer](const py::object& self) {
        BufferView view = buffer_view(self.cast<const BoundProgram&>(), buffer);
        ArrayF array = borrow<float>(view.host, std::move(view.shape), self);
        if (view.kind == BufferView::Kind::answer) array.attr("setflags")("write"_a = false);
        return array;
      },
      doc);
}

BoundProgram compile_program(const OpList& ops, int batch, int history_tokens, int future_tokens, Mode mode,
                             Loss loss, std::vector<float> levels, int threads, Isa isa,
                             std::vector<float> level_weights, float multiscale, float distill,
                             float distill_multiscale, float hidden, std::vector<int> scales,
                             const std::vector<bool>& trainable,
                             const std::vector<std::pair<int, int>>& seeds,
                             const std::vector<std::pair<int, int>>& directions, Precision precision,
                             bool deterministic, bool automatic) {
  BoundProgram bound;
  bound.ops = ops;
  bound.shapes = {batch, history_tokens, future_tokens};
  bound.options.mode = mode;
  bound.options.loss = loss;
  bound.options.precision = precision;
  bound.options.deterministic = deterministic;
  bound.options.levels = std::move(levels);
  bound.options.threads = threads;
  bound.options.level_weights = std::move(level_weights);
  bound.options.multiscale = multiscale;
  bound.options.distill = distill;
  bound.options.distill_multiscale = distill_multiscale;
  bound.options.hidden = hidden;
  bound.options.scales = std::move(scales);
  bound.options.trainable.assign(trainable.begin(), trainable.end());
  for (const auto& [output, level] : seeds) bound.options.seeds.push_back({output, level});
  for (const auto& [first, last] : directions) bound.options.directions.push_back({first, last});
  if (automatic && choose_device(bound.ops, bound.shapes, bound.options).device == Device::cuda)
    isa = Isa::cuda;
  bound.program = compile(bound.ops, bound.shapes, bound.options, isa);
  return bound;
}

void bind_calls(Bound& program) {
  program
      .def(py::init(&compile_program), "ops"_a, py::kw_only(), "batch"_a, "history_tokens"_a,
           "future_tokens"_a, "mode"_a, "loss"_a, "levels"_a, "threads"_a, "isa"_a,
           "level_weights"_a = std::vector<float>{}, "multiscale"_a = 0.0f, "distill"_a = 0.0f,
           "distill_multiscale"_a = 0.0f, "hidden"_a = 0.0f, "scales"_a = CompileOptions{}.scales,
           "trainable"_a = std::vector<bool>{}, "seeds"_a = std::vector<std::pair<int, int>>{},
           "directions"_a = std::vector<std::pair<int, int>>{}, "precision"_a = Precision::float32,
           "deterministic"_a = false, "automatic"_a = false)
      .def(
          "load",
          [](BoundProgram& self, const ArrayF& theta) {
            require_shape("Program.load(theta)", theta,
                          {{"parameters", static_cast<long>(self.ops.parameter_count())}});
            const Turn turn(self, "load");
            self.program->load(theta.data());
          },
          "theta"_a.noconvert(), "Copies the weights (parameter_count) and refreshes the packed forms.")
      .def(
          "run",
          [](BoundProgram& self) {
            const Turn turn(self, "run");
            {
              py::gil_scoped_release nogil;
              self.program->run();
            }
            self.held.clear();
          },
          "Runs the future rows (train: all rows) on what the input buffers hold.")
      .def(
          "run_context",
          [](BoundProgram& self) {
            const Turn turn(self, "run_context");
            py::gil_scoped_release nogil;
            self.program->run_context();
          },
          "Runs the history rows and caches their keys and values.")
      .def_property_readonly(
          "flop", [](const BoundProgram& self) { return self.program->cost().flop; },
          "Floating-point operations of one run(), as counted when compiled.")
      .def_property_readonly(
          "bytes", [](const BoundProgram& self) { return self.program->cost().bytes; }, "Size of the arena.")
      .def_property_readonly(
          "isa", [](const BoundProgram& self) { return self.program->isa(); },
          "The level whose instructions run.");
}

void bind_buffers(Bound& program) {
  const auto buffer = [&](Buffer which, const char* doc) { bind_buffer(program, which, doc); };
  buffer(Buffer::future, "Input buffer (batch, future_tokens, width).");
  buffer(Buffer::history, "Input buffer (1, history_tokens, width); train mode: (batch, ...).");
  buffer(Buffer::quantiles, "Answer (batch, future_tokens, outputs * levels), read-only.");
  buffer(Buffer::hidden, "Infer: the network's hidden output (batch, future_tokens, width), read-only.");
  buffer(Buffer::seed, "Vjp: d cost / d quantiles (batch, future_tokens, outputs * levels).");
  buffer(Buffer::future_gradient, "Vjp: d cost / d future (batch, future_tokens, width), read-only.");
  buffer(Buffer::jacobian,
         "Jacobian: (seeds, step of the output, step of the input, width), read-only; 0 for later inputs.");
  buffer(Buffer::direction, "Tangent: (directions, future_tokens, width).");
  buffer(Buffer::tangent,
         "Tangent: d quantiles along each direction (directions, future_tokens, outputs * levels), "
         "read-only.");
  buffer(Buffer::target, "Train: (batch, future_tokens, outputs).");
  buffer(Buffer::weight,
         "Train: weights of the targets (batch, future_tokens, outputs); 0 leaves an entry out.");
  buffer(Buffer::gradient,
         "Train: gradient of the mean loss (parameter_count), overwritten by each run; may be reduced in "
         "place.");
  buffer(Buffer::teacher,
         "Train, with distill: what a teacher said (batch, future_tokens, outputs * levels).");
  buffer(Buffer::teacher_weight,
         "Train, with distill: weights of the teacher's entries; 0 leaves an entry out.");
  buffer(Buffer::hidden_target, "Train, with hidden: what the hidden output should be.");
  buffer(Buffer::hidden_weight, "Train, with hidden: weights of the rows (batch, future_tokens).");
}

void bind_loss(Bound& program) {
  program
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
          "Train: parts of that loss by name, each before its coefficient.");
}

}  // namespace

void bind_program(py::module_& m) {
  py::enum_<Mode>(m, "Mode", "What a program computes.")
      .value("infer", Mode::infer)
      .value("vjp", Mode::vjp)
      .value("jacobian", Mode::jacobian)
      .value("tangent", Mode::tangent)
      .value("train", Mode::train);
  py::enum_<Loss>(m, "Loss", "Training loss.")
      .value("pinball", Loss::pinball)
      .value("squared", Loss::squared)
      .value("huber", Loss::huber);
  Bound program(m, "Program", "A compiled network; its buffers are float32 arrays on one arena.");
  bind_calls(program);
  bind_buffers(program);
  bind_loss(program);
  bind_exchange_in(program);
  bind_exchange_out(m, program);
  bind_device_training(program, m);
}

void bind_networks(py::module_& m) {
  m.def("make_network", &make_network, "config"_a, "history_width"_a, "future_width"_a, "outputs"_a,
        "The forecaster's network of these sizes as data.");
  m.def(
      "initial_weights",
      [](const OpList& network, const ForecasterConfig& config) {
        const std::vector<float> theta = initial_weights(network, config);
        return ArrayF(static_cast<py::ssize_t>(theta.size()), theta.data());
      },
      "network"_a, "config"_a,
      "Weights to start training from (parameter_count): the first forecast is the anchor.");
  m.def(
      "trainable_by_name",
      [](const OpList& network, const std::vector<std::string>& prefixes) {
        const std::vector<char> chosen = trainable_by_name(network, prefixes);
        return std::vector<bool>(chosen.begin(), chosen.end());
      },
      "network"_a, "prefixes"_a, "Per parameter, whether its name begins with one of `prefixes`.");
  m.def(
      "with_lora",
      [](const OpList& network, const std::vector<float>& theta, int rank,
         const std::vector<std::string>& linears, std::uint64_t seed) {
        const Lora lora = with_lora(network, rank, linears.empty() ? last_block_linears(network) : linears);
        const std::vector<float> start = lora.start(theta, seed);
        return py::make_tuple(lora.network, std::vector<bool>(lora.trainable.begin(), lora.trainable.end()),
                              ArrayF(static_cast<py::ssize_t>(start.size()), start.data()));
      },
      "network"_a, "theta"_a, "rank"_a, "linears"_a = std::vector<std::string>{}, "seed"_a = 0,
      "Low-rank adapters: (network, trainable per parameter, weights to start from); linears empty: the "
      "linear ops of the upper half of the blocks.");
}

}  // namespace emisopt::python
