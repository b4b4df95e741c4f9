// Private to the executor: a thread of execution with a stack of its own, switched by hand.
#pragma once
#include <cstddef>

namespace emisopt::cuda_host {

/// Stacks live as long as the process; begin() may be called again and again, also on a fiber that never
/// ended.
class Fiber {
 public:
  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  /// The next resume() calls entry(), which must not return.
  void begin(void (*entry)());
  /// From the scheduler: runs the fiber until it yields.
  void resume();
  /// From within: back to the scheduler. `abandoned`: never to be resumed, with calls on its stack that do
  /// not return.
  void yield(bool abandoned);
  /// First thing that an entry does.
  void arrived();

 private:
  char* stack_;  // guard page, then kStack bytes
  void* sp_ = nullptr;
  void* scheduler_sp_ = nullptr;
  const void* scheduler_stack_ = nullptr;
  std::size_t scheduler_bytes_ = 0;
  [[maybe_unused]] void* fake_stack_ = nullptr;  // AddressSanitizer's
};

}  // namespace emisopt::cuda_host
