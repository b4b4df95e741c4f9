#include "emisopt/permit/base_clock.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

// Periods between two neighbouring stamps. Fifty years of minutes; a stamp beyond is a year mistyped.
constexpr Second kMostPeriods = 26'000'000;

}  // namespace

BaseClock BaseClock::tail() const {
  BaseClock out(zone_, length_s_, stamp_);
  if (periods_.empty()) return out;
  out.periods_ = {periods_.back()};
  out.days_ = {days_.back()};
  out.day_end_ = day_end_;
  out.even_until_ = even_until_;
  out.pace_ = pace_;
  return out;
}

void BaseClock::begin_period(Second inside) {
  Span span{inside, inside + length_s_};
  const bool follows = !periods_.empty() && inside == periods_.back().end && span.end <= even_until_;
  if (!follows) {  // looked up where the clock may have changed, not in every period
    span = zone_.block(inside, length_s_);
    even_until_ = zone_.next_change(inside);
  }
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
  const Stamps& time = rows.time;
  const auto before = [&](Index row) {
    return stamp_ == Stamp::start ? time[row] < limit : time[row] <= limit;
  };
  // Rows come at a steady pace, so as many as last time is usually right.
  guess = std::min(from + guess, rows.rows);
  if (guess > from && before(guess - 1) && (guess == rows.rows || !before(guess))) return guess;
  while (from < rows.rows && before(from)) ++from;
  return from;
}

// Rows at a steady pace that fill the period from its beginning, as nearly all do: the quarters follow
// without a look at any stamp. False, and nothing said, of others.
bool BaseClock::even_quarters(const Samples& rows, const Span& span, Piece& piece) {
  if (rows.time.each()) return false;
  const Second step = rows.time.step_s(), quarter = length_s_ / kParts, row = piece.cut[0];
  const Second first = rows.time.first_s() + row * step - (stamp_ == Stamp::start ? 0 : step);
  if (first != span.begin || span.end - span.begin != length_s_ || length_s_ % kParts != 0) return false;
  if (pace_ * step != quarter || row + kParts * pace_ > rows.rows) return false;
  for (int part = 1; part <= kParts; ++part) piece.cut[part] = row + part * pace_;
  piece.parts = kAllParts;
  return true;
}

const RawVector<Piece>& BaseClock::cut(const Samples& rows) {
  pieces_.clear();
  starts_.clear();
  quarters_.clear();
  states_.clear();
  runs_.clear();
  make_room(rows);
  for (Index row = 0; row < rows.rows;) {
    const double time = rows.time[row];
    const auto inside = static_cast<Second>(stamp_ == Stamp::start ? std::floor(time) : std::ceil(time) - 1);
    if (periods_.empty()) {
      begin_period(inside);
    } else if (inside - periods_.back().end > kMostPeriods * length_s_) {
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
    const bool filled = even_quarters(rows, span, piece);
    for (int part = filled ? kParts + 1 : 1; part <= kParts; ++part) {
      const Index from = piece.cut[part - 1];
      piece.cut[part] =
          rows_before(rows, from, span.end - (kParts - part) * Second{length_s_} / kParts, pace_);
      if (piece.cut[part] == from) continue;
      pace_ = piece.cut[part] - from;
      piece.parts |= 1u << (part - 1);
    }
    see_plant(rows, piece);
    row = piece.cut[kParts];
    put(piece);
    if (filled) row = cut_even(rows, piece);
  }
  starts_.push_back(rows.rows);
  runs_.push_back(states_.size());
  return pieces_;
}

// The periods after one that even_quarters() has found filled, as long as they follow it evenly and are
// filled by as many rows; the row after them.
Index BaseClock::cut_even(const Samples& rows, Piece piece) {
  const Index each = kParts * pace_;
  while (piece.cut[kParts] + each <= rows.rows && periods_.back().end + length_s_ <= even_until_) {
    begin_period(periods_.back().end);
    ++piece.period;
    for (Index& cut : piece.cut) cut += each;
    see_plant(rows, piece);
    put(piece);
  }
  return piece.cut[kParts];
}

// Looked at here, once for all columns.
void BaseClock::see_plant(const Samples& rows, Piece& piece) {
  if (!rows.plant) return;
  const std::uint8_t* plant = rows.plant + piece.cut[0];
  piece.state = static_cast<PlantState>(*plant);
  piece.steady = all_are(plant, piece.cut[kParts] - piece.cut[0], piece.state);
}

void BaseClock::put(const Piece& piece) {
  const Index row = piece.cut[0];
  Quarters quarters;
  for (std::size_t part = 0; part < quarters.size(); ++part)
    quarters[part] = static_cast<std::uint8_t>(std::min(piece.cut[part + 1] - row, kBlockRows));
  const auto state = piece.steady ? static_cast<std::uint8_t>(piece.state) : kNotSteady;
  if (!states_.empty() && states_.back() != state) runs_.push_back(states_.size());
  starts_.push_back(row);
  quarters_.push_back(quarters);
  states_.push_back(state);
  pieces_.push_back(piece);
}

// For a push that reaches over many periods, at once; a stamp far off is refused only later.
void BaseClock::make_room(const Samples& rows) {
  constexpr Index kMany = 4096;
  if (rows.rows < kMany) return;
  const double seconds = rows.time[rows.rows - 1] - rows.time[0];
  const double most = std::min(seconds / length_s_, static_cast<double>(rows.rows));
  const std::size_t pieces = static_cast<std::size_t>(std::max(most, 0.0)) + 8;  // and for what finish() adds
  pieces_.reserve(pieces);
  starts_.reserve(pieces + 1);
  quarters_.reserve(pieces);
  states_.reserve(pieces);
  const std::size_t room = periods_.size() + pieces;
  if (room <= periods_.capacity()) return;
  periods_.reserve(std::max(room, 2 * periods_.capacity()));  // doubles, also in a stream
  days_.reserve(periods_.capacity());
}

}  // namespace emisopt
