// Private to the engine: one block of memory, measured in a first pass over the layout, handed out in a
// second.
#pragma once
#include <cstddef>
#include <cstring>
#include <memory>
#include <new>

namespace emisopt::kernels {

class Arena {
 public:
  static constexpr std::size_t kAlign = 64;  // a cache line, the widest vector

  /// `count` zeroed scalars on a line of their own; null while measuring.
  template <class T>
  T* take(std::size_t count) {
    const std::size_t at = used_;
    used_ += (count * sizeof(T) + kAlign - 1) / kAlign * kAlign;
    return block_ ? reinterpret_cast<T*>(block_.get() + at) : nullptr;
  }
  /// Ends the measuring pass. The memory is written to, so that no run() meets its first page fault.
  void allocate() {
    block_.reset(static_cast<std::byte*>(::operator new(used_ + kAlign, std::align_val_t(kAlign))));
    std::memset(block_.get(), 0, used_ + kAlign);
    used_ = 0;
  }
  std::size_t bytes() const { return used_; }

 private:
  struct Free {
    void operator()(std::byte* p) const { ::operator delete(p, std::align_val_t(kAlign)); }
  };
  std::unique_ptr<std::byte, Free> block_;
  std::size_t used_ = 0;
};

}  // namespace emisopt::kernels
