// Private to the bindings of programs: a compiled program as Python holds it.
#pragma once
#include <pybind11/pybind11.h>

#include <atomic>
#include <memory>
#include <string>

#include "emisopt/base/error.hpp"
#include "kernels/backend.hpp"

namespace emisopt::python {

namespace py = pybind11;

// A program with the shapes of its buffers.
struct BoundProgram {
  std::unique_ptr<kernels::Program<float>> program;
  kernels::OpList ops;
  kernels::Shapes shapes;
  kernels::CompileOptions options;
  // Some of the arrays on a program's buffers lie in the memory of its training, so it lives as long. Behind
  // `program`: it goes first.
  std::shared_ptr<kernels::Training> training;
  // Set while a thread works in the program: run() releases the GIL, so a second one could come in.
  std::unique_ptr<std::atomic_flag> busy = std::make_unique<std::atomic_flag>();

  py::ssize_t history_width() const { return ops.history < 0 ? 0 : ops.values[ops.history].width; }
  py::ssize_t future_width() const { return ops.values[ops.future].width; }
  py::ssize_t quantile_width() const { return py::ssize_t{ops.outputs} * ops.levels; }
  py::ssize_t hidden_width() const { return ops.values[static_cast<std::size_t>(ops.hidden)].width; }
  void require(bool there, const char* what, const char* needs) const {
    if (!there)
      throw StateError(std::string("Program.") + what + ": expected a program with " + needs + ", got none");
  }
  void require(kernels::Mode mode, const char* what) const {
    if (options.mode != mode)
      throw StateError(std::string("Program.") + what + ": not in this mode of the program");
  }
};

// The right to work in a program, until the end of the scope.
class Turn {
 public:
  Turn(const BoundProgram& bound, const char* what) : busy_(*bound.busy) {
    if (busy_.test_and_set(std::memory_order_acquire))
      throw StateError(std::string("Program.") + what +
                       ": expected one thread at a time, got a call while another one runs; compile a "
                       "program for each thread");
  }
  ~Turn() { busy_.clear(std::memory_order_release); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  std::atomic_flag& busy_;
};

// device_training.cpp
void bind_device_training(py::class_<BoundProgram>& program, py::module_& m);

}  // namespace emisopt::python
