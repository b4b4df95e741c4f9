// Private to the engine: one block of memory, measured in a first pass over the layout, handed out in a
// second.
#pragma once
#include <cstddef>
#include <cstring>
#include <memory>
#include <new>

#include "emisopt/base/error.hpp"
#include "emisopt/base/os.hpp"

namespace emisopt::kernels {

class Arena {
 public:
  static constexpr std::size_t kAlign = 64;  // a cache line, the widest vector

  /// `count` zeroed scalars on a line of their own; null while measuring.
  template <class T>
  T* take(std::size_t count) {
    const std::size_t at = used_;
    used_ += (count * sizeof(T) + kAlign - 1) / kAlign * kAlign;
    if (block_ && used_ > measured_) throw StateError("Arena.take: the layout outgrew its own measure");
    return block_ ? reinterpret_cast<T*>(block_.get() + at) : nullptr;
  }
  /// Ends the measuring pass. The memory is written to, so that no run() meets its first page fault. What is
  /// larger than a few large pages lies on them: weights that stream through every pass are too many for the
  /// small ones' translations.
  void allocate() {
    const std::size_t align = used_ >= 2 * os::kLargePage ? os::kLargePage : kAlign, bytes = used_ + kAlign;
    block_ = std::unique_ptr<std::byte, Free>(
        static_cast<std::byte*>(::operator new(bytes, std::align_val_t(align))), Free{align});
    if (align > kAlign) os::prefer_large_pages(block_.get(), bytes);
    std::memset(block_.get(), 0, used_ + kAlign);
    measured_ = used_;
    used_ = 0;
  }
  std::size_t bytes() const { return used_; }

 private:
  struct Free {
    std::size_t align;
    void operator()(std::byte* p) const { ::operator delete(p, std::align_val_t(align)); }
  };
  std::unique_ptr<std::byte, Free> block_{nullptr, Free{kAlign}};
  std::size_t used_ = 0, measured_ = 0;
};

}  // namespace emisopt::kernels
