// The CUDA body behind kernels/backend.hpp: a Plan as launches on one stream, captured into one graph.
#pragma once
#include <memory>

#include "emisopt/base/error.hpp"
#include "kernels/backend.hpp"

namespace emisopt::kernels::cuda {

/// The GPU is gone, out of memory, or refuses: the text says what it was asked for and what helps.
class DeviceError : public StateError {
 public:
  using StateError::StateError;
};

class BlasLt;

/// infer, vjp, jacobian, tangent and train in fp32, infer also in 8 bits. Buffers that the program shows are
/// pinned host memory; run() copies inputs to the device, works, copies results back and waits, all in one
/// graph. slots(): one, as a GPU sums a batch in an order of its own that does not depend on anything. Throws
/// InputError for a bad network (as kernels::compile) and for what only the CPU does (more keys than
/// attention_refusal allows), DeviceError for the GPU's own reasons. Products go to `library`, null:
/// BlasLt::instance(), as products.cpp says; it must outlive the program.
std::unique_ptr<Program<float>> compile(const OpList& ops, const Shapes& shapes,
                                        const CompileOptions& options, const BlasLt* library = nullptr);

}  // namespace emisopt::kernels::cuda
