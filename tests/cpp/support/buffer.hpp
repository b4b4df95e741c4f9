// Memory placed where kernels go wrong: off any vector boundary, or against a page that must not be touched.
// AddressSanitizer does not see reads of masked vector loads; a protected page does.
#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

namespace emisopt::test {

enum class Place {
  aligned,       // on a 64-byte line
  shifted,       // one scalar beyond it
  before_guard,  // the last scalar ends where a protected page begins
  after_guard,   // the first scalar follows a protected page
};

/// `count` scalars, zero at birth, never moved.
template <class T>
class Buffer {
 public:
  Buffer(std::size_t count, Place place) : count_(count) {
    const std::size_t page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t bytes = count * sizeof(T), body = (bytes + 2 * 64 + page - 1) / page * page;
    size_ = body + 2 * page;
    base_ = static_cast<std::byte*>(
        ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (base_ == MAP_FAILED) throw std::bad_alloc();
    ::mprotect(base_, page, PROT_NONE);
    ::mprotect(base_ + page + body, page, PROT_NONE);
    std::byte* at = base_ + page;
    if (place == Place::aligned) at += 64;
    if (place == Place::shifted) at += 64 + sizeof(T);
    if (place == Place::before_guard) at += body - bytes;
    data_ = reinterpret_cast<T*>(at);
  }
  ~Buffer() {
    if (base_) ::munmap(base_, size_);
  }
  Buffer(Buffer&& o) noexcept : data_(o.data_), count_(o.count_), base_(o.base_), size_(o.size_) {
    o.base_ = nullptr;
  }
  Buffer& operator=(Buffer&&) = delete;

  T* data() { return data_; }
  const T* data() const { return data_; }
  std::size_t size() const { return count_; }
  T& operator[](std::size_t i) { return data_[i]; }
  void clear() { std::memset(data_, 0, count_ * sizeof(T)); }

 private:
  T* data_ = nullptr;
  std::size_t count_ = 0;
  std::byte* base_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace emisopt::test
