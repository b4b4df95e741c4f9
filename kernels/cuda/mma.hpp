// Private to the CUDA kernels: a warp's product on tensor cores, and the loads that bring fragments from
// shared memory. On a GPU each is one instruction (PTX ISA 8: mma.m16n8k16, ldmatrix); on the host a
// collective of all 32 lanes that places every element as the PTX ISA says, so that a wrong layout gives
// wrong numbers there too.
#pragma once
#include <cuda_bf16.h>

#include <cstdint>

#include "kernels/cuda/dialect.hpp"

namespace emisopt::kernels::cuda {

// With g = lane / 4 and t = lane % 4, a lane holds, two bf16 to a register, the lower index in the lower
// half:
//   a (16, 16): (g, 2t) (g + 8, 2t) (g, 2t + 8) (g + 8, 2t + 8), each with its right neighbour
//   b (16, 8):  (2t, g) (2t + 8, g), each with the one below
//   c (16, 8):  (g, 2t) (g, 2t + 1) (g + 8, 2t) (g + 8, 2t + 1), in fp32
struct FragmentA {
  std::uint32_t x[4];
};
struct FragmentB {
  std::uint32_t x[2];
};

#ifdef __CUDACC__

__device__ __forceinline__ void mma_bf16(float (&c)[4], const FragmentA& a, const FragmentB& b) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};\n"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a.x[0]), "r"(a.x[1]), "r"(a.x[2]), "r"(a.x[3]), "r"(b.x[0]), "r"(b.x[1]));
}

/// Four matrices of 8 x 8: lanes 8 i to 8 i + 7 name the rows of the i-th, 16 bytes each on a boundary of 16.
/// Register i of a lane gets (g, 2t) and (g, 2t + 1) of it; turned: (2t, g) and (2t + 1, g).
template <bool kTurned>
__device__ __forceinline__ void load_matrices(std::uint32_t (&x)[4], const __nv_bfloat16* row) {
  const auto at = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  if constexpr (kTurned)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
                 : "r"(at)
                 : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
                 : "r"(at)
                 : "memory");
}

#else

namespace host {

inline float half_of(std::uint32_t x, int which) {
  const auto bits = static_cast<std::uint16_t>(which ? x >> 16 : x & 0xffffu);
  return __bfloat162float(__nv_bfloat16(__nv_bfloat16_raw{bits}));
}

struct Product {
  FragmentA a;
  FragmentB b;
  float c[4];
  static void combine(void* const lanes[32], std::uint32_t) {
    float a[16][16] = {}, b[16][8] = {};
    for (int l = 0; l < 32; ++l) {
      const auto* own = static_cast<const Product*>(lanes[l]);
      const int g = l / 4, t = l % 4;
      for (int r = 0; r < 4; ++r)
        for (int h = 0; h < 2; ++h) a[g + r % 2 * 8][2 * t + r / 2 * 8 + h] = half_of(own->a.x[r], h);
      for (int r = 0; r < 2; ++r)
        for (int h = 0; h < 2; ++h) b[2 * t + r * 8 + h][g] = half_of(own->b.x[r], h);
    }
    for (int l = 0; l < 32; ++l)
      for (int r = 0; r < 4; ++r) {
        const int i = l / 4 + r / 2 * 8, j = l % 4 * 2 + r % 2;
        float& sum = static_cast<Product*>(lanes[l])->c[r];
        for (int k = 0; k < 16; ++k) sum += a[i][k] * b[k][j];
      }
  }
};

template <bool kTurned>
struct Matrices {
  std::uint16_t row[8];
  std::uint32_t x[4];
  static void combine(void* const lanes[32], std::uint32_t) {
    for (int l = 0; l < 32; ++l)
      for (int m = 0; m < 4; ++m) {
        const auto at = [&](int r, int c) -> std::uint32_t {
          return static_cast<const Matrices*>(lanes[8 * m + r])->row[c];
        };
        const int g = l / 4, t = l % 4;
        static_cast<Matrices*>(lanes[l])->x[m] =
            kTurned ? at(2 * t, g) | at(2 * t + 1, g) << 16 : at(g, 2 * t) | at(g, 2 * t + 1) << 16;
      }
  }
};

}  // namespace host

inline void mma_bf16(float (&c)[4], const FragmentA& a, const FragmentB& b, int line = __builtin_LINE()) {
  host::Product own{a, b, {c[0], c[1], c[2], c[3]}};
  cuda_host::warp_collective("mma.m16n8k16", 0xffffffffu, &own, &host::Product::combine, line);
  for (int r = 0; r < 4; ++r) c[r] = own.c[r];
}

template <bool kTurned>
void load_matrices(std::uint32_t (&x)[4], const __nv_bfloat16* row, int line = __builtin_LINE()) {
  if (reinterpret_cast<std::uintptr_t>(row) % 16 != 0)
    cuda_host::fail("ldmatrix at line %d: expected rows on a boundary of 16 bytes", line);
  host::Matrices<kTurned> own{};
  for (int c = 0; c < 8; ++c) own.row[c] = __nv_bfloat16_raw(row[c]).x;  // seen by the checker as this lane's
  cuda_host::warp_collective("ldmatrix", 0xffffffffu, &own, &host::Matrices<kTurned>::combine, line);
  for (int m = 0; m < 4; ++m) x[m] = own.x[m];
}

#endif

}  // namespace emisopt::kernels::cuda
