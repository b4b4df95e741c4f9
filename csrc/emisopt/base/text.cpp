#include "emisopt/base/text.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace emisopt {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = lower(c);
  return out;
}

// Optimal string alignment distance (Levenshtein plus swaps of neighbours), three rows.
std::size_t edits(const std::string& a, const std::string& b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

}  // namespace

int utf8_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (at >= text.size()) return 0;
  const unsigned first = byte(at);
  if (first < 0x80) return 1;
  const int length = first >= 0xC2 && first <= 0xDF   ? 2
                     : first >= 0xE0 && first <= 0xEF ? 3
                     : first >= 0xF0 && first <= 0xF4 ? 4
                                                      : 0;
  if (length == 0 || text.size() - at < static_cast<std::size_t>(length)) return 0;
  for (int i = 1; i < length; ++i)
    if ((byte(at + static_cast<std::size_t>(i)) & 0xC0) != 0x80) return 0;
  const unsigned second = byte(at + 1);
  if (first == 0xE0 && second < 0xA0) return 0;  // overlong
  if (first == 0xED && second > 0x9F) return 0;  // surrogates
  if (first == 0xF0 && second < 0x90) return 0;  // overlong
  if (first == 0xF4 && second > 0x8F) return 0;  // beyond U+10FFFF
  return length;
}

std::string quote(std::string_view text) {
  constexpr std::size_t kLongest = 60;
  std::string out = "'";
  std::size_t i = 0;
  while (i < text.size() && i < kLongest) {
    const int length = utf8_length(text, i);
    const auto first = static_cast<unsigned char>(text[i]);
    if (length == 0 || first < 0x20 || first == 0x7F) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\x%02X", first);
      out += escape;
      ++i;
    } else {
      out += text.substr(i, static_cast<std::size_t>(length));
      i += static_cast<std::size_t>(length);
    }
  }
  return out + (i < text.size() ? "...'" : "'");
}

std::string number_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[40];
  const bool whole = value == std::trunc(value) && std::abs(value) <= 0x1.0p53;
  const auto end = whole && !(value == 0 && std::signbit(value))
                       ? std::to_chars(buffer, buffer + sizeof buffer, static_cast<long long>(value)).ptr
                       : std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  return {buffer, end};
}

std::string time_text(double time_s) {
  // Beyond the years 0000-9999 a calendar date says nothing: print the number that came.
  if (!(time_s >= -62167219200.0 && time_s < 253402300800.0)) return number_text(time_s) + " s since 1970";
  auto ms = static_cast<long long>(std::floor(time_s * 1000 + 0.5));
  long long days = ms / 86400000;
  ms -= days * 86400000;
  if (ms < 0) {
    ms += 86400000;
    --days;
  }
  // Days to civil date in the proleptic Gregorian calendar, eras of 400 years counted from 1 March 0000.
  const long long z = days + 719468;
  const long long era = (z >= 0 ? z : z - 146096) / 146097;
  const long long day_of_era = z - era * 146097;
  const long long year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const long long day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const long long march_month = (5 * day_of_year + 2) / 153;
  const long long day = day_of_year - (153 * march_month + 2) / 5 + 1;
  const long long month = march_month < 10 ? march_month + 3 : march_month - 9;
  const long long year = year_of_era + era * 400 + (month <= 2);
  char buffer[96];
  int length = std::snprintf(buffer, sizeof buffer, "%04lld-%02lld-%02lld %02lld:%02lld:%02lld", year, month,
                             day, ms / 3600000, ms / 60000 % 60, ms / 1000 % 60);
  std::string out(buffer, static_cast<std::size_t>(length));
  if (ms % 1000) {
    length = std::snprintf(buffer, sizeof buffer, ".%03lld", ms % 1000);
    out.append(buffer, static_cast<std::size_t>(length));
  }
  return out + " UTC";
}

std::vector<std::string> near_names(std::string_view name, const std::vector<std::string>& candidates) {
  const std::string wanted = lower(name.substr(0, 200));
  std::vector<std::pair<std::size_t, const std::string*>> scored;
  for (const std::string& candidate : candidates) {
    const std::string other = lower(std::string_view(candidate).substr(0, 200));
    std::size_t score = edits(wanted, other);
    const std::size_t longest = std::max(wanted.size(), other.size());
    const bool prefix =
        wanted.size() >= 2 && other.size() >= 2 && (other.starts_with(wanted) || wanted.starts_with(other));
    if (prefix) score = std::min<std::size_t>(score, 1);
    if (score == 0 || prefix || (score * 3 <= longest && score < longest))
      scored.emplace_back(score, &candidate);
  }
  std::stable_sort(scored.begin(), scored.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> out;
  for (const auto& [score, candidate] : scored)
    if (out.size() < 3) out.push_back(*candidate);
  return out;
}

std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates) {
  const std::vector<std::string> near = near_names(name, candidates);
  std::string out;
  if (!near.empty()) {
    for (const std::string& candidate : near) out += (out.empty() ? "" : " or ") + quote(candidate);
    return "; did you mean " + out + "?";
  }
  constexpr std::size_t kListed = 12;
  for (std::size_t i = 0; i < candidates.size() && i < kListed; ++i)
    out += (i ? ", " : "") + quote(candidates[i]);
  if (candidates.size() > kListed) out += " and " + std::to_string(candidates.size() - kListed) + " more";
  return candidates.empty() ? "" : "; known: " + out;
}

}  // namespace emisopt
