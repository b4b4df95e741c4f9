// The forecaster's network as data for the engine, and the weights it starts from.
#pragma once
#include <string>
#include <vector>

#include "emisopt/model/config.hpp"
#include "kernels/backend.hpp"

namespace emisopt {

/// Prefix-causal decoder of the LLaMA family (Touvron et al. 2023) over [history tokens | future tokens]:
/// two embeddings into one sequence, pre-norm RMSNorm, rotary positions, grouped-query attention, SwiGLU, and
/// on the future rows a norm, a head and a linear skip from the future row itself (docs/forecaster.md).
/// The last layer computes its queries' part on future rows only: nothing reads its history rows.
/// Quantiles are changes against the output's anchor, normalised.
kernels::OpList make_network(const ForecasterConfig& config, int history_width, int future_width,
                             int outputs);

/// Initial weights in the canonical layout, a function of config.seed alone. Skip and the head's median start
/// at zero, so that the first forecast is the anchor; the head's spread at that of a normal distribution.
std::vector<float> initial_weights(const kernels::OpList& network, const ForecasterConfig& config);

/// 1 where weight decay applies, else 0: one float per weight, for kernels::adamw.
std::vector<float> decay_mask(const kernels::OpList& network);

/// For kernels::CompileOptions.trainable: 1 for each parameter whose name begins with one of `prefixes`, e.g.
/// {"head.", "skip.", "norm."} for what stands behind the last block. Throws InputError for a prefix that no
/// parameter has.
std::vector<char> trainable_by_name(const kernels::OpList& network, const std::vector<std::string>& prefixes);

}  // namespace emisopt
