#include "emisopt/permit/zone.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "emisopt/base/error.hpp"
#include "emisopt/base/json.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

constexpr Second kDay = 86400;

Second floor_div(Second a, Second b) { return a / b - (a % b < 0); }

std::size_t segment(const Zone& zone, Second utc) {
  const auto after = std::upper_bound(zone.since.begin(), zone.since.end(), utc);
  return static_cast<std::size_t>(after - zone.since.begin());
}

// First instant whose civil time is at or after civil_s: at once, or at the change that jumps over it.
Second instant(const Zone& zone, Second civil_s) {
  std::size_t i = segment(zone, civil_s - 2 * kDay);
  for (; i < zone.since.size(); ++i)
    if (civil_s - zone.offset_s[i] < zone.since[i]) break;
  const Second at = civil_s - zone.offset_s[i];
  return i > 0 ? std::max(at, zone.since[i - 1]) : at;
}

std::chrono::year_month_day date_of(int day) { return std::chrono::sys_days(std::chrono::days(day)); }

int day_number(std::chrono::year_month_day date) {
  return static_cast<int>(std::chrono::sys_days(date).time_since_epoch().count());
}

}  // namespace

void Zone::validate() const {
  const std::string where = "zone " + quote(name);
  if (offset_s.size() != since.size() + 1)
    throw InputError(where + ": expected one offset more than changes (" + std::to_string(since.size()) +
                     "), got " + std::to_string(offset_s.size()));
  for (std::size_t i = 1; i < since.size(); ++i)
    if (since[i] <= since[i - 1])
      throw InputError(where + ": expected rising instants of change, got " +
                       time_text(static_cast<double>(since[i])) + " after " +
                       time_text(static_cast<double>(since[i - 1])));
  for (const int offset : offset_s)
    if (offset <= -kDay || offset >= kDay)
      throw InputError(where + ": expected offsets of less than a day, got " + std::to_string(offset) + " s");
}

std::string Zone::to_json() const {
  validate();
  Json::Array instants, offsets;
  for (const Second at : since) instants.emplace_back(std::int64_t{at});
  for (const int offset : offset_s) offsets.emplace_back(offset);
  Json::Object out{{"name", name}, {"offset_s", std::move(offsets)}, {"since", std::move(instants)}};
  if (first != Zone{}.first) out.emplace("first", std::int64_t{first});
  if (last != Zone{}.last) out.emplace("last", std::int64_t{last});
  return Json(std::move(out)).write();
}

Zone Zone::from_json(std::string_view text) {
  const std::string where = "zone";
  const Json json = Json::parse(text, where);
  json.check_keys({"first", "last", "name", "offset_s", "since"}, where);
  Zone zone;
  zone.name = json.at("name", where).as_string("zone: name");
  zone.offset_s.clear();
  for (const Json& at : json.at("since", where).as_array("zone: since"))
    zone.since.push_back(at.as_integer("zone: since"));
  for (const Json& offset : json.at("offset_s", where).as_array("zone: offset_s")) {
    const std::int64_t seconds = offset.as_integer("zone: offset_s");
    if (seconds <= -kDay || seconds >= kDay)
      throw InputError("zone: offset_s: expected less than a day, got " + std::to_string(seconds) + " s");
    zone.offset_s.push_back(static_cast<int>(seconds));
  }
  if (const Json* v = json.find("first", where)) zone.first = v->as_integer("zone: first");
  if (const Json* v = json.find("last", where)) zone.last = v->as_integer("zone: last");
  zone.validate();
  return zone;
}

void Zone::require(Second from, Second to) const {
  if (from >= first && to <= last) return;
  const bool late = to > last;
  throw InputError("zone " + quote(name) + ": its table " + (late ? "ends at " : "begins at ") +
                   time_text(static_cast<double>(late ? last : first)) + ", the data reach " +
                   time_text(static_cast<double>(late ? to : from)) + "; make the table longer");
}

int Zone::offset_at(Second utc) const { return offset_s[segment(*this, utc)]; }

Second Zone::next_change(Second utc) const {
  const std::size_t i = segment(*this, utc);
  return i < since.size() ? since[i] : std::numeric_limits<Second>::max();
}

Span Zone::block(Second utc, int length_s) const {
  const std::size_t i = segment(*this, utc);
  const Second offset = offset_s[i];
  Span span;
  span.begin = floor_div(utc + offset, length_s) * length_s - offset;
  span.end = span.begin + length_s;
  if (i > 0) span.begin = std::max(span.begin, since[i - 1]);
  if (i < since.size()) span.end = std::min(span.end, since[i]);
  return span;
}

int Zone::day(Second utc) const {
  const std::size_t i = segment(*this, utc);
  Second civil = utc + offset_s[i];
  if (i > 0) civil = std::max(civil, since[i - 1] + offset_s[i - 1] - 1);
  return static_cast<int>(floor_div(civil, kDay));
}

Span Zone::day_span(int day) const {
  return {instant(*this, day * kDay), instant(*this, (day + Second{1}) * kDay)};
}

int Zone::month(int day) {
  const auto date = date_of(day);
  return (static_cast<int>(date.year()) - 1970) * 12 + static_cast<int>(unsigned{date.month()}) - 1;
}

int Zone::first_day(int month) {
  const int year = 1970 + static_cast<int>(floor_div(month, 12));
  const auto number = static_cast<unsigned>(month - (year - 1970) * 12 + 1);
  return day_number({std::chrono::year(year), std::chrono::month(number), std::chrono::day(1)});
}

Span Zone::month_span(int month) const {
  return {day_span(first_day(month)).begin, day_span(first_day(month + 1)).begin};
}

std::string date_text(int day) {
  const auto date = date_of(day);
  char text[40];
  std::snprintf(text, sizeof text, "%04d-%02u-%02u", static_cast<int>(date.year()), unsigned{date.month()},
                unsigned{date.day()});
  return text;
}

int date_from_text(const std::string& text, const std::string& where) {
  int year = 0;
  unsigned month = 0, day = 0;
  char end = 0;
  const bool read =
      text.size() == 10 && std::sscanf(text.c_str(), "%4d-%2u-%2u%c", &year, &month, &day, &end) == 3;
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month),
                                         std::chrono::day(day)};
  if (!read || !date.ok() || date_text(day_number(date)) != text)
    throw InputError(where + ": expected a date such as '2024-03-31', got " + quote(text));
  return day_number(date);
}

}  // namespace emisopt
