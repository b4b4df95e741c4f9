// The golden alarms of tests/golden/make_drift.py and the streams that they belong to.
#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "emisopt/monitor/drift_bank.hpp"
#include "emisopt/monitor/python_random.hpp"

namespace emisopt {

inline std::vector<std::vector<std::string>> golden_drift(const std::string& kind) {
  std::ifstream file(std::string(EMISOPT_GOLDEN_DIR) + "/drift.csv");
  std::vector<std::vector<std::string>> out;
  for (std::string line; std::getline(file, line);) {
    std::vector<std::string> fields;
    std::istringstream text(line);
    for (std::string field; std::getline(text, field, ',');) fields.push_back(field);
    if (!fields.empty() && fields[0] == kind) out.push_back(fields);
  }
  EXPECT_FALSE(out.empty()) << "no golden rows of kind " << kind;
  return out;
}

inline std::vector<double> golden_stream(std::uint64_t seed) {
  PythonRandom rng(seed);
  std::vector<double> out;
  double level = 0;
  for (int i = 0; i < 3000; ++i) {
    if (i % 500 == 0) level = 3.0 * (rng.uniform() - 0.5);
    double noise = rng.uniform();
    noise = noise + rng.uniform();
    noise = noise + rng.uniform();
    noise = noise + rng.uniform() - 2.0;
    const double value = level + noise;
    out.push_back(seed % 2 ? std::floor(value * 4.0) / 4.0 : value);
  }
  return out;
}

inline std::vector<Index> alarm_rows(const DetectorOptions& options, const std::vector<double>& values) {
  DriftBank bank(options, {"x"});
  std::vector<Index> rows;
  for (const TagAlarm& alarm : bank.push({values.data(), static_cast<Index>(values.size()), 1, 1, 1}))
    rows.push_back(alarm.row);
  return rows;
}

/// Every golden case of a detector; make: options by name as text -> the core's options.
template <class Make>
void expect_golden_alarms(const std::string& detector, const Make& make) {
  int cases = 0;
  for (const auto& fields : golden_drift("alarms")) {
    if (fields[1] != detector) continue;
    std::map<std::string, std::string> options;
    std::istringstream words(fields[2]);
    for (std::string word; words >> word;) {
      const auto equals = word.find('=');
      options[word.substr(0, equals)] = word.substr(equals + 1);
    }
    std::vector<Index> expected;
    std::istringstream rows(fields.size() > 4 ? fields[4] : "");
    for (Index row = 0; rows >> row;) expected.push_back(row);
    EXPECT_EQ(alarm_rows(make(options), golden_stream(std::stoull(fields[3]))), expected)
        << fields[1] << " " << fields[2] << " stream " << fields[3];
    ++cases;
  }
  EXPECT_EQ(cases, 12) << detector;
}

inline double option(const std::map<std::string, std::string>& options, const char* name, double otherwise) {
  const auto it = options.find(name);
  return it == options.end() ? otherwise : std::stod(it->second);
}

/// random.Random(12345): 1000 of {0, 1}, then 1000 of 4 to 7, as choices() draws them (river's
/// documentation).
inline std::vector<double> river_documentation() {
  PythonRandom rng(12345);
  std::vector<double> out;
  for (int i = 0; i < 1000; ++i) out.push_back(std::floor(rng.uniform() * 2.0));
  for (int i = 0; i < 1000; ++i) out.push_back(4 + std::floor(rng.uniform() * 4.0));
  return out;
}

}  // namespace emisopt
