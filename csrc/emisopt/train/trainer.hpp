// Training of a forecaster on one history: windows streamed, gaps never crossed, missing labels masked, and a
// run that was killed goes on with the same bits.
#pragma once
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "emisopt/model/forecaster.hpp"
#include "emisopt/train/distill.hpp"
#include "emisopt/train/processes.hpp"
#include "emisopt/train/state.hpp"

namespace emisopt {

struct TrainConfig {
  int steps = 1000;           // >= 1
  int batch = 64;             // windows per step, 1..65536
  double rate = 2e-3;         // AdamW (Loshchilov, Hutter 2019), > 0; warm-up, then cosine to 1 %
  int warmup = 100;           // steps of linear rise, >= 0
  double decay = 0.02;        // weight decay, >= 0
  double clip = 1.0;          // global gradient norm, > 0; 0: off
  double average = 0.995;     // of the weights (EMA), in [0, 1); 0: off
  double level_shift = 1.0;   // sd of the random shift of each window's outputs, normalised units, >= 0
  double input_shift = 0.3;   // the same for inputs; more on a plant that drifts (docs/forecaster.md)
  double gain_shift = 0.0;    // sd of the log of a random factor on each window's swings of an output, >= 0
  double slope_shift = 0.0;   // sd of a random dependence of an output on the inputs, normalised units, >= 0
  double unknown_plan = 0.0;  // share of windows trained with future operation unknown, 0..1
  int max_delay = 0;          // labels of the newest 0..max_delay context rows are hidden, >= 0, < context
  int min_horizon = 0;        // windows broken off after this many rows train, too; 0: whole windows only
  kernels::Loss loss = kernels::Loss::pinball;
  std::vector<double> level_weights;  // of the quantile levels within the pinball loss, >= 0; empty: alike
  double multiscale = 0;              // coefficient of the multi-scale loss (kernels::LossParts), >= 0
  double exceed_weight = 1;           // weight of targets above their threshold (train/emphasis.hpp), > 0
  double exceed_quantile = 0.95;      // threshold: this quantile of the training rows, in [0, 1); 0: none
  std::vector<std::pair<std::string, double>> exceed_limits;  // or: a limit of an output, physical
  double l2sp = 0;                     // coefficient of |weights - initial weights|^2 (L2-SP), >= 0
  std::vector<std::string> trainable;  // beginnings of parameter names; empty: all weights train
  Index train_rows = 0;       // windows whose last target row is < train_rows; 0: all before validation
  Index validation_rows = 0;  // rows after train_rows for early choice of the best weights; 0: none
  int validate_every = 100;   // steps, >= 1
  int patience = 0;           // validations without gain before stopping; 0: never
  int threads = 0;            // 0: the machine's
  kernels::Device device = kernels::Device::cpu;  // automatic: which is quicker, measured once and stored
  /// bfloat16, on CUDA only: activations in 8 significant bits, weights and optimiser as ever (docs/cuda.md).
  kernels::Precision precision = kernels::Precision::float32;
  bool deterministic = false;  // cuda, automatic: only stored choices (kernels::Choices), nothing is measured
  std::uint64_t seed = 0;      // of the windows and shifts
  void validate() const;       // throws InputError "TrainConfig.field: expected ..., got ..."
  void validate_for(const Forecaster& forecaster) const;  // likewise, what depends on its sizes
  /// Every setting that decides the weights, as text by name; not the threads.
  RunIdentity identity() const;
};

/// Where a run keeps its state.
struct TrainFile {
  std::string path;           // resumed from when it is there; "": no file
  int every_steps = 0;        // steps between two writes; 0: by time alone
  double every_seconds = 60;  // time between two writes, >= 0
};

struct TrainProgress {
  int step = 0, steps = 0;
  double loss = 0;               // running mean of the training loss
  kernels::LossParts parts;      // of this step's loss
  double validation = kMissing;  // last validation loss
  double best = kMissing;
  double rate = 0, seconds = 0, windows_per_second = 0;
  double seconds_left = 0;  // at the pace of this process so far
};

struct TrainResult {
  double loss = 0;               // running mean of the training loss at the end
  double validation = kMissing;  // loss of the weights kept, on the validation windows
  int steps = 0, best_step = 0;  // done; after which the weights kept were current
  int resumed = 0;               // steps that an earlier process had done
  bool stopped = false;          // by the callback
  bool diverged = false;         // a loss or gradient was not finite: the last good weights are kept
  std::string trouble;           // then: which step, windows, rows and tags
  kernels::Device device = kernels::Device::cpu;  // that it ran on
  double seconds = 0;
};

/// Trains `forecaster` in place, from the weights that it has. `progress` is called after each step;
/// returning false stops and keeps the best weights so far: by validation loss, or without validation rows
/// the newest average. Same seed, same bits, for any number of threads and any number of kills and
/// resumptions. No row at or after train_rows + validation_rows is read, no row at or after train_rows
/// changes a gradient. Throws InputError for a bad config, for a history of other tags, when no window fits;
/// FileError for a state of another run (train/state.hpp); Error when the very first step is not finite. The
/// forecaster is unchanged then, and when `progress` throws. A run that ended leaves its state: training
/// again gives its result at once.
/// With `distillation` windows are drawn from those that its teacher spoke of, and its terms are added to the
/// loss; the projection of a hidden state trains along and is dropped at the end. Validation looks at labels
/// alone. With config.l2sp the weights are pulled back to those that the forecaster came with (Li et al.
/// 2018), all of them or, with `held`, those whose entry is 1 (0..1 scales the pull): after a transplant the
/// copied ones (model/transplant.hpp). Throws ShapeError when `held` is not one number per weight.
/// With `processes` each batch is shared among them (train/processes.hpp); all call train() with the same
/// arguments and end with the bits of one process. Only rank 0 writes `file`, which all read when they start;
/// a callback that returns false in one stops all. Throws InputError in all of them when their histories or
/// settings differ, and when there are more processes than slots of a batch.
TrainResult train(Forecaster& forecaster, const History& history, const TrainConfig& config,
                  const std::function<bool(const TrainProgress&)>& progress = {}, const TrainFile& file = {},
                  const Distillation* distillation = nullptr, const std::vector<float>* held = nullptr,
                  const Processes* processes = nullptr);

}  // namespace emisopt
