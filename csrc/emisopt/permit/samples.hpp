// Samples on their way into an evaluation: rows of several columns with stamps, states and statuses, put in
// order of time. A row may come late or twice within a stated lateness; what comes later is refused by name.
#pragma once
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "emisopt/base/types.hpp"

namespace emisopt {

/// What the plant did at a row.
enum class PlantState : std::uint8_t { off, on, startup, shutdown, malfunction };
/// What the analyser did at a sample. Only `valid` ones are averaged; calibration and maintenance change what
/// 40 CFR 60.13(h)(2) asks of their hour.
enum class SampleStatus : std::uint8_t { valid, calibration, maintenance, invalid };

template <class Word>
bool is(std::uint8_t byte, Word word) {
  return byte == static_cast<std::uint8_t>(word);
}

/// Whether all n bytes are this word; eight at a time, for it is asked of every hour.
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

/// When rows were taken, seconds since 1970 UTC: a stamp for each, or whole seconds at a steady pace, which
/// take no memory and no look at it. A view; nothing is owned.
class Stamps {
 public:
  Stamps(const double* each = nullptr) : each_(each) {}  // NOLINT: an array of stamps is a view of them
  Stamps(std::int64_t first_s, std::int64_t step_s) : first_(first_s), step_(step_s) {}
  double operator[](Index row) const {
    return each_ ? each_[row] : static_cast<double>(first_ + row * step_);
  }
  /// One stamp for each row; null: steady.
  const double* each() const { return each_; }
  /// Where steady: those of the first row and from one row to the next.
  std::int64_t first_s() const { return first_; }
  std::int64_t step_s() const { return step_; }

 private:
  const double* each_ = nullptr;
  std::int64_t first_ = 0, step_ = 0;
};

/// Rows whose stamps are first_s, first_s + step_s, ...
struct SteadyTime {
  std::int64_t first_s = 0, step_s = 0;
  Index rows = 0;

  std::int64_t last_s() const { return first_s + (rows - 1) * step_s; }
  /// The same as ticks (n), of which a second has `per_second`; nothing when they are fewer than two, do not
  /// rise by whole seconds, all the same, or lie outside the years 0000 to 9999.
  static std::optional<SteadyTime> of(const std::int64_t* ticks, Index n, std::int64_t per_second);
  /// The same of ticks that are known to rise evenly: the first, the second and the last of them. Nothing,
  /// too, when the last is not where that pace leads.
  static std::optional<SteadyTime> between(std::int64_t first, std::int64_t second, std::int64_t last,
                                           Index n, std::int64_t per_second);
};

/// A view of rows; nothing is owned.
struct Samples {
  Index rows = 0;
  Stamps time;                                   // (rows)
  std::vector<const double*> columns = {};       // each (rows), NaN: missing
  std::vector<const std::uint8_t*> status = {};  // per column (rows) of SampleStatus, or null: all valid
  const std::uint8_t* plant = nullptr;           // (rows) of PlantState, or null: always on
  const Index* numbers = nullptr;                // (rows) what each row is called, or null: from first_number
  Index first_number = 0;

  Index number(Index row) const { return numbers ? numbers[row] : first_number + row; }
};

/// Whether a stamp is the start or the end of the time that a sample stands for.
enum class Stamp { start, end };

/// Rows out of the queue's order, counted rather than refused: a clock that was put back, within the
/// lateness.
struct StepBack {
  Index row = 0;
  double from_s = 0, to_s = 0;
};

class SampleQueue {
 public:
  /// names (C): the columns, for messages. lateness_s >= 0: how much older than the newest row a row may be.
  SampleQueue(std::vector<std::string> names, double lateness_s);

  /// Takes rows in any order within the lateness and calls take(const Samples&) with rows in strictly rising
  /// time, once nothing can come between them any more. Two rows of one stamp become one: a value beside a
  /// missing one, or twice the same value.
  /// Throws InputError naming row, tag and time, and leaves the queue as it was: a stamp that is no finite
  /// number, a row later than the lateness allows (a clock put back by more), two different values, statuses
  /// or plant states of one stamp, states and statuses that are none.
  template <class Take>
  void push(const Samples& rows, Take&& take) {
    accept(rows);
    release(rows, false, take);
  }
  /// Takes rows that are the first and all there is, where their stamps are usual ones in rising time: they
  /// need not wait. False, and nothing taken, otherwise. Throws InputError as push() for a plant state that
  /// is none; check_status() is the caller's to ask of each column.
  bool accept_all(const Samples& rows);
  /// Throws InputError as push() for a status of this column that is none. Different threads may ask.
  void check_status(const Samples& rows, std::size_t column) const;
  /// Hands over what waits; nothing may come afterwards.
  template <class Take>
  void finish(Take&& take) {
    release(Samples{}, true, take);
  }

  /// The rows that wait for others to come between them, merged and in order; they go on waiting. Valid until
  /// the next call.
  Samples waiting();

  Index seen() const { return seen_; }
  double newest() const { return newest_; }  // stamp; -infinity before the first row
  Index steps_back() const { return steps_back_; }
  /// The first few of them.
  const std::vector<StepBack>& first_steps_back() const { return first_steps_back_; }

 private:
  struct Row {
    double time;
    Index number;
    std::uint8_t plant;
    std::vector<double> values;
    std::vector<std::uint8_t> status;
  };

  void accept(const Samples& rows);  // checks all, then counts and remembers
  void check_plant(const Samples& rows) const;
  void check_words(const Samples& rows, const std::uint8_t* words, std::uint8_t most, const char* what,
                   std::size_t column) const;
  Row copy(const Samples& rows, Index row) const;
  void merge(Row& into, const Row& from) const;
  void sort_in(const Samples& rows);
  Samples pack(Index count);
  void drop(Index count);
  std::string place(Index number, double time, std::size_t column) const;

  template <class Take>
  void release(const Samples& rows, bool all, Take& take) {
    const double newest = all ? std::numeric_limits<double>::infinity() : newest_ - lateness_;
    Index ready = 0;
    while (ready < static_cast<Index>(waiting_.size()) &&
           waiting_[static_cast<std::size_t>(ready)].time < newest)
      ++ready;
    if (ready > 0) {
      const Samples packed = pack(ready);
      drop(ready);
      take(packed);
    }
    if (direct_ > 0) {  // these rows need no copy: they follow all that waited
      Samples head = rows;
      head.rows = direct_;
      take(head);
    }
    direct_ = 0;
  }

  std::vector<std::string> names_;
  double lateness_;
  double newest_ = -std::numeric_limits<double>::infinity();
  Index seen_ = 0, steps_back_ = 0;
  std::vector<StepBack> first_steps_back_;
  std::vector<Row> waiting_;  // rising time
  Index direct_ = 0;          // first rows of the present push that go through without waiting
  // What pack() points to.
  std::vector<double> times_, values_;
  std::vector<std::uint8_t> plant_, status_;
  std::vector<Index> numbers_;
};

}  // namespace emisopt
