// The short means (10 min, half an hour, an hour) on which all other averages are built: which samples lie in
// which period, their exact sum, and whether the mean counts.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "emisopt/permit/base_clock.hpp"
#include "emisopt/permit/block_scan.hpp"
#include "emisopt/permit/exact_sum.hpp"
#include "emisopt/permit/rule.hpp"
#include "emisopt/permit/samples.hpp"
#include "emisopt/permit/tallies.hpp"

namespace emisopt {

/// Why an average does not count.
enum class Reason : std::uint8_t {
  valid,
  not_operating,     // the unit did not run, or only in states that the rule leaves out
  no_data,           // it ran, and there is no valid sample
  quadrants,         // a quarter of the period in which it ran has no valid sample
  calibration,       // calibration or maintenance, and no two samples a quarter of the period apart
  points,            // fewer samples than asked
  share,             // a smaller share than asked
  oxygen,            // the oxygen that the mean is to be corrected by is missing
  too_few,           // of a longer average: too few valid base means
  too_many_invalid,  // of a longer average: more invalid base means than it bears
  incomplete,        // fewer operating periods or days so far than the window has
};
inline constexpr int kReasons = 11;
const char* to_string(Reason);

/// How a column becomes base means; rules that agree in this share the work.
struct BaseSpec {
  std::size_t column = 0;
  std::size_t oxygen_column = kNone;  // kNone: no correction by a measured oxygen
  double factor = 1;                  // of a correction that does not change
  Basis basis;                        // oxygen, constant, of_means, where oxygen_column says so
  BaseMean base;
  Excluded exclude;
  double period_s = 0;  // between samples; 0: not known
  bool negative_is_missing = false;
  std::string tag, oxygen_tag, rule;  // for messages

  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  bool same(const BaseSpec& other) const;
};

class BaseSeries {
 public:
  BaseSeries(BaseSpec spec, const BaseClock& clock) : spec_(std::move(spec)), clock_(clock) {}

  /// A series that goes on with the open period as its first; clock: tail() of this one's.
  BaseSeries tail(const BaseClock& clock) const;

  /// What is to come of a period, all of it valid: in which quarters, how many samples, stamps of the first
  /// and the last.
  struct Rest {
    unsigned parts = 0;
    double count = 0, first = 0, last = 0;
  };
  /// Whether the open period (else an empty one) will count with this rest, and what it holds so far.
  struct Prospect {
    Reason reason = Reason::valid;
    double sum = 0, count = 0;
  };
  Prospect prospect(bool open, const Rest& rest) const;
  /// The period that is open, as a place in the clock's periods; -1: none yet.
  Index open_period() const { return period_; }

  /// Adds the samples of these pieces. Throws InputError naming rule, tag, row and time for an infinite or
  /// negative value (spec.negative_is_missing: counted and left out) and for oxygen at or above the constant.
  void take(const Samples& rows, const RawVector<Piece>& pieces);
  /// Closes the open period: no sample of it will come.
  void finish();

  const BaseSpec& spec() const { return spec_; }
  const BaseClock& clock() const { return clock_; }
  /// Closed periods only, from the clock's first on; NaN where the reason is not Reason::valid.
  const RawVector<double>& values() const { return values_; }
  const RawVector<Reason>& reasons() const { return reasons_; }
  /// tallies()[i]: of the first i base means.
  const Tallies& tallies() const { return tallies_; }
  /// Valid means that Units cannot hold, by their place: none, in any sane unit.
  const std::vector<std::size_t>& odd() const { return odd_; }
  Index negatives() const { return negatives_; }

 private:
  struct Open {
    ExactSum sum, oxygen;
    Index count = 0, oxygen_count = 0, off = 0;
    unsigned valid_parts = 0, on_parts = 0, known_parts = 0;  // bit k: quarter k
    bool quality = false;                                     // calibration or maintenance in the period
    double first = 0, last = 0;                               // stamps of valid samples
    bool begun = false;                                       // rows of the period have come

    void reset() {  // to Open{}, without making one: an hour of every column ends here
      sum.reset();
      oxygen.reset();
      count = oxygen_count = off = 0;
      valid_parts = on_parts = known_parts = 0;
      quality = begun = false;
      first = last = 0;
    }
  };

  void make_room();
  void close();
  void close_as(Reason reason, double value);
  void begin(const Piece& piece);
  void take_usual(const Samples& rows, const RawVector<Piece>& pieces, std::size_t first, std::size_t last);
  void take_other(const Samples& rows, const Piece& piece, bool closes);
  std::size_t close_blocks(const Block* blocks, std::size_t count);
  void add_block(const Samples& rows, const Piece& piece, const Block& block);
  void add(const Samples& rows, const Piece& piece);
  void see_plant(const std::uint8_t* plant, const Piece& piece);
  const double* prepare(const Samples& rows, const Piece& piece);
  void correct(const Samples& rows, Index first, Index n);
  Reason judge(const Open& open) const;
  [[noreturn]] void refuse(const Samples& rows, Index row, double got, const std::string& expected) const;

  BaseSpec spec_;
  const BaseClock& clock_;
  Open open_;
  Index period_ = -1;  // of open_
  std::vector<double> buffer_;
  RawVector<Block> blocks_;  // of the pieces at hand, kChunk at most
  RawVector<double> values_;
  RawVector<Reason> reasons_;
  Tally total_;  // of all
  Tallies tallies_;
  std::vector<std::size_t> odd_;
  Index negatives_ = 0;
};

}  // namespace emisopt
