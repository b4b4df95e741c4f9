// Civil time of a place as a table of offsets from UTC. Everything inside is UTC; a zone only says where a
// civil hour, day or month begins and ends, so that days of 23 and 25 hours come out by themselves. The table
// comes from outside (Python's zoneinfo, an operating system), so the core carries no zone database.
#pragma once
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace emisopt {

using Second = std::int64_t;  // since 1970-01-01 00:00:00 UTC

/// [begin, end) in UTC seconds.
struct Span {
  Second begin = 0, end = 0;
};

struct Zone {
  std::string name = "UTC";         // IANA name, for people and for comparison with the permit's
  std::vector<Second> since = {};   // (n) instants at which the offset changes, rising
  std::vector<int> offset_s = {0};  // (n + 1) civil time minus UTC: before since[0], from since[0] on, ...
  Second first = std::numeric_limits<Second>::min() / 4;  // the table is right from here
  Second last = std::numeric_limits<Second>::max() / 4;   // to here

  /// The table as data, so that a program without a zone database judges civil days as this one does:
  /// {"first", "last", "name", "offset_s", "since"}, canonical JSON.
  std::string to_json() const;
  /// Throws InputError naming the field, and what validate() refuses.
  static Zone from_json(std::string_view text);

  /// Throws InputError naming the zone: sizes, instants that do not rise, offsets of a day or more.
  void validate() const;
  /// Throws InputError "zone 'Europe/Berlin': the table ends at ..., the data reach ..." outside [first,
  /// last].
  void require(Second from, Second to) const;

  int offset_at(Second utc) const;
  /// The next instant after this one at which the offset changes; beyond every time when none follows.
  Second next_change(Second utc) const;
  /// The piece of the civil clock's grid of `length_s` (a divisor of a day) that holds an instant. A change
  /// of the clock ends a piece, so an hour that comes twice is two hours, and pieces are in order and
  /// disjoint.
  Span block(Second utc, int length_s) const;
  /// Days since 1970-01-01 of the civil date. Never falls, even where a clock is put back over midnight.
  int day(Second utc) const;
  /// A civil day: 23, 24 or 25 hours, and 0 for a date that a place skipped.
  Span day_span(int day) const;
  /// Months since January 1970 of a civil day, and the month's first and the next one's first day.
  static int month(int day);
  static int first_day(int month);
  Span month_span(int month) const;
};

/// "2024-03-31" of a civil day, and back. Throws InputError "where: expected a date such as 2024-03-31, got".
std::string date_text(int day);
int date_from_text(const std::string& text, const std::string& where);

}  // namespace emisopt
