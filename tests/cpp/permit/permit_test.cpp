#include "emisopt/permit/permit.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/sha256.hpp"
#include "permit/evaluation_cases.hpp"

namespace emisopt::test {
namespace {

Permit everything() {
  Rule day = averaged(Over::day, 0, -1);
  day.average.min_share = -1;
  day.average.max_invalid = 5;
  day.basis = {.moisture = "dry", .oxygen = 11, .constant = 21, .of_means = true};
  day.confidence_percent = 20;
  day.confidence_of = 150;
  day.exclude = {true, true, false};
  day.allow = {.share = 0.97, .per = Per::year};
  day.availability = Allowance{.count = 10, .per = Per::year};
  day.either = "one of two";
  day.from_day = date_from_text("2024-01-01", "");
  day.until_day = date_from_text("2024-12-31", "");
  day.article = "Part 8";
  Rule hour = hourly(0.1 + 0.2);  // not a short decimal
  hour.verified = false;
  hour.tag = "nox";
  Rule ten = averaged(Over::rolling, 1200, 0.5);
  ten.base.length_s = 600;
  ten.base.validity = {Need::share, 0, 2.0 / 3, true};
  Permit permit = permit_of({day, hour, ten});
  permit.zone = "Europe/Berlin";
  permit.source = "a document";
  permit.signals[0].oxygen_tag = "o2";
  permit.signals[0].moisture = "dry";
  permit.signals.push_back({.tag = "so2", .pollutant = "SO2", .unit = "ppm", .oxygen = 3});
  return permit;
}

TEST(Permit, GoesThroughJsonUnchanged) {
  const std::string text = everything().to_json();
  EXPECT_EQ(Permit::from_json(text).to_json(), text);
}

TEST(Permit, HashIsOfTheCanonicalTextAndOfNothingElse) {
  const Permit permit = everything();
  EXPECT_EQ(permit.hash(), sha256_hex(permit.to_json()));
  const Json parsed = Json::parse(permit.to_json());
  std::string spaced = permit.to_json();
  for (std::size_t i = 0; (i = spaced.find("\":", i)) != std::string::npos; i += 4)
    spaced.replace(i, 2, "\" : ");
  EXPECT_EQ(Permit::from_json(spaced).hash(), permit.hash());
  Permit other = permit;
  other.rules[1].limit = std::nextafter(other.rules[1].limit, 1);  // the last bit of a limit
  EXPECT_NE(other.hash(), permit.hash());
}

TEST(Permit, FieldsAtTheirDefaultAreLeftOut) {
  const std::string text = permit_of({hourly()}).to_json();
  EXPECT_EQ(
      text,
      R"({"format":1,"name":"test","rules":[{"base":{"length":3600,"validity":{"need":"quadrants"}},)"
      R"("limit":200,"name":"NOx 1 h","pollutant":"NOx","source":"a test","unit":"mg/Nm3","verified":true}],)"
      R"("signals":[{"pollutant":"NOx","tag":"nox","unit":"mg/Nm3"}],"zone":"UTC"})");
}

std::string refusal(const std::string& text) {
  try {
    Permit::from_json(text);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

std::string with_field(const std::string& fields) {
  return R"({"name":"p","rules":[{"name":"r","pollutant":"NOx","unit":"ppm","limit":5,)"
         R"("base":{"length":3600,"validity":{"need":"any"}})" +
         fields + "}]}";
}

TEST(Permit, RefusesEachWrongFieldByRuleAndName) {
  EXPECT_EQ(refusal(with_field("")), "");
  const std::pair<const char*, const char*> cases[] = {
      {R"(,"limt":3)", "permit rule 'r': unknown field 'limt'; did you mean 'limit'?"},
      {R"(,"average":{"over":"rolling","length":0,"min_share":0.5})",
       "average: length: expected a window of more"},
      {R"(,"average":{"over":"operating_days","length":0,"min_share":0.5})",
       "expected a window of 1 or more"},
      {R"(,"average":{"over":"rolling","length":5400,"min_share":0.5})",
       "multiple of the base period of 3600 s"},
      {R"(,"average":{"over":"block","length":18000,"min_share":0.5})", "a block that divides a day"},
      {R"(,"average":{"over":"day"})", "at least one, to say when an average over day counts"},
      {R"(,"average":{"over":"day","min_share":1.5})", "min_share: expected above 0, at most 1, got 1.5"},
      {R"(,"average":{"over":"fortnight"})", "average: over: expected another word, got 'fortnight'"},
      {R"(,"basis":{"oxygen":6})", "basis: constant: expected the oxygen of air by the permit"},
      {R"(,"basis":{"oxygen":21,"constant":20.9})", "basis: oxygen: expected 0 to below the constant 20.9"},
      {R"(,"basis":{"oxygen":6,"constant":19})", "basis: constant: expected the oxygen of air"},
      {R"(,"basis":{"moisture":"damp"})", "expected dry or wet, got 'damp'"},
      {R"(,"confidence":{"percent":100})", "confidence: percent"},
      {R"(,"confidence":{"percent":20,"of":0})", "confidence: of"},
      {R"(,"allow":{"share":0.97,"count":3})", "allow: expected a share or a count, got both"},
      {R"(,"allow":{"share":0})", "allow: expected a share above 0"},
      {R"(,"allow":{"count":-1})", "allow: count: expected a whole number"},
      {R"(,"exclude":["lunch"])", "expected startup, shutdown or malfunction, got 'lunch'"},
      {R"(,"from":"2024-02-30")", "from: expected a date"},
      {R"(,"from":"2024-02-02","until":"2024-02-01")", "dates in this order, got 2024-02-02 to 2024-02-01"},
      {R"(,"verified":true)", "source: expected where a verified limit was read"},
      {R"(,"verified":"yes")", "verified: expected"},
  };
  for (const auto& [field, told] : cases) {
    const std::string text = refusal(with_field(field));
    EXPECT_NE(text.find(told), std::string::npos) << field << "\n" << text;
    EXPECT_NE(text.find("permit rule 'r'"), std::string::npos) << text;
  }
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  text.replace(text.find(from), from.size(), to);
  return text;
}

TEST(Permit, RefusesUnknownWordsWithNearOnes) {
  const std::string plain = with_field("");
  EXPECT_NE(refusal(replaced(plain, "NOx", "NOX")).find("did you mean 'NOx'"), std::string::npos);
  EXPECT_NE(refusal(replaced(plain, "\"NOx\"", "\"unobtainium\"")).find("expected a pollutant"),
            std::string::npos);
  EXPECT_NE(refusal(replaced(plain, "ppm", "mg/nm3")).find("did you mean 'mg/Nm3'"), std::string::npos);
  EXPECT_NE(refusal(replaced(plain, "\"any\"", "\"quadrant\"")).find("did you mean 'quadrants'"),
            std::string::npos);
  EXPECT_NE(refusal(replaced(plain, "3600", "2700")).find("divide an hour"), std::string::npos);
  EXPECT_NE(refusal(replaced(plain, ":5,", ":-5,"))
                .find("limit: expected a number, 0 or more, or null to report only, got -5"),
            std::string::npos);
  EXPECT_NE(refusal(replaced(plain, R"(,"validity":{"need":"any"})", "")).find("'validity' is missing"),
            std::string::npos);
  EXPECT_NE(refusal(R"({"name":"p","rules":[]})").find("at least one"), std::string::npos);
  EXPECT_NE(refusal(R"({"name":"p","rules":[],"format":99})").find("newer"), std::string::npos);
}

std::string refusal(const Permit& permit) {
  try {
    permit.validate();
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

TEST(Permit, RefusesRulesThatOverlap) {
  Rule a = hourly(200), b = hourly(150);
  EXPECT_NE(refusal(permit_of({a, b})).find("stands twice"), std::string::npos);
  b.name = "stricter";
  EXPECT_NE(refusal(permit_of({a, b})).find("rule 'stricter': overlaps rule 'NOx 1 h'"), std::string::npos);
  b.tag = "nox";  // a rule for all tags judges this one too
  EXPECT_NE(refusal(permit_of({a, b})), "");
  a.tag = "nox 2";
  Permit two = permit_of({a, b});
  two.signals.push_back(signal("nox 2"));
  EXPECT_EQ(refusal(two), "");
  a.tag = b.tag = "";
  b.allow = {.share = 0.97, .per = Per::year};  // LRV: none above the double, 97 % below 1.2 times
  EXPECT_EQ(refusal(permit_of({a, b})), "");
  b.allow = {};
  a.until_day = date_from_text("2024-12-31", "");
  b.from_day = date_from_text("2024-12-31", "");
  EXPECT_NE(refusal(permit_of({a, b})), "");  // both on the last day
  b.from_day = date_from_text("2025-01-01", "");
  EXPECT_EQ(refusal(permit_of({a, b})), "");
}

TEST(Permit, RefusesRulesThatOverlapUnderAnotherName) {
  Rule a = hourly(200), b = hourly(150);
  b.name = "stricter";
  b.average = {.over = Over::block, .length = 3600, .min_share = 1};  // of one base mean
  EXPECT_NE(refusal(permit_of({a, b})).find("overlaps"), std::string::npos);
  a.average = {.over = Over::day, .min_share = 0.75};
  b.average = {.over = Over::block, .length = 86400, .min_share = 0.75};
  Permit permit = permit_of({a, b});
  permit.zone = "Etc/GMT-1";
  EXPECT_NE(refusal(permit).find("overlaps"), std::string::npos);
  permit.zone = "Europe/Berlin";  // a day of 23 hours is no block of 24
  EXPECT_EQ(refusal(permit), "");
}

TEST(Permit, RefusesSignalsThatDoNotFit) {
  Permit permit = permit_of({hourly()});
  permit.signals.push_back(signal());
  EXPECT_NE(refusal(permit).find("signal 'nox': tag: stands twice"), std::string::npos);
  permit = permit_of({hourly()});
  permit.rules[0].tag = "nix";
  EXPECT_NE(refusal(permit).find("no signal has the tag 'nix'; did you mean 'nox'"), std::string::npos);
  permit = permit_of({hourly()});
  permit.signals[0].oxygen = 21;
  EXPECT_NE(refusal(permit), "");
  permit.signals[0].oxygen = 5;
  permit.signals[0].oxygen_tag = "o2";
  EXPECT_NE(refusal(permit), "");
}

TEST(Permit, RulesCanBeTakenByName) {
  const Permit permit = everything();
  EXPECT_EQ(permit.with_rules({"NOx 1 h"}).rules.size(), 1u);
  EXPECT_THROW(permit.with_rules({"NOx 2 h"}), InputError);
}

TEST(Words, SayWhatIsJudgedAndMarkWhatNobodyRead) {
  const Permit permit = everything();
  EXPECT_EQ(permit.unverified(), std::vector<std::string>{"NOx 1 h"});
  EXPECT_NE(limit_text(permit.rules[1]).find("UNVERIFIED"), std::string::npos);
  EXPECT_NE(Permit::in_words(permit.rules[1]).find("UNVERIFIED"), std::string::npos);
  const std::string day = Permit::in_words(permit.rules[0]);
  for (const char* told :
       {"200 mg/Nm3 (dry, 11 % O2)", "each civil day", "at most 5 invalid", "97 % of each civil year",
        "(21 - 11) / (21 - O2)", "20 % of 150 mg/Nm3", "start-up, shut-down", "at most 10 of each civil year",
        "From 2024-01-01", "Through 2024-12-31", "a test, Part 8"})
    EXPECT_NE(day.find(told), std::string::npos) << told << "\n" << day;
  EXPECT_EQ(day.find("UNVERIFIED"), std::string::npos);
}

}  // namespace
}  // namespace emisopt::test
