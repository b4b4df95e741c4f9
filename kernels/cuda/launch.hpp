// Private to the CUDA backend: what each kernel computes, as host functions that put it on a stream. All
// pointers are the device's. Nothing here allocates, waits, or reads a result back. Definitions: kernels/ref.
#pragma once
#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <cstddef>
#include <type_traits>

#include "kernels/backend.hpp"

/// A function for host and device; host compilers see the one only.
#ifdef __CUDACC__
#define EMISOPT_BOTH __host__ __device__
#else
#define EMISOPT_BOTH
#endif

namespace emisopt::kernels::cuda {

/// Rows of a value in several windows: row r of window w begins at data + w * window + r * width, in scalars.
/// window = 0: one set of rows that all windows share.
template <class T>
struct View {
  T* data = nullptr;
  long window = 0;
  View() = default;
  EMISOPT_BOTH View(T* rows, long window_stride) : data(rows), window(window_stride) {}
  template <class U>
    requires std::is_same_v<const U, T>
  EMISOPT_BOTH View(View<U> other) : data(other.data), window(other.window) {}
};
/// How many rows a launch works on.
struct Grid {
  int windows = 1, rows = 0;
  EMISOPT_BOTH long count() const { return static_cast<long>(windows) * rows; }
};

// ---- norm.cu ------------------------------------------------------------------------------------------
// T: float or __nv_bfloat16; sums are float.

/// y = x rstd w; rstd (windows, rows) is kept for the backward pass, null: not.
template <class T>
void rmsnorm_forward(View<T> y, float* rstd, View<const T> x, const float* w, Grid grid, int width, float eps,
                     cudaStream_t stream);
/// dx = or += the gradient by x. partial (norm_partials(grid), width): each block's share of the gradient by
/// w, null: not wanted; add_partials() sums them.
template <class T>
void rmsnorm_backward(View<T> dx, float* partial, View<const T> dy, View<const T> x, const float* rstd,
                      const float* w, Grid grid, int width, bool accumulate, cudaStream_t stream);
int norm_partials(Grid grid);
/// sum (width) = or += the rows of partial (count, width), from the first on.
void add_partials(float* sum, const float* partial, int count, int width, bool accumulate,
                  cudaStream_t stream);
/// sum (n) = or += column sums of x (rows, n); partial: scratch (norm_partials(grid), n).
template <class T>
void column_sum(float* sum, float* partial, View<const T> x, Grid grid, int n, bool accumulate,
                cudaStream_t stream);
/// Channels (i, i + head_dim / 2) of the first `heads` heads turn by the angle of their row; cosine, sine
/// (rows, head_dim / 2). y may be x.
template <class T>
void rope(View<T> y, View<const T> x, const float* cosine, const float* sine, Grid grid, int width, int heads,
          int head_dim, bool inverse, bool accumulate, cudaStream_t stream);

// ---- pointwise.cu -------------------------------------------------------------------------------------

/// x (2 width): [gate | up] -> y (width) = silu(gate) up
template <class T>
void swiglu_forward(View<T> y, View<const T> x, Grid grid, int width, cudaStream_t stream);
template <class T>
void swiglu_backward(View<T> dx, View<const T> dy, View<const T> x, Grid grid, int width, bool accumulate,
                     cudaStream_t stream);
/// y = a + b; b.data null: y += a
template <class T>
void add(View<T> y, View<const T> a, View<const T> b, Grid grid, int width, cudaStream_t stream);
/// Median and cumulative softplus steps. q, raw (outputs * levels): float, they are what the user sees.
void quantiles_forward(View<float> q, View<const float> raw, Grid grid, int outputs, int levels, int middle,
                       cudaStream_t stream);
void quantiles_backward(View<float> draw, View<const float> dq, View<const float> raw, Grid grid, int outputs,
                        int levels, int middle, bool accumulate, cudaStream_t stream);

// ---- attention.cu -------------------------------------------------------------------------------------

/// One attention op over windows. Keys are `past` rows, then `rows` own ones; queries are own rows from
/// `first` on, each sees keys up to itself. x, past_x, dx: rows [q | k | v] of width (heads + 2 kv_heads)
/// head_dim.
template <class T>
struct Attention {
  int windows = 1, rows = 0, first = 0, past = 0;
  int heads = 1, kv_heads = 1, head_dim = 1;
  View<const T> x, past_x;
  EMISOPT_BOTH int width() const { return (heads + 2 * kv_heads) * head_dim; }
  EMISOPT_BOTH int keys() const { return past + rows; }
  EMISOPT_BOTH int queries() const { return rows - first; }
};
/// errors.cpp: bytes of shared memory that a block may ask for on the current GPU: 163 KiB on sm_80, 227 on
/// sm_90, 99 on sm_86 and sm_89. Throws StateError for the GPU's own reasons.
std::size_t block_shared_bytes();
/// Null where the shapes fit this GPU's kernels (keys <= 256, head_dim <= 128 and a multiple of 2); else why
/// not.
template <class T>
const char* attention_refusal(const Attention<T>& a);
/// y (queries, heads * head_dim); lse (windows, heads, queries): log of the sum of exp(score), for the
/// backward pass, null: not kept.
template <class T>
void attention_forward(View<T> y, float* lse, const Attention<T>& a, cudaStream_t stream);
/// dx (rows, width) += the gradients of queries, own keys and values; dpast (past, width) += those of the
/// past's keys and values, null: not wanted. `dots` (windows, heads, queries) is scratch. No atomics: the
/// bits do not depend on the order of blocks. With dpast, the past must be each window's own.
template <class T>
void attention_backward(View<T> dx, View<T> dpast, View<const T> dy, View<const T> y, const float* lse,
                        float* dots, const Attention<T>& a, cudaStream_t stream);

// ---- feedforward.cu -----------------------------------------------------------------------------------

/// y = swiglu(x [gate | up] + bias) down + bias, in one kernel: what lies between stays on chip, and is made
/// again in the backward pass. Sums in fp32; with bf16 activations the products are those of tensor cores,
/// and the weights are rounded as they are read. Biases may be null.
struct FeedForward {
  const float *gate_up = nullptr, *down = nullptr;            // (width, 2 inner)  (inner, width)
  const float *gate_up_bias = nullptr, *down_bias = nullptr;  // (2 inner)  (width)
  int width = 0, inner = 0;
};
constexpr int kMaxFeedForwardWidth = 256;
/// y (rows, width) of x (rows, width), and `other` (rows, width) added; null: nothing is.
template <class T>
void feedforward_forward(View<T> y, View<const T> x, View<const T> other, const FeedForward& f, Grid grid,
                         cudaStream_t stream);
/// dx = or += the gradient by x.
template <class T>
void feedforward_backward(View<T> dx, View<const T> dy, View<const T> x, const FeedForward& f, Grid grid,
                          bool accumulate, cudaStream_t stream);
/// The gradients by the weights, as in FeedForward, are added; null: not wanted. `partial`: scratch of
/// feedforward_partials(grid, width, inner) scalars. Shares of rows follow from the shapes alone, and are
/// added in order.
struct FeedForwardSlopes {
  float *gate_up = nullptr, *down = nullptr, *gate_up_bias = nullptr;
};
template <class T>
void feedforward_over_rows(const FeedForwardSlopes& to, float* partial, View<const T> dy, View<const T> x,
                           const FeedForward& f, Grid grid, cudaStream_t stream);
std::size_t feedforward_partials(Grid grid, int width, int inner);
/// Shared memory of a block in bytes: of the forward kernel, of the gradient by x, of those by the weights.
struct FeedForwardBytes {
  std::size_t forward = 0, backward = 0, over_rows = 0;
};
template <class T>
FeedForwardBytes feedforward_bytes(int width);

// ---- gemm.cu ------------------------------------------------------------------------------------------
// Plain fp32 products, where cuBLAS is not, or shall not be, and on the host.

/// c (rows, n) = or += a (rows, k) b + bias; b (k, n), or (n, k) when turned; bias (n) or null.
void gemm(View<float> c, View<const float> a, const float* b, bool turned, const float* bias, Grid grid,
          int n, int k, bool accumulate, cudaStream_t stream);
/// c (k, n) = or += a^T b over all rows of all windows: a (rows, k), b (rows, n). partial: scratch of
/// gemm_partials(grid, k, n) scalars. Summed in a fixed order.
void gemm_over_rows(float* c, float* partial, View<const float> a, View<const float> b, Grid grid, int k,
                    int n, bool accumulate, cudaStream_t stream);
std::size_t gemm_partials(Grid grid, int k, int n);

// ---- gemm_bf16.cu -------------------------------------------------------------------------------------
// The same products on tensor cores: operands float or __nv_bfloat16, fp32 ones rounded to bf16 as they are
// read; sums in fp32. Operands on boundaries of 16 bytes with widths that are multiples of 8 (fp32: 4) are
// read 16 bytes at a time; any other works.

/// As gemm(); c float or bf16 (+= then rounds anew).
template <class C, class A, class B>
void gemm_bf16(View<C> c, View<const A> a, const B* b, bool turned, const float* bias, Grid grid, int n,
               int k, bool accumulate, cudaStream_t stream);
/// As gemm_over_rows(); partial: scratch of gemm_bf16_partials(grid, k, n) scalars. The shares follow from
/// the shapes alone, and are added in order.
template <class A, class B>
void gemm_bf16_over_rows(float* c, float* partial, View<const A> a, View<const B> b, Grid grid, int k, int n,
                         bool accumulate, cudaStream_t stream);
std::size_t gemm_bf16_partials(Grid grid, int k, int n);

// ---- loss.cu ------------------------------------------------------------------------------------------

/// As ref::LossArgs; taus and level_weights lie on the device.
struct LossKernel {
  Loss kind = Loss::pinball;
  int outputs = 1, levels = 1, middle = 0;
  const float* taus = nullptr;
  double huber_delta = 1;
  const float* level_weights = nullptr;  // null: all alike
  double inverse_level_weight = 1;       // 1 / their sum; without weights 1 / levels
};
/// Sum of the positive ones of weight (count) to *sum, in a fixed order.
void positive_sum(double* sum, const float* weight, long count, cudaStream_t stream);
/// dq of each entry, and window_loss (windows), each window's share of the mean over all windows.
/// *weight_sum: positive_sum of the whole batch. q, dq (rows, outputs * levels)  target, weight (rows,
/// outputs).
void label_loss(float* dq, double* window_loss, const float* q, const float* target, const float* weight,
                const double* weight_sum, Grid grid, const LossKernel& loss, cudaStream_t stream);
/// dx += coefficient times the gradient of the mean squared distance; one weight for `width` entries side by
/// side. x, target, dx (rows, width)  weight (rows).  Mean over weight_sum * width.
void squared_distance(float* dx, double* window_loss, const float* x, const float* target,
                      const float* weight, const double* weight_sum, Grid grid, int width, double coefficient,
                      cudaStream_t stream);

/// Mean over `scales` s of the squared error averaged over blocks of s rows (ref::pooled), of `columns`
/// columns of x and target; its gradient times `coefficient` is added to dx. Column c of a row lies at
/// x_first + c * x_step of its x_width scalars.
struct Pooled {
  const int* scales = nullptr;  // on the device
  int scale_count = 0;
  int columns = 1, x_width = 1, x_first = 0, x_step = 1;
};
void pooled_distance(float* dx, double* window_loss, const float* x, const float* target, const float* weight,
                     const double* weight_sum, Grid grid, const Pooled& pooled, double coefficient,
                     cudaStream_t stream);

// ---- update.cu ----------------------------------------------------------------------------------------

/// Sum of squares of x (count) to *sum, in double and a fixed order; partial: scratch (norm_blocks(count)).
void squared_norm(double* sum, double* partial, const float* x, long count, cudaStream_t stream);
int norm_blocks(long count);
/// What a step came to, on the device: nobody has to look at it in between. `stopped` is set by the first
/// step that is not finite, and never cleared by one.
struct StepVerdict {
  double loss, norm, parts[5];
  double votes;  // of a group's processes
  float clip;    // the gradient is multiplied by this
  int stopped;
};
/// Coefficients of the loss's parts, as they lie in `losses` (kParts, windows).
struct LossWeights {
  static constexpr int kParts = 5;
  double of[kParts];
};
void verdict(StepVerdict* verdict, const double* losses, int windows, const LossWeights& weights,
             const double* norm2, double clip, cudaStream_t stream, const double* votes = nullptr);

/// The numbers of one step; on the device, as they change from step to step while the graph stays.
struct UpdateStep {
  float l2sp, ewc, beta1, beta2, eps, step_size, root_scale, shrink;  // as kernels/table.hpp, AdamWStep
  float keep;  // of the average; below 0: shadow gets the weights as they were
  float vote;  // with processes in a group: this one's, to end
};
UpdateStep update_step(const AdamW& options, float keep);
struct UpdateArrays {  // (count) each; null: mask 1, no pull, all move, no copy, no shadow
  float *theta, *m, *v;
  const float *gradient, *mask, *anchor, *fisher;
  const unsigned char* moves;  // 0: this weight stays bitwise as it is
  float *working, *shadow;     // working: what the next forward pass reads
};
/// The one pass of AdamW, L2-SP and EWC of backend.hpp, and the average; nothing when the verdict says
/// stopped.
void update(const UpdateArrays& arrays, std::size_t count, const UpdateStep* step, const StepVerdict* verdict,
            cudaStream_t stream);

}  // namespace emisopt::kernels::cuda
