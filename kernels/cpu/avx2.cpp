// The avx2 level: the shared SIMD sources compiled with its flags (kernels/CMakeLists.txt).
#include <immintrin.h>

#include "kernels/table.hpp"

namespace emisopt::kernels::avx2 {
constexpr char kLevelName[] = "avx2";
#include "kernels/cpu/level.inl"
}  // namespace emisopt::kernels::avx2
