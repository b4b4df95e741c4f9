// A compiled program as Python holds it, and what its buffers look like.
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "arrays.hpp"
#include "kernels/backend.hpp"

namespace emisopt::python {

// A program with the shapes of its buffers.
struct BoundProgram {
  std::shared_ptr<kernels::Program<float>> program;  // shared with whoever holds one of its buffers
  kernels::Training* training = nullptr;             // device_training.cpp; lives as long as the program
  kernels::OpList ops;
  kernels::Shapes shapes;
  kernels::CompileOptions options;
  // Set while a thread works in the program: run() releases the GIL, so a second one could come in.
  std::shared_ptr<std::atomic_flag> busy = std::make_shared<std::atomic_flag>();
  std::vector<std::shared_ptr<void>> held;  // arrays that the GPU may still be copying from, until run() ends

  void require(bool there, const char* what, const char* needs) const {
    if (!there)
      throw StateError(std::string("Program.") + what + ": expected a program with " + needs + ", got none");
  }
  /// The device's buffers change hands with every step of a training.
  void require_no_training(const char* what) const {
    if (training)
      throw StateError(
          std::string("Program.") + what +
          ": expected a program without a training(), whose steps take turns with the buffers on "
          "the GPU; fill the program's arrays");
  }
  void require(kernels::Mode mode, const char* what) const {
    if (options.mode != mode)
      throw StateError(std::string("Program.") + what + ": not in this mode of the program");
  }
};

// The right to work in a program, until the end of the scope.
class Turn {
 public:
  Turn(const BoundProgram& bound, const char* what) : Turn(*bound.busy, what) {}
  Turn(std::atomic_flag& busy, const char* what) : busy_(busy) {
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

/// A buffer of a program: memory of the host, shape, and who writes it.
struct BufferView {
  enum class Kind : std::uint8_t { input, answer, both };
  float* host = nullptr;  // null for `weights`
  std::vector<py::ssize_t> shape;
  std::vector<const char*> names;  // of the dimensions
  Kind kind = Kind::input;
};
/// program_buffers.cpp. Throws StateError "Program.NAME: ..." when the program has no such buffer.
BufferView buffer_view(const BoundProgram& bound, kernels::Buffer buffer);
const char* name_of(kernels::Buffer buffer);
/// Throws InputError "where: expected one of ..., got 'name'".
kernels::Buffer buffer_named(const char* where, const std::string& name);

using Bound = py::class_<BoundProgram>;
void bind_device_training(Bound& program, py::module_& m);  // device_training.cpp
void bind_exchange_in(Bound& program);                      // exchange_in.cpp
void bind_exchange_out(py::module_& m, Bound& program);     // exchange_out.cpp

}  // namespace emisopt::python
