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
constexpr Index kLanes = 8;
// Bytes to ask for in advance: between two hours the stream of loads pauses, and with it the processor's own
// foresight.
constexpr std::uintptr_t kAhead = 4096;

[[gnu::target("avx512f,avx512bw"), gnu::always_inline]] inline std::uint64_t equal(__m512i bytes,
                                                                                   SampleStatus word) {
  return _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(static_cast<char>(word)));
}

[[gnu::target("avx512f,avx512bw,popcnt,bmi,bmi2")]] void scan_eights(const double* all,
                                                                     const std::uint8_t* statuses,
                                                                     const Index* starts,
                                                                     const Quarters* quarters, Index count,
                                                                     Block* out) {
  const __m512d split = _mm512_set1_pd(kSplit);
  const __m512i from = _mm512_set1_epi64(std::bit_cast<std::int64_t>(kFrom));
  const __m512i span =
      _mm512_set1_epi64(std::bit_cast<std::int64_t>(kBelow) - std::bit_cast<std::int64_t>(kFrom));
  for (Index block = 0; block < count; ++block) {
    const Index start = starts[block], n = starts[block + 1] - start;
    Block& to = out[block];
    to.usual = false;
    if (n > kBlockRows) continue;
    const double* x = all + start;
    std::uint64_t here = rows_below(n);
    to.quality = false;
    if (statuses) {
      const __m512i bytes = _mm512_maskz_loadu_epi8(here, statuses + start);
      const std::uint64_t good = equal(bytes, SampleStatus::valid);
      if ((here & ~good) != 0)
        to.quality =
            (here & (equal(bytes, SampleStatus::calibration) | equal(bytes, SampleStatus::maintenance))) != 0;
      here &= good;
    }
    __m512d high = _mm512_setzero_pd(), low = _mm512_setzero_pd();
    __m512i most = _mm512_setzero_si512();  // of the values' bits above those of kFrom; below it they wrap
    const std::uintptr_t ahead = reinterpret_cast<std::uintptr_t>(x + n) + kAhead;  // may lie behind the end
    std::uint64_t valid = 0;
    for (Index i = 0; i < n; i += kLanes) {
      const auto there = static_cast<__mmask8>(here >> i);
      __builtin_prefetch(reinterpret_cast<const void*>(ahead + static_cast<std::uintptr_t>(i) * sizeof *x));
      const __m512d v = _mm512_maskz_loadu_pd(there, x + i);
      const __mmask8 known = _mm512_mask_cmp_pd_mask(there, v, v, _CMP_ORD_Q);
      const __m512d coarse = _mm512_sub_pd(_mm512_add_pd(v, split), split);
      high = _mm512_mask_add_pd(high, known, high, coarse);
      low = _mm512_mask_add_pd(low, known, low, _mm512_sub_pd(v, coarse));
      most = _mm512_mask_max_epu64(most, known, most, _mm512_sub_epi64(_mm512_castpd_si512(v), from));
      valid |= static_cast<std::uint64_t>(known) << i;
    }
    unsigned odd = 0;
    if (_mm512_cmpge_epu64_mask(most, span) != 0)  // zeros are usual, too
      for (Index i = 0; i < n; i += kLanes) {
        const auto known = static_cast<__mmask8>(valid >> i);
        const __m512d v = _mm512_maskz_loadu_pd(known, x + i);
        const __mmask8 beyond =
            _mm512_mask_cmpge_epu64_mask(known, _mm512_sub_epi64(_mm512_castpd_si512(v), from), span);
        odd |= _mm512_mask_cmp_pd_mask(beyond, v, _mm512_setzero_pd(), _CMP_NEQ_UQ);
      }
    to.usual = odd == 0;
    to.valid = valid;
    to.count = std::popcount(valid);
    to.high = _mm512_reduce_add_pd(high);
    to.low = _mm512_reduce_add_pd(low);
    to.mean = to.value() / to.count;
    unsigned parts = 0;
    std::uint64_t before = 0;
    for (int part = 0; part < 4; ++part) {
      const std::uint64_t upto = valid & rows_below(quarters[block][static_cast<std::size_t>(part)]);
      parts |= static_cast<unsigned>(upto != before) << part;
      before = upto;
    }
    to.parts = static_cast<std::uint8_t>(parts);
  }
}

const bool kHasEights =
    __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("bmi2");

}  // namespace

void scan_blocks(const double* x, const std::uint8_t* status, const Index* starts, const Quarters* quarters,
                 Index count, Block* out) {
  if (kHasEights) return scan_eights(x, status, starts, quarters, count, out);
  for (Index block = 0; block < count; ++block) out[block].usual = false;
}
#else
void scan_blocks(const double*, const std::uint8_t*, const Index*, const Quarters*, Index count, Block* out) {
  for (Index block = 0; block < count; ++block) out[block].usual = false;
}
#endif

}  // namespace emisopt
