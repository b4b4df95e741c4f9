// Rules and rows for tests of evaluation.
#pragma once
#include <algorithm>
#include <string>
#include <vector>

#include "emisopt/permit/evaluation.hpp"

namespace emisopt::test {

constexpr Second kHour = 3600, kDay = 86400;

inline Second at(const char* date, int hour = 0, int minute = 0) {
  return date_from_text(date, "test") * kDay + hour * kHour + minute * 60;
}

inline Zone berlin() {
  return {.name = "Europe/Berlin",
          .since = {at("2024-03-31", 1), at("2024-10-27", 1)},
          .offset_s = {3600, 7200, 3600}};
}

/// A verified rule: hourly NOx by the quadrant rule.
inline Rule hourly(double limit = 200) {
  Rule rule;
  rule.name = "NOx 1 h";
  rule.pollutant = "NOx";
  rule.unit = "mg/Nm3";
  rule.limit = limit;
  rule.base.length_s = 3600;
  rule.base.validity.need = Need::quadrants;
  rule.source = "a test";
  rule.verified = true;
  return rule;
}

inline Rule averaged(Over over, int length, double min_share, double limit = 200) {
  Rule rule = hourly(limit);
  rule.name = std::string("NOx ") + to_string(over);
  rule.average = {.over = over, .length = length, .min_share = min_share};
  return rule;
}

inline Signal signal(const std::string& tag = "nox") {
  return {.tag = tag, .pollutant = "NOx", .unit = "mg/Nm3"};
}

inline Permit permit_of(std::vector<Rule> rules) {
  Permit permit;
  permit.name = "test";
  permit.signals = {signal()};
  permit.rules = std::move(rules);
  return permit;
}

/// One column of samples with what may go with it.
struct Series {
  std::vector<double> time, value;
  std::vector<std::uint8_t> status, plant;

  void add(Second begin, Second end, double v, Second step = 60) {
    for (Second t = begin; t < end; t += step) {
      time.push_back(static_cast<double>(t));
      value.push_back(v);
    }
  }
  Samples view(Index first = 0, Index count = -1) const {
    Samples s;
    s.rows = count < 0 ? static_cast<Index>(time.size()) - first : count;
    s.time = time.data() + first;
    s.columns = {value.data() + first};
    if (!status.empty()) s.status = {status.data() + first};
    if (!plant.empty()) s.plant = plant.data() + first;
    s.first_number = 0;
    return s;
  }
};

inline Evaluation judge_series(const Permit& permit, const Series& series, const Zone& zone = {},
                               EvaluationOptions options = {.period_s = 60}) {
  return evaluate(permit, {}, {"nox"}, zone, options, series.view());
}

inline RuleResult only(const Rule& rule, const Series& series, const Zone& zone = {},
                       EvaluationOptions options = {.period_s = 60}) {
  return judge_series(permit_of({rule}), series, zone, options).results.at(0);
}

}  // namespace emisopt::test
