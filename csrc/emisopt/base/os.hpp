// Everything that the library asks of the operating system; os.cpp is the one file to port.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace emisopt::os {

/// The whole file. Throws FileError naming the path and the system's reason.
std::string read_file(const std::string& path);
/// Whether there is a file (or folder) of this name. Throws FileError when the system cannot tell.
bool file_exists(const std::string& path);
/// Writes beside `path`, flushes to the disk and renames: whoever opens `path`, at any moment and after any
/// crash, finds the old bytes or the new ones, never a part. Keeps the permissions of a file it replaces; a
/// symbolic link is followed. Throws FileError; the file written beside is removed then.
void write_file_atomic(const std::string& path, std::string_view bytes);
/// Value of an environment variable; nothing if unset.
std::optional<std::string> env(const char* name);
/// Seconds from an arbitrary start, never going back: for durations and deadlines.
double monotonic_s();
/// Seconds since 1970-01-01 UTC by the system's clock, which may jump.
double wall_clock_s();
long process_id();
/// Asks for large pages where the system gives them on request; `at` on a boundary of kLargePage. A hint:
/// nothing depends on it.
inline constexpr std::size_t kLargePage = std::size_t(2) << 20;
void prefer_large_pages(void* at, std::size_t bytes);

}  // namespace emisopt::os
