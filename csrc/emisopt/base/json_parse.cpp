// The reading half of base/json.hpp: recursive descent over bytes, one function per production of RFC 8259.
#include <charconv>
#include <cstdio>

#include "emisopt/base/error.hpp"
#include "emisopt/base/json.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

class Parser {
 public:
  Parser(std::string_view text, std::string_view where) : text_(text), where_(where) {}

  Json document() {
    Json out = value(0);
    skip_space();
    if (at_ < text_.size()) refuse("the end of the text after one value", at_);
    return out;
  }

 private:
  [[noreturn]] void fail(const std::string& what, std::size_t at) const {
    int line = 1, column = 1;
    for (std::size_t i = 0; i < at; ++i) {
      if (text_[i] == '\n') {
        ++line;
        column = 1;
      } else if ((static_cast<unsigned char>(text_[i]) & 0xC0) != 0x80) {
        ++column;  // characters, not bytes: what an editor shows
      }
    }
    throw InputError(std::string(where_) + ": line " + std::to_string(line) + ", column " +
                     std::to_string(column) + ": " + what);
  }

  [[noreturn]] void refuse(const std::string& expected, std::size_t at) const {
    if (at >= text_.size()) fail("expected " + expected + ", got the end of the text", at);
    const int length = utf8_length(text_, at);
    fail("expected " + expected + ", got " +
             quote(text_.substr(at, length ? static_cast<std::size_t>(length) : 1)),
         at);
  }

  void skip_space() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
      ++at_;
  }

  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  bool take(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  bool digit() const { return at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; }

  void digits() {
    if (!digit()) refuse("a digit", at_);
    while (digit()) ++at_;
  }

  Json value(int depth) {
    skip_space();
    if (depth > Json::kDeepest)
      fail("expected at most " + std::to_string(Json::kDeepest) + " levels of nesting", at_);
    const char c = at_ < text_.size() ? text_[at_] : '\0';
    if (c == '{') return object(depth);
    if (c == '[') return array(depth);
    if (c == '"') return string();
    if (c == '-' || digit()) return number();
    if (take("true")) return true;
    if (take("false")) return false;
    if (take("null")) return nullptr;
    refuse("a JSON value", at_);
  }

  Json number() {
    const std::size_t start = at_;
    take('-');
    if (!take('0')) digits();
    if (take('.')) digits();
    if (take('e') || take('E')) {
      if (!take('+')) take('-');
      digits();
    }
    double out = 0;
    const auto [end, error] = std::from_chars(text_.data() + start, text_.data() + at_, out);
    if (error != std::errc() || end != text_.data() + at_)
      fail("number " + quote(text_.substr(start, at_ - start)) + " does not fit a double", start);
    return out;
  }

  unsigned hex4() {
    unsigned out = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = at_ < text_.size() ? text_[at_] : '\0';
      const int nibble = c >= '0' && c <= '9'   ? c - '0'
                         : c >= 'a' && c <= 'f' ? c - 'a' + 10
                         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                : -1;
      if (nibble < 0) refuse("four hexadecimal digits after \\u", at_);
      out = out * 16 + static_cast<unsigned>(nibble);
    }
    return out;
  }

  void escaped_unicode(std::string& out, std::size_t start) {
    unsigned code = hex4();
    if (code >= 0xDC00 && code < 0xE000) fail("a low surrogate without the high one before it", start);
    if (code >= 0xD800 && code < 0xDC00) {
      const unsigned low = take("\\u") ? hex4() : 0;
      if (low < 0xDC00 || low >= 0xE000) fail("a high surrogate without the low one after it", start);
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    const auto put = [&](unsigned byte) { out += static_cast<char>(byte); };
    if (code < 0x80) {
      put(code);
    } else if (code < 0x800) {
      put(0xC0 | code >> 6);
      put(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
      put(0xE0 | code >> 12);
      put(0x80 | (code >> 6 & 0x3F));
      put(0x80 | (code & 0x3F));
    } else {
      put(0xF0 | code >> 18);
      put(0x80 | (code >> 12 & 0x3F));
      put(0x80 | (code >> 6 & 0x3F));
      put(0x80 | (code & 0x3F));
    }
  }

  std::string string() {
    const std::size_t start = at_++;
    std::string out;
    for (;;) {
      if (at_ >= text_.size()) fail("a string that begins here is never closed", start);
      const std::size_t here = at_;
      const char c = text_[at_];
      if (take('"')) return out;
      if (take('\\')) {
        if (at_ >= text_.size()) fail("a string that begins here is never closed", start);
        const char escape = text_[at_++];
        static constexpr std::string_view kNames = "\"\\/bfnrt", kBytes = "\"\\/\b\f\n\r\t";
        if (const std::size_t known = kNames.find(escape); known != std::string_view::npos) {
          out += kBytes[known];
        } else if (escape == 'u') {
          escaped_unicode(out, here);
        } else {
          refuse("one of \"\\/bfnrtu after a backslash", at_ - 1);
        }
        continue;
      }
      const int length = utf8_length(text_, at_);
      if (length == 0) fail("expected UTF-8, got byte " + quote(text_.substr(at_, 1)), at_);
      if (c >= 0 && c < 0x20) refuse("an escape sequence for a control character", at_);
      out.append(text_.substr(at_, static_cast<std::size_t>(length)));
      at_ += static_cast<std::size_t>(length);
    }
  }

  Json array(int depth) {
    ++at_;
    Json::Array out;
    skip_space();
    if (take(']')) return out;
    do out.push_back(value(depth + 1));
    while (more(']', "',' or ']'"));
    return out;
  }

  Json object(int depth) {
    ++at_;
    Json::Object out;
    skip_space();
    if (take('}')) return out;
    do {
      skip_space();
      const std::size_t start = at_;
      if (at_ >= text_.size() || text_[at_] != '"') refuse("a field name in double quotes", at_);
      std::string key = string();
      if (out.contains(key)) fail("field " + quote(key) + " stands twice in one object", start);
      skip_space();
      if (!take(':')) refuse("':' after the field name", at_);
      out.emplace(std::move(key), value(depth + 1));
    } while (more('}', "',' or '}'"));
    return out;
  }

  // After an element: true at a comma, false at the closing bracket.
  bool more(char close, const char* expected) {
    skip_space();
    if (take(',')) return true;
    if (take(close)) return false;
    refuse(expected, at_);
  }

  std::string_view text_, where_;
  std::size_t at_ = 0;
};

}  // namespace

Json Json::parse(std::string_view text, std::string_view where) { return Parser(text, where).document(); }

}  // namespace emisopt
