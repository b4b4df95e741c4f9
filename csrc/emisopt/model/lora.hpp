// Low-rank adapters (LoRA: Hu et al. 2022): a short-lived network that trains a small correction of chosen
// weight matrices. Inference never sees it: what was learnt is added to the base weights, in their layout.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/backend.hpp"

namespace emisopt {

/// A network in which chosen linear ops are y = x W + b + (x A) B, A (in, rank), B (rank, out).
struct Lora {
  struct Adapter {
    int weight, a, b;  // parameter ids of W, A and B
  };
  kernels::OpList network;
  std::vector<char> trainable;    // for kernels::CompileOptions: A and B alone
  std::vector<Adapter> adapters;  // in the order of the ops
  std::size_t base_count = 0;     // the first weights, the base's own, in its layout

  /// Weights to start from: `theta`, then A normal of deviation scale / sqrt(in), and B = 0, so that the
  /// first forecast is the base's: zeros are added to it and nothing else. `scale` is LoRA's alpha / rank.
  /// Throws ShapeError when `theta` is not the base's, InputError for a scale that is not positive.
  std::vector<float> start(const std::vector<float>& theta, std::uint64_t seed, double scale = 1) const;
  /// theta_W += A B for each adapter, products summed in double. `adapted` holds a weight per parameter of
  /// `network`, `theta` base_count weights. Throws ShapeError.
  template <class T>
  void merge(const std::vector<T>& adapted, std::vector<T>& theta) const;
};

/// The linear ops of a block that adapters usually take.
inline const std::vector<std::string> kBlockLinears = {"qkv", "attention_out", "gate_up", "down"};

/// Those of the last `blocks` blocks, as with_lora() takes them; more than there are: of all; 0: of the upper
/// half, at least one. A step then runs backward through those blocks alone: through all of them it has to do
/// two thirds of a full step's work at least. Throws InputError for a negative number or no blocks.
std::vector<std::string> last_block_linears(const kernels::OpList& network, int blocks = 0);

/// Adds adapters to every linear op named in `linears`: "qkv" means that of each layer, "layers.1.qkv" that
/// of one. Throws InputError for a name that no linear op has, or a rank outside 1..256 or beyond a matrix's
/// shorter side.
Lora with_lora(const kernels::OpList& network, int rank,
               const std::vector<std::string>& linears = kBlockLinears);

}  // namespace emisopt
