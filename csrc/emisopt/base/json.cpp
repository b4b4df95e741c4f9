#include "emisopt/base/json.hpp"

#include <cmath>
#include <utility>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

[[noreturn]] void refuse(std::string_view where, const std::string& expected, const Json& got) {
  throw InputError(std::string(where) + ": expected " + expected + ", got " + got.describe());
}

void write_string(std::string& out, const std::string& text) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (std::size_t i = 0; i < text.size();) {
    const int length = utf8_length(text, i);
    if (length == 0)
      throw InputError("JSON: text " + quote(text) + " is not UTF-8 at byte " + std::to_string(i) +
                       "; decode it before it is written");
    const char c = text[i];
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c >= 0 && c < 0x20) {
      out += {'\\', 'u', '0', '0', kHex[c >> 4], kHex[c & 15]};
    } else {
      out.append(text, i, static_cast<std::size_t>(length));
    }
    i += static_cast<std::size_t>(length);
  }
  out += '"';
}

void write_value(std::string& out, const Json& value) {
  if (value.is_null()) {
    out += "null";
  } else if (value.is_bool()) {
    out += value.as_bool("JSON") ? "true" : "false";
  } else if (value.is_number()) {
    const double number = value.as_number("JSON");
    if (!std::isfinite(number))
      throw InputError("JSON: expected a finite number, got " + number_text(number) +
                       "; write missing values with Json::number_or_null");
    out += number_text(number);
  } else if (value.is_string()) {
    write_string(out, value.as_string("JSON"));
  } else if (value.is_array()) {
    out += '[';
    bool first = true;
    for (const Json& item : value.as_array("JSON")) {
      if (!std::exchange(first, false)) out += ',';
      write_value(out, item);
    }
    out += ']';
  } else {
    out += '{';
    bool first = true;
    for (const auto& [key, item] : value.as_object("JSON")) {
      if (!std::exchange(first, false)) out += ',';
      write_string(out, key);
      out += ':';
      write_value(out, item);
    }
    out += '}';
  }
}

}  // namespace

Json::Json(std::int64_t value) : value_(static_cast<double>(value)) {
  constexpr std::int64_t kLargest = std::int64_t{1} << 53;
  if (value > kLargest || value < -kLargest)
    throw InputError("JSON: integer " + std::to_string(value) +
                     " does not fit a double exactly (limit 2^53)");
}

Json Json::number_or_null(double value) { return std::isfinite(value) ? Json(value) : Json(); }

std::string Json::write() const {
  std::string out;
  write_value(out, *this);
  return out;
}

std::string Json::describe() const {
  if (is_null()) return "null";
  if (is_bool()) return std::get<bool>(value_) ? "true" : "false";
  if (is_number()) return "number " + number_text(std::get<double>(value_));
  if (is_string()) return "string " + quote(std::get<std::string>(value_));
  if (is_array()) return "array of " + std::to_string(std::get<Array>(value_).size());
  return "object";
}

bool Json::as_bool(std::string_view where) const {
  if (!is_bool()) refuse(where, "true or false", *this);
  return std::get<bool>(value_);
}

double Json::as_number(std::string_view where) const {
  if (!is_number()) refuse(where, "a number", *this);
  return std::get<double>(value_);
}

double Json::number_or_nan(std::string_view where) const {
  if (is_null()) return std::nan("");
  if (!is_number()) refuse(where, "a number or null", *this);
  return std::get<double>(value_);
}

std::int64_t Json::as_integer(std::string_view where) const {
  const double number = is_number() ? std::get<double>(value_) : std::nan("");
  if (!(std::trunc(number) == number && std::abs(number) <= 0x1.0p53)) refuse(where, "an integer", *this);
  return static_cast<std::int64_t>(number);
}

const std::string& Json::as_string(std::string_view where) const {
  if (!is_string()) refuse(where, "a string", *this);
  return std::get<std::string>(value_);
}

const Json::Array& Json::as_array(std::string_view where) const {
  if (!is_array()) refuse(where, "an array", *this);
  return std::get<Array>(value_);
}

const Json::Object& Json::as_object(std::string_view where) const {
  if (!is_object()) refuse(where, "an object", *this);
  return std::get<Object>(value_);
}

const Json* Json::find(std::string_view key, std::string_view where) const {
  const Object& object = as_object(where);
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &found->second;
}

const Json& Json::at(std::string_view key, std::string_view where) const {
  if (const Json* member = find(key, where)) return *member;
  throw InputError(std::string(where) + ": field " + quote(key) + " is missing");
}

void Json::check_keys(std::initializer_list<const char*> allowed, std::string_view where) const {
  const std::vector<std::string> names(allowed.begin(), allowed.end());
  for (const auto& [key, member] : as_object(where)) {
    bool known = false;
    for (const std::string& name : names) known = known || name == key;
    if (!known)
      throw InputError(std::string(where) + ": unknown field " + quote(key) + did_you_mean(key, names));
  }
}

}  // namespace emisopt
