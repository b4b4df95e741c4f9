#include "kernels/ref/table.hpp"

#include "kernels/ref/attention.hpp"
#include "kernels/ref/gemm.hpp"
#include "kernels/ref/int8.hpp"
#include "kernels/ref/norm.hpp"
#include "kernels/ref/pointwise.hpp"
#include "kernels/ref/update.hpp"

namespace emisopt::kernels::ref {

template <class T>
const KernelTable<T>& table() {
  static constexpr KernelTable<T> kTable = {
      .name = "ref",
      .lanes = 1,
      .gemm = gemm<T>,
      .panel = kPanel,
      .pack = pack<T>,
      .gemm_packed = gemm_packed<T>,
      .quantize = quantize<T>,
      .pack_int8 = pack_int8<T>,
      .gemm_int8 = gemm_int8<T>,
      .gemm_over_rows = gemm_over_rows<T>,
      .transpose = transpose<T>,
      .column_sum = column_sum<T>,
      .rmsnorm_forward = rmsnorm_forward<T>,
      .rmsnorm_backward = rmsnorm_backward<T>,
      .rmsnorm_tangent = rmsnorm_tangent<T>,
      .rope = rope<T>,
      .attention_forward = attention_forward<T>,
      .attention_maps = attention_maps<T>,
      .attention_backward = attention_backward<T>,
      .attention_tangent = attention_tangent<T>,
      .swiglu_forward = swiglu_forward<T>,
      .swiglu_backward = swiglu_backward<T>,
      .swiglu_slopes = swiglu_slopes<T>,
      .swiglu_backward_by_slopes = swiglu_backward_by_slopes<T>,
      .swiglu_tangent = swiglu_tangent<T>,
      .add = add<T>,
      .quantiles_forward = quantiles_forward<T>,
      .quantiles_backward = quantiles_backward<T>,
      .quantiles_tangent = quantiles_tangent<T>,
      .adamw = adamw<T>,
  };
  return kTable;
}
template const KernelTable<float>& table<float>();
template const KernelTable<double>& table<double>();

}  // namespace emisopt::kernels::ref
