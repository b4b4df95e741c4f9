#include "emisopt/permit/base_mean.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

constexpr std::array<const char*, kReasons> kWords = {
    "valid", "not operating",  "no valid sample", "quadrants",        "calibration", "points",
    "share", "oxygen missing", "too few valid",   "too many invalid", "incomplete",
};
// Pieces that are scanned before their means are closed: enough to keep the processor's own foresight on the
// samples, few enough to stay in its nearest cache.
constexpr std::size_t kChunk = 256;

bool is_nan(double x) { return x != x; }

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

void BaseSeries::make_room() {
  const std::size_t room = clock_.periods().capacity();  // which doubles, also in a stream
  values_.reserve(room);
  reasons_.reserve(room);
  tallies_.reserve(room);
}

void BaseSeries::take(const Samples& rows, const RawVector<Piece>& pieces) {
  make_room();
  blocks_.resize(std::min(kChunk, pieces.size()));
  // Nothing is corrected, and the unit runs all the time: what scan_blocks() is for.
  const bool plain = spec_.factor == 1 && spec_.oxygen_column == BaseSpec::kNone;
  std::array<bool, BaseClock::kNotSteady + 1> usual = {};
  for (std::uint8_t state = 0; plain && state < BaseClock::kNotSteady; ++state)
    usual[state] = counts(static_cast<PlantState>(state), spec_.exclude);
  std::size_t i = 0;
  for (const std::size_t run : clock_.runs()) {
    const bool is_usual = i < run && usual[clock_.states()[i]];
    for (std::size_t end; i < run; i = end) {
      end = is_usual ? std::min(i + kChunk, run) : i + 1;
      if (is_usual)
        take_usual(rows, pieces, i, end);
      else
        take_other(rows, pieces[i], end < pieces.size());
    }
  }
}

// Comes to the piece's period: what lies before it has ended.
void BaseSeries::begin(const Piece& piece) {
  if (period_ < 0) period_ = piece.period;
  while (period_ < piece.period) close();
}

void BaseSeries::take_usual(const Samples& rows, const RawVector<Piece>& pieces, std::size_t first,
                            std::size_t last) {
  const auto count = static_cast<Index>(last - first);
  scan_blocks(rows.columns[spec_.column], status_of(rows, spec_.column, 0), clock_.starts().data() + first,
              clock_.quarters().data() + first, count, blocks_.data());
  const bool unbroken =
      pieces[last - 1].period - pieces[first].period == count - 1;  // no period between them
  for (std::size_t i = first; i < last;) {
    begin(pieces[i]);
    const std::size_t most = std::min(unbroken ? last : i + 1, pieces.size() - 1);  // the last may go on
    if (!open_.begun && most > i) {
      const std::size_t closed = close_blocks(blocks_.data() + (i - first), most - i);
      i += closed;
      if (closed > 0) continue;
    }
    const Block& block = blocks_[i - first];
    if (block.usual)
      add_block(rows, pieces[i], block);
    else
      add(rows, pieces[i]);
    ++i;
  }
}

void BaseSeries::take_other(const Samples& rows, const Piece& piece, bool closes) {
  begin(piece);
  const bool off = piece.steady && !counts(piece.state, spec_.exclude);
  if (!open_.begun && closes && off && piece.parts == kAllParts)  // all there is to say of it
    close_as(Reason::not_operating, kMissing);
  else
    add(rows, piece);
}

// Periods that are each one whole block, one after the other, as long as it is plain what comes of them; how
// many that were. The unit ran in all their quarters, or there is no row to say that it did not.
std::size_t BaseSeries::close_blocks(const Block* blocks, std::size_t count) {
  if (spec_.base.validity.need != Need::quadrants) return 0;
  const std::size_t before = values_.size();
  values_.resize(before + count);
  reasons_.resize(before + count);
  tallies_.resize(before + count);
  double* value = values_.data() + before;
  Reason* why = reasons_.data() + before;
  Tally total = total_;
  std::size_t i = 0;
  for (; i < count; ++i) {
    const Block& block = blocks[i];
    if (!block.usual || block.quality) break;
    const bool valid = block.parts == kAllParts;
    why[i] = valid ? Reason::valid : block.count == 0 ? Reason::no_data : Reason::quadrants;
    value[i] = valid ? block.mean : kMissing;
    ++total.operating;
    total.valid += valid;
    if (valid && !total.sum.add(block.mean)) odd_.push_back(before + i);
    tallies_.set(before + i + 1, total);
  }
  total_ = total;
  values_.resize(before + i);
  reasons_.resize(before + i);
  tallies_.resize(before + i);
  period_ += static_cast<Index>(i);
  return i;
}

void BaseSeries::finish() {
  make_room();
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

void BaseSeries::add_block(const Samples& rows, const Piece& piece, const Block& block) {
  const Index first = piece.cut[0];
  open_.begun = true;
  open_.known_parts |= piece.parts;
  open_.on_parts |= piece.parts;
  open_.quality |= block.quality;
  open_.valid_parts |= block.parts;
  if (block.count == 0) return;
  if (open_.count == 0) open_.first = rows.time[first + block.first()];
  open_.last = rows.time[first + block.last()];
  open_.count += block.count;
  open_.sum.add(block.sum());
}

void BaseSeries::add(const Samples& rows, const Piece& piece) {
  const Index first = piece.cut[0], n = piece.cut[kParts] - first;
  open_.begun = true;
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
  close_as(reason, value);
  open_.reset();
}

void BaseSeries::close_as(Reason reason, double value) {
  const bool valid = reason == Reason::valid;
  total_.operating += reason != Reason::not_operating;
  if (valid) {
    ++total_.valid;
    if (!total_.sum.add(value)) odd_.push_back(values_.size());
  }
  values_.push_back(valid ? value : kMissing);
  tallies_.resize(values_.size());
  tallies_.set(values_.size(), total_);
  reasons_.push_back(reason);
  ++period_;
}

}  // namespace emisopt
