// One training shared among processes that all hold the same history: each works out its slots of every
// batch, and after an exchange all hold the gradient, bit for bit, that one process would have found by
// itself.
#pragma once
#include <functional>
#include <string>

#include "emisopt/train/state.hpp"
#include "kernels/backend.hpp"

namespace emisopt {

/// Who takes part, and how they talk. Both functions add up arrays of equal length over all processes, in
/// place, and are called by all of them in the same order. Every entry is filled by one process and -0.0 with
/// all others, so a sum in any order is exact: MPI, NCCL and a hand-written loop give the same bits.
struct Processes {
  int rank = 0, size = 1;
  std::function<void(float* x, std::size_t count)> sum_floats;
  std::function<void(double* x, std::size_t count)> sum_doubles;
  /// Their GPUs: with TrainConfig.device cuda, sums go from one to the other; null: the CPU only.
  kernels::Group* group = nullptr;
  void validate() const;  // InputError "Processes.field: expected ..., got ..."
};

/// A train program that works out a share of each batch.
class SharedProgram {
 public:
  /// `processes` may be null: this process alone. Throws InputError when there are more processes than slots.
  /// With processes->group, and on a GPU, the program holds the windows of this process alone: those must be
  /// equally many everywhere (share_of() throws InputError).
  SharedProgram(kernels::Program<float>& program, int batch, const Processes* processes);
  /// The windows of a batch that a program on `device` must have.
  static int share_of(int batch, const Processes* processes, kernels::Device device);

  /// Windows of a batch that this process must fill: first() .. last() - 1.
  int first() const { return first_window_; }
  int last() const { return last_window_; }
  bool owns(int window) const { return window >= first_window_ && window < last_window_; }

  /// Where the program holds a window of the batch.
  int row(int window) const { return grouped_ ? window - first_window_ : window; }
  /// The sum over the processes of what one of them counts in the program's windows.
  double total(double here) const;

  /// program.run() of the joint batch. `labels`, `answers` and `rows`: entries of weight(), teacher_weight()
  /// and hidden_weight() per window.
  struct Widths {
    std::size_t labels = 0, answers = 0, rows = 0;
  };
  void run(const Widths& widths);

  bool writes_files() const { return !processes_ || processes_->rank == 0; }
  /// Whether any process says so.
  bool any(bool here) const;
  /// Throws InputError, in all processes, when they would not compute the same run: another step, or another
  /// entry of `identity`, which is named.
  void expect_alike(int step, const RunIdentity& identity) const;
  bool alone() const { return !processes_; }
  bool grouped() const { return grouped_; }

 private:
  template <class T>
  void share(T* x, std::size_t begin, std::size_t end, std::size_t count) const;

  kernels::Program<float>& program_;
  const Processes* processes_;
  bool grouped_ = false;
  int batch_, first_slot_ = 0, last_slot_ = 0, first_window_ = 0, last_window_;
};

}  // namespace emisopt
