#include "emisopt/data/tag.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "emisopt/base/error.hpp"

namespace emisopt {
namespace {

TagMap boiler() {
  TagMap map;
  map.plant = "test boiler";
  map.synthetic = true;
  map.period = 300;
  Tag o2{"o2_sp", "%", Role::setpoint};
  o2.low = 1.5;
  o2.high = 6;
  o2.rate = 0.2;
  Tag grade{"fuel_grade", "", Role::disturbance, Kind::categorical};
  grade.categories = {"A", "B"};
  grade.known_ahead = true;
  Tag nox{"nox", "mg/Nm3", Role::emission};
  nox.scale = Scale::log;
  nox.low = 0;
  nox.missing = -200;
  map.tags = {o2, grade, nox, {"efficiency", "%", Role::quality}, {"price", "EUR", Role::cost}};
  return map;
}

std::string refusal(const std::function<void()>& call) {
  try {
    call();
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

// The message of validate() after a change to one tag of the boiler.
std::string refusal(const char* name, const std::function<void(Tag&)>& change) {
  TagMap map = boiler();
  change(map.tags[static_cast<std::size_t>(map.require(name, "test"))]);
  return refusal([&] { map.validate(); });
}

TEST(TagMap, FindsTagsByNameAndRole) {
  const TagMap map = boiler();
  EXPECT_EQ(map.find("nox"), 2);
  EXPECT_EQ(map.find("NOX"), -1);
  EXPECT_EQ(map.setpoints(), std::vector<Index>{0});
  EXPECT_EQ(map.disturbances(), std::vector<Index>{1});
  EXPECT_EQ(map.outputs(), (std::vector<Index>{2, 3}));
  EXPECT_EQ(map.with_role(Role::cost), std::vector<Index>{4});
}

TEST(TagMap, RequireSuggestsNearNames) {
  EXPECT_EQ(refusal([] { boiler().require("noxx", "limits"); }),
            "limits: no tag 'noxx'; did you mean 'nox'?");
  EXPECT_EQ(boiler().require("nox", "limits"), 2);
}

TEST(TagMap, JsonRoundTripsEveryField) {
  const TagMap map = boiler();
  const std::string text = map.to_json();
  EXPECT_EQ(
      text,
      "{\"period\":300,\"plant\":\"test boiler\",\"source\":\"\",\"synthetic\":true,\"tags\":["
      "{\"high\":6,\"low\":1.5,\"name\":\"o2_sp\",\"rate\":0.2,\"role\":\"setpoint\",\"unit\":\"%\"},"
      "{\"categories\":[\"A\",\"B\"],\"kind\":\"categorical\",\"known_ahead\":true,\"name\":\"fuel_grade\","
      "\"role\":\"disturbance\",\"unit\":\"\"},"
      "{\"low\":0,\"missing\":-200,\"name\":\"nox\",\"role\":\"emission\",\"scale\":\"log\",\"unit\":\"mg/"
      "Nm3\"},"
      "{\"name\":\"efficiency\",\"role\":\"quality\",\"unit\":\"%\"},"
      "{\"name\":\"price\",\"role\":\"cost\",\"unit\":\"EUR\"}]}");
  const TagMap back = TagMap::from_json(text);
  EXPECT_EQ(back.to_json(), text);
  EXPECT_EQ(back.tags[0].rate, 0.2);
  EXPECT_TRUE(std::isnan(back.tags[2].high));
  EXPECT_EQ(back.tags[2].missing, -200);
  EXPECT_FALSE(back.tags[3].missing.has_value());
}

TEST(TagMap, JsonTakesDefaultsAndNullsWrittenOut) {
  const TagMap map = TagMap::from_json(
      "{\"tags\":[{\"name\":\"a\",\"unit\":\"\",\"role\":\"emission\",\"kind\":\"continuous\",\"scale\":"
      "\"automatic\","
      "\"low\":null,\"high\":null,\"missing\":null,\"categories\":[],\"known_ahead\":false,\"rate\":null}]}");
  EXPECT_EQ(
      map.to_json(),
      "{\"period\":0,\"plant\":\"\",\"source\":\"\",\"synthetic\":false,\"tags\":[{\"name\":\"a\",\"role\":"
      "\"emission\",\"unit\":\"\"}]}");
}

TEST(TagMap, JsonErrorsNameTagAndField) {
  const auto says = [](const std::string& text) { return refusal([&] { TagMap::from_json(text); }); };
  const auto tag = [&](const std::string& fields) {
    return says("{\"tags\":[{\"name\":\"nox\",\"unit\":\"ppm\",\"role\":\"emission\"" + fields + "}]}");
  };
  EXPECT_EQ(tag(""), "accepted");
  EXPECT_EQ(tag(",\"lo\":1"), "TagMap: tag 'nox': unknown field 'lo'; did you mean 'low'?");
  EXPECT_EQ(tag(",\"low\":\"1\""), "TagMap: tag 'nox': low: expected a number or null, got string '1'");
  EXPECT_EQ(tag(",\"kind\":\"lab\""),
            "TagMap: tag 'nox': kind: expected one of continuous, categorical, laboratory, got 'lab'");
  EXPECT_EQ(tag(",\"scale\":1"), "TagMap: tag 'nox': scale: expected a string, got number 1");
  EXPECT_EQ(tag(",\"frozen_after\":2.5"),
            "TagMap: tag 'nox': frozen_after: expected a whole number of rows, got 2.5");
  EXPECT_EQ(tag(",\"known_ahead\":1"),
            "TagMap: tag 'nox': known_ahead: expected true or false, got number 1");
  EXPECT_EQ(tag(",\"categories\":\"A\""), "TagMap: tag 'nox': categories: expected an array, got string 'A'");
  EXPECT_EQ(says("{\"tags\":[{\"name\":\"a\",\"unit\":\"\"}]}"), "TagMap: tag 'a': field 'role' is missing");
  EXPECT_EQ(says("{\"tags\":[{\"unit\":\"\"}]}"), "TagMap: tags[0]: field 'name' is missing");
  EXPECT_EQ(says("{\"tags\":[{\"name\":\"a\",\"unit\":\"\",\"role\":\"emmission\"}]}"),
            "TagMap: tag 'a': role: expected one of setpoint, disturbance, emission, quality, cost, got "
            "'emmission'");
  EXPECT_EQ(says("{\"tagz\":[]}"), "TagMap: unknown field 'tagz'; did you mean 'tags'?");
  EXPECT_EQ(says("{\"tags\":[]}"), "TagMap: tags: expected at least one, got none");
  EXPECT_EQ(says("{\"period\":true,\"tags\":[]}"), "TagMap: period: expected a number, got true");
  EXPECT_EQ(says("{"),
            "TagMap: line 1, column 2: expected a field name in double quotes, got the end of the text");
}

TEST(TagMap, ValidateNamesTagAndField) {
  const double inf = std::numeric_limits<double>::infinity();
  EXPECT_EQ(refusal("nox", [](Tag&) {}), "accepted");
  EXPECT_EQ(refusal("nox", [](Tag& t) { t.name = "co\n"; }),
            "TagMap: tag 'co\\x0A': name: expected printable UTF-8 text, got 'co\\x0A'");
  EXPECT_EQ(refusal("nox", [](Tag& t) { t.name = "o2_sp"; }),
            "TagMap: tag 'o2_sp': name: stands twice; names must differ");
  EXPECT_EQ(refusal("nox",
                    [](Tag& t) {
                      t.unit =
                          "\xB0"
                          "C";
                    }),
            "TagMap: tag 'nox': unit: expected printable UTF-8 text, got '\\xB0C'");
  EXPECT_EQ(refusal("nox", [](Tag& t) { t.high = -1; }),
            "TagMap: tag 'nox': low, high: expected low < high, got 0 and -1");
  EXPECT_EQ(refusal("nox", [=](Tag& t) { t.high = inf; }),
            "TagMap: tag 'nox': high: expected a finite number, got inf");
  EXPECT_EQ(refusal("nox", [=](Tag& t) { t.low = -inf; }),
            "TagMap: tag 'nox': low: expected a finite number, got -inf");
  EXPECT_EQ(refusal("nox", [](Tag& t) { t.missing = kMissing; }),
            "TagMap: tag 'nox': missing: expected a finite number, got nan");
  EXPECT_EQ(refusal("nox", [](Tag& t) { t.categories = {"A"}; }),
            "TagMap: tag 'nox': categories: expected none for kind continuous, got 1");
  EXPECT_EQ(refusal("nox", [](Tag& t) { t.low = -5; }),
            "TagMap: tag 'nox': scale: log needs a range that begins at 0 or above, low is -5");
  EXPECT_EQ(refusal("nox", [](Tag& t) { t.rate = 1; }),
            "TagMap: tag 'nox': rate: only a setpoint has one, this is emission");
  EXPECT_EQ(refusal("nox", [](Tag& t) { t.frozen_after = 1; }),
            "TagMap: tag 'nox': frozen_after: expected 2 rows or more, or 0 for never, got 1");
  EXPECT_NE(refusal("fuel_grade", [](Tag& t) { t.frozen_after = 3; }).find("only a continuous measurement"),
            std::string::npos);
  EXPECT_EQ(refusal("nox", [](Tag& t) { t.known_ahead = true; }),
            "TagMap: tag 'nox': known_ahead: only a disturbance is known ahead, this is emission");
  EXPECT_EQ(refusal("o2_sp", [](Tag& t) { t.rate = 0; }),
            "TagMap: tag 'o2_sp': rate: expected a number above 0, got 0");
  EXPECT_EQ(refusal("o2_sp", [](Tag& t) { t.kind = Kind::laboratory; }),
            "TagMap: tag 'o2_sp': kind: a setpoint is continuous, got laboratory");
  EXPECT_EQ(refusal("fuel_grade", [](Tag& t) { t.categories.clear(); }),
            "TagMap: tag 'fuel_grade': categories: expected at least one for kind categorical, got none");
  EXPECT_EQ(refusal("fuel_grade", [](Tag& t) { t.categories = {"A", "A"}; }),
            "TagMap: tag 'fuel_grade': categories: 'A' stands twice");
  EXPECT_EQ(refusal("fuel_grade", [](Tag& t) { t.categories = {""}; }),
            "TagMap: tag 'fuel_grade': categories: expected printable UTF-8 text, got ''");
  EXPECT_EQ(refusal("fuel_grade", [](Tag& t) { t.role = Role::emission; }),
            "TagMap: tag 'fuel_grade': role: a categorical tag is a disturbance or a cost, got emission");
  EXPECT_EQ(refusal("fuel_grade", [](Tag& t) { t.high = 3; }),
            "TagMap: tag 'fuel_grade': low, high: a categorical tag has no range; its categories say what is "
            "allowed");
  EXPECT_EQ(refusal("fuel_grade", [](Tag& t) { t.scale = Scale::log; }),
            "TagMap: tag 'fuel_grade': scale: a categorical tag has none, got log");
  TagMap map = boiler();
  map.period = -1;
  EXPECT_EQ(refusal([&] { map.validate(); }), "TagMap: period: expected seconds, 0 or more, got -1");
}

}  // namespace
}  // namespace emisopt
