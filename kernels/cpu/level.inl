// All of one level, in the order in which the parts need each other. Included inside the level's namespace,
// with kLevelName set. Everything but the table has internal linkage.

namespace {
// clang-format off: the order is the meaning
#include "kernels/cpu/vec.hpp"
#include "kernels/cpu/gemm.inl"
#include "kernels/cpu/int8.inl"
#include "kernels/cpu/attention.inl"
#include "kernels/cpu/norm.inl"
#include "kernels/cpu/pointwise.inl"
// clang-format on
}  // namespace

// Constant data: no constructor runs before main.
extern const KernelTable<float> kTable;
const KernelTable<float> kTable = {
    .name = kLevelName,
    .lanes = kLanes,
    .gemm = gemm,
    .panel = kPanel,
    .pack = pack,
    .gemm_packed = gemm_packed,
    .quantize = quantize,
    .pack_int8 = pack_int8,
    .gemm_int8 = gemm_int8,
    .gemm_over_rows = gemm_over_rows,
    .transpose = transpose,
    .column_sum = column_sum,
    .rmsnorm_forward = rmsnorm_forward,
    .rmsnorm_backward = rmsnorm_backward,
    .rmsnorm_tangent = rmsnorm_tangent,
    .rope = rope,
    .attention_forward = attention_forward,
    .attention_maps = attention_maps,
    .attention_backward = attention_backward,
    .attention_tangent = attention_tangent,
    .swiglu_forward = swiglu_forward,
    .swiglu_backward = swiglu_backward,
    .swiglu_slopes = swiglu_slopes,
    .swiglu_backward_by_slopes = swiglu_backward_by_slopes,
    .swiglu_tangent = swiglu_tangent,
    .add = add,
    .quantiles_forward = quantiles_forward,
    .quantiles_backward = quantiles_backward,
    .quantiles_tangent = quantiles_tangent,
    .adamw = adamw,
};
