// Private to the CUDA backend: sums over processes that have a GPU each, carried by NCCL, which is opened
// when first asked for. The order of each sum is ours, rank 0 first, whatever way NCCL finds between the
// GPUs.
#pragma once
#include <cuda_runtime_api.h>

#include <cstddef>
#include <memory>
#include <string>

#include "kernels/backend.hpp"
#include "kernels/cuda/memory.hpp"

namespace emisopt::kernels::cuda {

/// sum (width) = the rows of `rows` (count, width), from the first on.
template <class T>
void add_rows(T* sum, const T* rows, int count, long width, cudaStream_t stream);

struct NcclLibrary;

/// One process of a group. No call waits longer than `seconds` for the others; whoever waits in vain ends the
/// communicator, and every later call says so. Not for two threads at once.
class NcclGroup final : public Group {
 public:
  explicit NcclGroup(const GroupOptions& options);
  ~NcclGroup() override;
  NcclGroup(const NcclGroup&) = delete;
  NcclGroup& operator=(const NcclGroup&) = delete;

  int rank() const override { return options_.rank; }
  int size() const override { return options_.size; }
  void sum(float* x, std::size_t count) override { sum_host(x, count); }
  void sum(double* x, std::size_t count) override { sum_host(x, count); }

  /// Room for sums of so many bytes; allocates, so when a program is compiled.
  void reserve(std::size_t bytes);
  /// x (count), on the device, becomes its sum over the processes, behind what is on the stream. Each process
  /// gets one share from all others, adds it up and hands it to all: as much traffic as a ring, in our order.
  template <class T>
  void sum_on_device(T* x, std::size_t count, cudaStream_t stream);
  /// Waits for the stream, within the time limit.
  void wait(cudaStream_t stream);

 private:
  template <class T>
  void sum_host(T* x, std::size_t count);
  void check(int result, const char* what);
  void settle(const char* what);
  [[noreturn]] void give_up(const std::string& why);

  GroupOptions options_;
  const NcclLibrary* nccl_ = nullptr;
  void* comm_ = nullptr;
  std::string broken_;
  std::unique_ptr<Stream> stream_;  // of sums of the host's arrays
  void *scratch_ = nullptr, *staged_ = nullptr;
  std::size_t scratch_bytes_ = 0, staged_bytes_ = 0;
};

}  // namespace emisopt::kernels::cuda
