// Private to the CUDA backend: many gradients, or many tangents, of one window at once (Mode::jacobian,
// Mode::tangent). A gradient of step t has rows 0 .. t, a tangent that begins at step s has rows s .. end;
// they are packed one after the other, so that a product takes all of them as one matrix. What the nodes are
// linearised at, the activations, is there once.
#pragma once
#include <vector>

#include "kernels/cuda/launch.hpp"
#include "kernels/plan.hpp"

namespace emisopt::kernels::cuda {

// ---- kernels (many.cu, many_attention.cu) ---------------------------------------------------------------

/// Packed rows: row r belongs to row step[r] of the activations.
struct PackedRows {
  const int* step = nullptr;  // (count), on the device
  int count = 0;
};

// All of these in fp32; "= or +=" by `accumulate`.

/// RMSNorm. Backward: dx = or += from dy. Tangent: dy from dx, the transpose.  x (steps, width)  rstd (steps)
void rmsnorm_many(float* to, const float* from, const float* x, const float* rstd, const float* w,
                  PackedRows rows, int width, bool tangent, bool accumulate, cudaStream_t stream);
/// Turns by each row's angle, or back. cosine, sine (steps, head_dim / 2)
void rope_many(float* to, const float* from, const float* cosine, const float* sine, PackedRows rows,
               int width, int heads, int head_dim, bool inverse, bool accumulate, cudaStream_t stream);
/// x (steps, 2 width): [gate | up]; dx (rows, 2 width), dy (rows, width)
void swiglu_backward_many(float* dx, const float* dy, const float* x, PackedRows rows, int width,
                          bool accumulate, cudaStream_t stream);
void swiglu_tangent_many(float* dy, const float* dx, const float* x, PackedRows rows, int width,
                         cudaStream_t stream);
/// raw (steps, outputs * levels)
void quantiles_backward_many(float* draw, const float* dq, const float* raw, PackedRows rows, int outputs,
                             int levels, int middle, bool accumulate, cudaStream_t stream);
void quantiles_tangent_many(float* dq, const float* draw, const float* raw, PackedRows rows, int outputs,
                            int levels, int middle, cudaStream_t stream);

/// to (count, width) = 0, but 1 in column hot[r] of row r
void seed_rows(float* to, const int* hot, int count, int width, cudaStream_t stream);
/// to (count, width) = the rows source[r] of `from`; 0 where that is -1
void take_rows(float* to, const float* from, const int* source, int count, int width, cudaStream_t stream);
/// rows target[r] of `to` = or += from (count, width); no target twice
void put_rows(float* to, const float* from, const int* target, int count, int width, bool accumulate,
              cudaStream_t stream);

/// Attention linearised at one window, by head h and own row i, over the keys that the row sees:
///   maps (heads, rows, head_dim, head_dim): M = sum_j p_j (v_j - y)^T k_j / sqrt(head_dim), so that
///     dq = dy M; turned: its transpose, so that a change dq of q makes dq M of y
///   p (heads, rows, rows): the probabilities of own keys 0 .. i; what lies beyond is not written
/// y (rows, heads * head_dim), lse (heads, rows) of the forward pass. The past is visited here alone, and
/// once for all gradients.
struct Linearised {
  const float *maps = nullptr, *p = nullptr, *y = nullptr;
};
void attention_maps(float* maps, float* p, const float* y, const float* lse, const Attention<float>& a,
                    bool turned, cudaStream_t stream);

/// Rows by the step that they belong to: from[i] and to[i] for i in begin[s] .. begin[s + 1] - 1.
struct RowsByStep {
  const int *begin = nullptr, *from = nullptr, *to = nullptr;  // (steps + 1), (begin[steps]), on the device
  int longest = 0;                                             // list of a step
};
/// Row to[i] of `to` = or += row from[i] of `from`, head by head times the step's map. Rows of `to` and
/// `from` are to_width and from_width long and begin with the heads.
void map_rows(float* to, int to_width, const float* from, int from_width, const float* maps, RowsByStep list,
              int steps, int heads, int head_dim, bool accumulate, cudaStream_t stream);

/// Windows of packed rows: window w has rows offset[w] .. offset[w + 1] - 1, the last steps up to
/// last[w] or, of tangents, from there to the end.
struct PackedWindows {
  const int *offset = nullptr, *last = nullptr;  // (count + 1), (count), on the device
  int count = 0;
};
/// dx (rows, width) += the gradients of own keys and values. dy (rows, heads * head_dim); single: one row per
/// window, that of its last step.
void pairs_backward(float* dx, const float* dy, bool single, const Linearised& at, const Attention<float>& a,
                    PackedWindows windows, cudaStream_t stream);
/// dy (rows, heads * head_dim) += what changes dx (rows, width) of own keys and values make of y; a window's
/// rows end with the last step.
void pairs_tangent(float* dy, const float* dx, const Linearised& at, const Attention<float>& a,
                   PackedWindows windows, cudaStream_t stream);

// ---- what is packed where (many_plan.cpp) ---------------------------------------------------------------

/// Windows that go through the network together. Members but the first two and the longest lists: where in
/// ManyPlan.indices an array begins.
struct ManyChunk {
  int windows = 0, rows = 0;
  std::size_t step = 0;                       // (rows): of the activations
  std::size_t offset = 0, last = 0;           // PackedWindows; last is also the step of single rows
  std::size_t end = 0;                        // (windows): packed row of the last step
  std::size_t hot = 0;                        // jacobian (windows): seeded column
  std::size_t source = 0;                     // tangent (rows): row of direction(), -1: does not move
  std::size_t target = 0, single_target = 0;  // (rows), (windows): row of jacobian() or tangent()
  std::size_t begin = 0, list = 0;            // RowsByStep, from and to alike
  std::size_t single_begin = 0, single_from = 0, single_to = 0;
  int longest = 0, single_longest = 0;
};

struct ManyPlan {
  std::vector<ManyChunk> chunks;
  std::vector<int> indices;            // to be copied to the device
  std::vector<int> slot;               // by value id: which buffer holds its gradient or tangent; -1: none
  std::vector<std::size_t> slot_size;  // scalars, enough for any chunk; one serves value after value
  std::size_t spread = 0;  // scalars of a buffer beside them: single rows on their way to packed ones
};
/// Of a plan of mode jacobian or tangent. A chunk takes windows while they have `rows_in_hand` rows at most.
ManyPlan make_many_plan(const Plan& plan, const std::vector<Seed>& seeds, int rows_in_hand);

}  // namespace emisopt::kernels::cuda
