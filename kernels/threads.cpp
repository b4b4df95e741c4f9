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
constexpr int kRollCall = 40;        // pauses that a team's caller waits for helpers that are awake
constexpr int kLateSpins = 200'000;  // of one that came too late for a job: the next may follow at its end
constexpr int kSpins = 2000;  // pauses of about 20-40 ns: longer than the gap between two jobs of one solve

// `gate`: job number in the high bits, then "closed", then how many helpers are inside.
constexpr std::uint32_t kInside = 0xff, kClosed = 0x100, kJob = 0x200;

struct Pool {
  std::atomic<std::uint32_t> gate{kClosed};
  std::atomic<bool> taken{false};  // a caller has the pool
  std::atomic<int> helpers{0};     // started in this process
  std::atomic<int> workers{0};     // of the current job; written while closed and empty
  void (*work)(void*, int) = nullptr;
  void* context = nullptr;
  // A team's job, instead of `work`: helpers take places 1, 2, ... in the order in which they enter, and wait
  // for `team`, the number of members, which the caller settles.
  void (*team_work)(void*, Member&) = nullptr;
  std::atomic<int> team{0};
  alignas(64) std::atomic<std::uint32_t> arrived{0};  // at meetings, of all members together
};

// Never destroyed: helpers outlive main's statics.
Pool& pool() {
  static Pool* const instance = new Pool;
  return *instance;
}

// Spins, then sleeps, until gate differs from `seen`; returns the new value. `late`: a job is being done that
// this helper could have shared.
template <class Late>
std::uint32_t await_change(std::atomic<std::uint32_t>& gate, std::uint32_t seen, Late late) {
  for (int spins = 0, late_spins = 0; spins < kSpins;) {
    const std::uint32_t now = gate.load(std::memory_order_acquire);
    if (now != seen) return now;
    EMISOPT_PAUSE();
    if (late_spins < kLateSpins && late())
      ++late_spins;
    else
      ++spins;
  }
  gate.wait(seen, std::memory_order_acquire);
  return gate.load(std::memory_order_acquire);
}

// Spins until done(), which is near unless a thread has lost its core: then that core is given way to.
template <class Done>
void await(Done done) {
  for (int i = 0; !done(); ++i)
    if (i < kSpins)
      EMISOPT_PAUSE();
    else
      std::this_thread::yield();
}

void join_team(int place) {
  Pool& p = pool();
  if (place >= p.workers) return;  // the team was full
  int size = 0;
  await([&] { return (size = p.team.load(std::memory_order_acquire)) != 0; });
  Member member{.worker = place, .place = place, .size = size};
  if (place < size) p.team_work(p.context, member);
}

void help(int id) {  // worker id, from 1
  Pool& p = pool();
  std::uint32_t gate = p.gate.load(std::memory_order_acquire);
  // The last job seen by this helper. One that is open when the helper is born is still to be seen: without
  // that, the first job after a start or a fork would find no help.
  std::uint32_t done = gate / kJob - ((gate & kClosed) ? 0 : 1);
  for (;;) {
    if ((gate & kClosed) || gate / kJob == done) {
      gate = await_change(p.gate, gate, [&] {
        return p.taken.load(std::memory_order_relaxed) && id < p.workers.load(std::memory_order_relaxed);
      });
      continue;
    }
    // entering pins the job: its caller cannot leave, nor another begin, while kInside is not zero
    if (!p.gate.compare_exchange_weak(gate, gate + 1, std::memory_order_acq_rel)) continue;
    done = gate / kJob;
    if (p.team_work)
      join_team(static_cast<int>(gate & kInside) + 1);
    else if (id < p.workers)
      p.work(p.context, id);
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

namespace {

// Opens the job that the pool's fields describe; the caller has the pool.
void open_job(Pool& p) {
  if (p.helpers.load(std::memory_order_relaxed) < p.workers - 1)
    grow(p.workers - 1);  // first run after a fork
  const std::uint32_t job = (p.gate.load(std::memory_order_relaxed) / kJob + 1) * kJob;
  p.gate.store(job, std::memory_order_release);
  p.gate.notify_all();
}

// Nobody enters any more; returns the gate as it was then.
std::uint32_t close_job(Pool& p) { return p.gate.fetch_or(kClosed, std::memory_order_acq_rel) | kClosed; }

void leave(Pool& p, std::uint32_t gate) {
  while (gate & kInside) gate = await_change(p.gate, gate, [] { return false; });
  p.taken.store(false, std::memory_order_release);
}

}  // namespace

void parallel(int workers, void (*work)(void*, int), void* context) {
  Pool& p = pool();
  if (workers <= 1 || p.taken.exchange(true, std::memory_order_acquire)) {
    work(context, 0);
    return;
  }
  p.workers = workers;
  p.work = work;
  p.team_work = nullptr;
  p.context = context;
  open_job(p);
  work(context, 0);
  leave(p, close_job(p));
}

void in_step(int workers, int patience, void (*work)(void*, Member&), void* context) {
  Pool& p = pool();
  if (workers <= 1 || p.taken.exchange(true, std::memory_order_acquire)) {
    Member alone;
    work(context, alone);
    return;
  }
  p.workers = workers;
  p.team_work = work;
  p.context = context;
  p.team.store(0, std::memory_order_relaxed);
  p.arrived.store(0, std::memory_order_relaxed);
  open_job(p);
  const auto inside = [&] { return static_cast<int>(p.gate.load(std::memory_order_relaxed) & kInside); };
  for (int i = 0; i < kRollCall + patience && inside() < workers - 1; ++i) EMISOPT_PAUSE();
  const std::uint32_t gate = close_job(p);
  // more than workers - 1 are inside only while one that found the team full is on its way out
  Member caller{.size = std::min(static_cast<int>(gate & kInside), workers - 1) + 1};
  p.team.store(caller.size, std::memory_order_release);
  work(context, caller);
  leave(p, p.gate.load(std::memory_order_acquire));
}

void Member::meet() {
  if (size == 1) return;
  std::atomic<std::uint32_t>& arrived = pool().arrived;
  goal += static_cast<std::uint32_t>(size);
  if (arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == goal) return;
  await([&] { return arrived.load(std::memory_order_acquire) >= goal; });
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
