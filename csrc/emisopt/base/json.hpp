// A JSON value (RFC 8259), read strictly and written canonically: one value, one text, so that a hash of the
// text is a hash of the value. Numbers are doubles; objects keep their keys sorted by bytes.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace emisopt {

class Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::map<std::string, Json, std::less<>>;
  /// Deepest nesting that parse() follows: its recursion then needs a few KiB of stack whatever the input.
  static constexpr int kDeepest = 64;

  Json() = default;  // null
  Json(std::nullptr_t) {}
  Json(bool value) : value_(value) {}
  Json(double value) : value_(value) {}
  Json(int value) : value_(static_cast<double>(value)) {}
  Json(std::int64_t value);  // throws InputError beyond 2^53, where doubles skip integers
  Json(const char* value) : value_(std::string(value)) {}
  Json(std::string_view value) : value_(std::string(value)) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(Array value) : value_(std::move(value)) {}
  Json(Object value) : value_(std::move(value)) {}
  /// null for NaN and the infinities, which JSON cannot write; number_or_nan() is the way back.
  static Json number_or_null(double value);

  /// Throws InputError "where: line 3, column 7: expected ..., got ..." for anything but exactly one value in
  /// valid UTF-8: duplicate keys, numbers beyond double, lone surrogates, text after the value.
  static Json parse(std::string_view text, std::string_view where = "JSON");
  /// Canonical text: sorted keys, no spaces, shortest round-trip numbers, only '"', '\' and control
  /// characters escaped. Throws InputError for non-finite numbers and strings that are not UTF-8.
  std::string write() const;

  bool is_null() const { return value_.index() == 0; }
  bool is_bool() const { return value_.index() == 1; }
  bool is_number() const { return value_.index() == 2; }
  bool is_string() const { return value_.index() == 3; }
  bool is_array() const { return value_.index() == 4; }
  bool is_object() const { return value_.index() == 5; }
  /// "null", "true", "number 3", "string 'x'", "array of 4", "object": for error messages.
  std::string describe() const;

  // What is inside; throw InputError "where: expected a number, got string 'x'".
  bool as_bool(std::string_view where) const;
  double as_number(std::string_view where) const;
  double number_or_nan(std::string_view where) const;     // null gives NaN
  std::int64_t as_integer(std::string_view where) const;  // whole and within +-2^53
  const std::string& as_string(std::string_view where) const;
  const Array& as_array(std::string_view where) const;
  const Object& as_object(std::string_view where) const;

  /// Member of an object; null pointer if absent. Throws InputError if this is no object.
  const Json* find(std::string_view key, std::string_view where) const;
  /// Member that must be there: "where: field 'unit' is missing".
  const Json& at(std::string_view key, std::string_view where) const;
  /// Refuses members outside `allowed`, naming near ones: "where: unknown field 'unti'; did you mean
  /// 'unit'?".
  void check_keys(std::initializer_list<const char*> allowed, std::string_view where) const;

  friend bool operator==(const Json&, const Json&) = default;

 private:
  std::variant<std::nullptr_t, bool, double, std::string, Array, Object> value_;
};

}  // namespace emisopt
