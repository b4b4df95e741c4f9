// The avx512 level: the shared SIMD sources compiled with its flags (kernels/CMakeLists.txt).
#include <immintrin.h>

#include "kernels/table.hpp"

namespace emisopt::kernels::avx512 {
constexpr char kLevelName[] = "avx512";
#include "kernels/cpu/level.inl"
}  // namespace emisopt::kernels::avx512
