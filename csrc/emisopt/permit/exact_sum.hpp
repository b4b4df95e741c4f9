// Sums without rounding: adding and subtracting are exact, in any order, and only value() rounds, once. So a
// running sum does not drift, a stream split anywhere gives the same bits, and value() is what Python's
// math.fsum gives of the same numbers.
#pragma once
#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <vector>

#include "emisopt/base/types.hpp"

namespace emisopt {

/// 128-bit fixed point in units of 2^-72: holds every number between 2^-20 and 2^41 exactly, and so every
/// concentration in a sane unit; sums of them are sums of integers.
struct Units {
  __int128 count = 0;

  /// high: a multiple of 2^-23 below 2^40, low: one of 2^-72 below 2^-10.
  static Units of_parts(double high, double low) {
    return {(static_cast<__int128>(static_cast<std::int64_t>(high * 0x1p23)) << 49) +
            static_cast<std::int64_t>(low * 0x1p72)};
  }

  /// Adds x exactly, or returns false and does nothing: x is another number, or the sum grows too large.
  bool add(double x, int sign = 1) {
    constexpr int kLeast = -20;  // from 2^-20 on every bit of a mantissa is a whole unit
    constexpr int kMost = 40;
    constexpr std::uint64_t kImplicit = std::uint64_t{1} << 52;
    const auto bits = std::bit_cast<std::uint64_t>(x);
    const int exponent = static_cast<int>(bits >> 52 & 0x7ff) - 1023;
    if (exponent < kLeast || exponent > kMost) return x == 0;
    const auto magnitude = static_cast<__int128>((bits & (kImplicit - 1)) | kImplicit) << (exponent - kLeast);
    return add(Units{(bits >> 63 != 0) == (sign > 0) ? -magnitude : magnitude});
  }
  bool add(Units other) {
    const __int128 sum = count + other.count;  // of two below 2^126
    constexpr std::int64_t kHigh = std::int64_t{1} << 61;
    const auto high = static_cast<std::int64_t>(sum >> 64);
    if (high >= kHigh || high < -kHigh) return false;
    count = sum;
    return true;
  }
  /// Correctly rounded, to even.
  double value() const {
    using Unsigned = unsigned __int128;
    // Of a sum of hours or days: upper and lower half are doubles exactly when what the lower one loses is
    // left as its last bit. That bit lies two or more below the last of the result, so the addition rounds as
    // one of the whole number would.
    constexpr std::int64_t kLeastHigh = 8, kMostHigh = std::int64_t{1} << 53;
    const auto upper = static_cast<std::int64_t>(count >> 64);
    if (upper >= kLeastHigh && upper < kMostHigh) {
      const auto lower = static_cast<std::uint64_t>(count);
      const auto odd =
          static_cast<std::int64_t>(lower >> 11 | static_cast<std::uint64_t>((lower & 0x7ff) != 0));
      return static_cast<double>(upper) * 0x1p-8 + static_cast<double>(odd) * 0x1p-61;
    }
    const Unsigned size = count < 0 ? -static_cast<Unsigned>(count) : static_cast<Unsigned>(count);
    const auto high = static_cast<std::uint64_t>(size >> 64);
    if (high == 0 && static_cast<std::int64_t>(size) >= 0)
      return static_cast<double>(static_cast<std::int64_t>(count)) * 0x1p-72;
    // The upper 63 bits, the last of them set when any below is: they round as all would.
    const int shift = high ? 65 - std::countl_zero(high) : 1;
    const std::uint64_t lost = (size & ((Unsigned{1} << shift) - 1)) != 0;
    const auto kept = static_cast<std::int64_t>(static_cast<std::uint64_t>(size >> shift) | lost);
    const double scale = std::bit_cast<double>(static_cast<std::uint64_t>(1023 - 72 + shift) << 52);
    return (count < 0 ? -scale : scale) * static_cast<double>(kept);
  }
};

/// A sum over the whole range of doubles (R. M. Neal, "Fast exact summation using small and large
/// superaccumulators", 2015, the small one): 64-bit digits of weight 2^32, carried now and then.
class WideSum {
 public:
  /// x must be finite.
  void add(double x);
  void add(Units units);
  void add(const WideSum& other, int sign);
  /// Correctly rounded, to even; +-infinity beyond the range of doubles.
  double value() const;

 private:
  static constexpr int kDigits = 70;  // 2^-1074 to 2^1024, and room for 2^64 terms
  static constexpr int kRoom = 1000;  // additions before a digit may overflow

  void put(int place, std::uint64_t low, std::uint64_t high, bool negative);
  void carry();

  std::array<std::int64_t, kDigits> digit_ = {};
  int room_ = kRoom;
};

/// The sum that windows use: Units for what fits them, a WideSum, made when the first other number comes, for
/// the rest.
class ExactSum {
 public:
  ExactSum() = default;
  ExactSum(const ExactSum& other);
  ExactSum(ExactSum&&) = default;
  ExactSum& operator=(const ExactSum& other);
  ExactSum& operator=(ExactSum&&) = default;

  /// x must be finite.
  void add(double x) {
    if (!units_.add(x)) wide().add(x);
  }
  void subtract(double x) {
    if (!units_.add(x, -1)) wide().add(-x);
  }
  void add(Units units) {
    if (!units_.add(units)) wide().add(units);
  }
  /// To a sum of nothing.
  void reset() {
    units_ = {};
    if (wide_) wide_.reset();
  }
  void add(const ExactSum& other) { merge(other, 1); }
  void subtract(const ExactSum& other) { merge(other, -1); }
  /// Adds x[0..n) and passes over NaN. Returns how many were added. A value that is infinite or below
  /// `lowest` stops it: `bad` becomes its place, and the sum is unspecified. A year of minutes passes in
  /// about a nanosecond each.
  Index add_run(const double* x, Index n, double lowest, Index& bad);

  /// The sum, correctly rounded: as math.fsum. 0 for no terms.
  double value() const { return wide_ ? wide_value() : units_.value(); }

 private:
  void merge(const ExactSum& other, int sign);
  WideSum& wide();
  double wide_value() const;

  Units units_;
  std::unique_ptr<WideSum> wide_;
};

/// sum[i] of the values in the `window` rows that end at i, correctly rounded; NaN is passed over, rows
/// before the first too. Throws InputError for window < 1 and for infinite values, naming the row.
std::vector<double> rolling_sum(const double* values, Index n, Index window);

}  // namespace emisopt
