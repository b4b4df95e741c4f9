// The quadratic program by itself: arrays in, answer out. Private: emisopt.qp is the face.
#include "emisopt/qp/qp.hpp"

#include <pybind11/functional.h>
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <chrono>

#include "arrays.hpp"
#include "emisopt/qp/wide.hpp"
#include "module.hpp"

namespace emisopt::python {
namespace {

using namespace pybind11::literals;

struct Answer {
  QpResult result;
  double seconds;
};

std::span<const double> span_of(const Array& a) { return {a.data(), static_cast<std::size_t>(a.size())}; }

QpMethod method_of(const std::string& name) {
  for (const QpMethod m : {QpMethod::automatic, QpMethod::active_set, QpMethod::interior_point})
    if (name == to_string(m)) return m;
  throw InputError("qp.solve(method): expected \"automatic\", \"active_set\" or \"interior_point\", got \"" +
                   name + '"');
}

class Solver {
 public:
  Solver(int variables, int rows, int iterations, double tolerance, const std::string& method)
      : solver_(variables, rows,
                {.max_iterations = iterations, .tolerance = tolerance, .method = method_of(method)}) {}

  /// `call`: "solve", "solve_from", "prepare" or "feedback".
  Answer run(const std::string& call, const Array& hessian, const Array& gradient, const Array& lower,
             const Array& upper, const Array& rows, const Array& row_lower, const Array& row_upper,
             const Array& l1, const Array& l2, const Array& y, const Array& z) {
    require_shape("qp(P)", hessian, {{"n", -1}, {"n", -1}});
    require_shape("qp(A)", rows, {{"m", -1}, {"n", -1}});
    const QpProblem p{.hessian = view(hessian),
                      .gradient = span_of(gradient),
                      .lower = span_of(lower),
                      .upper = span_of(upper),
                      .rows = view(rows),
                      .row_lower = span_of(row_lower),
                      .row_upper = span_of(row_upper),
                      .l1 = span_of(l1),
                      .l2 = span_of(l2)};
    const auto y0 = span_of(y), z0 = span_of(z);
    py::gil_scoped_release nogil;
    const auto begin = std::chrono::steady_clock::now();
    const QpResult* r = nullptr;
    if (call == "prepare")
      solver_.prepare(p);
    else
      r = call == "feedback"     ? &solver_.feedback(p, y0, z0)
          : call == "solve_from" ? &solver_.solve_from(p, y0, z0)
                                 : &solver_.solve(p);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return {r ? *r : QpResult{}, seconds};
  }

 private:
  QpSolver solver_;
};

using Integers = py::array_t<int, py::array::c_style>;
std::span<const int> span_of(const Integers& a) { return {a.data(), static_cast<std::size_t>(a.size())}; }

class Wide {
 public:
  Wide(int variables, int outputs, int rows, int entries, int band, int iterations, double tolerance)
      : solver_({variables, outputs, rows, entries, band},
                {.max_iterations = iterations, .tolerance = tolerance}) {}

  Answer run(const Array& band, const Array& outputs, const Array& weights, const Array& gradient,
             const Array& lower, const Array& upper, const Integers& start, const Integers& column,
             const Array& value, const Integers& output, const Array& row_lower, const Array& row_upper,
             const Array& l1, const Array& l2) {
    require_shape("qp(P)", band, {{"n", -1}, {"band", -1}});
    require_shape("qp(outputs)", outputs, {{"p", -1}, {"n", -1}});
    const WideProblem p{.band = view(band),
                        .outputs = view(outputs),
                        .output_weight = span_of(weights),
                        .gradient = span_of(gradient),
                        .lower = span_of(lower),
                        .upper = span_of(upper),
                        .row_start = span_of(start),
                        .row_column = span_of(column),
                        .row_value = span_of(value),
                        .row_output = span_of(output),
                        .row_lower = span_of(row_lower),
                        .row_upper = span_of(row_upper),
                        .l1 = span_of(l1),
                        .l2 = span_of(l2)};
    py::gil_scoped_release nogil;
    const auto begin = std::chrono::steady_clock::now();
    const QpResult& r = solver_.solve(p);
    return {r, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count()};
  }

 private:
  WideSolver solver_;
};

}  // namespace

void bind_qp(py::module_& m) {
  py::class_<Answer>(m, "QpAnswer", "What _QpSolver.run returns.")
      .def_property_readonly("status", [](const Answer& a) { return to_string(a.result.status); })
      .def_property_readonly("method", [](const Answer& a) { return to_string(a.result.method); })
      .def_property_readonly("x", [](const Answer& a) { return to_array(a.result.x); })
      .def_property_readonly("y", [](const Answer& a) { return to_array(a.result.y); })
      .def_property_readonly("z", [](const Answer& a) { return to_array(a.result.z); })
      .def_property_readonly("slack", [](const Answer& a) { return to_array(a.result.slack); })
      .def_property_readonly("objective", [](const Answer& a) { return a.result.objective; })
      .def_property_readonly("iterations", [](const Answer& a) { return a.result.iterations; })
      .def_property_readonly("primal", [](const Answer& a) { return a.result.residual.primal; })
      .def_property_readonly("dual", [](const Answer& a) { return a.result.residual.dual; })
      .def_property_readonly("complementarity",
                             [](const Answer& a) { return a.result.residual.complementarity; })
      .def_property_readonly("violated",
                             [](const Answer& a) {
                               std::vector<std::pair<int, double>> list;
                               for (const QpViolation& v : a.result.violated)
                                 list.emplace_back(v.row, v.amount);
                               return list;
                             })
      .def_readonly("seconds", &Answer::seconds, "Wall time of the call alone.");
  py::class_<Solver>(m, "_QpSolver", "A workspace for QPs of up to so many variables and rows.")
      .def(py::init<int, int, int, double, const std::string&>(), "variables"_a, "rows"_a, "iterations"_a,
           "tolerance"_a, "method"_a)
      .def("run", &Solver::run, "call"_a, "hessian"_a.noconvert(), "gradient"_a.noconvert(),
           "lower"_a.noconvert(), "upper"_a.noconvert(), "rows"_a.noconvert(), "row_lower"_a.noconvert(),
           "row_upper"_a.noconvert(), "l1"_a.noconvert(), "l2"_a.noconvert(), "y"_a.noconvert(),
           "z"_a.noconvert());
  py::class_<Wide>(m, "_QpWideSolver", "A workspace for wide QPs: many variables, few outputs.")
      .def(py::init<int, int, int, int, int, int, double>(), "variables"_a, "outputs"_a, "rows"_a,
           "entries"_a, "band"_a, "iterations"_a, "tolerance"_a)
      .def("run", &Wide::run, "band"_a.noconvert(), "outputs"_a.noconvert(), "weights"_a.noconvert(),
           "gradient"_a.noconvert(), "lower"_a.noconvert(), "upper"_a.noconvert(), "start"_a.noconvert(),
           "column"_a.noconvert(), "value"_a.noconvert(), "output"_a.noconvert(), "row_lower"_a.noconvert(),
           "row_upper"_a.noconvert(), "l1"_a.noconvert(), "l2"_a.noconvert());
}

}  // namespace emisopt::python
