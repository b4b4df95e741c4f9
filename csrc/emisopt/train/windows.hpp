// Windows of a history as rows of the engine's training buffers.
#pragma once
#include <cstdint>
#include <vector>

#include "emisopt/base/rng.hpp"
#include "emisopt/model/forecaster.hpp"

namespace emisopt {

/// Random changes of one window, normalised units. Shifting an output moves its context and its targets
/// together, so the change that is to be learnt stays: what the shift teaches is not to trust the level.
struct Augmentation {
  double level_shift = 0, input_shift = 0, unknown_plan = 0;  // sd, sd, probability
  double gain_shift = 0;   // sd of the log of the factor by which an output swings about its mean
  double slope_shift = 0;  // sd of what one sd of all inputs together does to an output, beside what it did
};

/// Writes one window into a slot of a train program's buffers. The window is put into window() first, so that
/// it may come from a history or from a memory of past windows.
class WindowWriter {
 public:
  explicit WindowWriter(const Forecaster& forecaster);

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

 private:
  void bend(const Augmentation& augmentation, Rng& rng);

  const FeatureLayout& layout_;
  const TagMap& tags_;
  Matrix window_;
  Matrix plan_, known_;  // (H, U), (H, D)
};

class TrainingWindows {
 public:
  /// Normalises rows [0, end) of the history; no later row is read.
  TrainingWindows(const Forecaster& forecaster, const History& history, Index end);

  /// Writes the window whose first target row is `origin`, as WindowWriter::write does.
  void fill(kernels::Program<float>& program, int slot, Index origin, const Augmentation& augmentation,
            std::uint64_t seed, std::uint64_t stream);
  void blank(kernels::Program<float>& program, int slot) { writer_.blank(program, slot); }
  double weight(kernels::Program<float>& program, int batch) const { return writer_.weight(program, batch); }

 private:
  Index context_;
  std::vector<double> time_;  // (end) or empty
  Matrix z_;                  // (end, tags), normalised
  WindowWriter writer_;
};

}  // namespace emisopt
