#include "emisopt/permit/audit_record.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>

#include "emisopt/base/error.hpp"
#include "emisopt/base/sha256.hpp"

namespace emisopt {
namespace {

using Findings = std::vector<std::string>;

struct Data {
  std::vector<double> time = {0, 60, 120, 180, 240}, nox = {100, 101.5, kMissing, 99, 0};

  std::vector<AuditInput> inputs() const {
    return {{"time", time.data(), static_cast<Index>(time.size())},
            {"nox", nox.data(), static_cast<Index>(nox.size())}};
  }
  AuditEntry entry() const {
    return {"stack 1, NOx",
            "emisopt 0.1.0",
            1.7e9,
            inputs(),
            Json::parse(R"({"limit":200,"name":"NOx 1 h"})"),
            Json::parse(
                R"({"hours":[{"mean":100.125,"valid":true},{"mean":null,"valid":false}],"worst":100.125})")};
  }
};

// The mean of the valid values, under the limit or not: stands for an evaluation.
Json evaluate_mean(const Json& rule, const std::vector<double>& nox) {
  double sum = 0, n = 0;
  for (const double v : nox)
    if (std::isfinite(v)) sum += v, ++n;
  return Json::Object{{"mean", sum / n}, {"met", sum / n <= rule.at("limit", "rule").as_number("rule")}};
}

TEST(AuditRecord, SaysTheSameAsAnyoneCanCompute) {
  const Data data;
  const std::string text = make_audit_record(data.entry(), "", 0);
  const AuditRecord record(text);
  EXPECT_EQ(record.json().write(), text);
  EXPECT_TRUE(record.verify().empty());
  EXPECT_TRUE(record.verify_inputs(data.inputs()).empty());
  // The documented recipe, spelled out.
  const Json& nox = record.json().at("inputs", "test").as_array("test")[1];
  char bytes[40];
  std::memcpy(bytes, data.nox.data(), sizeof bytes);  // this machine is little-endian
  EXPECT_EQ(nox.at("blocks", "test").as_array("test")[0].as_string("test"),
            sha256_hex({bytes, sizeof bytes}));
  const std::string own = ",\"sha256\":\"" + record.sha256() + "\"";
  std::string without = text;
  without.erase(without.find(own), own.size());
  EXPECT_EQ(sha256_hex(without), record.sha256());
  EXPECT_EQ(sha256_hex(record.rule().write()), record.json().at("rule_sha256", "test").as_string("test"));
}

// The trap: a hash over counts. Here two hours of equal count and equal mean differ.
TEST(AuditRecord, EqualCountsAndMeansAreNotEqualData) {
  Data data;
  const AuditRecord record(make_audit_record(data.entry(), "", 0));
  std::swap(data.nox[0], data.nox[3]);
  EXPECT_EQ(record.verify_inputs(data.inputs()), Findings{"input 'nox': other values within rows 0 to 4"});
}

TEST(AuditRecord, EveryFlippedBitOfEveryInputIsFound) {
  Data data;
  const AuditRecord record(make_audit_record(data.entry(), "", 0));
  for (std::vector<double>* column : {&data.time, &data.nox})
    for (double& value : *column)
      for (int bit = 0; bit < 64; ++bit) {
        const double kept = value;
        value = std::bit_cast<double>(std::bit_cast<std::uint64_t>(value) ^ std::uint64_t{1} << bit);
        EXPECT_EQ(record.verify_inputs(data.inputs()).size(), 1u) << bit;
        value = kept;
      }
  EXPECT_TRUE(record.verify_inputs(data.inputs()).empty());
}

TEST(AuditRecord, EveryFlippedBitOfItsTextIsFound) {
  const std::string text = make_audit_record(Data().entry(), "", 0);
  for (std::size_t i = 0; i < text.size(); ++i)
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = text;
      changed[i] = static_cast<char>(changed[i] ^ 1 << bit);
      bool found = false;
      try {
        found = !AuditRecord(changed).verify().empty();
      } catch (const InputError&) {
        found = true;
      }
      ASSERT_TRUE(found) << "byte " << i << ", bit " << bit;
    }
}

TEST(AuditRecord, OtherSpacingIsFoundAlthoughTheValueIsTheSame) {
  std::string text = make_audit_record(Data().entry(), "", 0);
  text.insert(1, " ");
  EXPECT_EQ(AuditRecord(text).verify(), Findings{"the text is not canonical: it was edited"});
}

TEST(AuditRecord, BlocksTellWhereTheRowsDiffer) {
  std::vector<double> values(100);
  for (std::size_t i = 0; i < 100; ++i) values[i] = static_cast<double>(i);
  const auto inputs = [&] { return std::vector<AuditInput>{{"nox", values.data(), 100}}; };
  AuditEntry entry = Data().entry();
  entry.inputs = inputs();
  const AuditRecord record(make_audit_record(entry, "", 0, 10));
  values[25] = values[39] = values[99] = -1;
  EXPECT_EQ(record.verify_inputs(inputs()),
            Findings{"input 'nox': other values within rows 20 to 39, rows 90 to 99"});
}

TEST(AuditRecord, MissingNewAndShorterColumnsAreNamed) {
  const Data data;
  const AuditRecord record(make_audit_record(data.entry(), "", 0));
  EXPECT_EQ(record.verify_inputs({{"time", data.time.data(), 4}, {"NOX", data.nox.data(), 5}}),
            (Findings{"input 'time': recorded 5 rows, now 4", "input 'nox': recorded, now absent",
                      "input 'NOX': not recorded, now there"}));
}

TEST(AuditRecord, AReEvaluationNamesEachLeafThatDiffers) {
  const AuditRecord record(make_audit_record(Data().entry(), "", 0));
  EXPECT_TRUE(record.verify_result(record.result()).empty());
  const Json now = Json::parse(R"({"hours":[{"mean":100.25,"valid":true},{"mean":3}],"new":1,"worst":"x"})");
  EXPECT_EQ(record.verify_result(now), (Findings{"result.hours[0].mean: recorded 100.125, now 100.25",
                                                 "result.hours[1].mean: recorded null, now 3",
                                                 "result.hours[1].valid: recorded false, now absent",
                                                 "result.worst: recorded 100.125, now string 'x'",
                                                 "result.new: not recorded, now number 1"}));
  EXPECT_EQ(record.verify_result(Json::parse(R"({"hours":[],"worst":100.125})")),
            Findings{"result.hours: recorded 2 values, now 0"});
  EXPECT_TRUE(
      record
          .verify_result(
              Json::parse(
                  R"({"hours":[{"mean":100.12500000001,"valid":true},{"mean":null,"valid":false}],"worst":100.125})"),
              1e-9)
          .empty());
}

TEST(AuditRecord, OnlySoManyDifferencesAreListed) {
  Json::Array a(50, Json(1)), b(50, Json(2));
  const auto found = json_differences(a, b, "result", 0, 20);
  EXPECT_EQ(found.size(), 21u);
  EXPECT_EQ(found.back(), "and 30 more");
}

TEST(AuditRecord, ReEvaluatesByTheRuleOnRecord) {
  Data data;
  AuditEntry entry = data.entry();
  entry.result = evaluate_mean(entry.rule, data.nox);
  const AuditRecord record(make_audit_record(entry, "", 0));
  int asked = 0;
  const auto evaluate = [&](const Json& rule) {
    ++asked;
    return evaluate_mean(rule, data.nox);
  };
  EXPECT_TRUE(record.verify_all(data.inputs(), evaluate).empty());
  EXPECT_EQ(asked, 1);
  const auto other_code = [&](const Json&) { return Json(Json::Object{{"mean", 1}, {"met", true}}); };
  EXPECT_EQ(record.verify_all(data.inputs(), other_code), Findings{"result.mean: recorded 75.125, now 1"});
  data.nox[1] = 500;  // other data: the result of today says nothing, and is not asked for
  EXPECT_EQ(record.verify_all(data.inputs(), evaluate),
            Findings{"input 'nox': other values within rows 0 to 4"});
  EXPECT_EQ(asked, 1);
}

TEST(AuditRecord, AnEmptyInputIsRecordedAsEmpty) {
  AuditEntry entry = Data().entry();
  entry.inputs = {{"nox", nullptr, 0}};
  const AuditRecord record(make_audit_record(entry, "", 0));
  EXPECT_TRUE(record.verify_inputs(entry.inputs).empty());
  const double one = 1;
  EXPECT_EQ(record.verify_inputs({{"nox", &one, 1}}), Findings{"input 'nox': recorded 0 rows, now 1"});
}

TEST(AuditRecord, RefusesBadEntriesAndForeignText) {
  const auto refused = [](auto change, Index block_rows = 10) {
    Data data;
    AuditEntry entry = data.entry();
    change(entry);
    EXPECT_THROW(make_audit_record(entry, "", 0, block_rows), InputError);
  };
  refused([](AuditEntry& e) { e.inputs[1].name = "time"; });
  refused([](AuditEntry& e) { e.made_s = kMissing; });
  refused([](AuditEntry& e) { e.subject = "\xff"; });
  refused([](AuditEntry& e) { e.result = Json(kMissing); });
  refused([](AuditEntry&) {}, 0);
  for (const char* text : {"", "{}", "[1]", R"({"format":"other"})"})
    EXPECT_THROW(AuditRecord record(text), InputError);
  std::string newer = make_audit_record(Data().entry(), "", 0);
  newer.replace(newer.find("\"version\":1"), 11, "\"version\":2");
  EXPECT_THROW(AuditRecord record(newer), InputError);
}

}  // namespace
}  // namespace emisopt
