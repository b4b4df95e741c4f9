// Private to the CUDA backend: products by NVIDIA's cuBLASLt where it is installed. It is opened when first
// asked for (dlopen), never linked; the part of its C interface that is used is declared in blaslt.cpp. Where
// it is not, the kernels of gemm.cu and gemm_bf16.cu do the work.
#pragma once
#include <cuda_runtime_api.h>
#include <library_types.h>

#include <array>
#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace emisopt::kernels::cuda {

/// c (m, n) = or += a b + bias, rows side by side as everywhere in this library. a (m, k), or (k, m) when
/// turned; b (k, n), or (n, k) when turned; bias (n) in fp32. All types CUDA_R_32F or CUDA_R_16BF, a's and
/// b's alike; fp32 operands are multiplied in fp32 (no TF32). Sums are fp32.
struct BlasProduct {
  int m = 0, n = 0, k = 0;
  bool turned_a = false, turned_b = false, bias = false, accumulate = false;
  cudaDataType_t operands = CUDA_R_32F, result = CUDA_R_32F;
  auto operator<=>(const BlasProduct&) const = default;
};
struct BlasOperands {
  void* c = nullptr;
  const void* a = nullptr;
  const void* b = nullptr;
  const float* bias = nullptr;
};
struct Workspace {
  void* memory = nullptr;
  std::size_t bytes = 0;
};

/// An algorithm as cuBLASLt describes it; opaque, of fixed size.
using BlasAlgorithm = std::array<std::uint64_t, 8>;
/// What one product is done by: cuBLASLt's algorithm, or our own kernel.
struct BlasChoice {
  bool own = true;
  BlasAlgorithm algorithm{};
  std::size_t workspace = 0;
};

/// An opened library; kept until the process ends.
class BlasLt {
 public:
  /// EMISOPT_CUBLASLT; NVIDIA's wheels beside the folder that this code lies in; the system's. Major 13
  /// or 12.
  static const BlasLt& instance();
  /// One file. Never throws: refusal() says what is wrong with it.
  explicit BlasLt(const std::string& path);
  /// None: refusal() is never empty.
  BlasLt();
  BlasLt(const BlasLt&) = delete;
  BlasLt& operator=(const BlasLt&) = delete;

  /// Empty when the library can be used, else why not, in one line.
  const std::string& refusal() const { return refusal_; }
  /// "13.1.0 (/path)", for show_config().
  const std::string& version() const { return version_; }

  /// Whether cuBLASLt documents the combination: a bias is of the result's type, so none with bf16 results.
  static bool takes(const BlasProduct& p) { return !p.bias || p.result == CUDA_R_32F; }
  /// Algorithms that suit the product and the operands' boundaries, the one that cuBLASLt expects to be
  /// fastest first; none that sums in an order that may differ from run to run. Empty where it has none.
  std::vector<BlasChoice> candidates(const BlasProduct& p, const BlasOperands& o, std::size_t workspace,
                                     int count) const;
  /// Puts the product on the stream. Throws DeviceError.
  void run(const BlasProduct& p, const BlasOperands& o, const BlasChoice& choice, Workspace workspace,
           cudaStream_t stream) const;

 private:
  struct Api;
  std::unique_ptr<Api, void (*)(Api*)> api_;
  void* handle_ = nullptr;
  std::string refusal_, version_;
};

/// The boundary of 1..256 bytes on which each operand lies: b, a, c, d, as cuBLASLt asks for them.
std::array<std::uint32_t, 4> boundaries(const BlasOperands& o);

}  // namespace emisopt::kernels::cuda
