// In place of checker.cpp where nothing is watched: in a shared object, whose static memory it could not
// tell.
#include <cstddef>

namespace emisopt::cuda_host {
void mark_written(const void*, std::size_t) {}
void mark_atomic(const void*, std::size_t) {}
}  // namespace emisopt::cuda_host
