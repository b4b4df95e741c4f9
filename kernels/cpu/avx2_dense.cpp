// The avx2 level's fp64 algebra (kernels/CMakeLists.txt), apart from its float kernels: the vectors differ.
#include <immintrin.h>

#include "kernels/dense.hpp"

namespace emisopt::kernels::avx2 {
namespace dense {
constexpr char kLevelName[] = "avx2";
#include "kernels/cpu/dense_level.inl"
}  // namespace dense
}  // namespace emisopt::kernels::avx2
