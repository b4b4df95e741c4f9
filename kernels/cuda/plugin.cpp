// What libemisopt_cuda.so shows: kernels/cuda_plugin.hpp.
#include <cuda_runtime_api.h>

#include <exception>
#include <string>

#include "emisopt/base/error.hpp"
#include "kernels/cuda/program.hpp"
#include "kernels/cuda_plugin.hpp"

namespace {

using namespace emisopt;
using namespace emisopt::kernels;

const char* refusal() {
  static const std::string why = [] {
    int count = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess) {
      cudaGetLastError();
      return std::string("the driver answers '") + cudaGetErrorString(error) +
             "'; nvidia-smi tells whether a GPU and a driver of CUDA 13 (580 or newer) are there";
    }
    return std::string(count > 0 ? "" : "no GPU is visible; see CUDA_VISIBLE_DEVICES");
  }();
  return why.empty() ? nullptr : why.c_str();
}

Program<float>* compile_for_cuda(const OpList& ops, const Shapes& shapes, const CompileOptions& options,
                                 void* context, void (*fail)(void*, bool, const char*)) {
  try {
    return cuda::compile(ops, shapes, options).release();
  } catch (const InputError& error) {
    fail(context, true, error.what());
  } catch (const std::exception& error) {
    fail(context, false, error.what());
  } catch (...) {
    fail(context, false, "compile for CUDA: an error of unknown kind");
  }
  return nullptr;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) const emisopt::kernels::CudaPlugin* emisopt_cuda_plugin() {
  static const CudaPlugin plugin{kCudaPluginAbi, EMISOPT_BACKEND_SOURCES, &refusal, &compile_for_cuda};
  return &plugin;
}
