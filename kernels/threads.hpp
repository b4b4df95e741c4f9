// Private to the engine: the caller and a few helpers, shared by all programs of the process.
// A helper spins for some microseconds after its last job, then sleeps in the kernel (futex), so an idle
// process costs nothing. A helper that wakes late finds the job closed: the caller never waits for one that
// has not begun.
#pragma once
#include <cstdint>

namespace emisopt::kernels {

/// Runs work(context, worker) on worker 0 (the caller) and, as far as they are free, on workers
/// 1..workers-1, and returns when all that began have ended. The work must share itself out (an atomic
/// counter), since any subset of the helpers may come. When another thread of the process has the pool, the
/// caller works alone: results never depend on the number of threads. Neither allocates nor locks once
/// helpers exist.
void parallel(int workers, void (*work)(void* context, int worker), void* context);

/// One of a team that works in step.
struct Member {
  int worker = 0;           // its number: 0 is the caller
  int place = 0, size = 1;  // its place in the team, which may be itself alone
  /// Returns when every member has called it as often; what they wrote before is seen after.
  void meet();

  std::uint32_t goal = 0;  // arrivals that end the next meeting
};

/// Runs work(context, member) on the caller and on those helpers that come at once (within some microseconds,
/// and `patience` further pauses of the processor for one that sleeps), at most `workers` in all. Unlike
/// parallel(), the work may be divided by place and may meet; it must be right for a team of any size from 1.
void in_step(int workers, int patience, void (*work)(void* context, Member& member), void* context);

/// Starts helpers until `workers - 1` exist (compile time, so that run() need not). Safe after fork: a child
/// starts its own.
void reserve_threads(int workers);

}  // namespace emisopt::kernels
