// A plugin of another build: right in form, wrong in what it says of itself.
#include "kernels/cuda_plugin.hpp"

#ifndef STRANGE_ABI
#define STRANGE_ABI emisopt::kernels::kCudaPluginAbi
#endif

extern "C" __attribute__((visibility("default"))) const emisopt::kernels::CudaPlugin* emisopt_cuda_plugin() {
  static const emisopt::kernels::CudaPlugin plugin{
      STRANGE_ABI, EMISOPT_BACKEND_SOURCES, [] { return "never asked"; }, nullptr, nullptr, nullptr};
  return &plugin;
}
