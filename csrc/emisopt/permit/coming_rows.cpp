#include "emisopt/permit/coming_rows.hpp"

#include <algorithm>
#include <cmath>
#include <deque>

#include "emisopt/base/text.hpp"
#include "emisopt/permit/evaluation_state.hpp"

namespace emisopt {
namespace {

constexpr int kQuarters = 4;

// A base period that the data have not closed: its mean is known + sum over steps of share * y.
struct Cell {
  Span span;
  int day = 0;
  bool operating = true, valid = true;
  bool closes = true;  // before the end of the horizon
  double known = 0;
  Index first_step = 0;
  std::vector<double> share;  // per step from first_step on
};

// One column on one base period: what is closed, what waits, what is to come.
class Outlook {
 public:
  Outlook(const BaseSeries& base, const Zone& zone, const Ahead& ahead, double sample_s, Stamp stamp,
          const Samples& waiting)
      : base_(base), zone_(zone), ahead_(ahead), end_(ahead.from + Second{ahead.step_s} * ahead.steps) {
    BaseClock clock = base.clock().tail();
    BaseSeries tail = base.tail(clock);
    if (waiting.rows > 0) {
      const std::vector<Piece>& pieces = clock.cut(waiting);
      tail.take(waiting, pieces);
    }
    const std::vector<Span>& begun = clock.periods();
    // The periods that have no closed mean yet, without a gap, to the end of the horizon.
    const Index open = tail.open_period();
    for (std::size_t i = 0; i < begun.size(); ++i) {
      const bool closed = static_cast<Index>(i) < open;
      add(begun[i], clock.days()[i], closed ? &tail : nullptr, i, static_cast<Index>(i) == open ? &tail : nullptr,
          sample_s, stamp);
    }
    Second next = begun.empty() ? ahead.from : begun.back().end;
    while (next < end_) {
      const Span span = zone.block(next, base.clock().length_s());
      add(span, zone.day(span.begin), nullptr, 0, nullptr, sample_s, stamp);
      next = span.end;
    }
  }

  const std::vector<Cell>& cells() const { return cells_; }
  const BaseSeries& base() const { return base_; }
  const Zone& zone() const { return zone_; }
  Second end() const { return end_; }
  std::size_t closed() const { return base_.values().size(); }  // base means that the series has
  Second begin_of(std::size_t closed_mean) const { return base_.clock().periods()[closed_mean].begin; }
  int day_of(std::size_t closed_mean) const { return base_.clock().days()[closed_mean]; }
  // First closed mean that begins at or after an instant.
  std::size_t first_from(Second begin) const {
    const std::vector<Span>& periods = base_.clock().periods();
    const auto last = periods.begin() + static_cast<Index>(closed());
    return static_cast<std::size_t>(
        std::lower_bound(periods.begin(), last, begin, [](Span a, Second t) { return a.begin < t; }) -
        periods.begin());
  }

 private:
  void add(Span span, int day, const BaseSeries* closed, std::size_t place, const BaseSeries* open,
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

  const BaseSeries& base_;
  const Zone& zone_;
  const Ahead& ahead_;
  Second end_;
  std::vector<Cell> cells_;
};

// A window over closed base means [first, last) and cells [from, to).
struct Window {
  std::size_t first = 0, last = 0, from = 0, to = 0;
  Span span;
  double room = 0, unseen = 0;  // base periods that it has room for, and that lie before all data
  bool closes = true;
  bool judged = true;  // whether what counts as an average is asked; a mean to date is not asked
};

class Lister {
 public:
  Lister(const Averaging& spec, const Outlook& ahead, bool to_date)
      : spec_(spec), ahead_(ahead), to_date_(to_date), length_(ahead.base().clock().length_s()) {}

  std::vector<Window> windows() {
    switch (spec_.over) {
      case Over::base:
        each([&](std::size_t i) { return Window{0, 0, i, i + 1, cell(i).span, 1, 0}; });
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
    const std::vector<Tally>& t = ahead_.base().tallies();
    return t[closed_mean + 1].operating - t[closed_mean].operating;
  }
  void put(Window window, bool closes) {
    if (!closes && !to_date_) return;
    window.closes = closes;
    window.judged = closes;
    out_.push_back(window);
  }

  template <class Make>
  void each(const Make& make) {
    for (std::size_t i = 0; i < cells(); ++i) put(make(i), cell(i).closes);
  }

  Window rolling(std::size_t i) const {
    const Second begin = cell(i).span.end - spec_.length;
    Window w{ahead_.first_from(begin), closed(), i, i + 1, {begin, cell(i).span.end}, 0, 0};
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
      Window w{i == 0 ? ahead_.first_from(span.begin) : closed(), closed(), i, to, span, 0, 0};
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
      Window w{used.empty() ? closed() : used.front(), closed(), coming.front(), i + 1, {}, 0, 0};
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
      const std::vector<Tally>& t = ahead_.base().tallies();
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
          Window w{from.first, closed(), past ? 0 : from.from, to, {}, 0, 0};
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
  std::vector<Window> out_;
};

// One window as a row; false when it will not count. `mean` is what is known of it, NaN unless all is.
bool make_row(const Averaging& spec, const Outlook& ahead, const Window& w, RangeSum& sums, double bound,
              LimitRow& row, double& mean) {
  const std::vector<Tally>& tallies = ahead.base().tallies();
  int valid = tallies[w.last].valid - tallies[w.first].valid;
  int operating = tallies[w.last].operating - tallies[w.first].operating;
  double known = w.first < w.last ? sums.value(w.first, w.last) : 0;
  Index first = 0, last = -1;
  for (std::size_t i = w.from; i < w.to; ++i) {
    const Cell& cell = ahead.cells()[i];
    operating += cell.operating;
    if (!cell.valid) continue;
    ++valid;
    known += cell.known;
    if (cell.share.empty()) continue;
    if (last < 0) first = cell.first_step;
    last = cell.first_step + static_cast<Index>(cell.share.size()) - 1;
  }
  const double room = w.room < 0 ? operating : w.room;
  if (valid == 0) return false;
  if (w.judged && spec.over != Over::base &&
      judge_average(spec, valid, operating, room, w.unseen) != Reason::valid)
    return false;
  row.first_step = static_cast<int>(first);
  row.end_step = static_cast<int>(last);
  row.coefficient.assign(static_cast<std::size_t>(last < 0 ? 0 : last - first + 1), 0);
  for (std::size_t i = w.from; i < w.to; ++i) {
    const Cell& cell = ahead.cells()[i];
    if (!cell.valid) continue;
    for (std::size_t k = 0; k < cell.share.size(); ++k)
      row.coefficient[static_cast<std::size_t>(cell.first_step - first) + k] += cell.share[k] / valid;
  }
  mean = last < 0 ? known / valid : kMissing;
  row.rhs = bound - known / valid;
  return true;
}

std::string quantity_name(const std::string& tag, const Rule& rule) {
  return tag + " [" + rule.unit + (rule.basis.moisture.empty() ? "" : ", " + rule.basis.moisture) + ", " +
         number_text(rule.basis.oxygen) + " % O2 of " + number_text(rule.basis.constant) + "]";
}

std::string where_of(const Rule& rule) { return "permit rule " + quote(rule.name); }

int place(const std::vector<std::string>& names, const std::string& name) {
  const auto found = std::find(names.begin(), names.end(), name);
  return found == names.end() ? -1 : static_cast<int>(found - names.begin());
}

// Why a rule is no linear row; "" when it is one.
std::string not_linear(const Rule& rule, const BaseSpec& base) {
  if (!rule.either.empty())
    return "one of the rules with either: " + quote(rule.either) +
           " must hold, which rows that must all hold cannot say; choose one by with_rules";
  if (std::isnan(rule.limit)) return "it has no limit";
  if (rule.basis.of_means && base.oxygen_column != BaseSpec::kNone)
    return "its means are corrected by a mean oxygen (of_means), which is not linear in the forecast";
  return "";
}

Source source_of(const std::string& tag, const ForecastNames& names, const Rule& rule) {
  if (const int at = place(names.outputs, tag); at >= 0) return Source::of_output(at);
  if (const int at = place(names.setpoints, tag); at >= 0) return Source::of_setpoint(at);
  if (const int at = place(names.disturbances, tag); at >= 0) return Source::of_disturbance(at);
  std::vector<std::string> all = names.outputs;
  all.insert(all.end(), names.setpoints.begin(), names.setpoints.end());
  all.insert(all.end(), names.disturbances.begin(), names.disturbances.end());
  throw InputError(where_of(rule) + ": its oxygen " + quote(tag) +
                   " is no output, setpoint or disturbance of the forecast" + did_you_mean(tag, all));
}

// Which civil period an average belongs to, by its end.
int period_of(Per per, int day) {
  const int month = Zone::month(day);
  return per == Per::whole     ? 0
         : per == Per::day     ? day
         : per == Per::month   ? month
         : per == Per::quarter ? month / 3
                               : month / 12;
}

}  // namespace

// ---- basis ----------------------------------------------------------------------------------------------

BasisMap::BasisMap(std::vector<std::string> outputs, std::vector<Quantity> quantities)
    : SizedMap(outputs, {static_cast<int>(outputs.size()), 0, 0}), quantities_(std::move(quantities)) {
  const auto count = static_cast<int>(outputs.size());
  for (const Quantity& q : quantities_) {
    const bool o2 = q.o2.kind == Source::Kind::constant
                        ? q.o2.fixed >= 0 && q.o2.fixed < q.constant
                        : q.o2.column >= 0 && (q.o2.kind != Source::Kind::output || q.o2.column < count);
    if (q.output < 0 || q.output >= count || !o2)
      throw InputError("BasisMap: " + q.name + ": expected a concentration and an oxygen among " +
                       std::to_string(count) + " outputs, got " + std::to_string(q.output) + " and " +
                       std::to_string(q.o2.column));
    if (!(q.reference >= 0 && q.reference < q.constant))
      throw InputError("BasisMap: " + q.name + ": expected a reference in [0, " + number_text(q.constant) +
                       ") %, got " + number_text(q.reference));
    note(q.o2);
    names_.push_back(q.name);
  }
}

void BasisMap::value(double* q, const double* y, const double* u, const double* d) const {
  const std::size_t outputs = names_.size() - quantities_.size();
  std::copy_n(y, outputs, q);
  for (std::size_t i = 0; i < quantities_.size(); ++i) {
    const Quantity& one = quantities_[i];
    const double o2 = one.o2.read(y, u, d);
    q[outputs + i] =
        o2 >= 0 && o2 < one.constant ? y[one.output] * (one.constant - one.reference) / (one.constant - o2)
                                     : kMissing;
  }
}

void BasisMap::vjp(double* dy, double* du, const double* seed, const double* y, const double* u,
                   const double* d) const {
  const std::size_t outputs = names_.size() - quantities_.size();
  for (std::size_t i = 0; i < outputs; ++i) dy[i] += seed[i];
  for (std::size_t i = 0; i < quantities_.size(); ++i) {
    const Quantity& one = quantities_[i];
    const double o2 = one.o2.read(y, u, d);
    const double gap = o2 >= 0 && o2 < one.constant ? one.constant - o2 : kMissing;
    const double factor = (one.constant - one.reference) / gap;
    dy[one.output] += seed[outputs + i] * factor;
    one.o2.add(dy, du, seed[outputs + i] * y[one.output] * factor / gap);
  }
}

std::shared_ptr<BasisMap> Evaluator::basis_map(const ForecastNames& names) const {
  const State& s = *state_;
  std::vector<BasisMap::Quantity> quantities;
  for (const State::Pair& pair : s.pairs) {
    const Rule& rule = s.permit.rules[pair.rule];
    const BaseSpec& base = s.averages[pair.average]->base().spec();
    if (base.oxygen_column == BaseSpec::kNone || !not_linear(rule, base).empty()) continue;
    const std::string name = quantity_name(pair.tag, rule);
    const auto known = [&](const BasisMap::Quantity& q) { return q.name == name; };
    if (std::any_of(quantities.begin(), quantities.end(), known)) continue;
    const int output = place(names.outputs, pair.tag);
    if (output < 0) continue;  // coming() says so
    quantities.push_back({output, source_of(base.oxygen_tag, names, rule), rule.basis.oxygen,
                          rule.basis.constant, name});
  }
  return std::make_shared<BasisMap>(names.outputs, std::move(quantities));
}

// ---- rows -----------------------------------------------------------------------------------------------

PermitRows Evaluator::coming(const Ahead& ahead, const ForecastNames& names,
                             const ComingOptions& options) const {
  State& s = *state_;
  if (s.broken || s.finished || s.queue.seen() == 0)
    throw StateError(std::string("Evaluator.coming: expected a stream with rows that is not finished, got ") +
                     (s.broken ? "a broken one" : s.finished ? "a finished one" : "one without rows"));
  if (ahead.step_s < 1 || ahead.steps < 1)
    throw InputError("Evaluator.coming: expected steps of 1 s or more, 1 or more of them, got " +
                     std::to_string(ahead.steps) + " of " + std::to_string(ahead.step_s) + " s");
  const double sample_s = ahead.sample_s > 0 ? ahead.sample_s : s.options.period_s;
  if (!(sample_s > 0 && std::isfinite(sample_s)))
    throw InputError("Evaluator.coming: the seconds between samples must be known: they say how much of an "
                     "open hour is still to come; give sample_s, got " + number_text(sample_s));
  const Samples waiting = s.queue.waiting();
  const double newest = s.queue.newest();
  const double data_end = s.options.stamp == Stamp::start ? newest + 1e-6 : newest;
  if (static_cast<double>(ahead.from) < data_end)
    throw InputError("Evaluator.coming: the steps begin at " + time_text(static_cast<double>(ahead.from)) +
                     ", expected them after the data, which reach " + time_text(newest));
  s.zone.require(ahead.from, ahead.from + Second{ahead.step_s} * ahead.steps);

  const std::shared_ptr<BasisMap> basis = basis_map(names);
  PermitRows out;
  std::map<const BaseSeries*, std::unique_ptr<Outlook>> outlooks;
  std::map<std::size_t, int> tags_of_rule;
  for (const State::Pair& pair : s.pairs) ++tags_of_rule[pair.rule];

  for (const State::Pair& pair : s.pairs) {
    const Rule& rule = s.permit.rules[pair.rule];
    const AverageSeries& average = *s.averages[pair.average];
    const BaseSeries& base = average.base();
    std::string why = not_linear(rule, base.spec());
    const bool converted = base.spec().oxygen_column != BaseSpec::kNone;
    const int output = place(converted ? basis->names() : names.outputs,
                             converted ? quantity_name(pair.tag, rule) : pair.tag);
    if (why.empty() && output < 0)
      why = "tag " + quote(pair.tag) + " is no output of the forecast" + did_you_mean(pair.tag, names.outputs);
    if (!why.empty()) {
      if (!options.skip) throw InputError(where_of(rule) + ": " + why);
      out.left_out.emplace_back(rule.name, why);
      continue;
    }

    const auto ranked = options.rank.find(rule.name);
    Limit limit;
    limit.name = rule.name + (tags_of_rule[pair.rule] > 1 ? " (" + pair.tag + ")" : "");
    limit.output = output;
    limit.limit = rule.limit + average.subtract();
    limit.rank = ranked == options.rank.end() ? 1 : ranked->second;
    limit.quantile = options.quantile;
    limit.min_valid = 0;
    const auto strict = static_cast<int>(out.limits.size());
    out.limits.push_back(limit);
    const bool allows = rule.allow.share < 1 || rule.allow.count > 0;
    if (allows) {
      limit.name += ", not all need hold yet";
      limit.rank = std::max(limit.rank, options.spared_rank);
      out.limits.push_back(limit);
    }

    std::unique_ptr<Outlook>& outlook = outlooks[&base];
    if (!outlook)
      outlook = std::make_unique<Outlook>(base, s.zone, ahead, sample_s, s.options.stamp, waiting);
    RangeSum sums(base);

    // Averages so far and to come, by civil period: what an allowance still bears.
    std::map<int, std::pair<Index, Index>> counts;  // good, bad
    if (allows) {
      const Averages& past = *average.averages();
      for (std::size_t i = 0; i < past.size(); ++i) {
        if (past.reason[i] != Reason::valid) continue;
        const int day = s.zone.day(past.windows->end[i] - 1);
        if (day < rule.from_day || day > rule.until_day) continue;
        auto& [good, bad] = counts[period_of(rule.allow.per, day)];
        ++(past.value[i] > rule.limit ? bad : good);
      }
    }
    const std::size_t begin = out.rows.size();
    for (const Window& window : Lister(average.spec(), *outlook, options.to_date).windows()) {
      const int day = s.zone.day(window.span.end - 1);
      if (day < rule.from_day || day > rule.until_day) continue;
      LimitRow row;
      double mean = kMissing;
      row.limit = strict;
      if (!make_row(average.spec(), *outlook, window, sums, limit.limit, row, mean)) continue;
      auto& [good, bad] = counts[period_of(rule.allow.per, day)];
      if (row.coefficient.empty()) {  // all of it is known: it closed while its rows waited
        ++(mean > limit.limit ? bad : good);
        continue;
      }
      if (window.closes) ++good;
      if (base.spec().factor != 1)
        for (double& c : row.coefficient) c *= base.spec().factor;
      out.rows.push_back(std::move(row));
      out.about.push_back({pair.rule, pair.tag, window.span, window.closes, 0});
    }
    if (!allows) continue;
    for (std::size_t i = begin; i < out.rows.size(); ++i) {
      const auto& [good, bad] =
          counts[period_of(rule.allow.per, s.zone.day(out.about[i].window.end - 1))];
      int spare = 0;
      while (good - spare > 0 && rule.allow.holds(good - spare - 1, bad + spare + 1)) ++spare;
      out.about[i].spare = spare;
      if (spare > 0) out.rows[i].limit = strict + 1;
    }
  }
  return out;
}

}  // namespace emisopt
