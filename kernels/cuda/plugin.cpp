// What libemisopt_cuda.so shows: kernels/cuda_plugin.hpp.
#include <cuda_runtime_api.h>

#include <exception>
#include <string>

#include "emisopt/base/error.hpp"
#include "kernels/cuda/collective.hpp"
#include "kernels/cuda/memory.hpp"
#include "kernels/cuda/product_choice.hpp"
#include "kernels/cuda/program.hpp"
#include "kernels/cuda_plugin.hpp"

namespace {

using namespace emisopt;
using namespace emisopt::kernels;

constexpr int kOldestCapability = 8;  // sm_80: kernels for older GPUs are not compiled

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

std::string why_no_driver(cudaError_t error) {
  int driver = 0, runtime = 0;
  cudaDriverGetVersion(&driver);  // 0: none is installed
  cudaRuntimeGetVersion(&runtime);
  if (error == cudaErrorInsufficientDriver && driver == 0)
    return "no NVIDIA driver is installed (libcuda.so.1); install one for CUDA " + version_text(runtime) +
           " (580 or newer) from NVIDIA or your system, pip cannot bring it";
  if (error == cudaErrorInsufficientDriver)
    return "the NVIDIA driver is too old: it serves CUDA " + version_text(driver) + ", this backend needs " +
           version_text(runtime) + "; install driver 580 or newer, pip cannot bring it";
  if (error == cudaErrorNoDevice)
    return "no GPU is visible to this process; see CUDA_VISIBLE_DEVICES and nvidia-smi";
  return std::string("the driver answers '") + cudaGetErrorString(error) +
         "'; nvidia-smi tells whether a GPU and a driver of CUDA 13 (580 or newer) are there";
}

std::string why_not() {
  if (std::string lost = cuda::lost_device(); !lost.empty()) return lost;
  int count = 0;
  if (const cudaError_t error = cudaGetDeviceCount(&count); error != cudaSuccess) {
    cudaGetLastError();
    return why_no_driver(error);
  }
  if (count == 0) return why_no_driver(cudaErrorNoDevice);
  int device = 0, major = 0, minor = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
  cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
  if (major < kOldestCapability)
    return "the GPU has compute capability " + std::to_string(major) + "." + std::to_string(minor) +
           ", this backend has kernels for 8.0 and newer";
  return "";
}

const char* refusal() {
  thread_local std::string why;
  why = why_not();
  return why.empty() ? nullptr : why.c_str();
}

using Fail = void (*)(void*, bool, const char*);

// Nothing is thrown across the border: what went wrong is told to `fail`, and null comes back.
template <class F>
auto told(const char* what, void* context, Fail fail, F make) -> decltype(make()) {
  try {
    return make();
  } catch (const InputError& error) {
    fail(context, true, error.what());
  } catch (const std::exception& error) {
    fail(context, false, error.what());
  } catch (...) {
    fail(context, false, (std::string(what) + ": an error of unknown kind").c_str());
  }
  return nullptr;
}

Program<float>* compile_for_cuda(const OpList& ops, const Shapes& shapes, const CompileOptions& options,
                                 void* context, Fail fail) {
  return told("compile for CUDA", context, fail,
              [&] { return cuda::compile(ops, shapes, options).release(); });
}

const char* describe(void* context, Fail fail) {
  thread_local std::string text;
  return told("device", context, fail, [&] {
    text = cuda::gpu_json();
    return text.c_str();
  });
}

Group* join(const GroupOptions& options, void* context, Fail fail) {
  return told("join_group", context, fail, [&]() -> Group* { return new cuda::NcclGroup(options); });
}

}  // namespace

/// Of CUDA, 1000 * major + 10 * minor, as driver (0: none) and run-time tell; for show_config(), by ctypes.
extern "C" __attribute__((visibility("default"))) void emisopt_cuda_versions(int* driver, int* runtime) {
  if (cudaDriverGetVersion(driver) != cudaSuccess) *driver = 0;
  if (cudaRuntimeGetVersion(runtime) != cudaSuccess) *runtime = 0;
}

extern "C" __attribute__((visibility("default"))) const emisopt::kernels::CudaPlugin* emisopt_cuda_plugin() {
  static const CudaPlugin plugin{
      kCudaPluginAbi, EMISOPT_BACKEND_SOURCES, &refusal, &compile_for_cuda, &describe, &join};
  return &plugin;
}
