// Counts calls of the global operator new. Include in exactly one source of a test binary.
#pragma once
#include <cstdlib>
#include <new>

#include "support/allocations.hpp"

namespace emisopt::test {
inline void* counted_or_null(std::size_t size, std::size_t align) noexcept {
  ++allocations();
  return align > alignof(std::max_align_t) ? std::aligned_alloc(align, (size + align - 1) / align * align)
                                           : std::malloc(size ? size : 1);
}
inline void* counted(std::size_t size, std::size_t align) {
  void* p = counted_or_null(size, align);
  if (!p) throw std::bad_alloc();
  return p;
}
}  // namespace emisopt::test

void* operator new(std::size_t size) { return emisopt::test::counted(size, 1); }
void* operator new[](std::size_t size) { return emisopt::test::counted(size, 1); }
void* operator new(std::size_t size, std::align_val_t a) {
  return emisopt::test::counted(size, static_cast<std::size_t>(a));
}
void* operator new[](std::size_t size, std::align_val_t a) {
  return emisopt::test::counted(size, static_cast<std::size_t>(a));
}
// std::stable_sort asks through the nothrow form: all forms must come from one place, or AddressSanitizer
// sees its own operator new beside our operator delete.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return emisopt::test::counted_or_null(size, 1);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return emisopt::test::counted_or_null(size, 1);
}
void* operator new(std::size_t size, std::align_val_t a, const std::nothrow_t&) noexcept {
  return emisopt::test::counted_or_null(size, static_cast<std::size_t>(a));
}
void* operator new[](std::size_t size, std::align_val_t a, const std::nothrow_t&) noexcept {
  return emisopt::test::counted_or_null(size, static_cast<std::size_t>(a));
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
