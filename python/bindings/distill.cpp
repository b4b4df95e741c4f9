// Distillation: stored forecasts of a teacher, and students that start from his layers.
#include "emisopt/train/distill.hpp"

#include <pybind11/stl.h>

#include "arrays.hpp"
#include "module.hpp"

namespace emisopt::python {
namespace {

using namespace pybind11::literals;

// quantiles (n, S, O, L) -> the core's copy; its sizes are checked against the student's later.
TeacherForecasts make_forecasts(std::vector<std::string> outputs, std::vector<double> levels,
                                std::vector<int> steps, std::vector<Index> origins, const ArrayF& quantiles) {
  require_shape("TeacherForecasts(quantiles)", quantiles,
                {{"origins", static_cast<long>(origins.size())},
                 {"steps", static_cast<long>(steps.size())},
                 {"outputs", static_cast<long>(outputs.size())},
                 {"levels", static_cast<long>(levels.size())}});
  TeacherForecasts t;
  t.outputs = std::move(outputs);
  t.levels = std::move(levels);
  t.steps = std::move(steps);
  t.origins = std::move(origins);
  t.quantiles.assign(quantiles.data(), quantiles.data() + quantiles.size());
  return t;
}

TeacherForecasts ask(const std::vector<Forecaster*>& teachers, const History& history,
                     const std::vector<Index>& origins, const std::string& tap, const py::object& progress) {
  const std::vector<const Forecaster*> list(teachers.begin(), teachers.end());
  const auto done = [&](double share) {
    py::gil_scoped_acquire gil;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    return progress.is_none() || !progress(share).is(py::bool_(false));
  };
  py::gil_scoped_release nogil;
  return ask_teachers(list, history, origins, tap, done);
}

}  // namespace

void bind_distill(py::module_& m) {
  py::class_<TeacherForecasts>(m, "TeacherForecasts", "What a teacher said of a history, physical units.")
      .def(py::init(&make_forecasts), "outputs"_a, "levels"_a, "steps"_a, "origins"_a,
           "quantiles"_a.noconvert())
      .def_readonly("outputs", &TeacherForecasts::outputs)
      .def_readonly("levels", &TeacherForecasts::levels)
      .def_readonly("steps", &TeacherForecasts::steps, "Rows ahead, from 1.")
      .def_readonly("origins", &TeacherForecasts::origins, "First target row of each forecast.")
      .def_readonly("hidden_width", &TeacherForecasts::hidden_width)
      .def_property_readonly(
          "quantiles",
          [](const py::object& self) {
            auto& t = self.cast<TeacherForecasts&>();
            const auto size = [](const auto& v) { return static_cast<py::ssize_t>(v.size()); };
            return borrow<float>(t.quantiles.data(),
                                 {size(t.origins), size(t.steps), size(t.outputs), size(t.levels)}, self);
          },
          "(origins, steps, outputs, levels), float32, no copy.")
      .def("validate", &TeacherForecasts::validate, "student"_a,
           "Refuses forecasts that do not fit the student.");
  m.def(
      "ask_teachers", &ask, "teachers"_a, "history"_a, "origins"_a, "tap"_a = "", "progress"_a = py::none(),
      "Mean of the teachers' quantiles at each origin, operation known; `tap`: also keep that hidden value.");
  m.def("copy_layers", &copy_layers, "teacher"_a, "student"_a,
        "Starts the student's weights from evenly spread layers of the teacher; returns them.");
}

}  // namespace emisopt::python
