#include "kernels/choices.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "emisopt/base/error.hpp"

namespace emisopt::kernels {
namespace {

TEST(Choices, WhatWasKeptComesBackFromItsText) {
  Choices first, second;
  first.keep(R"({"m":3})", R"({"by":"own"})");
  first.keep(R"({"m":4})", R"({"by":"library","workspace":12})");
  first.keep(R"({"m":3})", R"({"by":"library"})");
  second.keep(R"({"m":4})", R"({"by":"own"})");
  second.keep(R"({"m":5})", R"({"by":"own"})");
  second.take_json(first.to_json(), "test");
  EXPECT_EQ(second.size(), 3u);
  EXPECT_EQ(second.find(R"({"m":3})"), R"({"by":"library"})");
  EXPECT_EQ(second.find(R"({"m":4})"), R"({"by":"library","workspace":12})");
  EXPECT_EQ(second.find(R"({"m":5})"), R"({"by":"own"})");
  EXPECT_FALSE(second.find(R"({"m":6})"));
  Choices third;
  third.take_json(second.to_json(), "test");
  EXPECT_EQ(third.to_json(), second.to_json());
  third.clear();
  EXPECT_EQ(third.size(), 0u);
}

TEST(Choices, OtherTextsAreRefusedAndChangeNothing) {
  const std::string good = R"({"format":"emisopt choices","version":1,"choices":[{"of":{"m":1},"is":{}}]})";
  Choices choices;
  choices.take_json(good, "test");
  const std::string before = choices.to_json();
  const std::pair<const char*, const char*> bad[] = {
      {"", "test"},
      {"[]", "expected an object"},
      {R"({"format":"other","version":1,"choices":[]})", "expected format 'emisopt choices', got 'other'"},
      {R"({"format":"emisopt choices","version":2,"choices":[]})", "expected version 1, got 2"},
      {R"({"format":"emisopt choices","choices":[]})", "version"},
      {R"({"format":"emisopt choices","version":1,"choices":{}})", "expected an array"},
      {R"({"format":"emisopt choices","version":1,"choices":[],"more":0})", "more"},
      {R"({"format":"emisopt choices","version":1,"choices":[{"of":{"m":2},"is":{}},{"of":{"m":3}}]})", "is"},
      {R"({"format":"emisopt choices","version":1,"choices":[{"of":3,"is":{}}]})", "expected an object"},
      {R"({"format":"emisopt choices","version":1,"choices":[{"of":{"m":2},"is":{}},{"of":{"m":2},"is":{}}]})",
       "got two for {\"m\":2}"},
  };
  for (const auto& [text, expected] : bad) {
    try {
      choices.take_json(text, "test");
      FAIL() << text;
    } catch (const InputError& error) {
      EXPECT_NE(std::string(error.what()).find(expected), std::string::npos) << error.what();
      EXPECT_EQ(std::string(error.what()).rfind("test", 0), 0u) << error.what();
    }
    EXPECT_EQ(choices.to_json(), before);
  }
  for (std::size_t end = 0; end < good.size(); ++end)  // torn anywhere
    EXPECT_THROW(choices.take_json(good.substr(0, end), "test"), InputError);
}

TEST(Choices, AFileIsReadWholeOrNamed) {
  const std::string path =
      (std::filesystem::temp_directory_path() / ("emisopt_choices_" + std::to_string(::getpid()) + ".json"))
          .string();
  Choices choices, other;
  choices.keep(R"({"m":3})", R"({"by":"own"})");
  choices.save(path);
  other.load(path);
  EXPECT_EQ(other.to_json(), choices.to_json());
  std::ofstream(path) << "{";
  EXPECT_THROW(other.load(path), FileError);
  EXPECT_EQ(other.to_json(), choices.to_json());
  std::filesystem::remove(path);
  EXPECT_THROW(other.load(path), FileError);
  EXPECT_THROW(choices.save(path + "/no/such/folder"), FileError);
}

TEST(Choices, ThreadsMayKeepAndAskAtOnce) {
  Choices choices;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&choices, t] {
      for (int i = 0; i < 100; ++i) {
        const std::string key = "{\"m\":" + std::to_string(100 * t + i) + "}";
        choices.keep(key, "{}");
        EXPECT_TRUE(choices.find(key));
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(choices.size(), 400u);
}

}  // namespace
}  // namespace emisopt::kernels
