// The sizes of a forecaster: everything that decides its network, nothing that data decides.
#pragma once
#include <cstdint>
#include <vector>

namespace emisopt {

struct ForecasterConfig {
  int context = 96;       // rows of history, 1..4096; a multiple of patch
  int horizon = 24;       // rows ahead, 1..512
  int patch = 1;          // rows per history token, 1..16
  int width = 64;         // model width d, 2..4096; a multiple of 2 * heads (rotary positions turn pairs)
  int heads = 4;          // attention heads, 1..256
  int kv_heads = 0;       // 0: as heads; else divides heads (grouped-query attention)
  int layers = 1;         // 1..64; a second one gained nothing on two plants (docs/forecaster.md)
  int feedforward = 0;    // inner width, 0..16384; 0: 8/3 of width, rounded up to a multiple of 8
  double anchor_tau = 6;  // rows, > 0: time constant of the mean that a forecast is a change from
  int season = 0;         // rows of a cycle (a day) whose course over the context helps, 0..context; 0: none
  std::vector<double> quantiles = {0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95};  // rising, in (0, 1), with 0.5
  std::uint64_t seed = 0;                                                   // of the initial weights

  int key_heads() const { return kv_heads ? kv_heads : heads; }
  int inner_width() const { return feedforward ? feedforward : (8 * width / 3 + 7) / 8 * 8; }
  int levels() const { return static_cast<int>(quantiles.size()); }
  int middle() const;  // index of 0.5 in quantiles
  /// Throws InputError "ForecasterConfig.field: expected ..., got ...".
  void validate() const;
};

}  // namespace emisopt
