#include "emisopt/permit/zone.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "emisopt/base/error.hpp"

namespace emisopt {
namespace {

constexpr Second kHour = 3600, kDay = 86400;

Second utc(const char* date, int hour = 0, int minute = 0) {
  return date_from_text(date, "test") * kDay + hour * kHour + minute * 60;
}

// Central European time in 2024: summer from 31 March 01:00 UTC to 27 October 01:00 UTC.
Zone berlin() {
  return {.name = "Europe/Berlin",
          .since = {utc("2024-03-31", 1), utc("2024-10-27", 1)},
          .offset_s = {3600, 7200, 3600}};
}

TEST(Zone, DaysHave23And24And25Hours) {
  const Zone zone = berlin();
  const auto hours = [&](const char* date) {
    const Span day = zone.day_span(date_from_text(date, "test"));
    return (day.end - day.begin) / kHour;
  };
  EXPECT_EQ(hours("2024-03-30"), 24);
  EXPECT_EQ(hours("2024-03-31"), 23);
  EXPECT_EQ(hours("2024-04-01"), 24);
  EXPECT_EQ(hours("2024-10-27"), 25);
  EXPECT_EQ(zone.day_span(date_from_text("2024-07-01", "test")).begin, utc("2024-06-30", 22));
}

TEST(Zone, DayIsTheInverseOfItsSpanAndDaysFollowEachOther) {
  for (const Zone& zone : {Zone{}, berlin()})
    for (int day = date_from_text("2023-12-30", ""); day < date_from_text("2025-01-03", ""); ++day) {
      const Span span = zone.day_span(day);
      EXPECT_EQ(zone.day(span.begin), day);
      EXPECT_EQ(zone.day(span.end - 1), day);
      EXPECT_EQ(zone.day_span(day + 1).begin, span.end);
    }
}

TEST(Zone, TheHourThatComesTwiceIsTwoHours) {
  const Zone zone = berlin();
  const Span first = zone.block(utc("2024-10-27", 0, 30), 3600),
             second = zone.block(utc("2024-10-27", 1, 30), 3600);
  EXPECT_EQ(first.begin, utc("2024-10-27", 0));
  EXPECT_EQ(first.end, second.begin);
  EXPECT_EQ(second.end, utc("2024-10-27", 2));
}

TEST(Zone, ABlockThatTheClockCutsEndsThere) {
  const Zone zone = berlin();
  const Span night = zone.block(utc("2024-03-31", 0, 59), 3 * 3600);  // 00:00 to 02:00, then it is 03:00
  EXPECT_EQ(night.begin, utc("2024-03-30", 23));
  EXPECT_EQ(night.end, utc("2024-03-31", 1));
  EXPECT_EQ(zone.block(night.end, 3 * 3600).begin, night.end);
}

TEST(Zone, HoursFollowTheCivilClockOfHalfHourOffsets) {
  const Zone india{.name = "Asia/Kolkata", .offset_s = {19800}};
  EXPECT_EQ(india.block(utc("2024-01-01", 0, 45), 3600).begin, utc("2024-01-01", 0, 30));
}

TEST(Zone, DatesNeverFallWhereTheClockGoesBackOverMidnight) {
  // 5 January 00:00 becomes 4 January 23:00 once more, as in Asuncion.
  Zone zone{.name = "x", .since = {utc("2024-01-05", 0)}, .offset_s = {0, -3600}};
  int before = zone.day(utc("2024-01-04", 20));
  for (Second t = utc("2024-01-04", 20); t < utc("2024-01-06"); t += 600) {
    EXPECT_GE(zone.day(t), before);
    before = zone.day(t);
  }
  const Span day = zone.day_span(date_from_text("2024-01-04", ""));
  EXPECT_EQ(day.end - day.begin, 25 * kHour);
}

TEST(Zone, ASkippedDateIsEmpty) {
  // Samoa had no 30 December 2011.
  Zone zone{.name = "Pacific/Apia", .since = {utc("2011-12-30", 10)}, .offset_s = {-36000, 50400}};
  const Span gone = zone.day_span(date_from_text("2011-12-30", ""));
  EXPECT_EQ(gone.begin, gone.end);
}

TEST(Zone, MonthsKnowLeapYears) {
  const Zone zone;
  const auto days = [&](const char* date) {
    const Span span = zone.month_span(Zone::month(date_from_text(date, "")));
    return (span.end - span.begin) / kDay;
  };
  EXPECT_EQ(days("2024-02-10"), 29);
  EXPECT_EQ(days("2023-02-10"), 28);
  EXPECT_EQ(days("2000-02-10"), 29);
  EXPECT_EQ(days("1900-02-10"), 28);
  EXPECT_EQ(days("2024-12-31"), 31);
  EXPECT_EQ(Zone::month(date_from_text("1969-12-31", "")), -1);
  EXPECT_EQ(date_text(Zone::first_day(-1)), "1969-12-01");
}

TEST(Zone, GoesThroughJsonUnchanged) {
  Zone zone = berlin();
  zone.first = 1e9;
  zone.last = 2e9;
  const Zone back = Zone::from_json(zone.to_json());
  EXPECT_EQ(back.to_json(), zone.to_json());
  EXPECT_EQ(back.name, zone.name);
  EXPECT_EQ(back.since, zone.since);
  EXPECT_EQ(back.offset_s, zone.offset_s);
  EXPECT_EQ(back.first, zone.first);
  EXPECT_EQ(back.last, zone.last);
  EXPECT_EQ(Zone::from_json(R"({"name":"UTC","offset_s":[0],"since":[]})").last, Zone{}.last);
  for (const char* wrong : {R"({"name":"x","offset_s":[0]})", R"({"name":"x","offset_s":[0],"since":[5]})",
                            R"({"name":"x","offset_s":[0,90000],"since":[5]})", R"({"zone":1})",
                            R"({"name":"x","offset_s":[0,1,2],"since":[5,4]})"})
    EXPECT_THROW(Zone::from_json(wrong), InputError) << wrong;
}

TEST(Zone, DatesAreReadStrictly) {
  EXPECT_EQ(date_text(date_from_text("2024-02-29", "x")), "2024-02-29");
  for (const char* text :
       {"2023-02-29", "2024-2-29", "2024-02-29 ", "29.02.2024", "", "2024-13-01", "+024-01-01"})
    EXPECT_THROW(date_from_text(text, "x"), InputError) << text;
}

TEST(Zone, RefusesAWrongTableByName) {
  Zone zone = berlin();
  zone.offset_s.pop_back();
  EXPECT_THROW(zone.validate(), InputError);
  zone = berlin();
  std::swap(zone.since[0], zone.since[1]);
  EXPECT_THROW(zone.validate(), InputError);
  zone = berlin();
  zone.offset_s[0] = 90000;
  EXPECT_THROW(zone.validate(), InputError);
  zone = berlin();
  zone.first = utc("2024-01-01");
  zone.last = utc("2025-01-01");
  EXPECT_NO_THROW(zone.require(utc("2024-01-01"), utc("2024-12-31")));
  EXPECT_THROW(zone.require(utc("2023-12-31"), utc("2024-12-31")), InputError);
  EXPECT_THROW(zone.require(utc("2024-12-31"), utc("2025-01-02")), InputError);
}

TEST(Zone, NextChangeIsTheFirstOneAfterAnInstant) {
  Zone zone;
  EXPECT_EQ(zone.next_change(0), std::numeric_limits<Second>::max());
  zone.since = {1000, 5000};
  zone.offset_s = {0, 3600, 0};
  EXPECT_EQ(zone.next_change(999), 1000);
  EXPECT_EQ(zone.next_change(1000), 5000);
  EXPECT_EQ(zone.next_change(5000), std::numeric_limits<Second>::max());
}

}  // namespace
}  // namespace emisopt
