#include "cuda_host/fiber.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#if !defined(__x86_64__)
#error "cuda_host: the switch of stacks is written for x86-64 only"
#endif

// Saves what a function must preserve, exchanges stacks, restores. The floating-point environment is shared.
extern "C" void emisopt_switch_stack(void** save, void* load);
asm(R"(
.text
.globl emisopt_switch_stack
.type emisopt_switch_stack, @function
emisopt_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size emisopt_switch_stack, .-emisopt_switch_stack
.section .note.GNU-stack,"",@progbits
.text
)");

namespace emisopt::cuda_host {
namespace {

constexpr std::size_t kPage = 4096, kStack = 128 * 1024;

}  // namespace

Fiber::Fiber() {
  void* pages = mmap(nullptr, kPage + kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) throw std::bad_alloc();
  stack_ = static_cast<char*>(pages);
  mprotect(stack_, kPage, PROT_NONE);
}

Fiber::~Fiber() { munmap(stack_, kPage + kStack); }

void Fiber::begin(void (*entry)()) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(stack_ + kPage, kStack);  // frames that were abandoned
#endif
  // As emisopt_switch_stack leaves a stack: six registers, then where to return to; a function begins 8 off.
  auto** top = reinterpret_cast<void**>(stack_ + kPage + kStack);
  *--top = nullptr;  // where entry() would return to
  *--top = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  sp_ = top;
}

void Fiber::resume() {
#if defined(__SANITIZE_ADDRESS__)
  void* fake = nullptr;
  __sanitizer_start_switch_fiber(&fake, stack_ + kPage, kStack);
#endif
  emisopt_switch_stack(&scheduler_sp_, sp_);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
}

void Fiber::arrived() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake_stack_, &scheduler_stack_, &scheduler_bytes_);
#endif
}

// AddressSanitizer's frames of a fiber are kept for its next run: to map and unmap them each time is four
// fifths of what a launch takes there.
void Fiber::yield([[maybe_unused]] bool abandoned) {
#if defined(__SANITIZE_ADDRESS__)
  void** keep = abandoned ? nullptr : &fake_stack_;
  if (abandoned) fake_stack_ = nullptr;
  __sanitizer_start_switch_fiber(keep, scheduler_stack_, scheduler_bytes_);
#endif
  emisopt_switch_stack(&sp_, scheduler_sp_);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake_stack_, &scheduler_stack_, &scheduler_bytes_);
#endif
}

}  // namespace emisopt::cuda_host
