// Training of a forecaster on one history: windows streamed, gaps never crossed, missing labels masked.
#pragma once
#include <functional>

#include "emisopt/model/forecaster.hpp"

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
  kernels::Loss loss = kernels::Loss::pinball;
  Index train_rows = 0;       // windows whose last target row is < train_rows; 0: all before validation
  Index validation_rows = 0;  // rows after train_rows for early choice of the best weights; 0: none
  int validate_every = 100;   // steps, >= 1
  int patience = 0;           // validations without gain before stopping; 0: never
  int threads = 0;            // 0: the machine's
  std::uint64_t seed = 0;     // of the windows and shifts
  void validate() const;      // throws InputError "TrainConfig.field: expected ..., got ..."
};

struct TrainProgress {
  int step = 0, steps = 0;
  double loss = 0;               // running mean of the training loss
  double validation = kMissing;  // last validation loss
  double best = kMissing;
  double rate = 0, seconds = 0, windows_per_second = 0;
};

struct TrainResult {
  double loss = 0;               // running mean of the training loss at the end
  double validation = kMissing;  // loss of the weights kept, on the validation windows
  int steps = 0, best_step = 0;  // done; after which the weights kept were current
  bool stopped = false;          // by the callback
  bool diverged = false;         // a loss or gradient was not finite: the last good weights are kept
  double seconds = 0;
};

/// Trains `forecaster` in place, from the weights that it has. `progress` is called after each step;
/// returning false stops and keeps the best weights so far: by validation loss, or without validation rows
/// the newest average. Same seed, same bits, for any number of threads. No row at or after train_rows +
/// validation_rows is read, no row at or after train_rows changes a gradient. Throws InputError for a bad
/// config, for a history of other tags, when no window fits; Error when the very first step is not finite.
/// The forecaster is unchanged then, and when `progress` throws.
TrainResult train(Forecaster& forecaster, const History& history, const TrainConfig& config,
                  const std::function<bool(const TrainProgress&)>& progress = {});

}  // namespace emisopt
