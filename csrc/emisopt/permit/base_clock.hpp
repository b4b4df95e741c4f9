// The grid of base periods on the civil clock, and which rows of a push lie in which of them.
#pragma once
#include <limits>
#include <vector>

#include "emisopt/permit/block_scan.hpp"
#include "emisopt/permit/raw_vector.hpp"
#include "emisopt/permit/samples.hpp"
#include "emisopt/permit/zone.hpp"

namespace emisopt {

inline constexpr unsigned kAllParts = 0xf;
inline constexpr int kParts = 4;

/// Rows [cut[0], cut[4]) of a push that lie in one base period, and where its quarters begin.
struct Piece {
  Index period = 0;
  Index cut[5] = {};
  unsigned parts = 0;                 // bit k: quarter k has rows
  bool steady = true;                 // the plant's state is the same in all of them:
  PlantState state = PlantState::on;  // this one, that of the first row
};

/// Parts time into base periods of the civil clock. One for all columns and rules with this length.
class BaseClock {
 public:
  BaseClock(const Zone& zone, int length_s, Stamp stamp)
      : zone_(zone), length_s_(length_s), stamp_(stamp), even_until_(std::numeric_limits<Second>::min()) {}

  /// A clock that goes on from the newest period as its only one.
  BaseClock tail() const;

  /// The rows, in rising time and after all before, by period. Valid until the next call.
  /// Throws InputError for a stamp so far from the one before that a typing mistake is likelier.
  const RawVector<Piece>& cut(const Samples& rows);
  /// (pieces + 1) the first row of each piece of that cut, and the number of rows.
  const RawVector<Index>& starts() const { return starts_; }
  /// (pieces) where its quarters end, and its state, kNotSteady where that changes: the same once more,
  /// small.
  const RawVector<Quarters>& quarters() const { return quarters_; }
  const RawVector<std::uint8_t>& states() const { return states_; }
  /// Where pieces of one state end, in rising order; the last is the number of pieces.
  const std::vector<std::size_t>& runs() const { return runs_; }
  static constexpr std::uint8_t kNotSteady = 5;  // after the last PlantState
  int length_s() const { return length_s_; }
  /// Periods that have begun, without a gap between them; the last may still be open.
  const RawVector<Span>& periods() const { return periods_; }
  const RawVector<int>& days() const { return days_; }  // civil day of each

 private:
  void begin_period(Second inside);
  void make_room(const Samples& rows);
  Index rows_before(const Samples& rows, Index from, Second instant, Index guess) const;
  bool even_quarters(const Samples& rows, const Span& span, Piece& piece);
  Index cut_even(const Samples& rows, Piece piece);
  static void see_plant(const Samples& rows, Piece& piece);
  void put(const Piece& piece);

  const Zone& zone_;
  int length_s_;
  Stamp stamp_;
  RawVector<Span> periods_;
  RawVector<int> days_;
  Second day_end_ = 0;  // of days_.back()
  Second even_until_;   // up to here each period is length_s long and follows the one before
  Index pace_ = 1;      // rows in the quarter before
  RawVector<Piece> pieces_;
  RawVector<Index> starts_;
  RawVector<Quarters> quarters_;
  RawVector<std::uint8_t> states_;
  std::vector<std::size_t> runs_;
};

}  // namespace emisopt
