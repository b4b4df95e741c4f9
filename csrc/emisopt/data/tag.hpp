// A plant signal and the list of them: name, unit, role, physical range, missing code, kind.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "emisopt/base/types.hpp"

namespace emisopt {

/// What a signal is for. setpoint: chosen by the operator. disturbance: measured, not chosen.
/// emission and quality: forecast outputs. cost: carried along, neither input nor output.
enum class Role { setpoint, disturbance, emission, quality, cost };
/// continuous: a number each row. categorical: one of `categories`, stored as its index.
/// laboratory: a number that comes seldom and late; held at its last value, with its age.
enum class Kind { continuous, categorical, laboratory };
/// How an output is made even before learning. log: log(y + 0.1 median), for positive, skewed emissions.
enum class Scale { automatic, linear, log };

struct Tag {
  std::string name;
  std::string unit;
  Role role = Role::disturbance;
  Kind kind = Kind::continuous;
  Scale scale = Scale::automatic;
  double low = kMissing, high = kMissing;    // physical range in `unit`; NaN: open. Outside counts as missing
  std::optional<double> missing = {};        // code that stands for "no value", e.g. -200
  std::vector<std::string> categories = {};  // kind == categorical
  bool known_ahead = false;  // a disturbance whose coming values are known (dispatch, schedule)
  double rate = kMissing;    // setpoint: largest move per row, in `unit`; NaN: free
  int frozen_after = 0;      // the sensor hangs when so many rows in a row show one value; 0: never checked
};

struct TagMap {
  std::string plant;   // title for people
  std::string source;  // where the data comes from, licence
  bool synthetic = false;
  double period = 0;      // seconds between rows; 0: rows without stamps
  std::vector<Tag> tags;  // in column order of History

  Index find(std::string_view name) const;                             // -1 if absent
  Index require(std::string_view name, std::string_view where) const;  // throws InputError, lists near names
  std::vector<Index> with_role(Role role) const;                       // in order
  std::vector<Index> setpoints() const;                                // role setpoint
  std::vector<Index> outputs() const;                                  // emission and quality, in order
  std::vector<Index> disturbances() const;                             // role disturbance
  std::vector<std::string> names() const;                              // in order

  /// Throws InputError "TagMap: tag 'nox': ..." naming tag and field, for: no tags, empty or repeated names,
  /// text that is not UTF-8, an empty or infinite range, categories without kind categorical or repeated, a
  /// categorical output or setpoint, a laboratory setpoint, `rate` on what is no setpoint, `known_ahead` on
  /// what is no disturbance, a log scale over a range that reaches below zero, a negative period,
  /// `frozen_after` 1 or below 0, or on what is no continuous measurement.
  void validate() const;

  /// Canonical: sorted keys, shortest round-trip numbers, fields at their default left out (so a field that
  /// is added later leaves older texts, and their hashes, as they are). Calls validate().
  std::string to_json() const;
  /// Throws InputError naming tag and field; unknown and missing fields too. The result is validated.
  ///   {"plant": "...", "source": "...", "synthetic": false, "period": 3600, "tags": [{"name": "nox",
  ///    "unit": "mg/m3", "role": "emission", "kind": "continuous", "scale": "automatic", "low": 0, "high":
  ///    500, "missing": -200, "categories": [], "known_ahead": false, "rate": null, "frozen_after": 3}]}
  /// Required: tags; of a tag name, unit and role.
  static TagMap from_json(std::string_view text);
};

const char* to_string(Role);
const char* to_string(Kind);
const char* to_string(Scale);

}  // namespace emisopt
