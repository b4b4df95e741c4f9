// The vnni level: the shared SIMD sources compiled with its flags (kernels/CMakeLists.txt).
#include <immintrin.h>

#include "kernels/table.hpp"

namespace emisopt::kernels::vnni {
constexpr char kLevelName[] = "vnni";
#include "kernels/cpu/level.inl"
}  // namespace emisopt::kernels::vnni
