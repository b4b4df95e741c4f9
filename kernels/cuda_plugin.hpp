// How the CUDA backend is reached: a shared object of its own, opened when first asked for, so that one build
// serves machines with and without a GPU. What crosses the border are the types of backend.hpp, so the plugin
// must come from the same sources: it names them, and another's is refused.
#pragma once
#include <cstdint>
#include <memory>

#include "kernels/backend.hpp"

namespace emisopt::kernels {

/// What the plugin exports under the name emisopt_cuda_plugin, with C linkage.
struct CudaPlugin {
  std::uint32_t abi;    // of this struct
  const char* sources;  // version and hash of backend.hpp
  /// Null when a GPU can be used, else why not.
  const char* (*refusal)();
  /// Null on error; then fail(context, bad input?, text) has been called once. Nothing is thrown.
  Program<float>* (*compile)(const OpList& ops, const Shapes& shapes, const CompileOptions& options,
                             void* context, void (*fail)(void* context, bool input, const char* text));
  /// The GPU as choices name it: a JSON object; null on error, then fail() has been called.
  const char* (*describe)(void* context, void (*fail)(void* context, bool input, const char* text));
  Group* (*join)(const GroupOptions& options, void* context,
                 void (*fail)(void* context, bool input, const char* text));
};
inline constexpr std::uint32_t kCudaPluginAbi = 3;

/// The GPU, as CudaPlugin.describe says. Throws StateError with cuda_refusal().
std::string cuda_description();

/// Throws StateError with cuda_refusal(), or what the plugin reports.
std::unique_ptr<Program<float>> compile_by_plugin(const OpList& ops, const Shapes& shapes,
                                                  const CompileOptions& options);

}  // namespace emisopt::kernels
