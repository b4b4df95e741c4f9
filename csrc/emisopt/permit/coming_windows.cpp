#include "emisopt/permit/coming_windows.hpp"

#include <algorithm>
#include <deque>

namespace emisopt {
namespace {

constexpr int kQuarters = 4;

class Lister {
 public:
  Lister(const Averaging& spec, const Outlook& ahead, bool to_date)
      : spec_(spec), ahead_(ahead), to_date_(to_date), length_(ahead.base().clock().length_s()) {}

  std::vector<ComingWindow> windows() {
    switch (spec_.over) {
      case Over::base:
        each([&](std::size_t i) { return ComingWindow{0, 0, i, i + 1, cell(i).span, 1, 0}; });
        break;
      case Over::rolling:
        each([&](std::size_t i) { return rolling(i); });
        break;
      case Over::block:
      case Over::day:
      case Over::month:
        groups();
        break;
      case Over::operating_periods:
        operating_periods();
        break;
      case Over::operating_days:
        operating_days();
        break;
    }
    return std::move(out_);
  }

 private:
  const Cell& cell(std::size_t i) const { return ahead_.cells()[i]; }
  std::size_t cells() const { return ahead_.cells().size(); }
  std::size_t closed() const { return ahead_.closed(); }
  int operating(std::size_t closed_mean) const {
    const Tallies& t = ahead_.base().tallies();
    return t[closed_mean + 1].operating - t[closed_mean].operating;
  }
  void put(ComingWindow window, bool closes) {
    if (!closes && !to_date_) return;
    window.closes = closes;
    out_.push_back(window);
  }

  template <class Make>
  void each(const Make& make) {
    for (std::size_t i = 0; i < cells(); ++i) put(make(i), cell(i).closes);
  }

  ComingWindow rolling(std::size_t i) const {
    const Second begin = cell(i).span.end - spec_.length;
    ComingWindow w{ahead_.first_from(begin), closed(), i, i + 1, {begin, cell(i).span.end}, 0, 0};
    while (w.from > 0 && cell(w.from - 1).span.begin >= begin) --w.from;
    if (w.from > 0) w.first = w.last;  // it begins within the cells
    w.room = static_cast<double>(spec_.length) / length_;
    w.unseen = std::max(0.0, w.room - static_cast<double>(w.last - w.first + w.to - w.from));
    return w;
  }

  Span group_of(Second begin, int day) const {
    if (spec_.over == Over::block) return ahead_.zone().block(begin, spec_.length);
    return spec_.over == Over::month ? ahead_.zone().month_span(Zone::month(day))
                                     : ahead_.zone().day_span(day);
  }

  void groups() {
    for (std::size_t i = 0; i < cells();) {
      const Span span = group_of(cell(i).span.begin, cell(i).day);
      std::size_t to = i + 1;
      while (to < cells() && cell(to).span.begin < span.end) ++to;
      ComingWindow w{i == 0 ? ahead_.first_from(span.begin) : closed(), closed(), i, to, span, 0, 0};
      w.room = static_cast<double>(span.end - span.begin) / length_;
      w.unseen = std::max(0.0, w.room - static_cast<double>(w.last - w.first + w.to - w.from));
      put(w, span.end <= ahead_.end() && cell(to - 1).span.end >= span.end);
      i = to;
    }
  }

  // The last `length` base periods of operation, at each one to come.
  void operating_periods() {
    std::size_t first = closed(), missing = 0;
    const auto wanted = static_cast<std::size_t>(spec_.length);
    std::deque<std::size_t> used;  // closed ones, oldest first
    while (first > 0 && used.size() < wanted) {
      --first;
      if (operating(first)) used.push_front(first);
    }
    std::deque<std::size_t> coming;  // cells
    for (std::size_t i = 0; i < cells(); ++i) {
      if (!cell(i).operating) continue;
      coming.push_back(i);
      if (used.size() + coming.size() > wanted) used.empty() ? coming.pop_front() : used.pop_front();
      missing = wanted - used.size() - coming.size();
      if (missing > 0) continue;
      ComingWindow w{used.empty() ? closed() : used.front(), closed(), coming.front(), i + 1, {}, 0, 0};
      w.span = {used.empty() ? cell(coming.front()).span.begin : ahead_.begin_of(used.front()),
                cell(i).span.end};
      w.room = static_cast<double>(wanted);
      put(w, cell(i).closes);
    }
  }

  // All base means of the last `length` days of operation.
  void operating_days() {
    struct Day {
      int day = 0;
      std::size_t first = 0, from = 0;  // its first closed mean, its first cell
      bool operating = false;
    };
    std::vector<Day> days;  // that end with the newest closed mean, then those of the cells
    std::size_t begin = closed();
    int counted = 0;
    const int current = cells() ? cell(0).day : 0;
    while (begin > 0 && (counted < spec_.length || ahead_.day_of(begin - 1) == current)) {
      const int day = ahead_.day_of(begin - 1);
      Day one{day, begin, 0, false};
      while (one.first > 0 && ahead_.day_of(one.first - 1) == day) --one.first;
      const Tallies& t = ahead_.base().tallies();
      one.operating = t[begin].operating > t[one.first].operating;
      counted += one.operating && day != current;
      begin = one.first;
      days.insert(days.begin(), one);
    }
    for (std::size_t i = 0; i < cells();) {
      std::size_t to = i;
      bool ran = false;
      for (; to < cells() && cell(to).day == cell(i).day; ++to) ran |= cell(to).operating;
      if (days.empty() || days.back().day != cell(i).day) days.push_back({cell(i).day, closed(), i, false});
      days.back().operating |= ran;
      if (days.back().operating) {
        const auto last = days.size() - 1;
        std::size_t oldest = last;
        int number = 1;
        while (number < spec_.length && oldest > 0) number += days[--oldest].operating;
        while (!days[oldest].operating) ++oldest;
        if (number == spec_.length) {
          const Day& from = days[oldest];
          const bool past = from.first < closed();
          const Second end = ahead_.zone().day_span(days[last].day).end;
          ComingWindow w{from.first, closed(), past ? 0 : from.from, to, {}, 0, 0};
          w.span = {ahead_.zone().day_span(from.day).begin, end};
          w.room = -1;  // as many as operated
          put(w, end <= ahead_.end() && cell(to - 1).span.end >= end);
        }
      }
      i = to;
    }
  }

  const Averaging& spec_;
  const Outlook& ahead_;
  bool to_date_;
  int length_;
  std::vector<ComingWindow> out_;
};

}  // namespace

Outlook::Outlook(const BaseSeries& base, const Zone& zone, const Ahead& ahead, double sample_s, Stamp stamp,
                 const Samples& waiting)
    : base_(base), zone_(zone), ahead_(ahead), end_(ahead.from + Second{ahead.step_s} * ahead.steps) {
  BaseClock clock = base.clock().tail();
  BaseSeries tail = base.tail(clock);
  if (waiting.rows > 0) {
    const RawVector<Piece>& pieces = clock.cut(waiting);
    tail.take(waiting, pieces);
  }
  const RawVector<Span>& begun = clock.periods();
  // The periods that have no closed mean yet, without a gap, to the end of the horizon.
  const Index open = tail.open_period();
  for (std::size_t i = 0; i < begun.size(); ++i) {
    const bool closed = static_cast<Index>(i) < open;
    add(begun[i], clock.days()[i], closed ? &tail : nullptr, i,
        static_cast<Index>(i) == open ? &tail : nullptr, sample_s, stamp);
  }
  Second next = begun.empty() ? ahead.from : begun.back().end;
  while (next < end_) {
    const Span span = zone.block(next, base.clock().length_s());
    add(span, zone.day(span.begin), nullptr, 0, nullptr, sample_s, stamp);
    next = span.end;
  }
}

std::size_t Outlook::first_from(Second begin) const {
  const RawVector<Span>& periods = base_.clock().periods();
  const auto last = periods.begin() + static_cast<Index>(closed());
  return static_cast<std::size_t>(
      std::lower_bound(periods.begin(), last, begin, [](Span a, Second t) { return a.begin < t; }) -
      periods.begin());
}

void Outlook::add(Span span, int day, const BaseSeries* closed, std::size_t place, const BaseSeries* open,
                  double sample_s, Stamp stamp) {
  Cell cell;
  cell.span = span;
  cell.day = day;
  cell.closes = span.end <= end_;
  if (closed) {
    const Reason reason = closed->reasons()[place];
    cell.valid = reason == Reason::valid;
    cell.operating = reason != Reason::not_operating;
    if (cell.valid) cell.known = closed->values()[place];
    cells_.push_back(std::move(cell));
    return;
  }
  BaseSeries::Rest rest;
  std::vector<double> count;
  const int length = base_.clock().length_s();
  for (int k = 0; k < ahead_.steps; ++k) {
    const Second a = std::max(span.begin, ahead_.from + Second{k} * ahead_.step_s);
    const Second b = std::min(span.end, ahead_.from + Second{k + 1} * ahead_.step_s);
    if (a >= b) continue;
    if (count.empty()) cell.first_step = k;
    count.push_back(static_cast<double>(b - a) / sample_s);
    for (int part = 0; part < kQuarters; ++part) {
      const Second begin = span.end - Second{kQuarters - part} * length / kQuarters;
      if (a < begin + length / kQuarters && b > begin) rest.parts |= 1u << part;
    }
    const double lead = stamp == Stamp::end ? sample_s : 0;
    if (rest.count == 0) rest.first = static_cast<double>(a) + lead;
    rest.last = std::max(rest.first, static_cast<double>(b) - sample_s + lead);
    rest.count += count.back();
  }
  const BaseSeries::Prospect found = (open ? open : &base_)->prospect(open != nullptr, rest);
  // Beyond the horizon nothing is known of a period that it cuts: its mean to date stands for it.
  const bool cut = !cell.closes && rest.count > 0;
  cell.operating = found.reason != Reason::not_operating;
  cell.valid = found.reason == Reason::valid || (cut && found.reason != Reason::not_operating);
  const double all = found.count + rest.count;
  if (cell.valid && all > 0) {
    cell.known = found.sum / all;
    for (const double n : count) cell.share.push_back(n / all);
  }
  cells_.push_back(std::move(cell));
}

std::vector<ComingWindow> coming_windows(const Averaging& averaging, const Outlook& outlook, bool to_date) {
  return Lister(averaging, outlook, to_date).windows();
}

}  // namespace emisopt
