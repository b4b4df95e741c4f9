// A training whose weights and optimiser stay on the device of its program (kernels/backend.hpp, Training).
#include <pybind11/stl.h>

#include <array>
#include <optional>

#include "module.hpp"
#include "program.hpp"

namespace emisopt::python {
namespace {

using namespace kernels;
using namespace pybind11::literals;
using Optional = std::optional<ArrayF>;

struct BoundTraining {
  py::object owner;  // whose program and training stay together
  Training* training = nullptr;
  BoundProgram& program() const { return owner.cast<BoundProgram&>(); }
};

void require_parameters(const char* where, const ArrayF& array, const BoundProgram& of) {
  require_shape(where, array, {{"parameters", static_cast<long>(of.ops.parameter_count())}});
}

std::optional<BoundTraining> make_training(const py::object& self, float decay, double clip, float l2sp,
                                           float ewc, const Optional& anchor, const Optional& fisher,
                                           bool average, float beta1, float beta2, float eps) {
  auto& bound = self.cast<BoundProgram&>();
  bound.require(Mode::train, "training");
  if (bound.training)
    throw StateError("Program.training: expected one training per program, got a second; compile another");
  for (const Optional& array : {anchor, fisher})
    if (array) require_parameters("Program.training", *array, bound);
  std::vector<float> decays;
  for (const Parameter& p : bound.ops.parameters) decays.resize(p.offset + p.size(), p.decay ? 1.0f : 0.0f);
  TrainingOptions options;
  options.beta1 = beta1;
  options.beta2 = beta2;
  options.eps = eps;
  options.decay = decay;
  options.l2sp = l2sp;
  options.ewc = ewc;
  options.clip = clip;
  options.average = average;
  options.decay_mask = decays.data();
  options.anchor = anchor ? anchor->data() : nullptr;
  options.fisher = fisher ? fisher->data() : nullptr;
  options.trainable = bound.options.trainable;
  const Turn turn(bound, "training");
  std::unique_ptr<Training> training = bound.program->training(options);
  if (!training) return std::nullopt;
  // Arrays on the program's buffers may now lie in the training's memory: who holds the one holds both.
  struct Both {
    std::shared_ptr<Program<float>> program;
    std::unique_ptr<Training> training;  // goes first
  };
  const auto both = std::make_shared<Both>(Both{bound.program, std::move(training)});
  bound.program = {both, both->program.get()};
  bound.training = both->training.get();
  return BoundTraining{self, bound.training};
}

void put(BoundTraining& self, const std::array<ArrayF, 4>& arrays) {
  for (const ArrayF& array : arrays) require_parameters("Training.put", array, self.program());
  const Turn turn(self.program(), "training.put");
  self.training->put({arrays[0].data(), arrays[1].data(), arrays[2].data(), arrays[3].data()});
}

void get(BoundTraining& self, std::array<Optional, 4> arrays) {
  std::array<float*, 4> to{};
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    if (!arrays[i]) continue;
    require_parameters("Training.get", *arrays[i], self.program());
    to[i] = arrays[i]->mutable_data();  // throws for one that is read-only
  }
  const Turn turn(self.program(), "training.get");
  self.training->get({to[0], to[1], to[2], to[3]});
}

py::dict finish(BoundTraining& self) {
  TrainingStep made;
  {
    const Turn turn(self.program(), "training.finish");
    py::gil_scoped_release nogil;
    made = self.training->finish();
  }
  return py::dict("loss"_a = made.loss, "norm"_a = made.norm, "finite"_a = made.finite);
}

}  // namespace

void bind_device_training(Bound& program, py::module_& m) {
  py::class_<BoundTraining>(m, "Training", "A training run on the device of its program.")
      .def(
          "put",
          [](BoundTraining& self, const ArrayF& theta, const ArrayF& first, const ArrayF& second,
             const ArrayF& shadow) { put(self, {theta, first, second, shadow}); },
          "theta"_a.noconvert(), "first"_a.noconvert(), "second"_a.noconvert(), "shadow"_a.noconvert(),
          "Weights, moments, and the average or the weights one step ago (parameter_count) to the device; no "
          "step may be in flight.")
      .def(
          "get",
          [](BoundTraining& self, Optional theta, Optional first, Optional second, Optional shadow) {
            get(self, {std::move(theta), std::move(first), std::move(second), std::move(shadow)});
          },
          "theta"_a.noconvert() = py::none(), "first"_a.noconvert() = py::none(),
          "second"_a.noconvert() = py::none(), "shadow"_a.noconvert() = py::none(),
          "The same from the device into arrays (parameter_count).")
      .def(
          "step",
          [](BoundTraining& self, float rate, float keep, std::int64_t step) {
            const Turn turn(self.program(), "training.step");
            py::gil_scoped_release nogil;
            self.training->step(rate, keep, step);
          },
          "rate"_a, py::kw_only(), "keep"_a = 0.0f, "step"_a,
          "Puts a step in line, the `step`-th from 1 on, for the batch in the program's buffers, which from "
          "then on are others: ask for them again and write all of them.")
      .def("finish", &finish,
           "Waits for the oldest step in flight: its loss, norm, and whether both are finite.")
      .def_property_readonly(
          "in_flight", [](const BoundTraining& self) { return self.training->in_flight(); },
          "Steps put in line and not yet waited for, at most 2.");
  program.def("training", &make_training, py::kw_only(), "decay"_a = 0.0f, "clip"_a = 0.0, "l2sp"_a = 0.0f,
              "ewc"_a = 0.0f, py::arg("anchor").noconvert() = py::none(),
              py::arg("fisher").noconvert() = py::none(), "average"_a = false,
              "beta1"_a = TrainingOptions{}.beta1, "beta2"_a = TrainingOptions{}.beta2,
              "eps"_a = TrainingOptions{}.eps,
              "Train: weights and optimiser on the program's device; None where the caller steps (the CPU). "
              "clip 0: off.");
}

}  // namespace emisopt::python
