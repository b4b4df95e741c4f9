// Training of a forecaster on one history: windows streamed, gaps never crossed, missing labels masked.
#pragma once
#include <functional>

#include "emisopt/model/forecaster.hpp"

namespace emisopt {

struct TrainConfig {
  int steps = 1000;
  int batch = 64;
  double rate = 2e-3;  // AdamW, warm-up then cosine to 1 %
  int warmup = 100;
  double decay = 0.02;
  double clip = 1.0;          // global gradient norm
  double average = 0.995;     // weight averaging (EMA); 0: off
  double level_shift = 1.0;   // sd of the random shift of each window's outputs, normalised units
  double input_shift = 0.3;   // the same for inputs
  double unknown_plan = 0.0;  // share of windows trained with future operation unknown
  kernels::Loss loss = kernels::Loss::pinball;
  index train_rows = 0;       // windows whose last target row is < train_rows; 0: all rows
  index validation_rows = 0;  // rows after train_rows for early choice of the best weights; 0: none
  int validate_every = 100;   // steps
  int patience = 0;           // validations without gain before stopping; 0: never
  int threads = 0;
  std::uint64_t seed = 0;
};

struct TrainProgress {
  int step = 0, steps = 0;
  double loss = 0;               // running mean of the training loss
  double validation = kMissing;  // last validation loss
  double best = kMissing;
  double rate = 0, seconds = 0, windows_per_second = 0;
};

struct TrainResult {
  double loss = 0, validation = kMissing;
  int steps = 0, best_step = 0;
  bool stopped = false;  // by the callback
  double seconds = 0;
};

/// Trains `forecaster` in place. `progress` is called after each step; returning false stops and keeps the
/// best weights so far. Same seed, same bits, for any number of threads. Throws InputError when no window
/// fits.
TrainResult train(Forecaster& forecaster, const History& history, const TrainConfig& config,
                  const std::function<bool(const TrainProgress&)>& progress = {});

}  // namespace emisopt
