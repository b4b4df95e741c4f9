// Private to the CUDA backend: errors, one block of device memory, one of pinned host memory.
#pragma once
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstring>
#include <string>

#include "emisopt/base/error.hpp"
#include "kernels/cuda/program.hpp"

namespace emisopt::kernels::cuda {

/// Throws DeviceError with what the GPU answers; a device that is gone for good is remembered.
void expect(cudaError_t error, const std::string& where);
/// The same of an allocation: how much was asked for, how much there is, and what helps.
void expect_memory(cudaError_t error, std::size_t bytes, bool device);
/// Why this process has lost its GPU; empty: it has not.
std::string lost_device();

/// A stream of the program's own; it waits for no other.
struct Stream {
  cudaStream_t value = nullptr;
  Stream() { expect(cudaStreamCreateWithFlags(&value, cudaStreamNonBlocking), "compile for CUDA"); }
  ~Stream() { cudaStreamDestroy(value); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  operator cudaStream_t() const { return value; }
};

/// What was captured from a stream, ready to run; null until then.
struct Graph {
  cudaGraphExec_t value = nullptr;
  Graph() = default;
  ~Graph() { forget(); }
  void forget() {
    if (value) cudaGraphExecDestroy(value);
    value = nullptr;
  }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
};

/// Measured in a first pass over a layout, handed out in a second (as kernels/arena.hpp).
class Block {
 public:
  enum class Where { device, pinned };
  explicit Block(Where where) : where_(where) {}
  ~Block() { release(); }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  template <class T>
  T* take(std::size_t count) {
    const std::size_t at = used_;
    used_ += (count * sizeof(T) + kAlign - 1) / kAlign * kAlign;
    return memory_ ? reinterpret_cast<T*>(static_cast<std::byte*>(memory_) + at) : nullptr;
  }
  /// Ends the measuring pass; all bytes are 0.
  void allocate() {
    bytes_ = used_ + kAlign;
    used_ = 0;
    if (where_ == Where::device) {
      expect_memory(cudaMalloc(&memory_, bytes_), bytes_, true);
      expect(cudaMemset(memory_, 0, bytes_), "compile for CUDA");
    } else {
      expect_memory(cudaMallocHost(&memory_, bytes_), bytes_, false);
      std::memset(memory_, 0, bytes_);
    }
  }
  void release() {
    if (memory_) where_ == Where::device ? cudaFree(memory_) : cudaFreeHost(memory_);
    memory_ = nullptr;
    used_ = bytes_ = 0;
  }
  std::size_t bytes() const { return bytes_; }

 private:
  static constexpr std::size_t kAlign = 256;  // what cudaMalloc gives; 16 bytes would do for float4
  Where where_;
  void* memory_ = nullptr;
  std::size_t used_ = 0, bytes_ = 0;
};

}  // namespace emisopt::kernels::cuda
