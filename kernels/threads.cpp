#include "kernels/threads.hpp"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <system_error>
#include <thread>

#include "emisopt/base/error.hpp"
#include "kernels/backend.hpp"

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#define EMISOPT_PAUSE() _mm_pause()
#else
#define EMISOPT_PAUSE() ((void)0)
#endif

namespace emisopt::kernels {
namespace {

constexpr int kMaxHelpers = 63;
constexpr int kSpins = 2000;  // pauses of about 20-40 ns: longer than the gap between two jobs of one solve

// `gate`: job number in the high bits, then "closed", then how many helpers are inside.
constexpr std::uint32_t kInside = 0xff, kClosed = 0x100, kJob = 0x200;

struct Pool {
  std::atomic<std::uint32_t> gate{kClosed};
  std::atomic<bool> taken{false};  // a caller has the pool
  std::atomic<int> helpers{0};     // started in this process
  int workers = 0;                 // of the current job; written while closed and empty
  void (*work)(void*, int) = nullptr;
  void* context = nullptr;
};

// Never destroyed: helpers outlive main's statics.
Pool& pool() {
  static Pool* const instance = new Pool;
  return *instance;
}

// Spins, then sleeps, until gate differs from `seen`; returns the new value.
std::uint32_t await_change(std::atomic<std::uint32_t>& gate, std::uint32_t seen) {
  for (int i = 0; i < kSpins; ++i) {
    const std::uint32_t now = gate.load(std::memory_order_acquire);
    if (now != seen) return now;
    EMISOPT_PAUSE();
  }
  gate.wait(seen, std::memory_order_acquire);
  return gate.load(std::memory_order_acquire);
}

void help(int id) {  // worker id, from 1
  Pool& p = pool();
  std::uint32_t gate = p.gate.load(std::memory_order_acquire);
  // The last job seen by this helper. One that is open when the helper is born is still to be seen: without
  // that, the first job after a start or a fork would find no help.
  std::uint32_t done = gate / kJob - ((gate & kClosed) ? 0 : 1);
  for (;;) {
    if ((gate & kClosed) || gate / kJob == done) {
      gate = await_change(p.gate, gate);
      continue;
    }
    // entering pins the job: its caller cannot leave, nor another begin, while kInside is not zero
    if (!p.gate.compare_exchange_weak(gate, gate + 1, std::memory_order_acq_rel)) continue;
    done = gate / kJob;
    if (id < p.workers) p.work(p.context, id);
    const std::uint32_t before = p.gate.fetch_sub(1, std::memory_order_acq_rel);
    if ((before & kClosed) && (before & kInside) == 1) p.gate.notify_all();
    gate = p.gate.load(std::memory_order_acquire);
  }
}

// In a forked child only the forking thread lives; the pool starts again from nothing.
void reset_in_child() {
  Pool& p = pool();
  p.gate.store(kClosed);
  p.helpers.store(0);
  p.taken.store(false);
}

void grow(int helpers) {  // the caller has the pool
  static const int registered = pthread_atfork(nullptr, nullptr, reset_in_child);
  (void)registered;
  Pool& p = pool();
  helpers = std::min(helpers, kMaxHelpers);
  while (p.helpers.load() < helpers) {
    try {
      std::thread(help, p.helpers.load() + 1).detach();
    } catch (const std::system_error&) {
      return;  // the system gives no more threads: the work is done by fewer
    }
    p.helpers.fetch_add(1);
  }
}

}  // namespace

void reserve_threads(int workers) {
  Pool& p = pool();
  while (p.taken.exchange(true, std::memory_order_acquire)) std::this_thread::yield();
  grow(workers - 1);
  p.taken.store(false, std::memory_order_release);
}

void parallel(int workers, void (*work)(void*, int), void* context) {
  Pool& p = pool();
  if (workers <= 1 || p.taken.exchange(true, std::memory_order_acquire)) {
    work(context, 0);
    return;
  }
  if (p.helpers.load(std::memory_order_relaxed) < workers - 1) grow(workers - 1);  // first run after a fork
  p.workers = workers;
  p.work = work;
  p.context = context;
  const std::uint32_t job = (p.gate.load(std::memory_order_relaxed) / kJob + 1) * kJob;
  p.gate.store(job, std::memory_order_release);
  p.gate.notify_all();
  work(context, 0);
  std::uint32_t gate = p.gate.fetch_or(kClosed, std::memory_order_acq_rel) | kClosed;
  while (gate & kInside) gate = await_change(p.gate, gate);
  p.taken.store(false, std::memory_order_release);
}

int default_threads() {
  if (const char* text = std::getenv("EMISOPT_THREADS"); text && *text) {
    char* end = nullptr;
    const long n = std::strtol(text, &end, 10);
    if (*end || n < 1 || n > kMaxHelpers + 1)
      throw InputError("EMISOPT_THREADS: expected a whole number from 1 to " +
                       std::to_string(kMaxHelpers + 1) + ", got '" + text + "'");
    return static_cast<int>(n);
  }
  return std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, kMaxHelpers + 1);
}

}  // namespace emisopt::kernels
