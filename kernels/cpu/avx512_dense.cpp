// The avx512 level's fp64 algebra (kernels/CMakeLists.txt), apart from its float kernels: the vectors differ.
#include <immintrin.h>

#include "kernels/dense.hpp"

namespace emisopt::kernels::avx512 {
namespace dense {
constexpr char kLevelName[] = "avx512";
#include "kernels/cpu/dense_level.inl"
}  // namespace dense
}  // namespace emisopt::kernels::avx512
