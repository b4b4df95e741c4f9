// What the weights of a training run depend on, so that a run goes on with nothing else.
#pragma once
#include "emisopt/train/state.hpp"
#include "emisopt/train/trainer.hpp"

namespace emisopt {

/// The settings of `config`, and hashes of the tags, the first weights, the network and rows before `end` of
/// the history.
RunIdentity identity_of(const Forecaster& forecaster, const History& history, const TrainConfig& config,
                        Index end);

}  // namespace emisopt
