#include "emisopt/permit/average.hpp"

#include <algorithm>
#include <cmath>

namespace emisopt {

double RangeSum::value(std::size_t first, std::size_t last) {
  const Tallies& tallies = base_.tallies();
  const Units units{tallies[last].sum.count - tallies[first].sum.count};
  const std::vector<std::size_t>& odd = base_.odd();
  if (odd.empty()) return units.value();
  for (; tail_ < odd.size() && odd[tail_] < last; ++tail_) odd_.add(base_.values()[odd[tail_]]);
  for (; head_ < tail_ && odd[head_] < first; ++head_) odd_.subtract(base_.values()[odd[head_]]);
  ExactSum sum = odd_;
  sum.add(units);
  return sum.value();
}

AverageSeries::AverageSeries(const Averaging& averaging, const BaseSeries& base, const Zone& zone,
                             double subtract, std::shared_ptr<Windows> windows)
    : spec_(averaging),
      base_(base),
      zone_(zone),
      subtract_(subtract),
      room_(static_cast<double>(averaging.length) / base.clock().length_s()),
      sum_(base),
      out_(std::make_shared<Averages>()) {
  out_->windows = std::move(windows);
}

AverageSeries::Range AverageSeries::range(std::size_t first, std::size_t last) const {
  const Tally a = base_.tallies()[first], b = base_.tallies()[last];
  return {first, last, b.valid - a.valid, b.operating - a.operating};
}

void AverageSeries::advance(bool last) {
  if (by_clock(spec_)) return advance_by_clock();
  for (const std::size_t count = base_.values().size(); done_ < count; ++done_) {
    if (spec_.over == Over::operating_periods) {
      roll_operating(done_);
      continue;
    }
    take(done_);
    if (group_open_) done_ = std::min(count, last_of_group()) - 1;  // what lies amid it
  }
  if (last && group_open_) close_group(done_);
}

void AverageSeries::lay_out(std::size_t closed) {
  if (!by_clock(spec_)) return;
  const RawVector<Span>& periods = base_.clock().periods();
  Windows& windows = *out_->windows;
  const std::size_t from = windows.end.size();
  if (closed <= from) return;
  if (windows.end.capacity() < closed) {
    const std::size_t room = periods.capacity();  // which doubles, also in a stream
    windows.begin.reserve(room);
    windows.end.reserve(room);
    if (spec_.over == Over::rolling) windows.first.reserve(room);
  }
  windows.begin.resize(closed);
  windows.end.resize(closed);
  for (std::size_t i = from; i < closed; ++i) {
    windows.begin[i] = spec_.over == Over::base ? periods[i].begin : periods[i].end - spec_.length;
    windows.end[i] = periods[i].end;
  }
  if (spec_.over != Over::rolling) return;
  windows.first.resize(closed);
  std::size_t head = windows.head;
  for (std::size_t i = from; i < closed; ++i) {
    while (periods[head].begin < windows.begin[i]) ++head;
    windows.first[i] = head;
    if (i == 0 || head != windows.first[i - 1] + 1) windows.runs.push_back(i);
  }
  windows.head = head;
}

// One average for each base mean, so that all of them have their place before they are computed.
void AverageSeries::advance_by_clock() {
  const std::size_t count = base_.values().size();
  if (out_->value.capacity() < count) {
    const std::size_t room = base_.values().capacity();  // which doubles, also in a stream
    out_->value.reserve(room);
    out_->reason.reserve(room);
    out_->used.reserve(room);
  }
  out_->value.resize(count);
  out_->reason.resize(count);
  out_->used.resize(count);
  if (spec_.over == Over::rolling) return roll(count);
  copy_base(count);
}

// Over the base alone: its own means. One loop for each field, which the compiler makes vector code of.
void AverageSeries::copy_base(std::size_t count) {
  const double* value = base_.values().data();
  const Reason* why = base_.reasons().data();
  double* to = out_->value.data();
  int* used = out_->used.data();
  const double subtract = subtract_;
  for (std::size_t i = done_; i < count; ++i) to[i] = value[i] - subtract;
  std::copy(why + done_, why + count, out_->reason.data() + done_);
  for (std::size_t i = done_; i < count; ++i) used[i] = why[i] == Reason::valid;
  done_ = count;
}

void AverageSeries::put(std::size_t i, const Range& range, Reason reason) {
  const bool valid = reason == Reason::valid;
  out_->value[i] = valid ? sum_.value(range.first, range.last) / range.valid - subtract_ : kMissing;
  out_->reason[i] = reason;
  out_->used[i] = range.valid;
}

void AverageSeries::emit(Span span, const Range& range, Reason reason) {
  out_->windows->begin.push_back(span.begin);
  out_->windows->end.push_back(span.end);
  out_->value.emplace_back();
  out_->reason.emplace_back();
  out_->used.emplace_back();
  put(out_->size() - 1, range, reason);
}

Reason judge_average(const Averaging& averaging, int valid, int operating, double periods, double unseen) {
  const double ran = operating + unseen;
  if (ran == 0) return Reason::not_operating;
  if (valid == 0) return Reason::no_data;
  if (averaging.max_invalid >= 0 && ran - valid > averaging.max_invalid) return Reason::too_many_invalid;
  const double room = averaging.of_operation ? ran : periods;
  if (averaging.min_share > 0 && valid < averaging.min_share * room - 1e-9 * room) return Reason::too_few;
  return Reason::valid;
}

Reason AverageSeries::judge(const Range& range, double periods, double unseen) const {
  return judge_average(spec_, range.valid, range.operating, periods, unseen);
}

// Every base period of every column ends three or four windows; where they are all of one length, as they are
// but for the beginning and changes of the clock, many are taken at once.
void AverageSeries::roll(std::size_t count) {
  constexpr std::size_t kLeast = 16;
  const std::size_t* first = out_->windows->first.data();
  const std::vector<std::size_t>& runs = out_->windows->runs;
  auto next = std::upper_bound(runs.begin(), runs.end(), done_);
  while (done_ < count) {
    while (next != runs.end() && *next <= done_) ++next;
    const std::size_t end = next == runs.end() ? count : std::min(*next, count);
    if (end - done_ < kLeast || !roll_run(first, end)) roll_each(end);
    done_ = end;
  }
}

// Windows [done_, end), all of one length. False where that is not the way for them.
bool AverageSeries::roll_run(const std::size_t* first, std::size_t end) {
  // With a fixed room, so many valid base means decide it, as in judge_average().
  if (spec_.max_invalid >= 0 || spec_.of_operation || !base_.odd().empty()) return false;
  const double least = spec_.min_share > 0 ? spec_.min_share * room_ - 1e-9 * room_ : 0;
  const std::size_t length = done_ + 1 - first[done_];
  const int enough = std::max(1, static_cast<int>(std::ceil(std::min(least, 1e9))));
  const Tallies& tallies = base_.tallies();
  int* used = out_->used.data();
  if (!tallies.averages({done_, end, length, enough, subtract_}, out_->value.data(), used)) return false;
  const bool unseen = room_ > static_cast<double>(length);
  Reason* why = out_->reason.data();
  std::fill(why + done_, why + end, Reason::valid);
  constexpr std::size_t kStretch = 32;  // most have enough in every window
  for (std::size_t from = done_; from < end; from += kStretch) {
    const std::size_t to = std::min(end, from + kStretch);
    int fewest = enough;
    for (std::size_t i = from; i < to; ++i) fewest = std::min(fewest, used[i]);
    for (std::size_t i = from; fewest < enough && i < to; ++i) {
      if (used[i] >= enough) continue;
      const bool ran = unseen || tallies.operating(first[i], i + 1) > 0;
      why[i] = !ran ? Reason::not_operating : used[i] == 0 ? Reason::no_data : Reason::too_few;
    }
  }
  return true;
}

void AverageSeries::roll_each(std::size_t end) {
  const std::size_t* first = out_->windows->first.data();
  for (std::size_t i = done_; i < end; ++i) {
    const Range window = range(first[i], i + 1);
    put(i, window, judge(window, room_, std::max(0.0, room_ - static_cast<double>(i + 1 - first[i]))));
  }
}

void AverageSeries::roll_operating(std::size_t i) {
  if (base_.reasons()[i] == Reason::not_operating) return;
  used_.push_back(i);
  if (static_cast<int>(used_.size()) > spec_.length) used_.pop_front();
  const RawVector<Span>& periods = base_.clock().periods();
  const bool full = static_cast<int>(used_.size()) == spec_.length;
  const Range window = range(used_.front(), i + 1);
  emit({periods[used_.front()].begin, periods[i].end}, window,
       full ? judge(window, spec_.length, 0) : Reason::incomplete);
}

void AverageSeries::take(std::size_t i) {
  const Span span = base_.clock().periods()[i];
  if (group_open_ && span.begin >= group_.end) close_group(i);
  if (!group_open_) {
    group_ = group_of(i);
    group_first_ = i;
    group_open_ = true;
  }
  if (span.end >= group_.end) close_group(i + 1);
}

// The period at or after whose end the open group ends; where periods are even, as nearly all are, without a
// look at those between.
std::size_t AverageSeries::last_of_group() const {
  const RawVector<Span>& periods = base_.clock().periods();
  const auto ends_before = [&](const Span& period) { return period.end < group_.end; };
  const Second rest = group_.end - periods[done_].end;
  const std::size_t even = done_ + static_cast<std::size_t>(std::max<Second>(rest, 0)) /
                                       static_cast<std::size_t>(base_.clock().length_s());
  if (even > done_ && even < periods.size() && ends_before(periods[even - 1]) && !ends_before(periods[even]))
    return even;
  const auto from = periods.begin() + static_cast<std::ptrdiff_t>(done_) + 1;
  return static_cast<std::size_t>(std::partition_point(from, periods.end(), ends_before) - periods.begin());
}

Span AverageSeries::group_of(std::size_t i) const {
  if (spec_.over == Over::block) return zone_.block(base_.clock().periods()[i].begin, spec_.length);
  const int day = base_.clock().days()[i];
  return spec_.over == Over::month ? zone_.month_span(Zone::month(day)) : zone_.day_span(day);
}

void AverageSeries::close_group(std::size_t last) {
  group_open_ = false;
  if (spec_.over == Over::operating_days) return close_day(last);
  const Range group = range(group_first_, last);
  const double room = static_cast<double>(group_.end - group_.begin) / base_.clock().length_s();
  emit(group_, group, judge(group, room, std::max(0.0, room - static_cast<double>(last - group_first_))));
}

void AverageSeries::close_day(std::size_t last) {
  if (range(group_first_, last).operating == 0) return;  // not a day of operation
  days_.push_back({group_first_, group_.begin});
  if (static_cast<int>(days_.size()) > spec_.length) days_.pop_front();
  const bool full = static_cast<int>(days_.size()) == spec_.length;
  const Range window = range(days_.front().first, last);  // days between them have nothing that counts
  emit({days_.front().begin, group_.end}, window,
       full ? judge(window, window.operating, 0) : Reason::incomplete);
}

}  // namespace emisopt
