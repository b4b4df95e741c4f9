#include "emisopt/permit/permit.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "emisopt/base/error.hpp"
#include "emisopt/base/sha256.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

constexpr int kFormat = 1;

std::vector<std::string> rule_names(const Permit& permit) {
  std::vector<std::string> names;
  for (const Rule& rule : permit.rules) names.push_back(rule.name);
  return names;
}

void check_signals(const Permit& permit) {
  std::set<std::string_view> seen;
  for (const Signal& signal : permit.signals) {
    signal.validate();
    if (!seen.insert(signal.tag).second)
      throw InputError("permit signal " + quote(signal.tag) +
                       ": tag: stands twice; a column measures one thing");
  }
}

// Whether every civil day surely has 24 hours.
bool has_even_days(std::string_view zone) { return zone == "UTC" || zone.starts_with("Etc/"); }

void check_rules(const Permit& permit) {
  for (std::size_t i = 0; i < permit.rules.size(); ++i) {
    const Rule& rule = permit.rules[i];
    rule.validate();
    for (std::size_t j = 0; j < i; ++j) {
      const Rule& other = permit.rules[j];
      if (other.name == rule.name)
        throw InputError("permit rule " + quote(rule.name) + ": name: stands twice; names must differ");
      if (rule.overlaps(other, has_even_days(permit.zone)))
        throw InputError("permit rule " + quote(rule.name) + ": overlaps rule " + quote(other.name) +
                         ": both judge the same averages of " + rule.pollutant +
                         "; drop one, or give them dates (from, until) that do not meet");
    }
  }
}

}  // namespace

bool Signal::is_judged_by(const Rule& rule) const {
  return pollutant == rule.pollutant && unit == rule.unit && (rule.tag.empty() || rule.tag == tag);
}

void Signal::validate() const {
  const std::string where = "permit signal " + quote(tag);
  if (tag.empty()) throw InputError(where + ": tag: expected the name of a column, got none");
  require_pollutant(pollutant, where + ": pollutant");
  require_unit(unit, where + ": unit");
  if (!moisture.empty() && moisture != "dry" && moisture != "wet")
    throw InputError(where + ": moisture: expected dry or wet, got " + quote(moisture));
  if (!std::isnan(oxygen) && !(oxygen >= 0 && oxygen < 21))
    throw InputError(where + ": oxygen: expected 0 to below 21 vol %, got " + number_text(oxygen));
  if (!std::isnan(oxygen) && !oxygen_tag.empty())
    throw InputError(where + ": oxygen: expected a reference or a column, got both");
  if (oxygen_tag == tag) throw InputError(where + ": oxygen: expected another column, got the tag itself");
}

Json Signal::to_json() const {
  Json::Object out{{"tag", tag}, {"pollutant", pollutant}, {"unit", unit}};
  if (!moisture.empty()) out.emplace("moisture", moisture);
  if (!std::isnan(oxygen)) out.emplace("oxygen", oxygen);
  if (!oxygen_tag.empty()) out.emplace("oxygen", oxygen_tag);
  return out;
}

Signal Signal::from_json(const Json& json, std::size_t position) {
  std::string where = "permit: signals[" + std::to_string(position) + "]";
  Signal signal;
  signal.tag = json.at("tag", where).as_string(where + ": tag");
  where = "permit signal " + quote(signal.tag);
  json.check_keys({"tag", "pollutant", "unit", "moisture", "oxygen"}, where);
  signal.pollutant = json.at("pollutant", where).as_string(where + ": pollutant");
  signal.unit = json.at("unit", where).as_string(where + ": unit");
  if (const Json* v = json.find("moisture", where)) signal.moisture = v->as_string(where + ": moisture");
  if (const Json* v = json.find("oxygen", where)) {
    if (v->is_string())
      signal.oxygen_tag = v->as_string(where);
    else
      signal.oxygen = v->as_number(where + ": oxygen (vol % or the name of a column)");
  }
  signal.validate();
  return signal;
}

void Permit::validate() const {
  if (rules.empty()) throw InputError("permit " + quote(name) + ": rules: expected at least one, got none");
  if (zone.empty())
    throw InputError("permit " + quote(name) + ": zone: expected e.g. 'Europe/Berlin', got none");
  check_signals(*this);
  check_rules(*this);
  if (signals.empty()) return;
  std::vector<std::string> tags;
  for (const Signal& signal : signals) tags.push_back(signal.tag);
  for (const Rule& rule : rules)
    if (!rule.tag.empty() && std::find(tags.begin(), tags.end(), rule.tag) == tags.end())
      throw InputError("permit rule " + quote(rule.name) + ": tag: no signal has the tag " + quote(rule.tag) +
                       did_you_mean(rule.tag, tags));
}

std::string Permit::to_json() const {
  validate();
  Json::Array list, measured;
  for (const Rule& rule : rules) list.push_back(rule.to_json());
  for (const Signal& signal : signals) measured.push_back(signal.to_json());
  Json::Object out{{"format", kFormat}, {"name", name}, {"rules", std::move(list)}, {"zone", zone}};
  if (!source.empty()) out.emplace("source", source);
  if (!signals.empty()) out.emplace("signals", std::move(measured));
  return Json(std::move(out)).write();
}

Permit Permit::from_json(std::string_view text) {
  const std::string where = "permit";
  const Json json = Json::parse(text, where);
  json.check_keys({"format", "name", "source", "zone", "signals", "rules"}, where);
  if (const Json* v = json.find("format", where); v && v->as_integer(where + ": format") > kFormat)
    throw InputError("permit: format " + v->describe() + " is newer than this library reads (" +
                     std::to_string(kFormat) + "); update emisopt");
  Permit permit;
  permit.name = json.at("name", where).as_string(where + ": name");
  if (const Json* v = json.find("source", where)) permit.source = v->as_string(where + ": source");
  if (const Json* v = json.find("zone", where)) permit.zone = v->as_string(where + ": zone");
  if (const Json* v = json.find("signals", where)) {
    const Json::Array& list = v->as_array(where + ": signals");
    for (std::size_t i = 0; i < list.size(); ++i) permit.signals.push_back(Signal::from_json(list[i], i));
  }
  const Json::Array& list = json.at("rules", where).as_array(where + ": rules");
  for (std::size_t i = 0; i < list.size(); ++i) permit.rules.push_back(Rule::from_json(list[i], i));
  permit.validate();
  return permit;
}

std::string Permit::hash() const { return sha256_hex(to_json()); }

std::vector<std::string> Permit::unverified() const {
  std::vector<std::string> names;
  for (const Rule& rule : rules)
    if (!rule.verified) names.push_back(rule.name);
  return names;
}

Permit Permit::with_rules(const std::vector<std::string>& names) const {
  const std::vector<std::string> known = rule_names(*this);
  for (const std::string& wanted : names)
    if (std::find(known.begin(), known.end(), wanted) == known.end())
      throw InputError("permit " + quote(name) + ": no rule " + quote(wanted) + did_you_mean(wanted, known));
  Permit out = *this;
  std::erase_if(out.rules, [&](const Rule& rule) {
    return std::find(names.begin(), names.end(), rule.name) == names.end();
  });
  // A column that only a rule left out judges has nothing to do here.
  const auto judged = [](const Signal& signal, const std::vector<Rule>& by) {
    return std::any_of(by.begin(), by.end(), [&](const Rule& rule) { return signal.is_judged_by(rule); });
  };
  std::erase_if(out.signals, [&](const Signal& s) { return judged(s, rules) && !judged(s, out.rules); });
  out.validate();
  return out;
}

}  // namespace emisopt
