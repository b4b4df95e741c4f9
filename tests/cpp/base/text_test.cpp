#include "emisopt/base/text.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace emisopt {
namespace {

using Names = std::vector<std::string>;

TEST(Text, NearNamesCatchUsualSlips) {
  const Names tags = {"nox", "co", "o2_sp", "load", "ambient", "efficiency"};
  EXPECT_EQ(near_names("noxx", tags), Names{"nox"});
  EXPECT_EQ(near_names("NOX", tags), Names{"nox"});
  EXPECT_EQ(near_names("o2", tags), Names{"o2_sp"});   // a prefix
  EXPECT_EQ(near_names("laod", tags), Names{"load"});  // neighbours swapped
  EXPECT_EQ(near_names("efficency", tags), Names{"efficiency"});
  EXPECT_TRUE(near_names("xyz", tags).empty());
}

TEST(Text, DidYouMeanListsKnownNamesWhenNothingIsNear) {
  EXPECT_EQ(did_you_mean("noxx", {"nox", "co"}), "; did you mean 'nox'?");
  EXPECT_EQ(did_you_mean("zzz", {"nox", "co"}), "; known: 'nox', 'co'");
  EXPECT_EQ(did_you_mean("zzz", {}), "");
  EXPECT_NE(did_you_mean("zzz", Names(20, "abcd")).find("and 8 more"), std::string::npos);
}

TEST(Text, QuoteHidesNothingAndBreaksNoLine) {
  EXPECT_EQ(quote("a\nb\xFF\xC3\xA9"), "'a\\x0Ab\\xFF\xC3\xA9'");
  EXPECT_EQ(quote(std::string(100, 'x')), "'" + std::string(60, 'x') + "...'");
}

TEST(Text, NumbersAreShortestThatRoundTrip) {
  EXPECT_EQ(number_text(0.1), "0.1");
  EXPECT_EQ(number_text(-200), "-200");
  EXPECT_EQ(number_text(1e300), "1e+300");
  EXPECT_EQ(number_text(-0.0), "-0");
  EXPECT_EQ(number_text(std::numeric_limits<double>::quiet_NaN()), "nan");
  EXPECT_EQ(number_text(-std::numeric_limits<double>::infinity()), "-inf");
}

TEST(Text, TimeIsCivilUtc) {
  EXPECT_EQ(time_text(0), "1970-01-01 00:00:00 UTC");
  EXPECT_EQ(time_text(951827696.25), "2000-02-29 12:34:56.250 UTC");
  EXPECT_EQ(time_text(-1), "1969-12-31 23:59:59 UTC");
  EXPECT_EQ(time_text(1e300), "1e+300 s since 1970");
}

TEST(Text, Utf8LengthRefusesWhatIsNotUtf8) {
  EXPECT_EQ(utf8_length("a", 0), 1);
  EXPECT_EQ(utf8_length("\xE2\x82\xAC", 0), 3);
  EXPECT_EQ(utf8_length("\xF0\x9F\x8C\xAB", 0), 4);
  for (const char* bad : {"\x80", "\xC1\xBF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF0\x80\x80\x80",
                          "\xF5\x80\x80\x80", "\xE2\x82", "\xE2(\xA1"})
    EXPECT_EQ(utf8_length(bad, 0), 0);
  EXPECT_EQ(utf8_length("", 0), 0);
}

}  // namespace
}  // namespace emisopt
