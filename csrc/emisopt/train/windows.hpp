// Windows of a history as rows of the engine's training buffers.
#pragma once
#include <cstdint>
#include <vector>

#include "emisopt/base/rng.hpp"
#include "emisopt/model/forecaster.hpp"
#include "emisopt/model/prior_columns.hpp"
#include "emisopt/train/distill.hpp"
#include "emisopt/train/emphasis.hpp"

namespace emisopt {

/// Random changes of one window, normalised units. Shifting an output moves its context and its targets
/// together, so the change that is to be learnt stays: what the shift teaches is not to trust the level.
struct Augmentation {
  double level_shift = 0, input_shift = 0, unknown_plan = 0;  // sd, sd, probability
  double gain_shift = 0;   // sd of the log of the factor by which an output swings about its mean
  double slope_shift = 0;  // sd of what one sd of all inputs together does to an output, beside what it did
  int max_delay = 0;       // the newest 0..max_delay rows, evenly drawn, hide their outputs: labels come late
};

/// Writes one window into a slot of a train program's buffers. The window is put into window() first, so that
/// it may come from a history or from a memory of past windows.
class WindowWriter {
 public:
  /// `forecaster` must outlive this.
  explicit WindowWriter(const Forecaster& forecaster, Emphasis emphasis = {});

  /// (context + horizon, tags), normalised, NaN = missing; write() changes it by its shifts.
  Matrix& window() { return window_; }
  /// Changes the window as the generator (seed, stream) says and writes it. time0: stamp of its first row, s.
  /// Pure in its arguments and the window. An infer program of batch 1 gets its inputs only.
  void write(kernels::Program<float>& program, int slot, double time0, const Augmentation& augmentation,
             std::uint64_t seed, std::uint64_t stream);
  /// Leaves a slot out of the loss.
  void blank(kernels::Program<float>& program, int slot) const;
  /// Sum of the weights of a batch: what its mean loss counts when batches are averaged.
  double weight(kernels::Program<float>& program, int batch) const;

  /// What the last write() made of its window.
  struct Written {
    ContextSummary summary;
    bool unknown = false;      // the plan is hidden
    int hidden = 0;            // newest rows without their outputs
    std::vector<double> gain;  // per output: its normalised values were multiplied by this, then in coming
    Matrix offset;             // row h moved by offset (H, O)
  };
  const Written& written() const { return written_; }

 private:
  void bend(const Augmentation& augmentation, Rng& rng);

  const FeatureLayout& layout_;
  const TagMap& tags_;
  const Scaler& scaler_;
  Emphasis emphasis_;  // thresholds normalised
  Matrix window_;
  PriorColumns prior_;
  Index level_count_;
  Matrix physical_;  // the window before any change, where a prior looks at it
  Written written_;
  Matrix plan_, known_;   // (H, U), (H, D)
  MatrixOf<char> heavy_;  // (H, O): targets above their threshold, before any shift
};

/// Reads windows straight from the history, which it borrows: memory does not grow with the rows.
class TrainingWindows {
 public:
  /// No row at or after `end` is read. `forecaster` and `history` must outlive this. Throws InputError for an
  /// end outside the history.
  TrainingWindows(const Forecaster& forecaster, const History& history, Index end, Emphasis emphasis = {});
  /// From now on fill() also writes what this teacher said of the window into the program's buffers, where it
  /// has them; borrowed. He saw the plan and all labels: where the window hides either, his entries do not
  /// count.
  void set_teacher(const TeacherForecasts& teacher);

  /// Writes the window whose first target row is `origin`, as WindowWriter::write does. Rows that do not
  /// follow, beyond a gap or the end, count as unknown operation without labels.
  void fill(kernels::Program<float>& program, int slot, Index origin, const Augmentation& augmentation,
            std::uint64_t seed, std::uint64_t stream);
  void blank(kernels::Program<float>& program, int slot) { writer_.blank(program, slot); }
  double weight(kernels::Program<float>& program, int batch) const { return writer_.weight(program, batch); }

 private:
  Index unbroken_from(Index origin) const;
  void fill_teacher(kernels::Program<float>& program, int slot, Index origin) const;

  // How one of the student's levels follows from two of the teacher's; share of the upper one.
  struct Between {
    int low = -1, high = -1;
    double share = 0;
  };

  const FeatureLayout& layout_;
  const Scaler& scaler_;
  const History& history_;
  Index end_;
  WindowWriter writer_;
  const std::vector<double>& levels_;  // the student's
  const TeacherForecasts* teacher_ = nullptr;
  std::vector<Between> between_;  // per student level
};

}  // namespace emisopt
