// Stand-ins for the part of the CUDA run-time API that the backend calls: memory with guard zones and poison,
// copies, errors. Streams, events and graphs: streams.cpp.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>

#include "cuda_host/executor.hpp"
#include "cuda_host/state.hpp"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace emisopt::cuda_host {
namespace {

constexpr std::size_t kStaticShared = 48 * 1024;

bool exhausted = false;
cudaError_t last_error = cudaSuccess;
std::map<const void*, std::size_t> limits;

// From the environment for tests of the plugin, which know no more of it than its file.
Fault fault_from_environment() {
  Fault f;
  const char* text = std::getenv("EMISOPT_CUDA_HOST_FAULT");
  const auto number = [&](const char* name, int otherwise) {
    const char* found = text ? std::strstr(text, name) : nullptr;
    return found ? std::atoi(found + std::strlen(name)) : otherwise;
  };
  f.allocation = number("allocation=", f.allocation);
  f.launch = number("launch=", f.launch);
  f.error = static_cast<cudaError_t>(number("error=", f.error));
  f.driver = number("driver=", f.driver);
  f.devices = number("devices=", f.devices);
  f.capability = number("capability=", f.capability);
  return f;
}
Fault fault = fault_from_environment();
cudaError_t lost = cudaSuccess;  // sticky: what every call answers once the device is gone

// What a block may ask for (CUDA C++ Programming Guide, table of compute capabilities).
std::size_t max_shared() {
  return (fault.capability >= 90 ? 227 : fault.capability == 80 ? 163 : 99) * 1024ul;
}

std::size_t rounded(std::size_t bytes) { return (bytes + kGuard - 1) / kGuard * kGuard; }

// Freeing waits for the device; called by destructors, so what goes wrong is an error, not a Failure.
cudaError_t end_all_work() {
  try {
    wait_for_everything();
  } catch (const Failure&) {
    return remember(cudaErrorLaunchFailure);
  }
  return cudaSuccess;
}

std::vector<std::unique_ptr<Region>>::iterator find(const void* address) {
  auto& all = state().global;
  return std::find_if(all.begin(), all.end(), [&](const auto& r) { return r->begin == address; });
}

}  // namespace

void exhaust_memory(bool now) { exhausted = now; }
void inject(const Fault& next) {
  fault = next;
  lost = last_error = cudaSuccess;
}
bool device_answers() {
  if (fault.launch > 0 && --fault.launch == 0) lost = fault.error;
  return lost == cudaSuccess;
}

cudaError_t lost_device() { return lost; }
cudaError_t remember(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}
RuntimeCounts& runtime_counts() {
  static RuntimeCounts the;
  return the;
}

std::size_t shared_limit(const void* function) {
  const auto found = limits.find(function);
  return found == limits.end() ? kStaticShared : found->second;
}

char* allocate_guarded(std::size_t bytes) {
  void* memory = std::aligned_alloc(kGuard, rounded(bytes) + 2 * kGuard);
  if (!memory) return nullptr;
  auto* begin = static_cast<char*>(memory) + kGuard;
  std::memset(memory, kGuardByte, kGuard);
  std::memset(begin, kPoison, bytes);
  std::memset(begin + bytes, kGuardByte, rounded(bytes) - bytes + kGuard);
#if defined(__SANITIZE_ADDRESS__)
  __asan_poison_memory_region(memory, kGuard);
  __asan_poison_memory_region(begin + bytes, rounded(bytes) - bytes + kGuard);
#endif
  return begin;
}

void free_guarded(char* begin, std::size_t bytes) {
  if (!begin) return;
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(begin - kGuard, rounded(bytes) + 2 * kGuard);
#endif
  std::memset(begin, kPoison, bytes);  // who still reads it shall notice
  std::free(begin - kGuard);
}

bool guards_intact([[maybe_unused]] const char* begin, [[maybe_unused]] std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  return true;  // the sanitizer watches them
#else
  const auto is_guard = [](char c) { return static_cast<unsigned char>(c) == kGuardByte; };
  const char* end = begin + rounded(bytes) + kGuard;
  return std::all_of(begin - kGuard, begin, is_guard) && std::all_of(begin + bytes, end, is_guard);
#endif
}

void check_guards() {
  for (const auto& region : state().global)
    if (!guards_intact(region->begin, region->bytes))
      throw Failure(std::string(state().kernel ? state().kernel : "launch") +
                    ": writes beyond an allocation of " + std::to_string(region->bytes) + " bytes");
}

}  // namespace emisopt::cuda_host

using namespace emisopt::cuda_host;

extern "C" {

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  if (lost) return lost;
  if (is_capturing()) return remember(cudaErrorStreamCaptureUnsupported);
  ++runtime_counts().allocations;
  const bool fails = fault.allocation > 0 && --fault.allocation == 0;
  *memory = exhausted || fails ? nullptr : allocate_guarded(bytes);
  if (!*memory) return remember(cudaErrorMemoryAllocation);
  auto region = std::make_unique<Region>();
  region->begin = static_cast<const char*>(*memory);
  region->bytes = bytes;
  region->name = "global memory";
  if (state().checked) region->cells.resize(bytes);
  auto& all = state().global;
  const auto at =
      std::find_if(all.begin(), all.end(), [&](const auto& r) { return r->begin > region->begin; });
  all.insert(at, std::move(region));
  return cudaSuccess;
}

cudaError_t cudaFree(void* memory) {
  if (!memory) return cudaSuccess;
  const cudaError_t ended = end_all_work();
  const auto found = find(memory);
  if (found == state().global.end()) return remember(cudaErrorInvalidValue);
  free_guarded(static_cast<char*>(memory), (*found)->bytes);
  state().global.erase(found);
  return ended;
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* of, const void* address) {
  const auto& all = state().global;
  const bool ours = std::any_of(all.begin(), all.end(), [&](const auto& r) { return r->contains(address); });
  *of = {};
  of->type = ours ? cudaMemoryTypeDevice : cudaMemoryTypeUnregistered;
  of->device = ours ? 0 : -1;
  return lost;
}

cudaError_t cudaDriverGetVersion(int* version) {
  *version = fault.driver;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int* count) {
  *count = 0;
  if (fault.driver / 1000 < CUDART_VERSION / 1000) return remember(cudaErrorInsufficientDriver);
  if (fault.devices == 0) return remember(cudaErrorNoDevice);
  if (lost) return lost;
  *count = fault.devices;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  return device >= 0 && device < fault.devices ? cudaSuccess : remember(cudaErrorInvalidDevice);
}
cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* gpu, int device) {
  if (device < 0 || device >= fault.devices) return remember(cudaErrorInvalidDevice);
  *gpu = {};
  std::strncpy(gpu->name, "emisopt's executor", sizeof gpu->name - 1);
  gpu->major = fault.capability / 10, gpu->minor = fault.capability % 10;
  return lost;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr what, int device) {
  if (device < 0 || device >= fault.devices) return remember(cudaErrorInvalidDevice);
  if (what == cudaDevAttrComputeCapabilityMajor)
    *value = fault.capability / 10;
  else if (what == cudaDevAttrComputeCapabilityMinor)
    *value = fault.capability % 10;
  else if (what == cudaDevAttrMaxSharedMemoryPerBlockOptin)
    *value = static_cast<int>(max_shared());
  else
    return remember(cudaErrorInvalidValue);
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  if (lost) return lost;
  *free = 5u << 20, *total = 7u << 20;
  return cudaSuccess;
}

cudaError_t cudaMallocHost(void** memory, std::size_t bytes) {
  if (lost) return lost;
  if (is_capturing()) return remember(cudaErrorStreamCaptureUnsupported);
  ++runtime_counts().allocations;
  *memory = exhausted ? nullptr : std::aligned_alloc(kGuard, rounded(bytes));
  return *memory ? cudaSuccess : remember(cudaErrorMemoryAllocation);
}
cudaError_t cudaFreeHost(void* memory) {
  const cudaError_t ended = memory ? end_all_work() : cudaSuccess;
  std::free(memory);
  return ended;
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind) {
  if (lost) return lost;
  if (bytes) std::memmove(to, from, bytes);
  mark_written(to, bytes);
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  if (lost) return lost;
  if (!stream) return cudaMemcpy(to, from, bytes, kind);
  do_or_capture(stream, [=] {
    if (lost) return;
    check_copy(from, bytes, false);
    if (bytes) std::memmove(to, from, bytes);
    check_copy(to, bytes, true);
  });
  return cudaSuccess;
}
cudaError_t cudaMemset(void* memory, int value, std::size_t bytes) {
  if (lost) return lost;
  if (bytes) std::memset(memory, value, bytes);
  mark_written(memory, bytes);
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes, cudaStream_t stream) {
  if (lost) return lost;
  if (!stream) return cudaMemset(memory, value, bytes);
  do_or_capture(stream, [=] {
    if (lost) return;
    if (bytes) std::memset(memory, value, bytes);
    check_copy(memory, bytes, true);
  });
  return cudaSuccess;
}

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
  if (value < 0 || static_cast<std::size_t>(value) > max_shared()) return remember(cudaErrorInvalidValue);
  limits[function] = std::max(kStaticShared, static_cast<std::size_t>(value));
  return cudaSuccess;
}

cudaError_t cudaPeekAtLastError() { return lost ? lost : last_error; }
cudaError_t cudaGetLastError() {
  const cudaError_t error = last_error;
  last_error = cudaSuccess;
  return lost ? lost : error;
}
const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorLaunchFailure:
      return "unspecified launch failure";
    case cudaErrorIllegalAddress:
      return "an illegal memory access was encountered";
    case cudaErrorECCUncorrectable:
      return "uncorrectable ECC error encountered";
    case cudaErrorInsufficientDriver:
      return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorNoDevice:
      return "no CUDA-capable device is detected";
    default:
      return "invalid argument";
  }
}
const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorIllegalAddress:
      return "cudaErrorIllegalAddress";
    case cudaErrorECCUncorrectable:
      return "cudaErrorECCUncorrectable";
    default:
      return "cudaErrorInvalidValue";
  }
}

}  // extern "C"
