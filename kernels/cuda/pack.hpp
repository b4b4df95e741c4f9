// Private to the CUDA backend: weights in other forms, made anew at each load(), and the products in 8 bits
// that read them (kernels/ref/int8.hpp is the definition).
#pragma once
#include <cstdint>

#include "kernels/cuda/launch.hpp"

namespace emisopt::kernels::cuda {

// ---- pack.cu ------------------------------------------------------------------------------------------

/// to (count) = from, to the nearest bf16, ties to even.
void pack_bf16(__nv_bfloat16* to, const float* from, long count, cudaStream_t stream);
/// to (count) = from, exactly.
void unpack_bf16(float* to, const __nv_bfloat16* from, long count, cudaStream_t stream);
/// b (k, n) rounded per column: b ~ scale packed. A quad is four neighbours along k, the first in the lowest
/// byte; packed (quads_of(k), n), 0 beyond k; scale (n), NaN for a column that holds a NaN or an infinity.
void pack_int8(std::int32_t* packed, float* scale, const float* b, int k, int n, cudaStream_t stream);
EMISOPT_BOTH constexpr int quads_of(int k) { return (k + 3) / 4; }

// ---- gemm_int8.cu -------------------------------------------------------------------------------------

/// Rows of x (rows, k) rounded: x ~ scale q. q (grid.count(), quads_of(k)); scale (grid.count()), NaN for a
/// row that holds a NaN or an infinity.
void quantize(std::int32_t* q, float* scale, View<const float> x, Grid grid, int k, cudaStream_t stream);
/// c (rows, n) = (sum of q packed) row_scale column_scale + bias (n; null: none). Integer sums are exact, and
/// what follows is rounded as on the CPU: from the same x the same bits.
void gemm_int8(View<float> c, const std::int32_t* q, const float* row_scale, const std::int32_t* packed,
               const float* column_scale, const float* bias, Grid grid, int n, int k, cudaStream_t stream);

}  // namespace emisopt::kernels::cuda
