// Windows of a history as rows of the engine's training buffers.
#pragma once
#include <cstdint>
#include <vector>

#include "emisopt/model/forecaster.hpp"
#include "emisopt/model/prior_columns.hpp"
#include "emisopt/train/distill.hpp"
#include "emisopt/train/emphasis.hpp"

namespace emisopt {

/// Random changes of one window, normalised units. Shifting an output moves its context and its targets
/// together, so the change that is to be learnt stays: what the shift teaches is not to trust the level.
struct Augmentation {
  double level_shift = 0, input_shift = 0, unknown_plan = 0;  // sd, sd, probability
  int max_delay = 0;  // the newest 0..max_delay rows, evenly drawn, hide their outputs: labels come late
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

  /// Writes window `slot` of the batch into a train program's buffers: the window whose first target row is
  /// `origin`, changed as the generator (seed, stream) says. Pure in its arguments. Rows that do not follow,
  /// beyond a gap or the end, count as unknown operation without labels.
  void fill(kernels::Program<float>& program, int slot, Index origin, const Augmentation& augmentation,
            std::uint64_t seed, std::uint64_t stream);
  /// Leaves a slot out of the loss.
  void blank(kernels::Program<float>& program, int slot);
  /// Sum of the weights of a batch: what its mean loss counts when batches are averaged.
  double weight(kernels::Program<float>& program, int batch) const;

 private:
  Index unbroken_from(Index origin) const;
  void fill_teacher(kernels::Program<float>& program, int slot, Index origin, const ContextSummary& summary,
                    bool heard) const;

  // How one of the student's levels follows from two of the teacher's; share of the upper one.
  struct Between {
    int low = -1, high = -1;
    double share = 0;
  };

  const FeatureLayout& layout_;
  const TagMap& tags_;
  const Scaler& scaler_;
  const History& history_;
  Index end_;
  Emphasis emphasis_;
  Matrix window_;        // (context + horizon, tags), normalised: one window after its shifts
  Matrix plan_, known_;  // (H, U), (H, D)
  PriorColumns prior_;
  const std::vector<double>& levels_;  // the student's
  const TeacherForecasts* teacher_ = nullptr;
  std::vector<Between> between_;  // per student level
  std::vector<double> shift_;     // of the last window, per tag, normalised
};

}  // namespace emisopt
