// Private to the CUDA backend: a control tick in few launches. A block takes one to four rows through all ops
// between two attentions, with every value in shared memory; only attention needs the rows of other blocks,
// so a network of L layers is L + 1 launches forward and as many backward. The ops are steps of a tape, made
// from the plan (passes_tick.cpp), that the kernel carries out one after another.
#pragma once
#include <cuda_runtime_api.h>

#include "kernels/cuda/launch.hpp"

namespace emisopt::kernels::cuda {

enum class TickKind : int {
  load,        // y = rows of `from`
  store,       // rows of `to` = x
  linear,      // y = or += x w (+ b)                w (x_width, y_width)
  turned,      // y = or += x wᵀ                     w (y_width, x_width)
  rmsnorm,     // y = x rstd w, x2 = rstd
  unnorm,      // y = or += the gradient by x2 of the above; x: by y, x3: rstd
  rope,        // y = or += x turned by the row's angle, or back; w, b: cosine, sine
  sum,         // y = x + x2, or += x
  copy,        // y = x
  swiglu,      // y = silu(gate) up, x: [gate | up]
  unswiglu,    // y = or += the gradient by x2; x: by its product
  quantiles,   // as backend.hpp
  unquantile,  // y = or += the gradient by x2; x: by the quantiles
  attend,      // y = attention of the rows' queries, kept is p
  unattend,    // y's queries = or += their gradient, x: by attention; its keys and values = 0 when `zero`
  unkeys,      // y's keys and values += their gradients, from what unattend left in global memory
};

/// x, x2, x3, y: where a value lies in a row's part of shared memory, in scalars, a multiple of 4.
struct TickStep {
  TickKind kind = TickKind::copy;
  bool accumulate = false, inverse = false, zero = false;
  int x = 0, x2 = 0, x3 = 0, y = 0;
  int x_width = 0, y_width = 0;
  const float *w = nullptr, *b = nullptr;  // on the device, as are all below
  const float* from = nullptr;             // (rows of all windows, y_width)
  float* to = nullptr;                     // (rows of all windows, x_width)
  int heads = 0, kv_heads = 0, head_dim = 0;
  int past = 0;  // keys before the own ones
  int outputs = 0, levels = 0, middle = 0;
  float eps = 0;
  const float *past_x = nullptr, *own_x = nullptr;  // [q | k | v], one history for all windows; own rows
  const float* dy = nullptr;                        // unkeys: gradient by attention, own rows
  float *p = nullptr, *ds = nullptr;  // (rows, heads, keys), (rows, heads, own keys); null: not kept
  float* lse = nullptr;               // (windows, heads, rows), null: not kept
};

/// One launch.
struct TickTape {
  const TickStep* steps = nullptr;  // on the device: loads, then what computes, then stores
  int loads = 0, computes = 0, stores = 0;
  int values = 0, scores = 0;  // scalars in shared memory that a row needs: for its values, for attention
};
constexpr int kTickThreads = 512;
constexpr int kTickRows = 4;  // of a block, at most
/// Rows of a block: few, while that leaves multiprocessors without one.
int tick_rows(Grid grid);
std::size_t tick_bytes(const TickTape& tape, int rows);
constexpr std::size_t kTickSharedBytes = 160 * 1024;  // sm_80 lets a block ask for 163 KiB
void tick(const TickTape& tape, Grid grid, cudaStream_t stream);

EMISOPT_BOTH constexpr int tick_line(int width) { return (width + 3) / 4 * 4; }
/// Scalars of TickTape.scores that an attention op needs.
inline int tick_scores(int heads, int head_dim, int keys) {
  return tick_line(heads * head_dim) + tick_line(heads * keys);
}

}  // namespace emisopt::kernels::cuda
