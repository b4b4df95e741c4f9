#include "emisopt/base/os.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <system_error>

#include "emisopt/base/error.hpp"

namespace emisopt::os {
namespace {

[[noreturn]] void fail(const std::string& path, const char* what, int error) {
  throw FileError(path + ": cannot " + what + ": " + std::generic_category().message(error));
}

// A file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  int close() {
    const int result = ::close(fd_);
    fd_ = -1;
    return result;
  }

 private:
  int fd_;
};

// Returns 0 or the error number.
int write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno != EINTR) return errno;
    if (count > 0) bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return 0;
}

std::string follow_links(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr), &std::free);
  return real ? std::string(real.get()) : path;
}

}  // namespace

std::string read_file(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) fail(path, "open for reading", errno);
  struct stat info = {};
  if (::fstat(file.get(), &info) != 0) fail(path, "read", errno);
  if (S_ISDIR(info.st_mode)) throw FileError(path + ": expected a file, got a folder");
  std::string out;
  if (S_ISREG(info.st_mode)) out.reserve(static_cast<std::size_t>(info.st_size) + 1);
  constexpr std::size_t kChunk = 1 << 20;
  for (;;) {
    const std::size_t had = out.size();
    out.resize(std::max(out.capacity(), had + kChunk));
    const ssize_t count = ::read(file.get(), out.data() + had, out.size() - had);
    const int error = errno;
    out.resize(had + (count > 0 ? static_cast<std::size_t>(count) : 0));
    if (count == 0) return out;
    if (count < 0 && error != EINTR) fail(path, "read", error);
  }
}

bool file_exists(const std::string& path) {
  struct stat info = {};
  if (::stat(path.c_str(), &info) == 0) return true;
  if (errno != ENOENT) fail(path, "look for the file", errno);
  return false;
}

void write_file_atomic(const std::string& path, std::string_view bytes) {
  static std::atomic<unsigned> serial{0};
  const std::string target = follow_links(path);
  std::string temporary;
  int descriptor = -1;
  // A process that was killed while it wrote leaves such a file, and in a container its successor has its id.
  for (int attempt = 0; attempt < 1000; ++attempt) {
    temporary = target + ".tmp." + std::to_string(process_id()) + "." + std::to_string(serial.fetch_add(1));
    descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor >= 0 || errno != EEXIST) break;
  }
  Descriptor file(descriptor);
  if (file.get() < 0) fail(path, "create a file beside it", errno);
  struct stat old = {};
  int error = 0;
  if (::stat(target.c_str(), &old) == 0 && ::fchmod(file.get(), old.st_mode & 07777) != 0) error = errno;
  if (!error) error = write_all(file.get(), bytes);
  if (!error && ::fsync(file.get()) != 0) error = errno;
  if (file.close() != 0 && !error) error = errno;
  if (!error && ::rename(temporary.c_str(), target.c_str()) != 0) error = errno;
  if (error) {
    ::unlink(temporary.c_str());
    fail(path, "write", error);
  }
  // The rename itself reaches the disk with the folder. Some file systems refuse to sync a folder; the file
  // is whole either way, so that refusal is no error.
  const std::size_t slash = target.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : target.substr(0, slash + 1);
  const Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() >= 0) ::fsync(directory.get());
}

std::optional<std::string> env(const char* name) {
  const char* value = std::getenv(name);
  return value ? std::optional<std::string>(value) : std::nullopt;
}

double monotonic_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double wall_clock_s() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

long process_id() { return static_cast<long>(::getpid()); }

void prefer_large_pages(void* at, std::size_t bytes) {
#ifdef MADV_HUGEPAGE
  ::madvise(at, bytes, MADV_HUGEPAGE);
#else
  static_cast<void>(at);
  static_cast<void>(bytes);
#endif
}

}  // namespace emisopt::os
