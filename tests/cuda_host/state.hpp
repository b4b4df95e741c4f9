// Private to the executor: what scheduler, run-time stand-ins and checker share.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cuda_host/executor.hpp"

namespace emisopt::cuda_host {

constexpr int kWarp = 32, kMaxThreads = 1024;

/// One load or store: when, and by whom. Epochs count barriers of the process, so 0 is "never".
struct Mark {
  std::uint32_t epoch = 0;
  std::uint32_t by = 0;    // block * 1024 + thread
  std::uint32_t warp = 0;  // the warp's own count of __syncwarp
  bool atomic = false;
};
struct Cell {  // of one byte
  Mark write, read[2];
};
/// Memory that kernels may touch, with a cell per byte where loads and stores are watched.
struct Region {
  const char* begin = nullptr;
  std::size_t bytes = 0;
  bool shared = false;
  std::string name;
  std::vector<Cell> cells;
  bool contains(const void* address) const {
    const auto* at = static_cast<const char*>(address);
    return at >= begin && at < begin + bytes;
  }
};

struct State {
  const char* kernel = nullptr;  // of the launch that runs, else null
  int thread = 0;                // that runs
  std::uint32_t block = 0;
  std::uint32_t epoch = 1;         // of the block: one more at each barrier
  std::uint32_t launch_epoch = 1;  // when the launch began
  std::uint32_t block_epoch = 1;   // when the block began
  std::uint32_t warp_epoch[kMaxThreads / kWarp] = {};
  bool checked = false;
  Region dynamic_shared, static_shared;
  std::vector<std::unique_ptr<Region>> global;  // sorted by address

  // Of the operation that runs (streams.cpp): where it stands, and what it is known to come after.
  std::size_t operation_chain = 0;
  const std::vector<std::uint32_t>* operation_clock = nullptr;  // null: none, the host itself
  struct Begun {
    std::uint32_t epoch, place;
    std::size_t chain;
  };
  std::vector<Begun> operations;  // rising epochs; where loads and stores are watched
  /// Whether what was done in an earlier epoch is known to be over now.
  bool is_before(std::uint32_t earlier) const;
  /// The operation that runs begins to touch memory.
  void begin_operation();
};
State& state();

cudaError_t remember(cudaError_t error);
cudaError_t lost_device();  // what every call answers once the device is gone
/// Does all that is on streams.
void wait_for_everything();
bool is_capturing();
Schedule schedule();
std::uint64_t next_random(std::uint64_t& s);
/// A copy on a stream reads or writes; throws Failure for a race with another operation.
void check_copy(const void* memory, std::size_t bytes, bool write);

/// Bytes beside an allocation that nobody may touch, and the pattern in them.
constexpr std::size_t kGuard = 256;
constexpr unsigned char kGuardByte = 0xA5, kPoison = 0xFF;  // 0xFF: NaN in fp32, fp16 and bf16
/// Throws Failure when a guard zone of an allocation has been written to.
void check_guards();
/// An allocation with guard zones, filled with poison; null when there is no memory.
char* allocate_guarded(std::size_t bytes);
void free_guarded(char* memory, std::size_t bytes);
bool guards_intact(const char* memory, std::size_t bytes);
/// The dynamic shared memory that a kernel has asked for with cudaFuncSetAttribute; 48 KiB at least.
std::size_t shared_limit(const void* function);
void mark_written(const void* address, std::size_t bytes);

}  // namespace emisopt::cuda_host
