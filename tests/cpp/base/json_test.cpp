#include "emisopt/base/json.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

// The text of the InputError that parsing throws.
std::string refusal(std::string_view text) {
  try {
    Json::parse(text, "t");
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Json, WritesCanonically) {
  const Json json =
      Json::parse(" { \"b\" : [ 1 , 2.50, -0.0, 1e2, true, null ],\n \"a\" : \"x\\u00e9\\/\\n\" } ");
  EXPECT_EQ(json.write(), "{\"a\":\"x\xC3\xA9/\\n\",\"b\":[1,2.5,-0,100,true,null]}");
  EXPECT_EQ(Json::parse(json.write()), json);
  EXPECT_EQ(Json(Json::Object{}).write() + Json(Json::Array{}).write(), "{}[]");
}

TEST(Json, IntegersCarryNoExponent) {  // readers of safetensors headers expect plain integers
  EXPECT_EQ(Json(100000.0).write(), "100000");
  EXPECT_EQ(Json(std::int64_t{1} << 53).write(), "9007199254740992");
  EXPECT_THROW(Json((std::int64_t{1} << 53) + 1), InputError);
}

TEST(Json, EveryDoubleRoundTripsBitForBit) {
  Rng rng(3);
  for (int i = 0; i < 20000; ++i) {
    const std::uint64_t bits = rng.bits();
    double value;
    std::memcpy(&value, &bits, sizeof value);
    if (!std::isfinite(value)) continue;
    const double back = Json::parse(Json(value).write()).as_number("t");
    ASSERT_EQ(std::memcmp(&back, &value, sizeof value), 0) << Json(value).write();
  }
}

TEST(Json, EveryStringRoundTrips) {
  std::string all;
  for (char c = 1; c > 0 && c < 127; ++c) all += c;
  all += std::string("\0", 1) + "\x7F \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x8C\xAB";
  EXPECT_EQ(Json::parse(Json(all).write()).as_string("t"), all);
  EXPECT_EQ(Json::parse("\"\\ud83c\\udf2b\"").as_string("t"), "\xF0\x9F\x8C\xAB");
}

TEST(Json, RefusesToWriteWhatJsonCannotSay) {
  EXPECT_THROW(Json(std::nan("")).write(), InputError);
  EXPECT_THROW(Json(std::numeric_limits<double>::infinity()).write(), InputError);
  EXPECT_THROW(Json("\xFF").write(), InputError);
  EXPECT_EQ(Json::number_or_null(std::nan("")).write(), "null");
  EXPECT_TRUE(std::isnan(Json().number_or_nan("t")));
}

TEST(Json, ErrorsNameLineAndColumn) {
  EXPECT_EQ(refusal("{\n  \"\xC3\xA9\": x}"), "t: line 2, column 8: expected a JSON value, got 'x'");
  EXPECT_EQ(refusal(""), "t: line 1, column 1: expected a JSON value, got the end of the text");
  EXPECT_EQ(refusal("[1 2]"), "t: line 1, column 4: expected ',' or ']', got '2'");
  EXPECT_EQ(refusal("1 1"), "t: line 1, column 3: expected the end of the text after one value, got '1'");
  EXPECT_EQ(refusal("{\"a\":1,\"a\":2}"), "t: line 1, column 8: field 'a' stands twice in one object");
}

TEST(Json, RefusesWhatTheStandardRefuses) {
  for (const char* text : {"[1,]",
                           "{\"a\":1,}",
                           "{a:1}",
                           "{\"a\" 1}",
                           "01",
                           "+1",
                           "1.",
                           ".5",
                           "1e",
                           "-",
                           "nul",
                           "NaN",
                           "Infinity",
                           "'a'",
                           "\"a",
                           "\"\\x\"",
                           "\"\\u12g4\"",
                           "\"\\ud800\"",
                           "\"\\udc00\"",
                           "\"\\ud800\\u0041\"",
                           "\"\t\"",
                           "1e999",
                           "[",
                           "{",
                           "\"\xC0\x80\"",
                           "\"\xED\xA0\x80\"",
                           "\"\xF4\x90\x80\x80\"",
                           "\xEF\xBB\xBF{}",
                           "//x\n1",
                           "\"\\"})
    EXPECT_NE(refusal(text), "accepted") << text;
}

TEST(Json, NestingIsLimited) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_EQ(refusal(nested(Json::kDeepest)), "accepted");
  EXPECT_NE(refusal(nested(Json::kDeepest + 2)).find("levels of nesting"), std::string::npos);
  EXPECT_NE(refusal(std::string(1000000, '[')), "accepted");
}

TEST(Json, AccessorsSayWhatCame) {
  const Json json = Json::parse("{\"unit\":\"degC\",\"n\":1.5,\"list\":[1,2]}");
  const auto text = [&](auto call) -> std::string {
    try {
      call();
    } catch (const InputError& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(text([&] { json.at("unit", "w").as_number("w: unit"); }),
            "w: unit: expected a number, got string 'degC'");
  EXPECT_EQ(text([&] { json.at("n", "w").as_integer("w: n"); }), "w: n: expected an integer, got number 1.5");
  EXPECT_EQ(text([&] { json.at("list", "w").as_object("w"); }), "w: expected an object, got array of 2");
  EXPECT_EQ(text([&] { json.at("n", "w").as_string("w"); }), "w: expected a string, got number 1.5");
  EXPECT_EQ(text([&] { json.at("n", "w").as_bool("w"); }), "w: expected true or false, got number 1.5");
  EXPECT_EQ(text([&] { json.as_array("w"); }), "w: expected an array, got object");
  EXPECT_EQ(text([&] { json.at("high", "w"); }), "w: field 'high' is missing");
  EXPECT_EQ(text([&] { json.check_keys({"units", "n", "list"}, "w"); }),
            "w: unknown field 'unit'; did you mean 'units'?");
}

TEST(Json, RandomBytesNeverCrash) {
  Rng rng(5);
  const std::string seed = "{\"a\":[1,2.5e3,\"x\\u00e9\"],\"b\":{\"c\":null}}";
  for (int i = 0; i < 20000; ++i) {
    std::string text = seed;
    for (int k = 0; k < 3; ++k)
      text[static_cast<std::size_t>(rng.below(static_cast<std::int64_t>(text.size())))] =
          static_cast<char>(rng.bits() & 0xFF);
    try {
      const Json json = Json::parse(text);
      ASSERT_EQ(Json::parse(json.write()), json);  // what is accepted is understood
    } catch (const InputError&) {
    }
  }
}

}  // namespace
}  // namespace emisopt
