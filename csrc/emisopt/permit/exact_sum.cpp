#include "emisopt/permit/exact_sum.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

using Unsigned = unsigned __int128;

constexpr int kUnit = 72;  // units count 2^-72
constexpr std::uint64_t kImplicit = std::uint64_t{1} << 52;
constexpr std::uint64_t kMantissa = kImplicit - 1;
constexpr std::uint64_t kLow32 = 0xffffffffu;

// v * 2^exponent rounded to the nearest double, ties to even. `exponent` is at least -1074, so a result below
// the normal range has no bits to lose.
double rounded(Unsigned v, int exponent) {
  const auto high = static_cast<std::uint64_t>(v >> 64);
  const int bits = high ? 128 - std::countl_zero(high) : 64 - std::countl_zero(static_cast<std::uint64_t>(v));
  if (bits > 53) {
    const int shift = bits - 53;
    const Unsigned rest = v & ((Unsigned{1} << shift) - 1), half = Unsigned{1} << (shift - 1);
    v >>= shift;
    if (rest > half || (rest == half && (v & 1))) ++v;
    exponent += shift;
  }
  return std::ldexp(static_cast<double>(static_cast<std::uint64_t>(v)), exponent);
}

// Each value is parted into a multiple of 2^-23 and a rest of at most 2^-24; 64 values below 2^24, whose last
// bit is worth at least 2^-71, sum in both parts without rounding: 2^30 / 2^-23 and 2^-18 / 2^-71 are both
// 2^53. So neither the order of the additions nor the instructions that do them can change a bit.
constexpr Index kRun = 64;
constexpr double kSplit = 0x1.8p29;  // adding it leaves no bit below 2^-23
constexpr double kBelow = 0x1p24, kFrom = 0x1p-19;

struct Parts {
  double high = 0, low = 0;
  Index count = 0;
  bool fits = true;  // every value was 0, NaN, or in [kFrom, kBelow)
};

// V: a register of doubles, M: of as many integers. Two of each sum, so that one need not wait for the other.
template <class V, class M>
[[gnu::always_inline]] inline Parts parts_in(const double* x, Index n) {
  constexpr Index kWidth = sizeof(V) / sizeof(double);
  V high_a = {}, high_b = {}, low_a = {}, low_b = {};
  M count_a = {}, count_b = {}, odd_a = {}, odd_b = {};
  const auto take = [](const double* from, V& high, V& low, M& count, M& odd) __attribute__((always_inline)) {
    V values;
    std::memcpy(&values, from, sizeof values);
    const M valid = values == values;
    const V v = std::bit_cast<V>(std::bit_cast<M>(values) & valid);
    const V coarse = (v + kSplit) - kSplit;
    high += coarse;
    low += v - coarse;
    count -= valid;
    odd |= (v != 0.0) & ~((v >= kFrom) & (v < kBelow));
  };
  Index i = 0;
  for (; i + 2 * kWidth <= n; i += 2 * kWidth) {
    take(x + i, high_a, low_a, count_a, odd_a);
    take(x + i + kWidth, high_b, low_b, count_b, odd_b);
  }
  if (i + kWidth <= n) {
    take(x + i, high_a, low_a, count_a, odd_a);
    i += kWidth;
  }
  if (i < n) {
    double rest[kWidth];
    for (Index k = 0; k < kWidth; ++k) rest[k] = i + k < n ? x[i + k] : kMissing;
    take(rest, high_b, low_b, count_b, odd_b);
  }
  high_a += high_b;
  low_a += low_b;
  count_a += count_b;
  odd_a |= odd_b;
  Parts sum;
  for (Index k = 0; k < kWidth; ++k) {
    sum.high += high_a[k];
    sum.low += low_a[k];
    sum.count += count_a[k];
    sum.fits &= odd_a[k] == 0;
  }
  return sum;
}

using Double2 = double __attribute__((vector_size(16)));
using Mark2 = std::int64_t __attribute__((vector_size(16)));
Parts parts_of_pairs(const double* x, Index n) { return parts_in<Double2, Mark2>(x, n); }

#if defined(__x86_64__)
using Double4 = double __attribute__((vector_size(32)));
using Mark4 = std::int64_t __attribute__((vector_size(32)));
[[gnu::target("avx2")]] Parts parts_of_fours(const double* x, Index n) {
  return parts_in<Double4, Mark4>(x, n);
}

// Eight at a time; the range is one comparison of bits, which a zero fails: such a run is done again in
// fours.
[[gnu::target("avx512f")]] Parts parts_of_eights(const double* x, Index n) {
  const __m512d split = _mm512_set1_pd(kSplit);
  const __m512i from = _mm512_set1_epi64(std::bit_cast<std::int64_t>(kFrom));
  const __m512i span =
      _mm512_set1_epi64(std::bit_cast<std::int64_t>(kBelow) - std::bit_cast<std::int64_t>(kFrom));
  __m512d high = _mm512_setzero_pd(), low = _mm512_setzero_pd();
  unsigned odd = 0;
  Index count = 0;
  for (Index i = 0; i < n; i += 8) {
    const auto there = static_cast<__mmask8>(n - i >= 8 ? 0xff : (1u << (n - i)) - 1);
    const __m512d values = _mm512_maskz_loadu_pd(there, x + i);
    const __mmask8 valid = _mm512_mask_cmp_pd_mask(there, values, values, _CMP_ORD_Q);
    const __m512d v = _mm512_maskz_mov_pd(valid, values);
    const __m512d coarse = _mm512_sub_pd(_mm512_add_pd(v, split), split);
    high = _mm512_add_pd(high, coarse);
    low = _mm512_add_pd(low, _mm512_sub_pd(v, coarse));
    count += std::popcount(static_cast<unsigned>(valid));
    odd |= _mm512_mask_cmpge_epu64_mask(valid, _mm512_sub_epi64(_mm512_castpd_si512(v), from), span);
  }
  if (odd) return parts_of_fours(x, n);
  // Not through arrays on the stack: with them AddressSanitizer's frame is aligned to 32 bytes only, and GCC
  // 12 spills to it as if to 64 (GCC bug 110027). The sums are exact, so their order does not matter.
  return Parts{_mm512_reduce_add_pd(high), _mm512_reduce_add_pd(low), count, true};
}
const auto parts_of = __builtin_cpu_supports("avx512f") ? parts_of_eights
                      : __builtin_cpu_supports("avx2")  ? parts_of_fours
                                                        : parts_of_pairs;
#else
constexpr auto parts_of = parts_of_pairs;
#endif

}  // namespace

// ---- WideSum --------------------------------------------------------------------------------------------

void WideSum::put(int place, std::uint64_t low, std::uint64_t high, bool negative) {
  const auto i = static_cast<std::size_t>(place);
  const auto a = static_cast<std::int64_t>(low), b = static_cast<std::int64_t>(high);
  digit_[i] += negative ? -a : a;
  digit_[i + 1] += negative ? -b : b;
  if (--room_ == 0) carry();
}

void WideSum::add(double x) {
  const auto bits = std::bit_cast<std::uint64_t>(x);
  const int field = static_cast<int>(bits >> 52 & 0x7ff);
  const std::uint64_t mantissa = field ? (bits & kMantissa) | kImplicit : bits & kMantissa;
  const int place = field ? field - 1 : 0;  // of the mantissa's last bit, counted from 2^-1074
  const int within = place & 31;
  put(place >> 5, mantissa << within & kLow32, mantissa >> (32 - within), bits >> 63);
}

void WideSum::add(Units units) {
  constexpr int kPlace = 1074 - kUnit;
  const bool negative = units.count < 0;
  Unsigned rest = negative ? -static_cast<Unsigned>(units.count) : static_cast<Unsigned>(units.count);
  for (int place = kPlace >> 5; rest != 0; ++place, rest >>= 32) {
    const auto digit = static_cast<std::uint64_t>(rest) & kLow32;
    const auto moved = digit << (kPlace & 31);
    put(place, moved & kLow32, moved >> 32, negative);
  }
}

void WideSum::add(const WideSum& other, int sign) {
  WideSum theirs = other;
  theirs.carry();
  carry();
  for (std::size_t i = 0; i < digit_.size(); ++i) digit_[i] += sign * theirs.digit_[i];
  carry();
}

void WideSum::carry() {
  for (std::size_t i = 0; i + 1 < digit_.size(); ++i) {
    const std::int64_t over = digit_[i] >> 32;  // towards minus infinity: digits stay in [0, 2^32)
    digit_[i] -= over * (std::int64_t{1} << 32);
    digit_[i + 1] += over;
  }
  room_ = kRoom;
}

double WideSum::value() const {
  WideSum sum = *this;
  sum.carry();
  const bool negative = sum.digit_.back() < 0;
  if (negative) {
    for (std::int64_t& digit : sum.digit_) digit = -digit;
    sum.carry();
  }
  int top = kDigits - 1;
  while (top > 0 && sum.digit_[static_cast<std::size_t>(top)] == 0) --top;
  const int base = std::max(top - 2, 0);
  Unsigned v = 0;
  for (int i = top; i >= base; --i)
    v = v << 32 | static_cast<std::uint64_t>(sum.digit_[static_cast<std::size_t>(i)]);
  for (int i = 0; i < base; ++i)
    if (sum.digit_[static_cast<std::size_t>(i)] != 0)
      v |= 1;  // far below the last bit kept: only breaks ties
  const double magnitude = rounded(v, 32 * base - 1074);
  return negative ? -magnitude : magnitude;
}

// ---- ExactSum -------------------------------------------------------------------------------------------

ExactSum::ExactSum(const ExactSum& other)
    : units_(other.units_), wide_(other.wide_ ? std::make_unique<WideSum>(*other.wide_) : nullptr) {}

ExactSum& ExactSum::operator=(const ExactSum& other) {
  if (this != &other) *this = ExactSum(other);
  return *this;
}

WideSum& ExactSum::wide() {
  if (!wide_) wide_ = std::make_unique<WideSum>();
  return *wide_;
}

void ExactSum::merge(const ExactSum& other, int sign) {
  add(Units{sign * other.units_.count});
  if (other.wide_) wide().add(*other.wide_, sign);
}

Index ExactSum::add_run(const double* x, Index n, double lowest, Index& bad) {
  Index count = 0;
  for (Index begin = 0; begin < n; begin += kRun) {
    const Index length = std::min(kRun, n - begin);
    const Parts parts = parts_of(x + begin, length);
    if (parts.fits && lowest <= 0) {
      add(Units::of_parts(parts.high, parts.low));
      count += parts.count;
      continue;
    }
    for (Index i = begin; i < begin + length; ++i) {
      if (std::isnan(x[i])) continue;
      if (std::isinf(x[i]) || x[i] < lowest) {
        bad = i;
        return count;
      }
      add(x[i]);
      ++count;
    }
  }
  return count;
}

double ExactSum::wide_value() const {
  WideSum sum = *wide_;
  sum.add(units_);
  return sum.value();
}

std::vector<double> rolling_sum(const double* values, Index n, Index window) {
  if (window < 1) throw InputError("rolling_sum: expected window >= 1 row, got " + std::to_string(window));
  std::vector<double> sums(static_cast<std::size_t>(n));
  ExactSum sum;
  for (Index i = 0; i < n; ++i) {
    if (std::isinf(values[i]))
      throw InputError("rolling_sum: row " + std::to_string(i) + ": expected a finite number or NaN, got " +
                       number_text(values[i]));
    if (!std::isnan(values[i])) sum.add(values[i]);
    if (i >= window && !std::isnan(values[i - window])) sum.subtract(values[i - window]);
    sums[static_cast<std::size_t>(i)] = sum.value();
  }
  return sums;
}

}  // namespace emisopt
