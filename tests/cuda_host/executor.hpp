// Runs CUDA kernels on the CPU, for tests: the dialect that a host compiler lacks. Each CUDA thread is a
// fiber that runs alone until its next barrier or warp operation, so nothing is warp-synchronous by accident.
// Types come from NVIDIA's own headers; the run-time API (cudaMalloc, ...) is defined in runtime.cpp.
//
// Stricter than the language on purpose: all threads of a block reach the same __syncthreads() (same line),
// none may have left; the lanes that a mask names arrive at the same operation with the same mask; a shuffle
// reads only lanes that take part. Whoever breaks a rule ends the launch with Failure; the next launch is
// unharmed.
#pragma once
#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <tuple>

namespace emisopt::cuda_host {

/// "KERNEL: what, block B thread T at ..." of a launch that broke a rule.
struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The order in which blocks, warps and lanes take turns.
enum class Order : std::uint8_t { ascending, descending, random };
struct Schedule {
  Order order = Order::ascending;
  std::uint64_t seed = 1;  // of random
};
void set_schedule(Schedule schedule);

struct Launch {
  const char* kernel;
  const void* function;
  dim3 grid, block;
  std::size_t shared_bytes;
};
/// Runs `body` once per thread. Throws Failure.
void launch(const Launch& what, const std::function<void()>& body);

/// Puts the work on the stream, or, where the stream is being captured, into the graph (streams.cpp).
void do_or_capture(cudaStream_t stream, std::function<void()> work);
/// The same for work that also waits until `ready` says true: for another process.
void do_when_ready(cudaStream_t stream, std::function<void()> work, std::function<bool()> ready);
/// Arguments are evaluated and converted once, as a GPU copies them once; each thread gets them by value.
template <class... P, class... A>
void launch_kernel(const char* name, void (*kernel)(P...), dim3 grid, dim3 block, std::size_t shared_bytes,
                   cudaStream_t stream, const A&... arguments) {
  const std::tuple<P...> copied(arguments...);
  const Launch what{name, reinterpret_cast<const void*>(kernel), grid, block, shared_bytes};
  do_or_capture(stream, [=] { launch(what, [&] { std::apply(kernel, copied); }); });
}

/// What has happened since the process began.
struct Counts {
  std::uint64_t launches = 0, threads = 0, switches = 0;
};
Counts counts();
struct RuntimeCounts {
  std::uint64_t graphs = 0, allocations = 0;  // graphs launched; of device and pinned memory
  std::uint64_t waits = 0;                    // of the host for streams, events or the device
};
RuntimeCounts& runtime_counts();
/// Whether loads and stores of kernels are watched (they were compiled with -fsanitize=thread).
bool is_checked();
/// The next cudaMalloc and all after it fail as if memory were exhausted, until called with false.
void exhaust_memory(bool exhausted);
/// What goes wrong from now on, as on a GPU: the plugin takes it from EMISOPT_CUDA_HOST_FAULT, e.g.
/// "launch=100" or "driver=12040".
struct Fault {
  int allocation = 0;  // this allocation on the device fails, counted from now on; 0: none
  int launch = 0;  // at this launch the device is lost: it and all later calls fail until the next inject()
  cudaError_t error = cudaErrorIllegalAddress;  // of that launch
  int driver = 13000;                           // what cudaDriverGetVersion says; 0: no driver
  int devices = 1;
  int capability = 90;
};
void inject(const Fault& fault);
/// Counts a launch; false when the device is lost, and nothing runs.
bool device_answers();

// ---- for the dialect below ----------------------------------------------------------------------------

[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));
void* dynamic_shared();
void block_barrier(int line);
/// Lanes of `mask` leave a payload; the last to arrive lets `combine` work on all of them.
using Combine = void (*)(void* const payload[32], std::uint32_t mask);
void warp_collective(const char* operation, std::uint32_t mask, void* payload, Combine combine, int line);
void mark_atomic(const void* address, std::size_t bytes);
int lane();

template <class T>
struct Shuffle {
  T in, out;
  int source;
  static void combine(void* const payload[32], std::uint32_t mask) {
    for (int i = 0; i < 32; ++i) {
      if (!(mask >> i & 1)) continue;
      auto* own = static_cast<Shuffle*>(payload[i]);
      if (own->source >= 0 && mask >> own->source & 1)
        own->out = static_cast<Shuffle*>(payload[own->source])->in;
      else
        own->source = -1;  // told by the lane itself: a combiner must not fail on another's behalf
    }
  }
};

template <class T>
T shuffle(const char* operation, std::uint32_t mask, T value, int source, int line) {
  Shuffle<T> own{value, value, source};
  warp_collective(operation, mask, &own, &Shuffle<T>::combine, line);
  if (own.source < 0) fail("%s at line %d reads lane %d, which takes no part", operation, line, source);
  return own.out;
}

inline void check_width(const char* operation, int width, int offset, int line) {
  if (width < 1 || width > 32 || (width & (width - 1)) || offset < 0 || offset >= 32)
    fail("%s at line %d: expected a width that is a power of two and an offset below 32, got %d and %d",
         operation, line, width, offset);
}

struct Ballot {
  bool in;
  std::uint32_t out;
  static void combine(void* const payload[32], std::uint32_t mask) {
    std::uint32_t votes = 0;
    for (int i = 0; i < 32; ++i)
      if (mask >> i & 1 && static_cast<Ballot*>(payload[i])->in) votes |= 1u << i;
    for (int i = 0; i < 32; ++i)
      if (mask >> i & 1) static_cast<Ballot*>(payload[i])->out = votes;
  }
};

}  // namespace emisopt::cuda_host

// ---- the language -------------------------------------------------------------------------------------

#undef __shared__
#define __shared__ static  // blocks run one after another
#undef __launch_bounds__
#define __launch_bounds__(...)

extern __thread uint3 threadIdx, blockIdx;
extern __thread dim3 blockDim, gridDim;

#define EMISOPT_LAUNCH(kernel, grid, block, shared_bytes, stream, ...)          \
  emisopt::cuda_host::launch_kernel(#kernel, kernel, grid, block, shared_bytes, \
                                    stream __VA_OPT__(, ) __VA_ARGS__)
#define EMISOPT_DYNAMIC_SHARED(type, name) \
  type* const name = static_cast<type*>(emisopt::cuda_host::dynamic_shared())

inline void __syncthreads(int line = __builtin_LINE()) { emisopt::cuda_host::block_barrier(line); }
void __syncwarp(unsigned mask = 0xffffffffu, int line = __builtin_LINE());

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, int line = __builtin_LINE()) {
  emisopt::cuda_host::check_width("__shfl_sync", width, 0, line);
  const int base = emisopt::cuda_host::lane() & ~(width - 1);
  return emisopt::cuda_host::shuffle("__shfl_sync", mask, value, base + (source & (width - 1)), line);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, int line = __builtin_LINE()) {
  emisopt::cuda_host::check_width("__shfl_xor_sync", width, bits, line);
  const int own = emisopt::cuda_host::lane(), source = own ^ bits;
  const int end = (own & ~(width - 1)) + width;
  return emisopt::cuda_host::shuffle("__shfl_xor_sync", mask, value, source < end ? source : own, line);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, int delta, int width = 32, int line = __builtin_LINE()) {
  emisopt::cuda_host::check_width("__shfl_down_sync", width, delta, line);
  const int own = emisopt::cuda_host::lane(), source = own + delta;
  const int end = (own & ~(width - 1)) + width;
  return emisopt::cuda_host::shuffle("__shfl_down_sync", mask, value, source < end ? source : own, line);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, int delta, int width = 32, int line = __builtin_LINE()) {
  emisopt::cuda_host::check_width("__shfl_up_sync", width, delta, line);
  const int own = emisopt::cuda_host::lane(), source = own - delta;
  return emisopt::cuda_host::shuffle("__shfl_up_sync", mask, value,
                                     source >= (own & ~(width - 1)) ? source : own, line);
}
inline unsigned __ballot_sync(unsigned mask, bool vote, int line = __builtin_LINE()) {
  emisopt::cuda_host::Ballot own{vote, 0};
  emisopt::cuda_host::warp_collective("__ballot_sync", mask, &own, &emisopt::cuda_host::Ballot::combine,
                                      line);
  return own.out;
}
template <class T>
__attribute__((noinline, no_sanitize("thread"))) T atomicAdd(T* address, T value) {
  emisopt::cuda_host::mark_atomic(address, sizeof(T));
  const T before = *address;
  *address = before + value;
  return before;
}
template <class T>
T __ldg(const T* address) {
  return *address;
}
// Rounded by themselves: an x86-64 compiler without -mfma has nothing to fuse them with.
inline float __fmul_rn(float x, float y) { return x * y; }
inline float __fadd_rn(float x, float y) { return x + y; }
/// sum + the four products of signed bytes
inline int __dp4a(int a, int b, int sum) {
  for (int i = 0; i < 4; ++i)
    sum += static_cast<std::int8_t>(a >> 8 * i & 0xff) * static_cast<std::int8_t>(b >> 8 * i & 0xff);
  return sum;
}
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline float __expf(float x) { return expf(x); }
inline float __fdividef(float x, float y) { return x / y; }
