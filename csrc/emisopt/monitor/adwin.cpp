#include "emisopt/monitor/adwin.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <string>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

constexpr int kMostRows = 48;     // 2^48 values a bucket: more than a life of milliseconds
constexpr int kMostBuckets = 16;  // per size; more buy no power and would not fit the arrays of a test

double power_of_two(std::size_t exponent) { return static_cast<double>(std::uint64_t{1} << exponent); }

// The cuts of a window, oldest first: values and sums on the older side. Filled up to a multiple of four.
struct Cuts {
  alignas(32) double count[kMostRows * (kMostBuckets + 1) + 4];
  alignas(32) double older[kMostRows * (kMostBuckets + 1) + 4];
  alignas(32) double newer[kMostRows * (kMostBuckets + 1) + 4];
  int size = 0;
};

struct Window {
  double width, least, spread, log_term, min_window;  // spread: variance of a value
};

// epsilon_cut in the operations of river's adwin.rs, so that equal bits decide.
bool exceeds(const Window& w, double n0, double n1, double difference) {
  const double m = 1.0 / (n0 - w.min_window + 1.0) + 1.0 / (n1 - w.min_window + 1.0);
  const double epsilon = std::sqrt(2.0 * m * w.spread * w.log_term) + 2.0 / 3.0 * w.log_term * m;
  return std::abs(difference) > epsilon;
}

// Whether some cut may exceed its epsilon: |d| - B > 0 with its square above A (1 - 1e-14), where
// epsilon = sqrt(A) + B. The margin is fifty times what rounding can take, so no cut that exceeds is missed;
// the few that pass are put to exceeds(). No square root, and the same operations in every lane.
[[gnu::always_inline]] inline bool may_exceed_in(const Cuts& cuts, const Window& w) {
  using Double4 = double __attribute__((vector_size(32)));
  using Mark4 = std::int64_t __attribute__((vector_size(32)));
  const auto load = [](const double* from) __attribute__((always_inline)) {
    Double4 v;
    std::memcpy(&v, from, sizeof v);
    return v;
  };
  const double two_spread_log = 2.0 * w.spread * w.log_term * (1 - 1e-14);
  const double two_thirds_log = 2.0 / 3.0 * w.log_term;
  Mark4 any = {};
  for (int i = 0; i < cuts.size; i += 4) {
    const Double4 n0 = load(cuts.count + i), n1 = w.width - n0;
    Double4 d = load(cuts.older + i) / n0 - load(cuts.newer + i) / n1;
    const Mark4 negative = d < 0.0;
    d = negative ? -d : d;
    const Double4 m = 1.0 / (n0 - w.min_window + 1.0) + 1.0 / (n1 - w.min_window + 1.0);
    const Double4 rest = d - two_thirds_log * m;
    any |= (n0 >= w.least) & (n1 >= w.least) & (rest > 0.0) & (rest * rest > two_spread_log * m);
  }
  return any[0] | any[1] | any[2] | any[3];
}

bool may_exceed_plain(const Cuts& cuts, const Window& w) { return may_exceed_in(cuts, w); }
#if defined(__x86_64__)
// avx2 without fma: contraction would change bits.
[[gnu::target("avx2")]] bool may_exceed_avx2(const Cuts& cuts, const Window& w) {
  return may_exceed_in(cuts, w);
}
const auto may_exceed = __builtin_cpu_supports("avx2") ? may_exceed_avx2 : may_exceed_plain;
#else
constexpr auto may_exceed = may_exceed_plain;
#endif

}  // namespace

void AdwinOptions::validate() const {
  const std::string where = "Adwin(";
  const auto whole = [&](const char* name, int value, int least, int most) {
    if (value < least || value > most)
      throw InputError(where + name + "): expected " + std::to_string(least) + " to " + std::to_string(most) +
                       ", got " + std::to_string(value));
  };
  if (!(delta > 0 && delta < 1))
    throw InputError(where + "delta): expected a number in (0, 1), got " + number_text(delta));
  whole("clock", clock, 1, 1'000'000);
  whole("max_buckets", max_buckets, 2, kMostBuckets);  // 1: rows run empty, and river panics
  whole("min_window", min_window, 1, 1'000'000);
  whole("grace", grace, 0, 1'000'000);
}

Adwin::Adwin(const Options& options)
    : full_(options.max_buckets + 1),
      room_(std::bit_ceil(static_cast<std::size_t>(full_))),
      until_test_(options.clock) {
  add_row();
}

void Adwin::add_row() {
  if (rows_.size() == kMostRows) throw StateError("Adwin: more than 2^48 values in a window");
  cells_.resize(cells_.size() + 2 * room_);
  rows_.push_back({});
}

void Adwin::reset(const Options& options) {
  rows_.assign(1, Row{});
  cells_.resize(2 * room_);
  width_ = total_ = variance_ = size_ = 0;
  until_test_ = options.clock;
  start_anew_ = false;
}

bool Adwin::test(const Options& options) {
  until_test_ = options.clock;
  if (!(width_ > options.grace)) return false;
  const bool changed = reduce(options);
  if (options.variant == DriftVariant::moa) return changed && mean() > mean_before_;
  return start_anew_ = changed;
}

void Adwin::merge_full_rows() {
  for (std::size_t i = 0; rows_[i].used == full_; ++i) {
    if (i + 1 == rows_.size()) add_row();
    Row &row = rows_[i], &above = rows_[i + 1];
    const double *t = totals(i), *v = variances(i);
    const std::size_t a = place(row, 0), b = place(row, 1), to = place(above, above.used);
    const double n = power_of_two(i), per = 1 / n;  // a power of two: the product is the quotient
    const double difference = t[a] * per - t[b] * per;
    totals(i + 1)[to] = t[a] + t[b];
    variances(i + 1)[to] = v[a] + v[b] + n * 0.5 * difference * difference;
    ++above.used;
    row.first = static_cast<std::uint8_t>(place(row, 2));
    row.used = static_cast<std::uint8_t>(row.used - 2);
  }
}

void Adwin::drop_oldest() {
  Row& row = rows_.back();
  const std::size_t i = rows_.size() - 1, at = place(row, 0);
  const double n = power_of_two(i), total = totals(i)[at], mean = total / n;
  width_ -= n;
  total_ -= total;
  const double rest = total_ / width_;
  variance_ -= variances(i)[at] + n * width_ * (mean - rest) * (mean - rest) / (n + width_);
  row.first = static_cast<std::uint8_t>(place(row, 1));
  if (--row.used == 0 && i > 0) {
    rows_.pop_back();
    cells_.resize(cells_.size() - 2 * room_);
  }
}

bool Adwin::reduce(const Options& options) {
  const double width = width_, total = total_;
  while (finds_cut(options)) drop_oldest();
  if (width_ == width) return false;
  size_ = mean() - (total - total_) / (width - width_);
  return true;
}

bool Adwin::finds_cut(const Options& options) {
  Cuts cuts;
  double count = 0, older = 0, newer = total_;
  int size = 0;
  for (std::size_t i = rows_.size(); i-- > 0;) {
    const double n = power_of_two(i);
    const double* t = totals(i);
    for (int k = 0; k < rows_[i].used; ++k) {
      const double sum = t[place(rows_[i], k)];
      count += n, older += sum, newer -= sum;
      cuts.count[size] = count, cuts.older[size] = older, cuts.newer[size] = newer;
      ++size;
    }
  }
  // Behind the newest bucket is no cut.
  cuts.size = std::max(size - 1, 0);
  for (int i = cuts.size; i % 4 != 0; ++i) cuts.count[i] = 0, cuts.older[i] = 0, cuts.newer[i] = 0;

  Window w{};
  w.width = width_;
  w.min_window = options.min_window;
  w.least = options.variant == DriftVariant::river ? options.min_window : options.min_window + 2;
  w.spread = variance_ / width_;
  w.log_term = std::log(2.0 * std::log(width_) / options.delta);
  if (!may_exceed(cuts, w)) return false;
  for (int i = 0; i < cuts.size; ++i) {
    const double n0 = cuts.count[i], n1 = width_ - n0;
    if (n0 >= w.least && n1 >= w.least && exceeds(w, n0, n1, cuts.older[i] / n0 - cuts.newer[i] / n1))
      return true;
  }
  return false;
}

}  // namespace emisopt
