// Shares independent jobs, one per group of tags, among threads.
#pragma once
#include <atomic>
#include <exception>
#include <string>
#include <thread>
#include <vector>

#include "emisopt/base/error.hpp"
#include "emisopt/base/types.hpp"

namespace emisopt {

/// Holds a bank for one call. Two threads of a caller that change one bank at once would mix their rows: the
/// second is refused.
class OneAtATime {
 public:
  /// Throws StateError "where: in use by another thread".
  OneAtATime(const char* where, std::atomic<bool>& busy) : busy_(busy) {
    if (busy_.exchange(true, std::memory_order_acquire))
      throw StateError(std::string(where) + ": in use by another thread; give each thread a bank of its own");
  }
  ~OneAtATime() { busy_.store(false, std::memory_order_release); }
  OneAtATime(const OneAtATime&) = delete;
  OneAtATime& operator=(const OneAtATime&) = delete;

 private:
  std::atomic<bool>& busy_;
};

/// work(job) once for each job below `jobs`, on up to `threads` threads, this one included. All jobs are
/// begun whatever happens; of several errors the first job's is thrown.
template <class Work>
void share_out(Index jobs, int threads, const Work& work) {
  std::vector<std::exception_ptr> errors(static_cast<std::size_t>(jobs));
  std::atomic<Index> next = 0;
  const auto run = [&] {
    for (Index i = next++; i < jobs; i = next++) {
      try {
        work(i);
      } catch (...) {
        errors[static_cast<std::size_t>(i)] = std::current_exception();
      }
    }
  };
  std::vector<std::thread> others;
  others.reserve(static_cast<std::size_t>(threads > 1 ? threads - 1 : 0));
  try {
    for (int t = 1; t < threads && t < jobs; ++t) others.emplace_back(run);
  } catch (...) {
    // the system gives no more threads: the work is done by fewer
  }
  run();
  for (std::thread& other : others) other.join();
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
}

}  // namespace emisopt
