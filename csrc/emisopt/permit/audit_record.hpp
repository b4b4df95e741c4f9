// A record of one evaluation that can be checked later: the raw values (their bytes, not their number), the
// rule with its hash, the result with its hash, the hash of the record before, and a hash over all of it.
//
// A record is one line of canonical JSON (base/json.hpp). Its "sha256" is the SHA-256 of the same text
// without that field. An input's rows are hashed in blocks of `block_rows`, each the SHA-256 of its values as
// little-endian IEEE doubles, NaN as it stands; so a change is found by one bit and named to within a block.
//
// A chain shows what was changed, put in or left out between its first record and its head. Whoever can write
// the file can also write it anew: keep the head's hash elsewhere, then even that shows.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "emisopt/base/json.hpp"
#include "emisopt/base/types.hpp"

namespace emisopt {

/// One column that went into the evaluation; the stamps are one, too. The memory is somebody else's.
struct AuditInput {
  std::string name;
  const double* values = nullptr;  // (rows)
  Index rows = 0;
};

struct AuditEntry {
  std::string subject;  // what was judged: "stack 1, NOx, November 2026"
  std::string maker;    // what judged it, with its version
  double made_s = 0;    // seconds since 1970 UTC, by a clock that is handed in
  std::vector<AuditInput> inputs;
  Json rule;    // the permit as canonical JSON, or what stands for it
  Json result;  // numbers that are not finite as null
};

inline constexpr Index kAuditBlockRows = 65536;

/// The record as one line without its line end. previous: "sha256" of the record before, "" for the first;
/// sequence: 0 for the first. Throws InputError for two inputs of one name, text that is not UTF-8, a clock
/// that is not finite, block_rows < 1.
std::string make_audit_record(const AuditEntry& entry, std::string_view previous, std::int64_t sequence,
                              Index block_rows = kAuditBlockRows);

/// A record as read back. All findings are sentences for people, each naming what differs; none: all agrees.
class AuditRecord {
 public:
  /// Throws InputError when the text is no record at all; a changed one is read, and verify() tells.
  explicit AuditRecord(std::string_view text);

  const std::string& sha256() const { return sha256_; }
  const std::string& previous() const { return previous_; }
  std::int64_t sequence() const { return sequence_; }
  const Json& rule() const { return json_.at("rule", "audit record"); }
  const Json& result() const { return json_.at("result", "audit record"); }
  const Json& json() const { return json_; }

  /// Against itself: canonical text, own hash, the hashes of rule and result.
  std::vector<std::string> verify() const;
  /// Against values: a column that is missing or new, another number of rows, and which rows differ.
  std::vector<std::string> verify_inputs(const std::vector<AuditInput>& inputs) const;
  /// Against a result computed now from the rule on record: each leaf that differs, by its path. Numbers may
  /// differ by `tolerance` relative to the larger; 0: not at all.
  std::vector<std::string> verify_result(const Json& now, double tolerance = 0) const;
  /// All three; `evaluate` gets the rule on record and returns the result of today. It is only asked when the
  /// record and the inputs agree: else the result of today would say nothing.
  std::vector<std::string> verify_all(const std::vector<AuditInput>& inputs,
                                      const std::function<Json(const Json& rule)>& evaluate,
                                      double tolerance = 0) const;

 private:
  std::string text_, sha256_, previous_;
  std::int64_t sequence_ = 0;
  Json json_;
};

/// Leaves that differ, as "result.hours[3].mean: recorded 51.2, now 51.3"; at most `most`, then how many
/// more.
std::vector<std::string> json_differences(const Json& recorded, const Json& now, std::string_view path,
                                          double tolerance, std::size_t most);

}  // namespace emisopt
