// Private to the engine: what one ISA level must be able to do. The interpreter (interpreter.hpp) knows ops,
// rows and memory; a table knows arithmetic. Plain types only: the SIMD objects include this file and must
// not carry a single inline function of the standard library (docs/engine.md, "One object per level").
#pragma once
#include <stdint.h>

namespace emisopt::kernels {

/// One window's rows of an attention op. The keys are `past` earlier rows, then the own `rows`; own row i
/// sees every past row and the own rows 0..i, which is what makes the network prefix-causal.
template <class T>
struct AttentionArgs {
  int heads, kv_heads, head_dim;  // query head h reads key head h / (heads / kv_heads)
  int head_begin, head_end;       // heads in hand
  int rows;                       // own rows
  int first;                      // own rows before it are keys only: y and dy start at this row
  int past;                       // 0 when the window starts here
  const T* x;                     // (rows, width): [q | k | v], width = (heads + 2 kv_heads) head_dim
  const T* past_x;                // (past, width): only its k and v columns are read
  const T* past_kt;               // (kv_heads head_dim, past_stride): keys, one row per channel
  const T* past_vt;               // (kv_heads head_dim, past_stride): values, likewise
  int past_stride;                // scalars
  T* p;                           // (heads, *, p_stride): probabilities, columns [past | own], 0 beyond row i
  long p_head;                    // scalars from one head of p to the next
  int p_stride;                   // scalars, >= past + rows
  bool keep_p;                    // whether p is asked for again; if not, it is the level's to use
  T* scratch;                     // attention_scratch(...) scalars
  // backward through maps (attention_maps): several gradients of this one window
  const T *y, *maps;          // y of row 0; (heads, *, head_dim, head_dim) of row 0, null: no maps
  bool maps_turned;           // attention_maps gives maps transposed: dq -> dy, for tangents
  long map_head;              // scalars from one head of maps to the next
  int windows;                // gradients dy, dx, else 1
  long dy_window, dx_window;  // scalars from one to the next
};

/// AdamW constants of one step, already combined (see AdamW in backend.hpp).
struct AdamWStep {
  float clip, l2sp, ewc;  // gradient factor; 2 lambda; fisher factor
  float beta1, beta2, eps;
  float step_size;   // rate / (1 - beta1^t)
  float root_scale;  // 1 / sqrt(1 - beta2^t)
  float shrink;      // rate * decay
};

/// Pointwise and row kernels; rows are contiguous. `accumulate`: add to the output instead of overwriting it.
template <class T>
struct KernelTable {
  const char* name;  // level whose instructions the object holds
  int lanes;         // scalars per vector, as compiled

  /// c (m, n) = a b + bias, or c += a b when accumulating (then bias is null).
  ///   a (m, k) at a[i * a_row + l * a_col]: any strides    b (k, n), c (m, n): rows contiguous, strides ldb,
  ///   ldc bias (n) or null. Each c[i][j] is one chain over l = 0..k-1, so a row's bits do not depend on m.
  void (*gemm)(T* c, long ldc, const T* a, long a_row, long a_col, const T* b, long ldb, const T* bias, int m,
               int n, int k, bool accumulate);
  /// Columns of a panel of a packed matrix.
  int panel;
  /// packed (ceil(n / panel), k, panel) = b (k, n; stride ldb); when `transposed`, of the transpose of b (n,
  /// k). Columns beyond n are 0.
  void (*pack)(T* packed, const T* b, long ldb, int k, int n, bool transposed);
  /// gemm() with rows of a contiguous (stride lda) and b packed; the same bits.
  void (*gemm_packed)(T* c, long ldc, const T* a, long lda, const T* packed, const T* bias, int m, int n,
                      int k, bool accumulate);
  /// int8. Rows of x (rows, k) rounded to bytes q (rows, round_up(k, 4)): x ~ scale (q - 128), |q - 128| <=
  /// 127, 128 beyond k. scale (rows). A row with a NaN or infinity gets the scale NaN.
  void (*quantize)(uint8_t* q, T* scale, const T* x, int rows, int k);
  /// b (k, n) rounded per column: b ~ scale packed. packed (ceil(n / panel), round_up(k, 4) / 4, panel, 4);
  /// scale and sum (of packed), (ceil(n / panel) panel); 0 beyond k and n. A column with a NaN or infinity:
  /// as above.
  void (*pack_int8)(int8_t* packed, T* scale, int32_t* sum, const T* b, int k, int n);
  /// c (m, n; contiguous) = (sum_l (q_il - 128) b_lj) row_scale_i column_scale_j + bias
  void (*gemm_int8)(T* c, const uint8_t* q, const T* row_scale, const int8_t* packed, const T* column_scale,
                    const int32_t* column_sum, const T* bias, int m, int n, int k);
  /// c (k, n) = or += a^T b, a weight's gradient:  a (m, k)  b (m, n)  all rows contiguous  scratch (m,
  /// panel)
  void (*gemm_over_rows)(T* c, const T* a, const T* b, int m, int k, int n, T* scratch, bool accumulate);
  /// b (cols, rows; stride ldb) = a (rows, cols; stride lda) transposed.
  void (*transpose)(T* b, long ldb, const T* a, long lda, int rows, int cols);
  /// sum (n) += column sums of x (rows, n): a bias gradient.
  void (*column_sum)(T* sum, const T* x, int rows, int n);

  /// y, x (rows, width)   rstd (rows): saved for backward   w (width)
  void (*rmsnorm_forward)(T* y, T* rstd, const T* x, const T* w, int rows, int width, T eps);
  /// dx (rows, width) accumulates or not; dw (width) always accumulates. Null: not wanted.
  void (*rmsnorm_backward)(T* dx, T* dw, const T* dy, const T* x, const T* rstd, const T* w, int rows,
                           int width, bool accumulate);
  /// dy (rows, width) of dx, all rows as above
  void (*rmsnorm_tangent)(T* dy, const T* dx, const T* x, const T* rstd, const T* w, int rows, int width);
  /// Rotates channel i of a head against channel i + head_dim/2 by the row's angle; `inverse` turns back,
  /// which is also the transpose needed by the backward pass. Channels beyond heads * head_dim pass
  /// unchanged.
  ///   y, x (rows, width)   cosine, sine (rows, head_dim / 2) of the rows' positions
  void (*rope)(T* y, const T* x, const T* cosine, const T* sine, int rows, int width, int heads, int head_dim,
               bool inverse, bool accumulate);
  /// y (rows - first, heads * head_dim); fills p of these rows if it is to be kept.
  void (*attention_forward)(const AttentionArgs<T>& args, T* y);
  /// The map dy -> dq of each row from `first` on: with p, k and v given it is linear, and one for all
  /// gradients that come: dq = dy M, M (head_dim, head_dim) = sum_j p_j (v_j - y)^T k_j / sqrt(head_dim).
  /// Needs p and args.y;  maps (heads, *, head_dim, head_dim) of row 0.
  void (*attention_maps)(const AttentionArgs<T>& args, T* maps);
  /// dy (rows - first, heads * head_dim) -> dx (rows, width) and dpast (past, width; null: not wanted), both
  /// accumulating; dpast gets k and v columns only. With args.maps: all windows, no dpast.
  void (*attention_backward)(const AttentionArgs<T>& args, const T* dy, T* dx, T* dpast);
  /// What changes dx of x change of y, maps (turned) given: dx of rows from `first` on (rows - first, width),
  /// of the rows before it 0; dy (rows - first, heads * head_dim) overwritten. All windows.
  ///   dy_i = M_i^T dq_i + sum over own j of p_ij ((q_i . dk_j) (v_j - y_i) / sqrt(head_dim) + dv_j)
  void (*attention_tangent)(const AttentionArgs<T>& args, const T* dx, T* dy);
  /// x (rows, 2 width): [gate | up]   y (rows, width)
  void (*swiglu_forward)(T* y, const T* x, int rows, int width);
  void (*swiglu_backward)(T* dx, const T* dy, const T* x, int rows, int width, bool accumulate);
  /// What swiglu_backward needs of x, once for many gradients: slopes (rows, 2 width) = [dy/dgate | dy/dup].
  void (*swiglu_slopes)(T* slopes, const T* x, int rows, int width);
  void (*swiglu_backward_by_slopes)(T* dx, const T* dy, const T* slopes, int rows, int width,
                                    bool accumulate);
  /// dy (rows, width) of dx (rows, 2 width), by swiglu_slopes
  void (*swiglu_tangent)(T* dy, const T* dx, const T* slopes, int rows, int width);
  /// y (n) = a + b; b null: y += a.
  void (*add)(T* y, const T* a, const T* b, long n);
  /// q, raw (rows, outputs * levels), level fastest
  void (*quantiles_forward)(T* q, const T* raw, int rows, int outputs, int levels, int middle);
  void (*quantiles_backward)(T* draw, const T* dq, const T* raw, int rows, int outputs, int levels,
                             int middle, bool accumulate);
  void (*quantiles_tangent)(T* dq, const T* draw, const T* raw, int rows, int outputs, int levels,
                            int middle);
  /// theta, m, v, gradient, mask, anchor, fisher (count); mask, anchor, fisher may be null.
  void (*adamw)(T* theta, T* m, T* v, const T* gradient, const T* mask, const T* anchor, const T* fisher,
                long count, const AdamWStep& step);
};

/// Scalars of a packed (k, n) matrix.
constexpr long packed_size(int k, int n, int panel) {
  return static_cast<long>((n + panel - 1) / panel) * k * panel;
}

/// Bytes of a row of k activations, and of a packed (k, n) matrix, in int8.
constexpr long int8_row(int k) { return (k + 3L) / 4 * 4; }
constexpr long int8_size(int k, int n, int panel) {
  return packed_size(static_cast<int>(int8_row(k)), n, panel);
}

/// Scalars of scratch that any level needs for attention over `rows` own and `past` earlier rows.
constexpr long attention_scratch(int head_dim, int rows, int past) {
  const long keys = past + rows + 64;  // vectors may round a row of scores up
  return 2L * head_dim * (rows + 64) + 2L * (rows + 16) * keys + head_dim * (keys + head_dim + 2L);
}

}  // namespace emisopt::kernels
