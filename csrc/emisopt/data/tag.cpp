#include "emisopt/data/tag.hpp"

#include <array>
#include <cmath>
#include <set>

#include "emisopt/base/error.hpp"
#include "emisopt/base/json.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

constexpr std::array kRoles = {"setpoint", "disturbance", "emission", "quality", "cost"};
constexpr std::array kKinds = {"continuous", "categorical", "laboratory"};
constexpr std::array kScales = {"automatic", "linear", "log"};

// Index of a word in a list of allowed ones.
template <std::size_t N>
int choice(const Json& value, const std::array<const char*, N>& words, const std::string& where) {
  const std::string& text = value.as_string(where);
  for (std::size_t i = 0; i < N; ++i)
    if (text == words[i]) return static_cast<int>(i);
  std::string all;
  for (const char* word : words) all += (all.empty() ? "" : ", ") + std::string(word);
  throw InputError(where + ": expected one of " + all + ", got " + quote(text));
}

[[noreturn]] void fail(const Tag& tag, const std::string& what) {
  throw InputError("TagMap: tag " + quote(tag.name) + ": " + what);
}

bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const int length = utf8_length(text, i);
    if (length == 0) return false;
    i += static_cast<std::size_t>(length);
  }
  return true;
}

bool is_printable(std::string_view text) {
  for (const char c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return false;
  return is_utf8(text);
}

void validate_categories(const Tag& tag) {
  if (tag.kind != Kind::categorical) {
    if (!tag.categories.empty())
      fail(tag, std::string("categories: expected none for kind ") + to_string(tag.kind) + ", got " +
                    std::to_string(tag.categories.size()));
    return;
  }
  if (tag.categories.empty()) fail(tag, "categories: expected at least one for kind categorical, got none");
  std::set<std::string_view> seen;
  for (const std::string& category : tag.categories) {
    if (category.empty() || !is_printable(category))
      fail(tag, "categories: expected printable UTF-8 text, got " + quote(category));
    if (!seen.insert(category).second) fail(tag, "categories: " + quote(category) + " stands twice");
  }
  if (tag.role != Role::disturbance && tag.role != Role::cost)
    fail(tag, std::string("role: a categorical tag is a disturbance or a cost, got ") + to_string(tag.role));
  if (!std::isnan(tag.low) || !std::isnan(tag.high))
    fail(tag, "low, high: a categorical tag has no range; its categories say what is allowed");
  if (tag.scale != Scale::automatic)
    fail(tag, std::string("scale: a categorical tag has none, got ") + to_string(tag.scale));
}

void validate_tag(const Tag& tag) {
  if (tag.name.empty() || !is_printable(tag.name))
    fail(tag, "name: expected printable UTF-8 text, got " + quote(tag.name));
  if (!is_printable(tag.unit)) fail(tag, "unit: expected printable UTF-8 text, got " + quote(tag.unit));
  if (std::isinf(tag.low)) fail(tag, "low: expected a finite number, got " + number_text(tag.low));
  if (std::isinf(tag.high)) fail(tag, "high: expected a finite number, got " + number_text(tag.high));
  if (tag.low >= tag.high)
    fail(tag,
         "low, high: expected low < high, got " + number_text(tag.low) + " and " + number_text(tag.high));
  if (tag.missing && !std::isfinite(*tag.missing))
    fail(tag, "missing: expected a finite number, got " + number_text(*tag.missing));
  validate_categories(tag);
  if (tag.role == Role::setpoint && tag.kind != Kind::continuous)
    fail(tag, std::string("kind: a setpoint is continuous, got ") + to_string(tag.kind));
  if (tag.known_ahead && tag.role != Role::disturbance)
    fail(tag, std::string("known_ahead: only a disturbance is known ahead, this is ") + to_string(tag.role));
  if (!std::isnan(tag.rate)) {
    if (tag.role != Role::setpoint)
      fail(tag, std::string("rate: only a setpoint has one, this is ") + to_string(tag.role));
    if (!(tag.rate > 0 && std::isfinite(tag.rate)))
      fail(tag, "rate: expected a number above 0, got " + number_text(tag.rate));
  }
  if (tag.frozen_after != 0) {
    if (tag.frozen_after < 2)
      fail(tag,
           "frozen_after: expected 2 rows or more, or 0 for never, got " + std::to_string(tag.frozen_after));
    if (tag.role == Role::setpoint || tag.kind != Kind::continuous)
      fail(tag,
           "frozen_after: only a continuous measurement can freeze; a setpoint, a category and a "
           "laboratory value stand still in health");
  }
  if (tag.scale == Scale::log && tag.low < 0)
    fail(tag, "scale: log needs a range that begins at 0 or above, low is " + number_text(tag.low));
}

Tag tag_from_json(const Json& json, std::size_t position) {
  std::string where = "TagMap: tags[" + std::to_string(position) + "]";
  Tag tag;
  tag.name = json.at("name", where).as_string(where + ": name");
  where = "TagMap: tag " + quote(tag.name);
  json.check_keys({"name", "unit", "role", "kind", "scale", "low", "high", "missing", "categories",
                   "known_ahead", "rate", "frozen_after"},
                  where);
  const auto field = [&](const char* key, auto read) {
    if (const Json* value = json.find(key, where)) read(*value, where + ": " + key);
  };
  tag.unit = json.at("unit", where).as_string(where + ": unit");
  tag.role = static_cast<Role>(choice(json.at("role", where), kRoles, where + ": role"));
  field("kind",
        [&](const Json& v, const std::string& at) { tag.kind = static_cast<Kind>(choice(v, kKinds, at)); });
  field("scale", [&](const Json& v, const std::string& at) {
    tag.scale = static_cast<Scale>(choice(v, kScales, at));
  });
  field("low", [&](const Json& v, const std::string& at) { tag.low = v.number_or_nan(at); });
  field("high", [&](const Json& v, const std::string& at) { tag.high = v.number_or_nan(at); });
  field("rate", [&](const Json& v, const std::string& at) { tag.rate = v.number_or_nan(at); });
  field("frozen_after", [&](const Json& v, const std::string& at) {
    const double rows = v.as_number(at);
    if (!(rows >= 0 && rows <= 1e6 && rows == std::trunc(rows)))
      throw InputError(at + ": expected a whole number of rows, got " + number_text(rows));
    tag.frozen_after = static_cast<int>(rows);
  });
  field("known_ahead", [&](const Json& v, const std::string& at) { tag.known_ahead = v.as_bool(at); });
  field("missing", [&](const Json& v, const std::string& at) {
    if (!v.is_null()) tag.missing = v.as_number(at);
  });
  field("categories", [&](const Json& v, const std::string& at) {
    for (const Json& item : v.as_array(at)) tag.categories.push_back(item.as_string(at));
  });
  return tag;
}

Json tag_to_json(const Tag& tag) {
  const Tag plain;
  Json::Object out{{"name", tag.name}, {"unit", tag.unit}, {"role", to_string(tag.role)}};
  if (tag.kind != plain.kind) out.emplace("kind", to_string(tag.kind));
  if (tag.scale != plain.scale) out.emplace("scale", to_string(tag.scale));
  if (!std::isnan(tag.low)) out.emplace("low", tag.low);
  if (!std::isnan(tag.high)) out.emplace("high", tag.high);
  if (tag.missing) out.emplace("missing", *tag.missing);
  if (tag.known_ahead) out.emplace("known_ahead", true);
  if (!std::isnan(tag.rate)) out.emplace("rate", tag.rate);
  if (tag.frozen_after != 0) out.emplace("frozen_after", tag.frozen_after);
  if (!tag.categories.empty())
    out.emplace("categories", Json::Array(tag.categories.begin(), tag.categories.end()));
  return out;
}

}  // namespace

const char* to_string(Role role) { return kRoles[static_cast<std::size_t>(role)]; }
const char* to_string(Kind kind) { return kKinds[static_cast<std::size_t>(kind)]; }
const char* to_string(Scale scale) { return kScales[static_cast<std::size_t>(scale)]; }

Index TagMap::find(std::string_view name) const {
  for (std::size_t i = 0; i < tags.size(); ++i)
    if (tags[i].name == name) return static_cast<Index>(i);
  return -1;
}

Index TagMap::require(std::string_view name, std::string_view where) const {
  const Index found = find(name);
  if (found < 0)
    throw InputError(std::string(where) + ": no tag " + quote(name) + did_you_mean(name, names()));
  return found;
}

std::vector<Index> TagMap::with_role(Role role) const {
  std::vector<Index> out;
  for (std::size_t i = 0; i < tags.size(); ++i)
    if (tags[i].role == role) out.push_back(static_cast<Index>(i));
  return out;
}

std::vector<Index> TagMap::setpoints() const { return with_role(Role::setpoint); }
std::vector<Index> TagMap::disturbances() const { return with_role(Role::disturbance); }

std::vector<Index> TagMap::outputs() const {
  std::vector<Index> out;
  for (std::size_t i = 0; i < tags.size(); ++i)
    if (tags[i].role == Role::emission || tags[i].role == Role::quality) out.push_back(static_cast<Index>(i));
  return out;
}

std::vector<std::string> TagMap::names() const {
  std::vector<std::string> out;
  for (const Tag& tag : tags) out.push_back(tag.name);
  return out;
}

void TagMap::validate() const {
  if (!(period >= 0 && std::isfinite(period)))
    throw InputError("TagMap: period: expected seconds, 0 or more, got " + number_text(period));
  if (!is_utf8(plant)) throw InputError("TagMap: plant: expected UTF-8 text, got " + quote(plant));
  if (!is_utf8(source)) throw InputError("TagMap: source: expected UTF-8 text, got " + quote(source));
  if (tags.empty()) throw InputError("TagMap: tags: expected at least one, got none");
  std::set<std::string_view> seen;
  for (const Tag& tag : tags) {
    validate_tag(tag);
    if (!seen.insert(tag.name).second) fail(tag, "name: stands twice; names must differ");
  }
}

std::string TagMap::to_json() const {
  validate();
  Json::Array list;
  for (const Tag& tag : tags) list.push_back(tag_to_json(tag));
  return Json(Json::Object{{"plant", plant},
                           {"source", source},
                           {"synthetic", synthetic},
                           {"period", period},
                           {"tags", std::move(list)}})
      .write();
}

TagMap TagMap::from_json(std::string_view text) {
  const std::string where = "TagMap";
  const Json json = Json::parse(text, where);
  json.check_keys({"plant", "source", "synthetic", "period", "tags"}, where);
  TagMap map;
  if (const Json* value = json.find("plant", where)) map.plant = value->as_string(where + ": plant");
  if (const Json* value = json.find("source", where)) map.source = value->as_string(where + ": source");
  if (const Json* value = json.find("synthetic", where))
    map.synthetic = value->as_bool(where + ": synthetic");
  if (const Json* value = json.find("period", where)) map.period = value->as_number(where + ": period");
  const Json::Array& list = json.at("tags", where).as_array(where + ": tags");
  for (std::size_t i = 0; i < list.size(); ++i) map.tags.push_back(tag_from_json(list[i], i));
  map.validate();
  return map;
}

}  // namespace emisopt
