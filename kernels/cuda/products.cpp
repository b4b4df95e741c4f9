// CudaProgram: which products cuBLASLt does, and which our kernels.
#include "emisopt/base/os.hpp"
#include "kernels/cuda/body.hpp"

namespace emisopt::kernels::cuda {

bool measures_products() { return os::env("EMISOPT_CUDA_PRODUCTS").value_or("") == "measured"; }

std::size_t workspace_bytes() {
#ifdef EMISOPT_CUDA_ON_HOST
  return 64 << 10;  // the executor keeps 48 bytes of notes for each
#else
  return 32 << 20;  // what NVIDIA advises for sm_90
#endif
}

// With measurement, compile() goes through all products once, so that a capture, in which nothing can be
// timed, finds each choice made.
void CudaProgram::by_library_or(const BlasProduct& p, const BlasOperands& o,
                                const std::function<void()>& own) {
  if (!library_.refusal().empty()) {
    own();
    return;
  }
  const ProductRule rule{measures_, options_.deterministic, options_.choices};
  const BlasChoice choice = choose_product(library_, p, o, workspace_, rule, own, stream_, &os::monotonic_s);
  if (choice.own)
    own();
  else
    library_.run(p, o, choice, workspace_, stream_);
}

void CudaProgram::product(View<float> c, View<const float> a, const float* b, bool turned, const float* bias,
                          Grid g, int n, int k, bool accumulate) {
  const auto own = [&] { gemm(c, a, b, turned, bias, g, n, k, accumulate, stream_); };
  // Values lie window after window without gaps, so all rows are one matrix.
  by_library_or({.m = static_cast<int>(g.count()),
                 .n = n,
                 .k = k,
                 .turned_b = turned,
                 .bias = bias != nullptr,
                 .accumulate = accumulate},
                {c.data, a.data, b, bias}, own);
}

void CudaProgram::product_over_rows(float* c, View<const float> a, View<const float> b, Grid g, int k, int n,
                                    bool accumulate) {
  const auto own = [&] { gemm_over_rows(c, scratch_, a, b, g, k, n, accumulate, stream_); };
  by_library_or(
      {.m = k, .n = n, .k = static_cast<int>(g.count()), .turned_a = true, .accumulate = accumulate},
      {c, a.data, b.data, nullptr}, own);
}

}  // namespace emisopt::kernels::cuda
