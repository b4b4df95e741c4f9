// The dense algebra of one level. Included inside the level's namespace, with kLevelName set.

namespace {
// clang-format off: the order is the meaning
#include "kernels/cpu/vec64.hpp"
#include "kernels/cpu/dense_tile.inl"
#include "kernels/cpu/dense_factor.inl"
#include "kernels/cpu/dense_vector.inl"
#include "kernels/cpu/dense_rank1.inl"
// clang-format on
}  // namespace

// Constant data: no constructor runs before main.
extern const DenseTable kDense;
const DenseTable kDense = {
    .name = kLevelName,
    .lanes = kLanes,
    .gemv = gemv,
    .gemv_transposed = gemv_transposed,
    .symv = symv,
    .gemm = gemm,
    .syrk_transposed = syrk_transposed,
    .syrk = syrk,
    .potrf = potrf,
    .entries = entries,
    .trsv = trsv,
    .trsv_transposed = trsv_transposed,
    .trsm = trsm,
    .trsm_transposed = trsm_transposed,
    .update = update,
    .turn = turn,
    .downdate = downdate,
};
