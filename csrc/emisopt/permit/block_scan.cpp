#include "emisopt/permit/block_scan.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "emisopt/permit/samples.hpp"

namespace emisopt {

#if defined(__x86_64__)
namespace {

// As in exact_sum.cpp: each value is parted into a multiple of 2^-23 and a rest below; 64 of either sum in a
// double without rounding, in any order.
constexpr double kSplit = 0x1.8p29, kBelow = 0x1p24, kFrom = 0x1p-19;
constexpr int kUnit = 72;
constexpr Index kLanes = 8;
// Bytes to ask for in advance: between two hours the stream of loads pauses, and with it the processor's own
// foresight.
constexpr std::uintptr_t kAhead = 2048;

[[gnu::target("avx512f,avx512bw"), gnu::always_inline]] inline std::uint64_t equal(__m512i bytes,
                                                                                   SampleStatus word) {
  return _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(static_cast<char>(word)));
}

[[gnu::target("avx512f,avx512bw")]] bool scan_eights(const double* x, const std::uint8_t* status, Index n,
                                                     Block& out) {
  std::uint64_t here = rows_below(n);
  out.quality = false;
  if (status) {
    const __m512i bytes = _mm512_maskz_loadu_epi8(here, status);
    const std::uint64_t good = equal(bytes, SampleStatus::valid);
    if ((here & ~good) != 0)
      out.quality =
          (here & (equal(bytes, SampleStatus::calibration) | equal(bytes, SampleStatus::maintenance))) != 0;
    here &= good;
  }
  const __m512d split = _mm512_set1_pd(kSplit);
  const __m512i from = _mm512_set1_epi64(std::bit_cast<std::int64_t>(kFrom));
  const __m512i span =
      _mm512_set1_epi64(std::bit_cast<std::int64_t>(kBelow) - std::bit_cast<std::int64_t>(kFrom));
  __m512d high = _mm512_setzero_pd(), low = _mm512_setzero_pd();
  const std::uintptr_t ahead = reinterpret_cast<std::uintptr_t>(x + n) + kAhead;  // may lie behind the end
  std::uint64_t valid = 0;
  unsigned odd = 0;
  for (Index i = 0; i < n; i += kLanes) {
    const auto there = static_cast<__mmask8>(here >> i);
    __builtin_prefetch(reinterpret_cast<const void*>(ahead + static_cast<std::uintptr_t>(i) * sizeof *x));
    const __m512d v = _mm512_maskz_loadu_pd(there, x + i);
    const __mmask8 known = _mm512_mask_cmp_pd_mask(there, v, v, _CMP_ORD_Q);
    const __m512d coarse = _mm512_sub_pd(_mm512_add_pd(v, split), split);
    high = _mm512_mask_add_pd(high, known, high, coarse);
    low = _mm512_mask_add_pd(low, known, low, _mm512_sub_pd(v, coarse));
    const __mmask8 beyond =
        _mm512_mask_cmpge_epu64_mask(known, _mm512_sub_epi64(_mm512_castpd_si512(v), from), span);
    odd |= _mm512_mask_cmp_pd_mask(beyond, v, _mm512_setzero_pd(), _CMP_NEQ_UQ);
    valid |= static_cast<std::uint64_t>(known) << i;
  }
  if (odd != 0) return false;
  out.valid = valid;
  const auto whole = static_cast<std::int64_t>(_mm512_reduce_add_pd(high) * 0x1p23);
  const auto rest = static_cast<std::int64_t>(_mm512_reduce_add_pd(low) * 0x1p72);
  out.sum.count = (static_cast<__int128>(whole) << (kUnit - 23)) + rest;
  return true;
}

const bool kHasEights = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");

}  // namespace

bool scan_block(const double* x, const std::uint8_t* status, Index n, Block& out) {
  return kHasEights && n <= kBlockRows && scan_eights(x, status, n, out);
}
#else
bool scan_block(const double*, const std::uint8_t*, Index, Block&) { return false; }
#endif

}  // namespace emisopt
