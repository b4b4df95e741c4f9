#include "emisopt/permit/average.hpp"

#include <algorithm>

namespace emisopt {

void AverageSeries::Part::add(double value, Reason reason) {
  operating += reason != Reason::not_operating;
  if (reason != Reason::valid) return;
  sum.add(value);
  ++valid;
}

void AverageSeries::Part::drop(double value, Reason reason) {
  operating -= reason != Reason::not_operating;
  if (reason != Reason::valid) return;
  sum.subtract(value);
  --valid;
}

void AverageSeries::advance(bool last) {
  for (; done_ < base_.values().size(); ++done_) take(done_);
  if (last && group_open_) close_group();
}

void AverageSeries::emit(Span span, int used, Reason reason, double mean) {
  out_->begin.push_back(span.begin);
  out_->end.push_back(span.end);
  out_->reason.push_back(reason);
  out_->used.push_back(used);
  out_->value.push_back(reason == Reason::valid ? mean - subtract_ : kMissing);
}

void AverageSeries::emit(Span span, const Part& part, Reason reason) {
  emit(span, part.valid, reason, reason == Reason::valid ? part.sum.value() / part.valid : kMissing);
}

Reason AverageSeries::judge(const Part& part, double periods, double unseen) const {
  const double operating = part.operating + unseen;  // what was not seen may have been operation
  if (operating == 0) return Reason::not_operating;
  if (part.valid == 0) return Reason::no_data;
  if (spec_.max_invalid >= 0 && operating - part.valid > spec_.max_invalid) return Reason::too_many_invalid;
  const double room = spec_.of_operation ? operating : periods;
  if (spec_.min_share > 0 && part.valid < spec_.min_share * room - 1e-9 * room) return Reason::too_few;
  return Reason::valid;
}

void AverageSeries::take(std::size_t i) {
  const double value = base_.values()[i];
  const Reason reason = base_.reasons()[i];
  switch (spec_.over) {
    case Over::base:
      return emit(base_.clock().periods()[i], reason == Reason::valid, reason, value);
    case Over::rolling:
      return roll(i);
    case Over::operating_periods:
      return roll_operating(i);
    case Over::block:
    case Over::day:
    case Over::month:
    case Over::operating_days:
      break;
  }
  const Span span = base_.clock().periods()[i];
  if (group_open_ && span.begin >= group_span_.end) close_group();
  if (!group_open_) {
    group_span_ = group_of(i);
    group_open_ = true;
  }
  group_.add(value, reason);
  ++group_seen_;
  if (span.end >= group_span_.end) close_group();
}

void AverageSeries::roll(std::size_t i) {
  const std::vector<Span>& periods = base_.clock().periods();
  const Span span{periods[i].end - spec_.length, periods[i].end};
  window_.add(base_.values()[i], base_.reasons()[i]);
  for (; periods[head_].begin < span.begin; ++head_)
    window_.drop(base_.values()[head_], base_.reasons()[head_]);
  const double room = static_cast<double>(spec_.length) / base_.clock().length_s();
  const double seen = static_cast<double>(i - head_ + 1);
  emit(span, window_, judge(window_, room, std::max(0.0, room - seen)));
}

void AverageSeries::roll_operating(std::size_t i) {
  const Reason reason = base_.reasons()[i];
  if (reason == Reason::not_operating) return;
  window_.add(base_.values()[i], reason);
  used_.push_back(i);
  if (static_cast<int>(used_.size()) > spec_.length) {
    window_.drop(base_.values()[used_.front()], base_.reasons()[used_.front()]);
    used_.pop_front();
  }
  const std::vector<Span>& periods = base_.clock().periods();
  const bool full = static_cast<int>(used_.size()) == spec_.length;
  emit({periods[used_.front()].begin, periods[i].end}, window_,
       full ? judge(window_, spec_.length, 0) : Reason::incomplete);
}

Span AverageSeries::group_of(std::size_t i) const {
  if (spec_.over == Over::block) return zone_.block(base_.clock().periods()[i].begin, spec_.length);
  const int day = base_.clock().days()[i];
  return spec_.over == Over::month ? zone_.month_span(Zone::month(day)) : zone_.day_span(day);
}

void AverageSeries::close_group() {
  if (spec_.over == Over::operating_days) {
    close_day(group_span_);
  } else {
    const double room = static_cast<double>(group_span_.end - group_span_.begin) / base_.clock().length_s();
    emit(group_span_, group_, judge(group_, room, std::max(0.0, room - group_seen_)));
  }
  group_ = Part{};
  group_seen_ = 0;
  group_open_ = false;
}

void AverageSeries::close_day(Span day) {
  if (group_.operating == 0) return;  // not a day of operation
  window_.sum.add(group_.sum);
  window_.valid += group_.valid;
  window_.operating += group_.operating;
  days_.push_back({std::move(group_), day.begin});
  if (static_cast<int>(days_.size()) > spec_.length) {
    const Part& oldest = days_.front().part;
    window_.sum.subtract(oldest.sum);
    window_.valid -= oldest.valid;
    window_.operating -= oldest.operating;
    days_.pop_front();
  }
  const bool full = static_cast<int>(days_.size()) == spec_.length;
  emit({days_.front().begin, day.end}, window_,
       full ? judge(window_, window_.operating, 0) : Reason::incomplete);
}

}  // namespace emisopt
