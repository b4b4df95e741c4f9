// Private to the engine: the caller and a few helpers, shared by all programs of the process.
// A helper spins for some microseconds after its last job, then sleeps in the kernel (futex), so an idle
// process costs nothing. A helper that wakes late finds the job closed: the caller never waits for one that
// has not begun.
#pragma once

namespace emisopt::kernels {

/// Runs work(context, worker) on worker 0 (the caller) and, as far as they are free, on workers
/// 1..workers-1, and returns when all that began have ended. The work must share itself out (an atomic
/// counter), since any subset of the helpers may come. When another thread of the process has the pool, the
/// caller works alone: results never depend on the number of threads. Neither allocates nor locks once
/// helpers exist.
void parallel(int workers, void (*work)(void* context, int worker), void* context);

/// Starts helpers until `workers - 1` exist (compile time, so that run() need not). Safe after fork: a child
/// starts its own.
void reserve_threads(int workers);

}  // namespace emisopt::kernels
