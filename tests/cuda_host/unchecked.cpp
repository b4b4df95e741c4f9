// In place of checker.cpp where nothing is watched: in a shared object, whose static memory it could not
// tell.
#include "cuda_host/state.hpp"

namespace emisopt::cuda_host {
void mark_written(const void*, std::size_t) {}
void check_copy(const void*, std::size_t, bool) {}
bool State::is_before(std::uint32_t) const { return true; }
void State::begin_operation() {}
void mark_atomic(const void*, std::size_t) {}
}  // namespace emisopt::cuda_host
