// Rules to canonical JSON and back. Fields at their default are left out, so that a field that is added later
// leaves the hash of older permits as it is.
#include <array>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"
#include "emisopt/permit/rule.hpp"
#include "emisopt/permit/zone.hpp"

namespace emisopt {
namespace {

constexpr std::array kNeeds = {"any", "points", "share", "quadrants"};
constexpr std::array kOvers = {"base",  "rolling",           "block",         "day",
                               "month", "operating_periods", "operating_days"};
constexpr std::array kPers = {"whole", "day", "month", "quarter", "year"};
constexpr const char* kOfOperation = "operation";

// Fields of one object, taken out with the name of the place for messages.
class Fields {
 public:
  Fields(const Json& json, std::string where) : json_(json), where_(std::move(where)) {
    json.as_object(where_);  // anything else is refused here
  }
  const std::string& where() const { return where_; }
  std::string at(const char* key) const { return where_ + ": " + key; }
  const Json* find(const char* key) const { return json_.find(key, where_); }
  void known(std::initializer_list<const char*> keys) const { json_.check_keys(keys, where_); }

  void text(const char* key, std::string& out) const {
    if (const Json* v = find(key)) out = v->as_string(at(key));
  }
  void number(const char* key, double& out) const {
    if (const Json* v = find(key)) out = v->as_number(at(key));
  }
  void whole(const char* key, int& out) const {
    const Json* v = find(key);
    if (!v) return;
    const std::int64_t value = v->as_integer(at(key));
    if (value < 0 || value > std::numeric_limits<int>::max())
      throw InputError(at(key) + ": expected a whole number, 0 or more, got " + std::to_string(value));
    out = static_cast<int>(value);
  }
  void flag(const char* key, bool& out) const {
    if (const Json* v = find(key)) out = v->as_bool(at(key));
  }
  template <class Enum, std::size_t N>
  void word(const char* key, const std::array<const char*, N>& words, Enum& out) const {
    const Json* v = find(key);
    if (!v) return;
    const std::string& text = v->as_string(at(key));
    for (std::size_t i = 0; i < N; ++i)
      if (text == words[i]) {
        out = static_cast<Enum>(i);
        return;
      }
    throw InputError(at(key) + ": expected another word, got " + quote(text) +
                     did_you_mean(text, {words.begin(), words.end()}));
  }
  /// "of": "operation" or "whole".
  void operation(bool& out) const {
    if (const Json* v = find("of")) {
      const std::string& text = v->as_string(at("of"));
      if (text != kOfOperation && text != "whole")
        throw InputError(at("of") + ": expected operation or whole, got " + quote(text));
      out = text == kOfOperation;
    }
  }

 private:
  const Json& json_;
  std::string where_;
};

Basis basis_from(const Fields& f) {
  f.known({"moisture", "oxygen", "constant", "of_means"});
  Basis basis;
  f.text("moisture", basis.moisture);
  f.number("oxygen", basis.oxygen);
  f.number("constant", basis.constant);
  f.flag("of_means", basis.of_means);
  return basis;
}

Validity validity_from(const Fields& f) {
  f.known({"need", "points", "share", "of"});
  Validity v;
  f.word("need", kNeeds, v.need);
  f.whole("points", v.points);
  f.number("share", v.share);
  f.operation(v.of_operation);
  return v;
}

BaseMean base_from(const Fields& f) {
  f.known({"length", "validity"});
  BaseMean base;
  f.whole("length", base.length_s);
  if (const Json* v = f.find("validity"))
    base.validity = validity_from(Fields(*v, f.at("validity")));
  else if (base.length_s > 0)
    throw InputError(f.where() +
                     ": field 'validity' is missing: say when a mean counts, at least {need: any}");
  return base;
}

Averaging average_from(const Fields& f) {
  f.known({"over", "length", "min_share", "of", "max_invalid"});
  Averaging a;
  f.word("over", kOvers, a.over);
  f.whole("length", a.length);
  f.number("min_share", a.min_share);
  f.operation(a.of_operation);
  f.whole("max_invalid", a.max_invalid);
  return a;
}

Allowance allowance_from(const Fields& f) {
  f.known({"share", "count", "per"});
  Allowance allow;
  f.number("share", allow.share);
  f.whole("count", allow.count);
  f.word("per", kPers, allow.per);
  return allow;
}

Excluded excluded_from(const Json& list, const std::string& where) {
  Excluded out;
  for (const Json& item : list.as_array(where)) {
    const std::string& word = item.as_string(where);
    if (word == "startup")
      out.startup = true;
    else if (word == "shutdown")
      out.shutdown = true;
    else if (word == "malfunction")
      out.malfunction = true;
    else
      throw InputError(where + ": expected startup, shutdown or malfunction, got " + quote(word));
  }
  return out;
}

Json to_json(const Basis& basis) {
  Json::Object out;
  if (!basis.moisture.empty()) out.emplace("moisture", basis.moisture);
  if (!std::isnan(basis.oxygen)) out.emplace("oxygen", basis.oxygen);
  if (!std::isnan(basis.constant)) out.emplace("constant", basis.constant);
  if (basis.of_means) out.emplace("of_means", true);
  return out;
}

Json to_json(const BaseMean& base) {
  const Validity& v = base.validity;
  Json::Object validity{{"need", to_string(v.need)}};
  if (v.need == Need::points) validity.emplace("points", v.points);
  if (v.need == Need::share) validity.emplace("share", v.share);
  if (v.need == Need::share && v.of_operation) validity.emplace("of", kOfOperation);
  return Json::Object{{"length", base.length_s}, {"validity", std::move(validity)}};
}

Json to_json(const Averaging& a) {
  Json::Object out{{"over", to_string(a.over)}};
  if (a.length != 0) out.emplace("length", a.length);
  if (a.min_share != -1) out.emplace("min_share", a.min_share);
  if (a.min_share != -1 && a.of_operation) out.emplace("of", kOfOperation);
  if (a.max_invalid != -1) out.emplace("max_invalid", a.max_invalid);
  return out;
}

Json to_json(const Allowance& allow) {
  Json::Object out{{"per", to_string(allow.per)}};
  if (allow.count > 0)
    out.emplace("count", allow.count);
  else
    out.emplace("share", allow.share);
  return out;
}

}  // namespace

const char* to_string(Need need) { return kNeeds[static_cast<std::size_t>(need)]; }
const char* to_string(Over over) { return kOvers[static_cast<std::size_t>(over)]; }
const char* to_string(Per per) { return kPers[static_cast<std::size_t>(per)]; }

Json Rule::to_json() const {
  Json::Object out{{"name", name},
                   {"pollutant", pollutant},
                   {"unit", unit},
                   {"limit", Json::number_or_null(limit)},
                   {"base", emisopt::to_json(base)},
                   {"verified", verified}};
  if (!tag.empty()) out.emplace("tag", tag);
  if (!basis.moisture.empty() || !std::isnan(basis.oxygen)) out.emplace("basis", emisopt::to_json(basis));
  if (average.over != Over::base) out.emplace("average", emisopt::to_json(average));
  if (confidence_percent != 0)
    out.emplace("confidence", Json::Object{{"percent", confidence_percent}, {"of", confidence_of}});
  Json::Array excluded;
  if (exclude.startup) excluded.emplace_back("startup");
  if (exclude.shutdown) excluded.emplace_back("shutdown");
  if (exclude.malfunction) excluded.emplace_back("malfunction");
  if (!excluded.empty()) out.emplace("exclude", std::move(excluded));
  if (allow != Allowance{}) out.emplace("allow", emisopt::to_json(allow));
  if (availability) out.emplace("availability", emisopt::to_json(*availability));
  if (!either.empty()) out.emplace("either", either);
  if (from_day != Rule{}.from_day) out.emplace("from", date_text(from_day));
  if (until_day != Rule{}.until_day) out.emplace("until", date_text(until_day));
  if (!source.empty()) out.emplace("source", source);
  if (!article.empty()) out.emplace("article", article);
  return out;
}

Rule Rule::from_json(const Json& json, std::size_t position) {
  Rule rule;
  std::string where = "permit: rules[" + std::to_string(position) + "]";
  rule.name = json.at("name", where).as_string(where + ": name");
  where = "permit rule " + quote(rule.name);
  const Fields f(json, where);
  f.known({"name", "pollutant", "unit", "tag", "limit", "basis", "base", "average", "confidence", "exclude",
           "allow", "availability", "either", "from", "until", "source", "article", "verified"});
  rule.pollutant = json.at("pollutant", where).as_string(f.at("pollutant"));
  rule.unit = json.at("unit", where).as_string(f.at("unit"));
  rule.limit = json.at("limit", where).number_or_nan(f.at("limit"));
  rule.base = base_from(Fields(json.at("base", where), f.at("base")));
  f.text("tag", rule.tag);
  f.text("either", rule.either);
  f.text("source", rule.source);
  f.text("article", rule.article);
  f.flag("verified", rule.verified);
  if (const Json* v = f.find("basis")) rule.basis = basis_from(Fields(*v, f.at("basis")));
  if (const Json* v = f.find("average")) rule.average = average_from(Fields(*v, f.at("average")));
  if (const Json* v = f.find("exclude")) rule.exclude = excluded_from(*v, f.at("exclude"));
  if (const Json* v = f.find("allow")) rule.allow = allowance_from(Fields(*v, f.at("allow")));
  if (const Json* v = f.find("availability"))
    rule.availability = allowance_from(Fields(*v, f.at("availability")));
  if (const Json* v = f.find("confidence")) {
    const Fields c(*v, f.at("confidence"));
    c.known({"percent", "of"});
    c.number("percent", rule.confidence_percent);
    rule.confidence_of = rule.limit;
    c.number("of", rule.confidence_of);
  }
  if (const Json* v = f.find("from"))
    rule.from_day = date_from_text(v->as_string(f.at("from")), f.at("from"));
  if (const Json* v = f.find("until"))
    rule.until_day = date_from_text(v->as_string(f.at("until")), f.at("until"));
  rule.validate();
  return rule;
}

}  // namespace emisopt
