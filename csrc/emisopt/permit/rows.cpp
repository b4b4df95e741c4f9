#include "emisopt/permit/rows.hpp"

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {

void refuse_row(std::string_view where, const RowLabel& label, Index row, std::string_view expected,
                double got) {
  std::string text(where);
  text += ": ";
  if (!label.tag.empty()) text += "tag " + quote(label.tag) + ", ";
  text += "row " + std::to_string(row);
  if (label.time_s) text += " (" + time_text(label.time_s[row]) + ")";
  text += ": expected ";
  text += expected;
  throw InputError(text + ", got " + number_text(got));
}

}  // namespace emisopt
