// Everything that a training run has besides its settings and its data, in one file, so that a run that was
// killed goes on where it stood. Windows come from a counter-based generator: the step is all of its state.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "emisopt/base/types.hpp"

namespace emisopt {

/// What must be the same for a run to go on, by its name for people; long texts as hashes.
using RunIdentity = std::map<std::string, std::string>;

struct TrainState {
  std::vector<float> theta, average, m, v;  // (weights)
  std::vector<float> before;                // weights one step ago; only without averaging
  std::vector<float> best;                  // of the best validation; empty: none yet
  double loss = 0;                          // running mean of the training loss
  double validation = kMissing, best_validation = kMissing;
  double seconds = 0;  // spent so far, over all processes
  int step = 0;        // done
  int best_step = 0, waited = 0, validated = -1;
  bool done = false;  // the run came to its end: nothing is left to do

  /// Writes one safetensors file, sealed with a hash, atomically. Throws FileError.
  void save(const std::string& path, const RunIdentity& identity) const;
  /// Nothing when there is no file. Throws FileError, saying what to do, for a file that is torn, changed or
  /// not a training state, and for one of another run: the first entry of `identity` that differs is named.
  static std::optional<TrainState> load(const std::string& path, const RunIdentity& identity,
                                        std::size_t weights);
};

}  // namespace emisopt
