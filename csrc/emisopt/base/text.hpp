// Words for people: quoting what came, near names for what was misspelt, numbers as short as they round-trip.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace emisopt {

/// The text in single quotes, control characters and bytes that are not UTF-8 as \xNN, cut after 60 bytes.
std::string quote(std::string_view text);
/// Shortest decimal text that reads back to the same double; integers up to 2^53 without exponent;
/// "nan", "inf" and "-inf" otherwise (JSON refuses those: base/json.hpp).
std::string number_text(double value);
/// "2014-03-01 07:30:00 UTC" for seconds since 1970-01-01 UTC; milliseconds only when there are some.
std::string time_text(double time_s);
/// Number of bytes of the valid UTF-8 character that starts at text[at]; 0 if there is none (overlong forms,
/// surrogates and values beyond U+10FFFF are not valid).
int utf8_length(std::string_view text, std::size_t at);
/// Up to three candidates that `name` may stand for, best first: same text in another case, a prefix, or few
/// edits away (at most a third of the longer name).
std::vector<std::string> near_names(std::string_view name, const std::vector<std::string>& candidates);
/// "; did you mean 'nox'?", or "; known: 'a', 'b'" (up to 12 names) when nothing is near, or "" without
/// names.
std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace emisopt
