#include "emisopt/permit/base_mean.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"
#include "emisopt/permit/block_scan.hpp"

namespace emisopt {
namespace {

constexpr std::array<const char*, kReasons> kWords = {
    "valid", "not operating",  "no valid sample", "quadrants",        "calibration", "points",
    "share", "oxygen missing", "too few valid",   "too many invalid", "incomplete",
};
constexpr unsigned kAllParts = 0xf;
constexpr int kParts = 4;
// Periods between two neighbouring stamps. Fifty years of minutes; a stamp beyond is a year mistyped.
constexpr Second kMostPeriods = 26'000'000;

bool is_nan(double x) { return x != x; }

template <class Word>
bool is(std::uint8_t byte, Word word) {
  return byte == static_cast<std::uint8_t>(word);
}

// Whether all n bytes are this word; eight at a time, for it is asked of every hour of every column.
template <class Word>
bool all_are(const std::uint8_t* bytes, Index n, Word word) {
  const std::uint64_t wanted = 0x0101010101010101u * static_cast<std::uint8_t>(word);
  std::uint64_t other = 0;
  Index i = 0;
  for (; i + 8 <= n; i += 8) {
    std::uint64_t eight;
    std::memcpy(&eight, bytes + i, sizeof eight);
    other |= eight ^ wanted;
  }
  for (; i < n; ++i) other |= !is(bytes[i], word);
  return other == 0;
}

const std::uint8_t* status_of(const Samples& rows, std::size_t column, Index first) {
  return column < rows.status.size() && rows.status[column] ? rows.status[column] + first : nullptr;
}

bool counts(PlantState plant, const Excluded& exclude) {
  switch (plant) {
    case PlantState::on:
      return true;
    case PlantState::startup:
      return !exclude.startup;
    case PlantState::shutdown:
      return !exclude.shutdown;
    case PlantState::malfunction:
      return !exclude.malfunction;
    case PlantState::off:
      return false;
  }
  return false;
}

}  // namespace

const char* to_string(Reason reason) { return kWords[static_cast<std::size_t>(reason)]; }

// ---- BaseClock ------------------------------------------------------------------------------------------

BaseClock BaseClock::tail() const {
  BaseClock out(zone_, length_s_, stamp_);
  if (periods_.empty()) return out;
  out.periods_ = {periods_.back()};
  out.days_ = {days_.back()};
  out.day_end_ = day_end_;
  out.pace_ = pace_;
  return out;
}

void BaseClock::begin_period(Second inside) {
  const Span span = zone_.block(inside, length_s_);
  periods_.push_back(span);
  if (days_.empty() || span.begin >= day_end_) {  // looked up once a day, not once a period
    days_.push_back(zone_.day(span.begin));
    day_end_ = zone_.day_span(days_.back()).end;
  } else {
    days_.push_back(days_.back());
  }
}

Index BaseClock::rows_before(const Samples& rows, Index from, Second instant, Index guess) const {
  const auto limit = static_cast<double>(instant);
  const double* time = rows.time;
  const auto before = [&](Index row) {
    return stamp_ == Stamp::start ? time[row] < limit : time[row] <= limit;
  };
  // Rows come at a steady pace, so as many as last time is usually right.
  guess = std::min(from + guess, rows.rows);
  if (guess > from && before(guess - 1) && (guess == rows.rows || !before(guess))) return guess;
  while (from < rows.rows && before(from)) ++from;
  return from;
}

const std::vector<Piece>& BaseClock::cut(const Samples& rows) {
  pieces_.clear();
  for (Index row = 0; row < rows.rows;) {
    const double time = rows.time[row];
    const auto inside = static_cast<Second>(stamp_ == Stamp::start ? std::floor(time) : std::ceil(time) - 1);
    if (periods_.empty()) {
      begin_period(inside);
    } else if ((inside - periods_.back().end) / length_s_ > kMostPeriods) {
      throw InputError("row " + std::to_string(rows.number(row)) + ": its stamp " + time_text(time) +
                       " lies years after the rows before, which end at " +
                       time_text(static_cast<double>(periods_.back().end)) + "; correct it");
    }
    while (inside >= periods_.back().end) begin_period(periods_.back().end);
    const Span span = periods_.back();
    Piece piece;
    piece.period = static_cast<Index>(periods_.size()) - 1;
    piece.cut[0] = row;
    // Quarters are those of the whole period, also where a change of the clock has cut its beginning off.
    for (int part = 1; part <= kParts; ++part) {
      const Index from = piece.cut[part - 1];
      piece.cut[part] =
          rows_before(rows, from, span.end - (kParts - part) * Second{length_s_} / kParts, pace_);
      if (piece.cut[part] > from) pace_ = piece.cut[part] - from;
    }
    if (rows.plant) {  // looked at here, once for all columns
      piece.state = static_cast<PlantState>(rows.plant[row]);
      piece.steady = all_are(rows.plant + row, piece.cut[kParts] - row, piece.state);
    }
    row = piece.cut[kParts];
    pieces_.push_back(piece);
  }
  return pieces_;
}

// ---- BaseSpec -------------------------------------------------------------------------------------------

bool BaseSpec::same(const BaseSpec& o) const {
  const Validity &a = base.validity, &b = o.base.validity;
  const auto equal = [](double x, double y) { return x == y || (is_nan(x) && is_nan(y)); };
  return column == o.column && oxygen_column == o.oxygen_column && factor == o.factor &&
         equal(basis.oxygen, o.basis.oxygen) && equal(basis.constant, o.basis.constant) &&
         basis.of_means == o.basis.of_means && base.length_s == o.base.length_s && a.need == b.need &&
         a.points == b.points && a.share == b.share && a.of_operation == b.of_operation &&
         exclude == o.exclude;
}

// ---- BaseSeries -----------------------------------------------------------------------------------------

void BaseSeries::refuse(const Samples& rows, Index row, double got, const std::string& expected) const {
  throw InputError("permit rule " + quote(spec_.rule) + ", tag " + quote(spec_.tag) + ", row " +
                   std::to_string(rows.number(row)) + " (" + time_text(rows.time[row]) + "): expected " +
                   expected + ", got " + number_text(got));
}

void BaseSeries::take(const Samples& rows, const std::vector<Piece>& pieces) {
  values_.reserve(clock_.periods().capacity());  // which doubles, also in a stream
  reasons_.reserve(clock_.periods().capacity());
  tallies_.reserve(clock_.periods().capacity() + 1);
  for (const Piece& piece : pieces) {
    if (period_ < 0) period_ = piece.period;
    while (period_ < piece.period) close();
    if (!add_block(rows, piece, &piece != &pieces.back())) add(rows, piece);
  }
}

void BaseSeries::finish() {
  if (period_ >= 0 && period_ < static_cast<Index>(clock_.periods().size())) close();
}

void BaseSeries::see_plant(const std::uint8_t* plant, const Piece& piece) {
  const bool runs = counts(piece.state, spec_.exclude);
  for (int part = 0; part < kParts; ++part) {
    const Index first = piece.cut[part] - piece.cut[0], last = piece.cut[part + 1] - piece.cut[0];
    if (first == last) continue;
    open_.known_parts |= 1u << part;
    if (piece.steady) {
      open_.off += runs ? 0 : last - first;
      open_.on_parts |= runs ? 1u << part : 0u;
      continue;
    }
    for (Index i = first; i < last; ++i) {
      const bool on = counts(static_cast<PlantState>(plant[i]), spec_.exclude);
      open_.off += !on;
      open_.on_parts |= on ? 1u << part : 0u;
    }
  }
}

// The samples that count, others as NaN; null: none does.
const double* BaseSeries::prepare(const Samples& rows, const Piece& piece) {
  const Index first = piece.cut[0], n = piece.cut[kParts] - first;
  const double* values = rows.columns[spec_.column] + first;
  const std::uint8_t* status = status_of(rows, spec_.column, first);
  const std::uint8_t* plant = rows.plant ? rows.plant + first : nullptr;
  see_plant(plant, piece);
  const bool some_off = !piece.steady;
  const bool all_off = piece.steady && !counts(piece.state, spec_.exclude);
  if (status && all_are(status, n, SampleStatus::valid)) status = nullptr;
  for (Index i = 0; status && i < n; ++i)
    open_.quality |= !is(status[i], SampleStatus::valid) && !is(status[i], SampleStatus::invalid);
  if (all_off) return nullptr;
  const bool corrected = spec_.oxygen_column != BaseSpec::kNone || spec_.factor != 1;
  if (!some_off && !status && !corrected && !spec_.negative_is_missing) return values;

  buffer_.assign(values, values + n);
  double* value = buffer_.data();
  for (Index i = 0; some_off && i < n; ++i)
    if (!counts(static_cast<PlantState>(plant[i]), spec_.exclude)) value[i] = kMissing;
  for (Index i = 0; status && i < n; ++i) value[i] = is(status[i], SampleStatus::valid) ? value[i] : kMissing;
  for (Index i = 0; spec_.negative_is_missing && i < n; ++i)
    if (value[i] < 0) {
      value[i] = kMissing;
      ++negatives_;
    }
  if (corrected) correct(rows, first, n);
  return value;
}

void BaseSeries::correct(const Samples& rows, Index first, Index n) {
  if (spec_.oxygen_column == BaseSpec::kNone) {
    for (double& value : buffer_) value *= spec_.factor;
    return;
  }
  const double* oxygen = rows.columns[spec_.oxygen_column] + first;
  const std::uint8_t* status = status_of(rows, spec_.oxygen_column, first);
  const double constant = spec_.basis.constant, span = constant - spec_.basis.oxygen;
  for (Index i = 0; i < n; ++i) {
    double& value = buffer_[static_cast<std::size_t>(i)];
    if (is_nan(value)) continue;
    if (status && !is(status[i], SampleStatus::valid)) {
      if (!spec_.basis.of_means) value = kMissing;
      continue;
    }
    if (oxygen[i] >= constant || oxygen[i] < 0)
      throw InputError("permit rule " + quote(spec_.rule) + ", tag " + quote(spec_.oxygen_tag) + ", row " +
                       std::to_string(rows.number(first + i)) + " (" + time_text(rows.time[first + i]) +
                       "): expected oxygen in [0, " + number_text(constant) + ") vol %, got " +
                       number_text(oxygen[i]) + "; mark rows in which the unit does not run");
    if (!spec_.basis.of_means) {
      value *= span / (constant - oxygen[i]);  // missing oxygen: missing value
    } else if (!is_nan(oxygen[i])) {
      open_.oxygen.add(oxygen[i]);
      ++open_.oxygen_count;
    }
  }
}

// The usual hour, in one look: the plant's state does not change, nothing is corrected, and the block is one
// that scan_block() takes. Else false, and nothing has changed. closes: no later rows lie in the period.
bool BaseSeries::add_block(const Samples& rows, const Piece& piece, bool closes) {
  const Index first = piece.cut[0], n = piece.cut[kParts] - first;
  if (n > kBlockRows || !piece.steady || spec_.factor != 1 || spec_.oxygen_column != BaseSpec::kNone ||
      !counts(piece.state, spec_.exclude))
    return false;
  Block block;
  if (!scan_block(rows.columns[spec_.column] + first, status_of(rows, spec_.column, first), n, block))
    return false;
  unsigned seen = 0, valid = 0;
  std::uint64_t before = 0;
  for (int part = 0; part < kParts; ++part) {
    const std::uint64_t upto = rows_below(piece.cut[part + 1] - first), quarter = upto & ~before;
    seen |= static_cast<unsigned>(quarter != 0) << part;
    valid |= static_cast<unsigned>((block.valid & quarter) != 0) << part;
    before = upto;
  }
  open_.known_parts |= seen;
  open_.on_parts |= seen;
  open_.valid_parts |= valid;
  open_.quality |= block.quality;
  if (block.valid == 0) return true;
  // The stamps are asked for only where calibration is; to read them in every hour of every column costs more
  // than all else here.
  if (!closes || open_.quality) {
    if (open_.count == 0) open_.first = rows.time[first + block.first()];
    open_.last = rows.time[first + block.last()];
  }
  open_.count += block.count();
  open_.sum.add(block.sum);
  return true;
}

void BaseSeries::add(const Samples& rows, const Piece& piece) {
  const Index first = piece.cut[0], n = piece.cut[kParts] - first;
  const double* x = prepare(rows, piece);
  if (!x) return;
  Index bad = -1;
  const Index before = open_.count;
  open_.count += open_.sum.add_run(x, n, 0.0, bad);
  if (bad >= 0) {
    const double got = rows.columns[spec_.column][first + bad];
    refuse(rows, first + bad, got,
           got < 0 && !std::isinf(got) ? "a concentration of 0 or more (evaluate with negative='missing' to "
                                         "leave negative ones out)"
                                       : "a finite concentration");
  }
  if (open_.count == before) return;
  for (int part = 0; part < kParts; ++part) {
    const Index last = piece.cut[part + 1] - first;
    Index i = piece.cut[part] - first;
    while (i < last && is_nan(x[i])) ++i;
    open_.valid_parts |= i < last ? 1u << part : 0u;
  }
  Index begin = 0, end = n - 1;
  while (is_nan(x[begin])) ++begin;
  while (is_nan(x[end])) --end;
  if (before == 0) open_.first = rows.time[first + begin];
  open_.last = rows.time[first + end];
}

Reason BaseSeries::judge(const Open& open) const {
  // A quarter without any row may have been one of operation: the mean must then do without it, or fall.
  const unsigned operated = open.on_parts | (kAllParts & ~open.known_parts);
  if (operated == 0) return Reason::not_operating;
  if (open.count == 0) return Reason::no_data;
  const Validity& v = spec_.base.validity;
  switch (v.need) {
    case Need::any:
      break;
    case Need::points:
      if (open.count < v.points) return Reason::points;
      break;
    case Need::share: {
      double room = spec_.base.length_s / spec_.period_s;
      if (v.of_operation) room -= static_cast<double>(open.off);
      if (static_cast<double>(open.count) < v.share * room - 1e-9 * room) return Reason::share;
      break;
    }
    case Need::quadrants:
      if (!open.quality) {
        if (operated & ~open.valid_parts) return Reason::quadrants;
      } else if (std::popcount(operated) > 1 &&
                 open.last - open.first < spec_.base.length_s / static_cast<double>(kParts)) {
        return Reason::calibration;
      }
      break;
  }
  return spec_.basis.of_means && spec_.oxygen_column != BaseSpec::kNone && open.oxygen_count == 0
             ? Reason::oxygen
             : Reason::valid;
}

BaseSeries::Prospect BaseSeries::prospect(bool open, const Rest& rest) const {
  Open period = open ? open_ : Open{};
  Prospect out;
  out.count = static_cast<double>(period.count);
  out.sum = period.sum.value();
  if (rest.count > 0) {
    period.on_parts |= rest.parts;
    period.known_parts |= rest.parts;
    period.valid_parts |= rest.parts;
    if (period.count == 0) period.first = rest.first;
    period.last = rest.last;
    period.count += static_cast<Index>(std::ceil(rest.count - 1e-9));
  }
  out.reason = judge(period);
  return out;
}

BaseSeries BaseSeries::tail(const BaseClock& clock) const {
  BaseSeries out(spec_, clock);
  out.open_ = open_;
  out.period_ = period_ < 0 ? -1 : 0;
  return out;
}

void BaseSeries::close() {
  const Reason reason = judge(open_);
  double value = kMissing;
  if (reason == Reason::valid) {
    value = open_.sum.value() / static_cast<double>(open_.count);
    if (open_.oxygen_count > 0)
      value *= (spec_.basis.constant - spec_.basis.oxygen) /
               (spec_.basis.constant - open_.oxygen.value() / static_cast<double>(open_.oxygen_count));
  }
  Tally tally = tallies_.back();
  tally.valid += reason == Reason::valid;
  tally.operating += reason != Reason::not_operating;
  if (reason == Reason::valid && !tally.sum.add(value)) odd_.push_back(values_.size());
  tallies_.push_back(tally);
  values_.push_back(value);
  reasons_.push_back(reason);
  open_.reset();
  ++period_;
}

}  // namespace emisopt
