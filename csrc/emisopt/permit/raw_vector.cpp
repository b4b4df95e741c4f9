#include "emisopt/permit/raw_vector.hpp"

#include <mutex>
#include <new>

namespace emisopt {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kKeeps = false;
#else
constexpr bool kKeeps = true;
#endif

struct Kept {
  void* block;
  std::size_t bytes;
};

constexpr std::size_t kMostBlocks = 1024;

struct Store {
  std::mutex mutex;
  std::vector<Kept> blocks;  // the newest last
  std::size_t bytes = 0;

  Store() { blocks.reserve(kMostBlocks); }
  void* remove(std::size_t i) {
    void* block = blocks[i].block;
    bytes -= blocks[i].bytes;
    blocks.erase(blocks.begin() + static_cast<std::ptrdiff_t>(i));
    return block;
  }
};

// Never destroyed: results may outlive the statics of the library.
Store& store() {
  static Store& only = *new Store;
  return only;
}

bool is_kept(std::size_t bytes) { return kKeeps && bytes >= kKeptFrom && bytes <= kKeptTo; }

}  // namespace

// The lock is tried, not waited for: where another thread has it, also one that a fork has left behind, the
// system serves.
void* take_memory(std::size_t bytes) {
  if (is_kept(bytes)) {
    Store& s = store();
    const std::unique_lock lock(s.mutex, std::try_to_lock);
    for (std::size_t i = lock ? s.blocks.size() : 0; i-- > 0;)
      if (s.blocks[i].bytes == bytes) return s.remove(i);
  }
  return ::operator new(bytes);
}

void give_memory(void* block, std::size_t bytes) noexcept {
  if (is_kept(bytes)) {
    Store& s = store();
    const std::unique_lock lock(s.mutex, std::try_to_lock);
    if (lock) {
      while (s.bytes + bytes > kMostKept || s.blocks.size() == kMostBlocks) ::operator delete(s.remove(0));
      s.blocks.push_back({block, bytes});  // there is room: nothing throws
      s.bytes += bytes;
      return;
    }
  }
  ::operator delete(block);
}

std::size_t kept_memory() {
  Store& s = store();
  const std::lock_guard lock(s.mutex);
  return s.bytes;
}

}  // namespace emisopt
