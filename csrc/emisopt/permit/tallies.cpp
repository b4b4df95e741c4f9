#include "emisopt/permit/tallies.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace emisopt {
namespace {

struct Ends {  // of one field, at the beginnings and the ends of windows
  const std::int64_t *high_a, *high_b;
  const std::uint64_t *low_a, *low_b;
  const int *valid_a, *valid_b;
};

// As Units::value() rounds: the upper half and the lower one, whose lost bits are left as its last, are
// doubles without an error, so that adding them is the only rounding, at any width.
constexpr std::int64_t kLeastHigh = 8, kMostHigh = std::int64_t{1} << 53;

bool averages_one_by_one(const Ends& ends, std::size_t n, int enough, double subtract, int* used,
                         double* value) {
  const std::int64_t *high_a = ends.high_a, *high_b = ends.high_b;
  const std::uint64_t *low_a = ends.low_a, *low_b = ends.low_b;
  bool usual = true;
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint64_t low = low_b[i] - low_a[i];
    const std::int64_t high = high_b[i] - high_a[i] - static_cast<std::int64_t>(low_b[i] < low_a[i]);
    const auto odd = static_cast<std::int64_t>(low >> 11 | static_cast<std::uint64_t>((low & 0x7ff) != 0));
    const double sum = static_cast<double>(high) * 0x1p-8 + static_cast<double>(odd) * 0x1p-61;
    used[i] = ends.valid_b[i] - ends.valid_a[i];
    const bool counts = used[i] >= enough;
    usual &= !counts || (high >= kLeastHigh && high < kMostHigh);
    value[i] = counts ? sum / static_cast<double>(used[i]) - subtract : kMissing;
  }
  return usual;
}

#if defined(__x86_64__)
[[gnu::target("avx512f,avx512dq,avx512vl")]] bool averages_of_eight(const Ends& ends, std::size_t n,
                                                                    int enough, double subtract, int* used,
                                                                    double* value) {
  const __m512i one = _mm512_set1_epi64(1), lost = _mm512_set1_epi64(0x7ff);
  const __m512i least = _mm512_set1_epi64(kLeastHigh), span = _mm512_set1_epi64(kMostHigh - kLeastHigh);
  const __m512d high_unit = _mm512_set1_pd(0x1p-8), odd_unit = _mm512_set1_pd(0x1p-61);
  const __m512d missing = _mm512_set1_pd(kMissing), off = _mm512_set1_pd(subtract);
  const __m512d wanted = _mm512_set1_pd(enough);
  unsigned unusual = 0;
  for (std::size_t i = 0; i < n; i += 8) {
    const auto there = static_cast<__mmask8>(n - i >= 8 ? 0xff : (1u << (n - i)) - 1);
    const __m256i valid = _mm256_sub_epi32(_mm256_maskz_loadu_epi32(there, ends.valid_b + i),
                                           _mm256_maskz_loadu_epi32(there, ends.valid_a + i));
    _mm256_mask_storeu_epi32(used + i, there, valid);
    const __m512d count = _mm512_cvtepi32_pd(valid);
    const __mmask8 counts = _mm512_mask_cmp_pd_mask(there, count, wanted, _CMP_GE_OQ);
    const __m512i low_a = _mm512_maskz_loadu_epi64(there, ends.low_a + i);
    const __m512i low_b = _mm512_maskz_loadu_epi64(there, ends.low_b + i);
    const __m512i low = _mm512_sub_epi64(low_b, low_a);
    const __m512i halves = _mm512_sub_epi64(_mm512_maskz_loadu_epi64(there, ends.high_b + i),
                                            _mm512_maskz_loadu_epi64(there, ends.high_a + i));
    const __m512i high = _mm512_mask_sub_epi64(halves, _mm512_cmplt_epu64_mask(low_b, low_a), halves, one);
    const __m512i kept = _mm512_srli_epi64(low, 11);
    const __m512i odd = _mm512_mask_or_epi64(kept, _mm512_test_epi64_mask(low, lost), kept, one);
    unusual |= _mm512_mask_cmpge_epu64_mask(counts, _mm512_sub_epi64(high, least), span);
    const __m512d sum = _mm512_add_pd(_mm512_mul_pd(_mm512_cvtepi64_pd(high), high_unit),
                                      _mm512_mul_pd(_mm512_cvtepi64_pd(odd), odd_unit));
    const __m512d average = _mm512_sub_pd(_mm512_div_pd(sum, count), off);
    _mm512_mask_storeu_pd(value + i, there, _mm512_mask_mov_pd(missing, counts, average));
  }
  return unusual == 0;
}
const auto averages_of = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                                 __builtin_cpu_supports("avx512vl")
                             ? averages_of_eight
                             : averages_one_by_one;
#else
constexpr auto averages_of = averages_one_by_one;
#endif

}  // namespace

bool Tallies::averages(const Run& run, double* value, int* used) const {
  const std::size_t b = run.from + 1, a = b - run.length;
  const Ends ends{high_.data() + a, high_.data() + b,  low_.data() + a,
                  low_.data() + b,  valid_.data() + a, valid_.data() + b};
  return averages_of(ends, run.to - run.from, run.enough, run.subtract, used + run.from, value + run.from);
}

}  // namespace emisopt
