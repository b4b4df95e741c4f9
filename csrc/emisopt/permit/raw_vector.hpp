// Vectors of numbers that are all written before they are read: left unset when they grow, and their memory
// kept for the next evaluation, which needs as much again.
#pragma once
#include <cstddef>
#include <new>
#include <vector>

namespace emisopt {

/// Memory for `bytes`. Of blocks from kKeptFrom to kKeptTo bytes some that were given back are kept and
/// handed out again: fresh ones come from the system page by page, which took a fifth of a year's judgement.
/// Any thread may take and give back; none ever waits for another. Throws std::bad_alloc.
void* take_memory(std::size_t bytes);
/// What take_memory() gave for the same number of bytes.
void give_memory(void* block, std::size_t bytes) noexcept;
/// Bytes kept now, kMostKept at most, the oldest given up first; 0 where a sanitizer watches what is freed.
std::size_t kept_memory();
inline constexpr std::size_t kKeptFrom = 8192, kKeptTo = std::size_t{4} << 20,
                             kMostKept = std::size_t{32} << 20;

/// std::vector whose resize() leaves numbers unset: every one of them is written next.
template <class T>
struct Unset {
  using value_type = T;
  Unset() = default;
  template <class U>
  Unset(const Unset<U>&) noexcept {}  // NOLINT: as an allocator has to
  T* allocate(std::size_t n) {
    static_assert(alignof(T) <= alignof(std::max_align_t));
    if (n > static_cast<std::size_t>(-1) / sizeof(T)) throw std::bad_array_new_length();
    return static_cast<T*>(take_memory(n * sizeof(T)));
  }
  void deallocate(T* block, std::size_t n) noexcept { give_memory(block, n * sizeof(T)); }
  template <class U>
  void construct(U* place) {
    ::new (static_cast<void*>(place)) U;
  }
  template <class U, class... Args>
  void construct(U* place, Args&&... args) {
    ::new (static_cast<void*>(place)) U(std::forward<Args>(args)...);
  }
  friend bool operator==(const Unset&, const Unset&) { return true; }
};
template <class T>
using RawVector = std::vector<T, Unset<T>>;

}  // namespace emisopt
