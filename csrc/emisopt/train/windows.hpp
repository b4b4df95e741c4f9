// Windows of a history as rows of the engine's training buffers.
#pragma once
#include <cstdint>
#include <vector>

#include "emisopt/model/forecaster.hpp"

namespace emisopt {

/// Random changes of one window, normalised units. Shifting an output moves its context and its targets
/// together, so the change that is to be learnt stays: what the shift teaches is not to trust the level.
struct Augmentation {
  double level_shift = 0, input_shift = 0, unknown_plan = 0;  // sd, sd, probability
};

class TrainingWindows {
 public:
  /// Normalises rows [0, end) of the history; no later row is read.
  TrainingWindows(const Forecaster& forecaster, const History& history, Index end);

  /// Writes window `slot` of the batch into a train program's buffers: the window whose first target row is
  /// `origin`, changed as the generator (seed, stream) says. Pure in its arguments.
  void fill(kernels::Program<float>& program, int slot, Index origin, const Augmentation& augmentation,
            std::uint64_t seed, std::uint64_t stream);
  /// Leaves a slot out of the loss.
  void blank(kernels::Program<float>& program, int slot);
  /// Sum of the weights of a batch: what its mean loss counts when batches are averaged.
  double weight(kernels::Program<float>& program, int batch) const;

 private:
  const FeatureLayout& layout_;
  const TagMap& tags_;
  std::vector<double> time_;  // (end) or empty
  Matrix z_;                  // (end, tags), normalised
  Matrix window_;             // (context + horizon, tags): one window after its shifts
  Matrix plan_, known_;       // (H, U), (H, D)
};

}  // namespace emisopt
