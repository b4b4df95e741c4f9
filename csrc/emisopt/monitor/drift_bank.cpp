#include "emisopt/monitor/drift_bank.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"
#include "emisopt/monitor/tag_threads.hpp"

namespace emisopt {
namespace {

constexpr Index kGroup = 32;   // tags per job: four cache lines of a row, which lies on a page of its own
constexpr Index kBlock = 128;  // rows that are gathered at once: 34 KiB of a group
constexpr Index kMostTags = 10'000'000;
constexpr Index kWorthAThread = 20'000;  // values: some 0.1 ms, against 0.03 ms to start a thread

// Whether one of n values in a row is infinite.
bool has_infinite_plain(const double* x, Index n) {
  bool found = false;
  for (Index i = 0; i < n; ++i) found |= std::isinf(x[i]);
  return found;
}
#if defined(__x86_64__)
[[gnu::target("avx2")]] bool has_infinite_avx2(const double* x, Index n) {
  using Double4 = double __attribute__((vector_size(32)));
  using Mark4 = std::int64_t __attribute__((vector_size(32)));
  constexpr double kMost = std::numeric_limits<double>::max();
  Mark4 any = {};
  Index i = 0;
  for (; i + 4 <= n; i += 4) {
    Double4 v;
    std::memcpy(&v, x + i, sizeof v);
    any |= (v > kMost) | (v < -kMost);
  }
  return (any[0] | any[1] | any[2] | any[3]) != 0 || has_infinite_plain(x + i, n - i);
}
const auto has_infinite_run = __builtin_cpu_supports("avx2") ? has_infinite_avx2 : has_infinite_plain;
#else
constexpr auto has_infinite_run = has_infinite_plain;
#endif

bool has_infinite(const double* x, Index n, Index step) {
  if (step == 1) return has_infinite_run(x, n);
  bool found = false;
  for (Index i = 0; i < n; ++i) found |= std::isinf(x[i * step]);
  return found;
}

// In memory's order where there is one, in pieces that threads share.
bool has_infinite(const TagRows& v, int threads) {
  const bool by_tags = v.row_step == 1 && v.tag_step != 1;
  const Index outer = by_tags ? v.tags : v.rows, inner = by_tags ? v.rows : v.tags;
  const Index outer_step = by_tags ? v.tag_step : v.row_step, step = by_tags ? v.row_step : v.tag_step;
  std::atomic<bool> found = false;
  constexpr Index kLines = 64;
  share_out((outer + kLines - 1) / kLines, threads, [&](Index job) {
    for (Index i = job * kLines; i < std::min(outer, (job + 1) * kLines); ++i)
      if (has_infinite(v.data + i * outer_step, inner, step)) found = true;
  });
  return found;
}

[[noreturn]] void refuse_infinite(const char* where, const TagRows& v, const std::vector<std::string>& names,
                                  Index first_row) {
  for (Index row = 0; row < v.rows; ++row)
    for (Index tag = 0; tag < v.tags; ++tag)
      if (std::isinf(v(row, tag))) {
        const std::string at = v.time ? " (" + time_text(v.time[row]) + ")" : std::string();
        throw InputError(std::string(where) + ": row " + std::to_string(first_row + row) + at + ", tag " +
                         quote(names[static_cast<std::size_t>(tag)]) +
                         ": expected a finite number or NaN for missing, got " + number_text(v(row, tag)));
      }
  throw InputError(std::string(where) + ": an infinite value");
}

template <class Options>
struct DetectorOf;
template <>
struct DetectorOf<CusumOptions> : std::type_identity<Cusum> {};
template <>
struct DetectorOf<EwmaOptions> : std::type_identity<Ewma> {};
template <>
struct DetectorOf<PageHinkleyOptions> : std::type_identity<PageHinkley> {};
template <>
struct DetectorOf<AdwinOptions> : std::type_identity<Adwin> {};
template <>
struct DetectorOf<KswinOptions> : std::type_identity<Kswin> {};
template <>
struct DetectorOf<TwoWindowKsOptions> : std::type_identity<TwoWindowKs> {};

}  // namespace

void require_finite_or_missing(const char* where, const TagRows& values,
                               const std::vector<std::string>& names, Index first_row) {
  if (has_infinite(values, 1)) refuse_infinite(where, values, names, first_row);
}

struct DriftBank::Detectors {
  std::atomic<bool> busy = false;

  virtual ~Detectors() = default;
  virtual bool has_limit() const = 0;
  virtual void run(Index tag, const double* column, Index rows, Index step, Index first_row,
                   std::vector<TagAlarm>& out, Index& missing) = 0;
  virtual void set_limit(Index tag, double limit) = 0;
  virtual double limit(Index tag) const = 0;
  virtual void restart(Index tag) = 0;
  virtual std::vector<TagAlarm> take_peaks() = 0;
};

template <class D>
struct DriftBank::Of final : DriftBank::Detectors {
  Of(const typename D::Options& o, std::size_t tags, bool keep_peaks)
      : options(o), start(options), detectors(tags, start), judged(tags, 1), peaks(keep_peaks ? tags : 0) {
    for (TagAlarm& peak : peaks) peak.row = -1;
  }

  bool has_limit() const override { return D::kHasLimit; }

  void run(Index tag, const double* x, Index rows, Index step, Index first_row, std::vector<TagAlarm>& out,
           Index& missing) override {
    const auto at = static_cast<std::size_t>(tag);
    if (!judged[at]) {
      for (Index r = 0; r < rows; ++r) missing += std::isnan(x[r * step]);
      return;
    }
    TagAlarm* peak = peaks.empty() ? nullptr : &peaks[at];
    if constexpr (std::is_trivially_copyable_v<D>) {
      D local = detectors[at];  // in registers: nothing below takes its address
      take(local, tag, x, rows, step, first_row, out, missing, peak);
      detectors[at] = local;
    } else {
      take(detectors[at], tag, x, rows, step, first_row, out, missing, peak);
    }
  }
  [[gnu::always_inline]] inline void take(D& detector, Index tag, const double* x, Index rows, Index step,
                                          Index first_row, std::vector<TagAlarm>& out, Index& missing,
                                          TagAlarm* peak) {
    for (Index r = 0; r < rows; ++r) {
      const double value = x[r * step];
      if (std::isnan(value)) {
        ++missing;
        continue;
      }
      if (detector.update(options, value)) out.push_back({first_row + r, tag, described(detector)});
      if (peak && (peak->row < 0 || detector.statistic() > peak->alarm.statistic)) {
        *peak = {first_row + r, tag, described(detector)};
        peak->alarm.statistic = detector.statistic();
      }
    }
  }
  Alarm described(const D& detector) const {
    if constexpr (std::is_trivially_copyable_v<D>) {
      const D copy = detector;
      return copy.alarm(options);
    } else {
      return detector.alarm(options);
    }
  }
  void set_limit(Index tag, double limit) override {
    const auto at = static_cast<std::size_t>(tag);
    judged[at] = !std::isnan(limit);
    if constexpr (D::kHasLimit)
      if (judged[at]) detectors[at].set_limit(limit);
  }
  double limit(Index tag) const override {
    const auto at = static_cast<std::size_t>(tag);
    if constexpr (D::kHasLimit) return judged[at] ? detectors[at].limit() : kMissing;
    return kMissing;
  }
  void restart(Index tag) override {
    const auto at = static_cast<std::size_t>(tag);
    D fresh = start;
    if constexpr (D::kHasLimit) fresh.set_limit(detectors[at].limit());
    detectors[at] = std::move(fresh);
  }
  std::vector<TagAlarm> take_peaks() override {
    std::vector<TagAlarm> out(peaks.size());
    for (std::size_t t = 0; t < out.size(); ++t) out[t].row = -1, out[t].tag = static_cast<Index>(t);
    std::swap(out, peaks);
    for (std::size_t t = 0; t < out.size(); ++t) out[t].tag = static_cast<Index>(t);
    return out;
  }

  typename D::Options options;
  D start;
  std::vector<D> detectors;
  std::vector<char> judged;
  std::vector<TagAlarm> peaks;
};

DriftBank::DriftBank(const DetectorOptions& options, std::vector<std::string> names, bool keep_peaks)
    : names_(std::move(names)), missing_(names_.size(), 0), alarms_(names_.size(), 0) {
  if (names_.empty() || static_cast<Index>(names_.size()) > kMostTags)
    throw InputError("DriftBank(names): expected 1 to 10000000 tags, got " + std::to_string(names_.size()));
  detectors_ = std::visit(
      [&](const auto& o) -> std::unique_ptr<Detectors> {
        using D = typename DetectorOf<std::decay_t<decltype(o)>>::type;
        o.validate();
        return std::make_unique<Of<D>>(typename D::Options(o), names_.size(), keep_peaks);
      },
      options);
  if (keep_peaks && !detectors_->has_limit())
    throw InputError("DriftBank(keep_peaks): adwin and kswin have no statistic to keep the peak of");
}

DriftBank::DriftBank(DriftBank&&) noexcept = default;
DriftBank& DriftBank::operator=(DriftBank&&) noexcept = default;
DriftBank::~DriftBank() = default;

std::vector<TagAlarm> DriftBank::push(const TagRows& values, int threads) {
  const OneAtATime alone("DriftBank.push", detectors_->busy);
  if (broken_) throw StateError("DriftBank.push: an earlier call ended amid its rows; make a new bank");
  check_shape("DriftBank.push(values)", {values.rows, values.tags}, {{"N", -1}, {"tags", tags()}});
  const Index groups = (values.tags + kGroup - 1) / kGroup;
  if (values.rows * values.tags < kWorthAThread) threads = 1;

  if (has_infinite(values, threads)) refuse_infinite("DriftBank.push(values)", values, names_, rows_);

  std::vector<std::vector<TagAlarm>> found(static_cast<std::size_t>(groups));
  broken_ = true;
  share_out(groups, threads, [&](Index group) {
    const Index first = group * kGroup, count = std::min(kGroup, values.tags - first);
    std::vector<TagAlarm>& out = found[static_cast<std::size_t>(group)];
    double gathered[kGroup][kBlock + 8];  // padded: columns 1 KiB apart would share the cache's sets
    for (Index begin = 0; begin < values.rows; begin += kBlock) {
      const Index length = std::min(kBlock, values.rows - begin);
      const bool gather = values.row_step != 1 && length > 1;
      const double* from = values.data + begin * values.row_step + first * values.tag_step;
      if (gather && values.tag_step == 1)
        for (Index r = 0; r < length; ++r)
          for (Index t = 0; t < count; ++t) gathered[t][r] = from[r * values.row_step + t];
      else if (gather)
        for (Index t = 0; t < count; ++t)
          for (Index r = 0; r < length; ++r) gathered[t][r] = from[r * values.row_step + t * values.tag_step];
      for (Index t = 0; t < count; ++t)
        detectors_->run(first + t, gather ? gathered[t] : from + t * values.tag_step, length,
                        gather ? 1 : values.row_step, rows_ + begin, out,
                        missing_[static_cast<std::size_t>(first + t)]);
    }
  });
  std::vector<TagAlarm> out;
  std::size_t total = 0;
  for (const auto& part : found) total += part.size();
  out.reserve(total);
  for (const auto& part : found) out.insert(out.end(), part.begin(), part.end());
  std::sort(out.begin(), out.end(), [](const TagAlarm& a, const TagAlarm& b) {
    return a.row != b.row ? a.row < b.row : a.tag < b.tag;
  });
  for (const TagAlarm& alarm : out) ++alarms_[static_cast<std::size_t>(alarm.tag)];
  rows_ += values.rows;
  broken_ = false;
  return out;
}

void DriftBank::set_limits(const std::vector<double>& limits) {
  const OneAtATime alone("DriftBank.set_limits", detectors_->busy);
  if (!detectors_->has_limit())
    throw StateError("DriftBank.set_limits: adwin and kswin have no limit; set delta or alpha instead");
  check_shape("DriftBank.set_limits(limits)", {static_cast<long>(limits.size())}, {{"tags", tags()}});
  for (std::size_t t = 0; t < limits.size(); ++t)
    if (limits[t] <= 0)
      throw InputError("DriftBank.set_limits: tag " + quote(names_[t]) +
                       ": expected a limit above 0, or NaN for not judged, got " + number_text(limits[t]));
  for (std::size_t t = 0; t < limits.size(); ++t) detectors_->set_limit(static_cast<Index>(t), limits[t]);
}

std::vector<double> DriftBank::limits() const {
  std::vector<double> out;
  for (Index t = 0; t < tags(); ++t) out.push_back(detectors_->limit(t));
  return out;
}

std::vector<TagAlarm> DriftBank::take_peaks() {
  const OneAtATime alone("DriftBank.take_peaks", detectors_->busy);
  std::vector<TagAlarm> peaks = detectors_->take_peaks();
  if (peaks.empty()) throw StateError("DriftBank.take_peaks: the bank was made without keep_peaks");
  return peaks;
}

void DriftBank::restart(Index tag) {
  const OneAtATime alone("DriftBank.restart", detectors_->busy);
  if (tag < 0 || tag >= tags())
    throw InputError("DriftBank.restart(tag): expected 0 to " + std::to_string(tags() - 1) + ", got " +
                     std::to_string(tag));
  detectors_->restart(tag);
}

void DriftBank::restart_all() {
  const OneAtATime alone("DriftBank.restart_all", detectors_->busy);
  for (Index t = 0; t < tags(); ++t) detectors_->restart(t);
}

}  // namespace emisopt
