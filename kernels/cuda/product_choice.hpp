// Private to the CUDA backend: who does a product, cuBLASLt and by which algorithm, or our own kernel.
#pragma once
#include <functional>
#include <string>

#include "kernels/backend.hpp"
#include "kernels/cuda/blaslt.hpp"

namespace emisopt::kernels::cuda {

/// EMISOPT_CUDA_PRODUCTS: "measured" - compile() times the candidates; "own" - our kernels only; else, also
/// when it is not set, cuBLASLt's own first without a measurement, so that the bits are the same in every
/// process.
bool measures_products();
std::size_t workspace_bytes();  // that a program sets aside

struct ProductRule {
  bool measures = false;       // where no choice is stored
  bool deterministic = false;  // nothing is measured: `measures` without a stored choice is an error
  Choices* choices = nullptr;  // stored, and where a new one goes
};

/// A stored choice of this product, its boundaries and workspace, on this GPU, driver and library; else,
/// where the rule measures, the quickest of some candidates and `own` (our kernel, on `stream`), which is
/// stored; else cuBLASLt's own first, or ours where it has none. A stored algorithm counts only if cuBLASLt
/// itself proposes it, to the bit: what came from a file is never handed to it otherwise. Measuring writes to
/// c: for compile(), before anything is loaded. now: seconds. Throws StateError with what helps when the rule
/// is deterministic and a choice that it needs is missing or not proposed any more.
BlasChoice choose_product(const BlasLt& library, const BlasProduct& p, const BlasOperands& o,
                          Workspace workspace, const ProductRule& rule, const std::function<void()>& own,
                          cudaStream_t stream, double (*now)());

/// The GPU as choices name it, a JSON object: name, compute capability, driver.
std::string gpu_json();

}  // namespace emisopt::kernels::cuda
