// Watches the loads and stores of kernels that were compiled with -fsanitize=thread: the hooks that the
// compiler calls are defined here, the sanitizer's library is not linked. Found are races within and between
// blocks, reads of what nobody wrote, accesses outside of what was allocated, each with its address in the
// code.
//
// Two accesses of one byte, one of them a write, are in order when a barrier lies between them: __syncthreads
// for threads of a block, __syncwarp (no shuffle: they promise no order of memory) for lanes of a warp,
// nothing within a launch for threads of different blocks. Atomics clash with plain accesses only. Launches
// and copies are in order when their streams, events or the host say so (streams.cpp).
#include <algorithm>
#include <cstdio>

#include "cuda_host/executor.hpp"
#include "cuda_host/state.hpp"

extern "C" char __data_start, _end;  // of the linker: where the static __shared__ variables are

namespace emisopt::cuda_host {
namespace {

struct Access {
  bool write, atomic;
  void* code;
};

std::uint32_t own_key() { return state().block * kMaxThreads + static_cast<std::uint32_t>(state().thread); }

Mark own_mark(bool atomic) {
  return {state().epoch, own_key(), state().warp_epoch[state().thread / kWarp], atomic};
}

// Whether the access that left `m` may happen at the same time as one made now.
bool is_unordered(const Mark& m, const Region& region) {
  const State& now = state();
  const std::uint32_t own = own_key();
  if (region.shared && m.epoch < now.block_epoch) return false;
  if (!region.shared && m.epoch < now.launch_epoch) return !now.is_before(m.epoch);
  if (m.by == own) return false;
  if (m.by / kMaxThreads != own / kMaxThreads) return !region.shared;
  if (m.epoch != now.epoch) return false;
  const bool same_warp = m.by / kWarp == own / kWarp;
  return !(same_warp && m.warp < now.warp_epoch[state().thread / kWarp]);
}

Region* region_of(const void* address) {
  State& now = state();
  if (now.dynamic_shared.contains(address)) return &now.dynamic_shared;
  auto& all = now.global;
  const auto after = std::upper_bound(all.begin(), all.end(), static_cast<const char*>(address),
                                      [](const char* at, const auto& r) { return at < r->begin; });
  if (after != all.begin() && (*std::prev(after))->contains(address)) return std::prev(after)->get();
  if (now.static_shared.contains(address)) return &now.static_shared;
  return nullptr;
}

// The guard zone that holds the address, by the memory it belongs to.
const Region* guarded_by(const void* address) {
  const auto near = [&](const Region& r) {
    const auto* at = static_cast<const char*>(address);
    return r.begin && at >= r.begin - kGuard &&
           at < r.begin + (r.bytes + kGuard - 1) / kGuard * kGuard + kGuard;
  };
  if (near(state().dynamic_shared)) return &state().dynamic_shared;
  for (const auto& region : state().global)
    if (near(*region)) return region.get();
  return nullptr;
}

[[noreturn]] void report(const char* what, const Region& region, const void* address, const Access& a) {
  const auto byte = static_cast<const char*>(address) - region.begin;
  fail("%s in %s, byte %ld of %zu, block %u thread %d at %p", what, region.name.c_str(),
       static_cast<long>(byte), region.bytes, state().block, state().thread, a.code);
}

void check_byte(Region& region, const char* address, const Access& a) {
  Cell& cell = region.cells[static_cast<std::size_t>(address - region.begin)];
  const bool both_atomic = a.atomic && cell.write.atomic;
  if (is_unordered(cell.write, region) && !both_atomic)
    report(a.write ? "race (write after write)" : "race (read after write)", region, address, a);
  if (a.write && !a.atomic)
    for (const Mark& r : cell.read)
      if (is_unordered(r, region)) report("race (write after read)", region, address, a);
  if (a.atomic)
    for (const Mark& r : cell.read)
      if (is_unordered(r, region) && !r.atomic) report("race (atomic after read)", region, address, a);
  const std::uint32_t since = region.shared ? state().block_epoch : 1;
  if ((!a.write || a.atomic) && cell.write.epoch < since) report("uninitialised read", region, address, a);
  const Mark own = own_mark(a.atomic);
  if (a.write) cell.write = own;
  if (!a.write || a.atomic) cell.read[is_unordered(cell.read[0], region) ? 1 : 0] = own;
}

void check(const void* address, std::size_t bytes, const Access& a) {
  if (!state().kernel) return;
  const auto* at = static_cast<const char*>(address);
  Region* region = region_of(at);
  if (!region) {
    if (const Region* near = guarded_by(at)) report("access out of bounds", *near, at, a);
    return;  // the thread's own stack, constants
  }
  for (std::size_t i = 0; i < bytes; ++i) {
    if (!region->contains(at + i)) report("access out of bounds", *region, at + i, a);
    check_byte(*region, at + i, a);
  }
}

}  // namespace

bool State::is_before(std::uint32_t earlier) const {
  if (!operation_clock) return true;  // the default stream's
  const auto after = std::upper_bound(operations.begin(), operations.end(), earlier,
                                      [](std::uint32_t e, const Begun& b) { return e < b.epoch; });
  if (after == operations.begin()) return true;  // before every operation
  const Begun& by = *std::prev(after);
  return by.place == 0 || (by.chain < operation_clock->size() && (*operation_clock)[by.chain] >= by.place);
}

void State::begin_operation() {
  if (!checked) return;
  if (operation_clock)
    operations.push_back({epoch, (*operation_clock)[operation_chain], operation_chain});
  else
    operations.push_back({epoch, 0, 0});  // the default stream's are before all that come later
}

void check_copy(const void* memory, std::size_t bytes, bool write) {
  State& now = state();
  if (!now.checked || bytes == 0) return;
  Region* region = region_of(memory);
  if (!region) return;  // the host's
  now.launch_epoch = ++now.epoch;
  now.begin_operation();
  const auto first = static_cast<std::size_t>(static_cast<const char*>(memory) - region->begin);
  const auto refuse = [&](std::size_t i, const char* what) {
    throw Failure(std::string("copy or fill: ") + what + " in " + region->name + ", byte " +
                  std::to_string(i) + " of " + std::to_string(region->bytes));
  };
  if (first + bytes > region->bytes) refuse(first + bytes, "access out of bounds");
  for (std::size_t i = first; i < first + bytes; ++i) {
    Cell& cell = region->cells[i];
    if (!now.is_before(cell.write.epoch))
      refuse(i, write ? "race (write after write)" : "race (read after write)");
    if (write && !(now.is_before(cell.read[0].epoch) && now.is_before(cell.read[1].epoch)))
      refuse(i, "race (write after read)");
    const Mark own{now.epoch, 0, 0, false};
    if (write)
      cell.write = own;
    else
      cell.read[now.is_before(cell.read[0].epoch) ? 0 : 1] = own;
  }
}

void mark_written(const void* address, std::size_t bytes) {
  if (!state().checked) return;
  Region* region = region_of(address);
  if (!region) return;
  const auto first = static_cast<std::size_t>(static_cast<const char*>(address) - region->begin);
  for (std::size_t i = first; i < std::min(region->bytes, first + bytes); ++i)
    region->cells[i] = {{1, 0, 0, false}, {}};  // before every launch
}

void mark_atomic(const void* address, std::size_t bytes) {
  if (state().checked) check(address, bytes, {true, true, __builtin_return_address(0)});
}

}  // namespace emisopt::cuda_host

using emisopt::cuda_host::check;

extern "C" {
void __tsan_init() {
  using namespace emisopt::cuda_host;
  State& now = state();
  now.checked = true;
  now.static_shared = {
      &__data_start, static_cast<std::size_t>(&_end - &__data_start), true, "static shared memory", {}};
  now.static_shared.cells.resize(now.static_shared.bytes);
}
// Of host code in the same files: whether a static variable has been made.
unsigned char __tsan_atomic8_load(const volatile void* at, int) {
  return *static_cast<const volatile unsigned char*>(at);
}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
#define EMISOPT_ACCESS(suffix, bytes)                                                                   \
  void __tsan_read##suffix(void* at) { check(at, bytes, {false, false, __builtin_return_address(0)}); } \
  void __tsan_write##suffix(void* at) { check(at, bytes, {true, false, __builtin_return_address(0)}); }
EMISOPT_ACCESS(1, 1)
EMISOPT_ACCESS(2, 2)
EMISOPT_ACCESS(4, 4)
EMISOPT_ACCESS(8, 8)
EMISOPT_ACCESS(16, 16)
#define EMISOPT_UNALIGNED(bytes)                                   \
  void __tsan_unaligned_read##bytes(void* at) {                    \
    check(at, bytes, {false, false, __builtin_return_address(0)}); \
  }                                                                \
  void __tsan_unaligned_write##bytes(void* at) {                   \
    check(at, bytes, {true, false, __builtin_return_address(0)});  \
  }
EMISOPT_UNALIGNED(2)
EMISOPT_UNALIGNED(4)
EMISOPT_UNALIGNED(8)
EMISOPT_UNALIGNED(16)
void __tsan_read_range(void* at, unsigned long bytes) {
  check(at, bytes, {false, false, __builtin_return_address(0)});
}
void __tsan_write_range(void* at, unsigned long bytes) {
  check(at, bytes, {true, false, __builtin_return_address(0)});
}
}  // extern "C"
