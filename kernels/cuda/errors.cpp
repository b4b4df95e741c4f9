// What the GPU's answers mean to the user: memory, and a device that is gone for this process.
#include <cuda_runtime_api.h>

#include <mutex>
#include <string>

#include "kernels/cuda/memory.hpp"

namespace emisopt::kernels::cuda {
namespace {

std::mutex lost_lock;
std::string lost_text;  // never emptied: a CUDA context that has failed so answers nothing else

// After these the run-time answers every call of the process with the same error (CUDA Runtime API,
// cudaError).
bool ends_the_context(cudaError_t error) {
  switch (error) {
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorContextIsDestroyed:
    case cudaErrorDevicesUnavailable:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::string lost_device() {
  const std::lock_guard<std::mutex> lock(lost_lock);
  return lost_text;
}

void expect(cudaError_t error, const std::string& where) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // a failed allocation must not be reported a second time
  const std::string answer =
      std::string("'") + cudaGetErrorString(error) + "' (" + cudaGetErrorName(error) + ")";
  if (!ends_the_context(error)) throw DeviceError(where + ": the GPU answers " + answer);
  std::string text = "the GPU was lost, it answers " + answer +
                     "; this process cannot use it again: start a new one, a training goes on there with "
                     "resume=, from the state written last";
  {
    const std::lock_guard<std::mutex> lock(lost_lock);
    if (lost_text.empty()) lost_text = text;
  }
  throw DeviceError(where + ": " + text);
}

void expect_memory(cudaError_t error, std::size_t bytes, bool device) {
  if (error == cudaSuccess) return;
  const std::string where = "compile for CUDA";
  if (error != cudaErrorMemoryAllocation) expect(error, where);
  cudaGetLastError();
  if (!device)
    throw DeviceError(where + ": out of memory (pinned, of the host), asked for " + std::to_string(bytes) +
                      " bytes; a smaller batch needs less");
  std::size_t free = 0, total = 0;
  const bool known = cudaMemGetInfo(&free, &total) == cudaSuccess;
  cudaGetLastError();
  throw DeviceError(where + ": out of memory on the GPU, asked for " + std::to_string(bytes) + " bytes" +
                    (known ? ", free are " + std::to_string(free) + " of " + std::to_string(total) : "") +
                    "; a smaller batch needs less");
}

std::size_t block_shared_bytes() {
  int device = 0, bytes = 0;
  expect(cudaGetDevice(&device), "compile for CUDA");
  expect(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device), "compile for CUDA");
  return static_cast<std::size_t>(bytes);
}

}  // namespace emisopt::kernels::cuda
