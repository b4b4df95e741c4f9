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
/// sums (parts + 1): the sums of losses (parts, windows) over the windows, in a fixed order, then *vote.
void window_sums(double* sums, const double* losses, int parts, int windows, const float* vote,
                 cudaStream_t stream);

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

  /// Scratch that sums of up to so many bytes need.
  std::size_t room(std::size_t bytes) const {
    return bytes + static_cast<std::size_t>(size()) * sizeof(double);  // shares are rounded up
  }
  /// x (count), on the device, becomes its sum over the processes, behind what is on the stream, or, where
  /// that is being captured, as part of the graph. Each process gets one share from all others, adds it up
  /// and hands it to all: as much traffic as a ring, in our order. All processes put the same sums in the
  /// same order; sums of one group must follow each other, on whatever streams. scratch: room() bytes, the
  /// caller's, so that a graph finds it where it was.
  template <class T>
  void sum_on_device(T* x, std::size_t count, void* scratch, cudaStream_t stream);
  /// Connects the processes before a graph is captured: then nothing is left that a capture forbids.
  void connect();
  /// Waits for the stream or the event, within the time limit.
  void wait(cudaStream_t stream);
  void wait(cudaEvent_t event);
  /// Throws DeviceError once the group has been given up: its graphs must not be launched any more.
  void expect_whole() const;

 private:
  template <class T>
  void sum_host(T* x, std::size_t count);
  template <class Query>
  void wait_until(Query query);
  void check(int result, const char* what);
  void settle(const char* what);
  [[noreturn]] void give_up(const std::string& why);

  GroupOptions options_;
  const NcclLibrary* nccl_ = nullptr;
  void* comm_ = nullptr;
  std::string broken_;
  std::unique_ptr<Stream> stream_;  // of sums of the host's arrays
  void* staged_ = nullptr;          // of sums of the host's arrays: the array, then the scratch
  std::size_t staged_bytes_ = 0;
  bool connected_ = false;
};

}  // namespace emisopt::kernels::cuda
