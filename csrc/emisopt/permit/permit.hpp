// A permit: rules, the signals that they are judged on, the zone of its civil days. Data, not code: its
// canonical JSON is its identity, and the SHA-256 of that text goes into checkpoints and audit records.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "emisopt/permit/rule.hpp"

namespace emisopt {

/// What a column of data measures.
struct Signal {
  std::string tag = {};  // name of the column
  std::string pollutant = {};
  std::string unit = {};
  std::string moisture = {};  // "dry", "wet" or "": not said
  double oxygen = kMissing;   // reference that the values are at already, vol %
  std::string oxygen_tag =
      {};  // or: the column with the oxygen that they were measured at, vol %, same moisture

  /// Whether the rule judges this column: of its pollutant, in its unit, of the tag that it names, if any.
  bool is_judged_by(const Rule& rule) const;
  void validate() const;
  Json to_json() const;
  static Signal from_json(const Json& json, std::size_t position);
};

struct Permit {
  std::string name;
  std::string source;           // document as a whole, for people
  std::string zone = "UTC";     // IANA name of the zone of civil days, months and years
  std::vector<Signal> signals;  // a plant's own permit names its measuring points; a ready-made one has none
  std::vector<Rule> rules;

  /// Throws InputError naming rule or tag: no rules, a name or tag that stands twice, rules that judge the
  /// same averages at overlapping times, a rule for a tag that no signal has, and what Rule and Signal
  /// refuse.
  void validate() const;
  /// Canonical: sorted keys, shortest round-trip numbers, fields at their default left out. Validates.
  std::string to_json() const;
  /// Throws InputError naming rule and field; unknown and missing fields too. The result is validated.
  static Permit from_json(std::string_view text);
  /// SHA-256 of to_json(), 64 hexadecimal digits.
  std::string hash() const;
  /// Names of rules whose limit nobody read in its source.
  std::vector<std::string> unverified() const;
  /// The same permit with these rules only, in its own order. Throws InputError for an unknown name.
  Permit with_rules(const std::vector<std::string>& names) const;
  /// The rule in words: what is averaged, when it counts, what it may not exceed, where that is written.
  /// "UNVERIFIED" stands beside a limit that is.
  static std::string in_words(const Rule& rule);
};

/// "200 mg/Nm3 (dry, 6 % O2)", with " UNVERIFIED" where it is: every table shows limits by this.
std::string limit_text(const Rule& rule);

}  // namespace emisopt
