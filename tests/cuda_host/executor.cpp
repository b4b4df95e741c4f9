// The scheduler: blocks one after another, their threads as fibers, barriers and warp operations.
#include "cuda_host/executor.hpp"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <memory>
#include <numeric>
#include <vector>

#include "cuda_host/fiber.hpp"
#include "cuda_host/state.hpp"

__thread uint3 threadIdx, blockIdx;
__thread dim3 blockDim, gridDim;

namespace emisopt::cuda_host {

State& state() {
  static State the;
  return the;
}

std::uint64_t next_random(std::uint64_t& s) {  // SplitMix64 (Steele, Lea, Flood 2014)
  std::uint64_t z = (s += 0x9E3779B97F4A7C15ull);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

namespace {

enum class At : std::uint8_t { ready, barrier, collective, exited };

struct Thread {
  At at = At::ready;
  int line = 0;                     // of the barrier or operation waited at
  const char* operation = nullptr;  // of a collective
  std::uint32_t mask = 0;
  void* payload = nullptr;
  Combine combine = nullptr;
  Fiber fiber;
};

struct Scheduler {
  std::vector<std::unique_ptr<Thread>> threads;  // kept for the process
  const std::function<void()>* body = nullptr;
  Schedule schedule;
  std::uint64_t random = 1;
  bool failed = false;
  char reason[1024] = {};
  Counts counts;
  char* shared = nullptr;  // guarded
  std::size_t shared_bytes = 0;
};
Scheduler& scheduler() {
  static Scheduler the;
  return the;
}

void put_in_order(std::vector<int>& turns) {
  Scheduler& s = scheduler();
  std::iota(turns.begin(), turns.end(), 0);
  if (s.schedule.order == Order::descending) std::reverse(turns.begin(), turns.end());
  if (s.schedule.order == Order::random)
    for (std::size_t i = turns.size(); i > 1; --i) std::swap(turns[i - 1], turns[next_random(s.random) % i]);
}

Thread& running() { return *scheduler().threads[static_cast<std::size_t>(state().thread)]; }

void thread_main() {
  Thread& own = running();
  own.fiber.arrived();
  (*scheduler().body)();
  own.at = At::exited;
  own.fiber.yield(false);
}

void set_indices(int thread) {
  state().thread = thread;
  const unsigned t = static_cast<unsigned>(thread);
  threadIdx = {t % blockDim.x, t / blockDim.x % blockDim.y, t / (blockDim.x * blockDim.y)};
}

void resume(int thread) {
  set_indices(thread);
  ++scheduler().counts.switches;
  running().fiber.resume();
  if (scheduler().failed) throw Failure(scheduler().reason);
}

std::string where(const Thread& t) {
  switch (t.at) {
    case At::ready:
      return "running";
    case At::barrier:
      return "__syncthreads line " + std::to_string(t.line);
    case At::collective:
      return std::string(t.operation) + " line " + std::to_string(t.line);
    case At::exited:
      return "exited";
  }
  return "";
}

// "[64 x exited, 64 x __syncthreads line 56]"
std::string census(int first, int last) {
  std::vector<std::pair<std::string, int>> found;
  for (int i = first; i < last; ++i) {
    const std::string at = where(*scheduler().threads[static_cast<std::size_t>(i)]);
    const auto same = std::find_if(found.begin(), found.end(), [&](const auto& f) { return f.first == at; });
    if (same != found.end())
      ++same->second;
    else
      found.emplace_back(at, 1);
  }
  std::string text = "[";
  for (const auto& [at, count] : found)
    text += (text.size() > 1 ? ", " : "") + std::to_string(count) + " x " + at;
  return text + "]";
}

[[noreturn]] void refuse(const std::string& what) {
  throw Failure(std::string(state().kernel ? state().kernel : "launch") + ": " + what);
}

// Whether lanes of the warp went on. All its lanes have run as far as they could.
bool release_collectives(int first, int last) {
  auto& threads = scheduler().threads;
  bool released = false;
  for (int i = first; i < last; ++i) {
    Thread& waiting = *threads[static_cast<std::size_t>(i)];
    if (waiting.at != At::collective) continue;
    void* payload[kWarp] = {};
    for (int l = 0; l < kWarp; ++l) {
      if (!(waiting.mask >> l & 1)) continue;
      const Thread* other = first + l < last ? threads[static_cast<std::size_t>(first + l)].get() : nullptr;
      if (!other || other->at != At::collective || other->line != waiting.line ||
          other->mask != waiting.mask || other->combine != waiting.combine)
        refuse("lanes of mask " + std::to_string(waiting.mask) + " do not meet at " + where(waiting) +
               ", block " + std::to_string(state().block) + " warp " + std::to_string(first / kWarp) + " " +
               census(first, last));
      payload[l] = other->payload;
    }
    waiting.combine(payload, waiting.mask);
    for (int l = 0; l < kWarp; ++l)
      if (waiting.mask >> l & 1) threads[static_cast<std::size_t>(first + l)]->at = At::ready;
    released = true;
  }
  return released;
}

void run_warp(int warp, int count, std::vector<int>& lanes) {
  const int first = warp * kWarp, last = std::min(first + kWarp, count);
  do {
    put_in_order(lanes);
    for (const int l : lanes)
      if (first + l < last && scheduler().threads[static_cast<std::size_t>(first + l)]->at == At::ready)
        resume(first + l);
  } while (release_collectives(first, last));
}

void run_block(int count) {
  auto& threads = scheduler().threads;
  State& now = state();
  now.block_epoch = ++now.epoch;
  for (int i = 0; i < count; ++i) {
    threads[static_cast<std::size_t>(i)]->at = At::ready;
    threads[static_cast<std::size_t>(i)]->fiber.begin(&thread_main);
  }
  std::vector<int> warps(static_cast<std::size_t>((count + kWarp - 1) / kWarp)), lanes(kWarp);
  for (;;) {
    put_in_order(warps);
    for (const int w : warps) run_warp(w, count, lanes);
    const Thread& one = *threads[0];
    for (int i = 0; i < count; ++i) {
      const Thread& t = *threads[static_cast<std::size_t>(i)];
      if (t.at != one.at || (t.at == At::barrier && t.line != one.line))
        refuse("barrier divergence in block " + std::to_string(now.block) + " " + census(0, count));
    }
    if (one.at == At::exited) return;
    ++now.epoch;
    for (int i = 0; i < count; ++i) threads[static_cast<std::size_t>(i)]->at = At::ready;
  }
}

void prepare_shared(std::size_t bytes) {
  Scheduler& s = scheduler();
  free_guarded(s.shared, s.shared_bytes);
  s.shared = allocate_guarded(bytes);
  s.shared_bytes = bytes;
  if (!s.shared) throw std::bad_alloc();
  Region& region = state().dynamic_shared;
  region = {s.shared, bytes, true, "shared memory", {}};
  if (state().checked) region.cells.resize(bytes);
}

}  // namespace

void set_schedule(Schedule schedule) {
  scheduler().schedule = schedule;
  scheduler().random = schedule.seed;
}
Schedule schedule() { return scheduler().schedule; }
Counts counts() { return scheduler().counts; }
bool is_checked() { return state().checked; }
int lane() { return state().thread % kWarp; }
void* dynamic_shared() { return scheduler().shared; }

void fail(const char* format, ...) {
  Scheduler& s = scheduler();
  const int head =
      std::snprintf(s.reason, sizeof s.reason, "%s: ", state().kernel ? state().kernel : "launch");
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(s.reason + head, sizeof s.reason - static_cast<std::size_t>(head), format, arguments);
  va_end(arguments);
  s.failed = true;
  running().fiber.yield(true);  // abandoned, never unwound: nothing on its stack may own memory
  __builtin_unreachable();
}

void block_barrier(int line) {
  Thread& own = running();
  own.at = At::barrier;
  own.line = line;
  own.fiber.yield(false);
}

void warp_collective(const char* operation, std::uint32_t mask, void* payload, Combine combine, int line) {
  Thread& own = running();
  if (!(mask >> lane() & 1))
    fail("%s at line %d: lane %d is not in its own mask %#x", operation, line, lane(), mask);
  own.at = At::collective;
  own.operation = operation;
  own.line = line;
  own.mask = mask;
  own.payload = payload;
  own.combine = combine;
  own.fiber.yield(false);
}

void launch(const Launch& what, const std::function<void()>& body) {
  if (!device_answers()) return;
  Scheduler& s = scheduler();
  State& now = state();
  now.kernel = what.kernel;
  struct Ended {
    State& now;
    ~Ended() { now.kernel = nullptr; }
  } ended{now};
  s.failed = false;
  s.body = &body;
  const unsigned long count = 1ul * what.block.x * what.block.y * what.block.z;
  if (count < 1 || count > kMaxThreads || !what.grid.x || !what.grid.y || !what.grid.z ||
      what.grid.y > 65535 || what.grid.z > 65535)
    refuse("expected 1 to 1024 threads and a grid that is not empty, got " + std::to_string(count) +
           " threads");
  if (what.shared_bytes > shared_limit(what.function))
    refuse("asks for " + std::to_string(what.shared_bytes) +
           " bytes of shared memory without cudaFuncSetAttribute");
  while (s.threads.size() < count) s.threads.push_back(std::make_unique<Thread>());
  blockDim = what.block;
  gridDim = what.grid;
  ++s.counts.launches;
  now.launch_epoch = ++now.epoch;
  now.begin_operation();
  std::vector<int> blocks(static_cast<std::size_t>(1ul * what.grid.x * what.grid.y * what.grid.z));
  put_in_order(blocks);
  for (const int b : blocks) {
    now.block = static_cast<std::uint32_t>(b);
    const unsigned u = now.block;
    blockIdx = {u % what.grid.x, u / what.grid.x % what.grid.y, u / (what.grid.x * what.grid.y)};
    prepare_shared(what.shared_bytes);
    s.counts.threads += count;
    run_block(static_cast<int>(count));
    if (!guards_intact(s.shared, s.shared_bytes))
      refuse("writes beyond its " + std::to_string(s.shared_bytes) + " bytes of shared memory, block " +
             std::to_string(b));
  }
  check_guards();
}

}  // namespace emisopt::cuda_host

namespace {
void meet(void* const[32], std::uint32_t) {
  using namespace emisopt::cuda_host;
  ++state().warp_epoch[state().thread / kWarp];  // the thread that ran last is of this warp
}
}  // namespace

void __syncwarp(unsigned mask, int line) {
  emisopt::cuda_host::warp_collective("__syncwarp", mask, nullptr, &meet, line);
}
