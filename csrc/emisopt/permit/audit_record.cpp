#include "emisopt/permit/audit_record.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <map>

#include "emisopt/base/error.hpp"
#include "emisopt/base/sha256.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

constexpr std::string_view kWhere = "audit record";
constexpr const char* kFormat = "emisopt audit record";
constexpr int kVersion = 1;
constexpr std::size_t kMostDifferences = 20;

std::string hash_rows(const double* values, Index rows) {
  if constexpr (std::endian::native == std::endian::little)
    return sha256_hex(
        {reinterpret_cast<const char*>(values), static_cast<std::size_t>(rows) * sizeof(double)});
  std::string bytes;
  for (Index i = 0; i < rows; ++i) {
    const auto bits = std::bit_cast<std::uint64_t>(values[i]);
    for (int shift = 0; shift < 64; shift += 8) bytes += static_cast<char>(bits >> shift & 0xFF);
  }
  return sha256_hex(bytes);
}

Json::Array hash_blocks(const AuditInput& input, Index block_rows) {
  Json::Array blocks;
  for (Index first = 0; first < input.rows; first += block_rows)
    blocks.emplace_back(hash_rows(input.values + first, std::min(block_rows, input.rows - first)));
  return blocks;
}

std::string hash_without_own(const Json& record) {
  Json::Object fields = record.as_object(kWhere);
  fields.erase("sha256");
  return sha256_hex(Json(std::move(fields)).write());
}

bool same_number(double a, double b, double tolerance) {
  return a == b || std::abs(a - b) <= tolerance * std::max(std::abs(a), std::abs(b));
}

std::string rows_text(Index first, Index last) {
  return "rows " + std::to_string(first) + " to " + std::to_string(last);
}

void compare(const Json& recorded, const Json& now, const std::string& path, double tolerance,
             std::vector<std::string>& found);

void compare_objects(const Json& recorded, const Json& now, const std::string& path, double tolerance,
                     std::vector<std::string>& found) {
  const Json::Object &a = recorded.as_object(kWhere), &b = now.as_object(kWhere);
  for (const auto& [key, value] : a) {
    const auto other = b.find(key);
    if (other == b.end())
      found.push_back(path + "." + key + ": recorded " + value.describe() + ", now absent");
    else
      compare(value, other->second, path + "." + key, tolerance, found);
  }
  for (const auto& [key, value] : b)
    if (!a.contains(key)) found.push_back(path + "." + key + ": not recorded, now " + value.describe());
}

void compare_arrays(const Json& recorded, const Json& now, const std::string& path, double tolerance,
                    std::vector<std::string>& found) {
  const Json::Array &a = recorded.as_array(kWhere), &b = now.as_array(kWhere);
  if (a.size() != b.size())
    found.push_back(path + ": recorded " + std::to_string(a.size()) + " values, now " +
                    std::to_string(b.size()));
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    compare(a[i], b[i], path + "[" + std::to_string(i) + "]", tolerance, found);
}

void compare(const Json& recorded, const Json& now, const std::string& path, double tolerance,
             std::vector<std::string>& found) {
  if (recorded.is_object() && now.is_object()) return compare_objects(recorded, now, path, tolerance, found);
  if (recorded.is_array() && now.is_array()) return compare_arrays(recorded, now, path, tolerance, found);
  if (recorded.is_number() && now.is_number() &&
      same_number(recorded.as_number(kWhere), now.as_number(kWhere), tolerance))
    return;
  if (recorded == now) return;
  const auto text = [](const Json& j) {
    return j.is_number() ? number_text(j.as_number(kWhere)) : j.describe();
  };
  found.push_back(path + ": recorded " + text(recorded) + ", now " + text(now));
}

// One sentence per column; blocks that differ and touch are named together.
void compare_blocks(const Json::Array& recorded, const AuditInput& input, Index block_rows,
                    std::vector<std::string>& found) {
  const Json::Array now = hash_blocks(input, block_rows);
  std::string ranges;
  const std::size_t count = std::min(recorded.size(), now.size());
  for (std::size_t k = 0; k < count; ++k) {
    if (recorded[k] == now[k]) continue;
    const std::size_t first = k;
    while (k + 1 < count && !(recorded[k + 1] == now[k + 1])) ++k;
    const Index last = std::min(input.rows, static_cast<Index>(k + 1) * block_rows) - 1;
    ranges += (ranges.empty() ? "" : ", ") + rows_text(static_cast<Index>(first) * block_rows, last);
  }
  if (!ranges.empty()) found.push_back("input " + quote(input.name) + ": other values within " + ranges);
}

void check_entry(const AuditEntry& entry, Index block_rows) {
  const std::string where(kWhere);
  if (!std::isfinite(entry.made_s))
    throw InputError(where + ": expected a finite time, got " + number_text(entry.made_s));
  if (block_rows < 1)
    throw InputError(where + ": expected block_rows >= 1, got " + std::to_string(block_rows));
  std::vector<std::string> names;
  for (const AuditInput& input : entry.inputs) names.push_back(input.name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end())
    throw InputError(where + ": input " + quote(*twice) + " stands twice; rename one");
}

}  // namespace

std::string make_audit_record(const AuditEntry& entry, std::string_view previous, std::int64_t sequence,
                              Index block_rows) {
  check_entry(entry, block_rows);
  Json::Array inputs;
  for (const AuditInput& input : entry.inputs)
    inputs.emplace_back(Json::Object{{"name", input.name},
                                     {"rows", static_cast<std::int64_t>(input.rows)},
                                     {"blocks", hash_blocks(input, block_rows)}});
  Json::Object fields = {{"format", kFormat},
                         {"version", kVersion},
                         {"sequence", sequence},
                         {"previous", std::string(previous)},
                         {"subject", entry.subject},
                         {"maker", entry.maker},
                         {"made_s", entry.made_s},
                         {"block_rows", static_cast<std::int64_t>(block_rows)},
                         {"inputs", std::move(inputs)},
                         {"rule", entry.rule},
                         {"rule_sha256", sha256_hex(entry.rule.write())},
                         {"result", entry.result},
                         {"result_sha256", sha256_hex(entry.result.write())}};
  fields.emplace("sha256", sha256_hex(Json(fields).write()));
  return Json(std::move(fields)).write();
}

AuditRecord::AuditRecord(std::string_view text) : text_(text), json_(Json::parse(text, kWhere)) {
  json_.check_keys({"format", "version", "sequence", "previous", "subject", "maker", "made_s", "block_rows",
                    "inputs", "rule", "rule_sha256", "result", "result_sha256", "sha256"},
                   kWhere);
  const std::string& format = json_.at("format", kWhere).as_string(kWhere);
  const std::int64_t version = json_.at("version", kWhere).as_integer(kWhere);
  if (format != kFormat || version != kVersion)
    throw InputError(std::string(kWhere) + ": expected format " + quote(kFormat) + " version " +
                     std::to_string(kVersion) + ", got " + quote(format) + " version " +
                     std::to_string(version));
  sha256_ = json_.at("sha256", kWhere).as_string(kWhere);
  previous_ = json_.at("previous", kWhere).as_string(kWhere);
  sequence_ = json_.at("sequence", kWhere).as_integer(kWhere);
  for (const char* field : {"subject", "maker", "rule_sha256", "result_sha256"})
    json_.at(field, kWhere).as_string(kWhere);
  json_.at("made_s", kWhere).as_number(kWhere);
  if (json_.at("block_rows", kWhere).as_integer(kWhere) < 1)
    throw InputError(std::string(kWhere) + ": expected block_rows >= 1");
  for (const Json& input : json_.at("inputs", kWhere).as_array(kWhere)) {
    input.check_keys({"name", "rows", "blocks"}, kWhere);
    input.at("name", kWhere).as_string(kWhere);
    input.at("rows", kWhere).as_integer(kWhere);
    for (const Json& block : input.at("blocks", kWhere).as_array(kWhere)) block.as_string(kWhere);
  }
  json_.at("rule", kWhere);
  json_.at("result", kWhere);
}

std::vector<std::string> AuditRecord::verify() const {
  std::vector<std::string> found;
  if (json_.write() != text_) found.push_back("the text is not canonical: it was edited");
  if (hash_without_own(json_) != sha256_) found.push_back("the record does not have the hash that it states");
  const auto part = [&](const char* name, const char* hash_name) {
    if (sha256_hex(json_.at(name, kWhere).write()) != json_.at(hash_name, kWhere).as_string(kWhere))
      found.push_back(std::string("the ") + name + " does not have the hash that the record states");
  };
  part("rule", "rule_sha256");
  part("result", "result_sha256");
  return found;
}

std::vector<std::string> AuditRecord::verify_inputs(const std::vector<AuditInput>& inputs) const {
  std::vector<std::string> found;
  std::map<std::string, const AuditInput*> given;
  for (const AuditInput& input : inputs) given[input.name] = &input;
  const Index block_rows = json_.at("block_rows", kWhere).as_integer(kWhere);
  for (const Json& recorded : json_.at("inputs", kWhere).as_array(kWhere)) {
    const std::string& name = recorded.at("name", kWhere).as_string(kWhere);
    const Index rows = recorded.at("rows", kWhere).as_integer(kWhere);
    const auto now = given.find(name);
    if (now == given.end()) {
      found.push_back("input " + quote(name) + ": recorded, now absent");
      continue;
    }
    if (now->second->rows != rows)
      found.push_back("input " + quote(name) + ": recorded " + std::to_string(rows) + " rows, now " +
                      std::to_string(now->second->rows));
    else
      compare_blocks(recorded.at("blocks", kWhere).as_array(kWhere), *now->second, block_rows, found);
    given.erase(now);
  }
  for (const auto& [name, input] : given)
    found.push_back("input " + quote(name) + ": not recorded, now there");
  return found;
}

std::vector<std::string> AuditRecord::verify_result(const Json& now, double tolerance) const {
  return json_differences(result(), now, "result", tolerance, kMostDifferences);
}

std::vector<std::string> AuditRecord::verify_all(const std::vector<AuditInput>& inputs,
                                                 const std::function<Json(const Json& rule)>& evaluate,
                                                 double tolerance) const {
  std::vector<std::string> found = verify();
  const std::vector<std::string> of_inputs = verify_inputs(inputs);
  found.insert(found.end(), of_inputs.begin(), of_inputs.end());
  return found.empty() ? verify_result(evaluate(rule()), tolerance) : found;
}

std::vector<std::string> json_differences(const Json& recorded, const Json& now, std::string_view path,
                                          double tolerance, std::size_t most) {
  std::vector<std::string> found;
  compare(recorded, now, std::string(path), tolerance, found);
  if (found.size() > most) {
    const std::size_t more = found.size() - most;
    found.resize(most);
    found.push_back("and " + std::to_string(more) + " more");
  }
  return found;
}

}  // namespace emisopt
