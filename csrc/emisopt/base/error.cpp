#include "emisopt/base/error.hpp"

namespace emisopt {

void check_shape(std::string_view where, const std::vector<long>& got,
                 std::initializer_list<std::pair<const char*, long>> expected) {
  bool same = got.size() == expected.size();
  std::size_t axis = 0;
  for (const auto& [name, length] : expected) {
    if (same && length >= 0 && got[axis] != length) same = false;
    ++axis;
  }
  if (same) return;
  std::string text(where);
  text += ": expected (";
  axis = 0;
  for (const auto& [name, length] : expected) {
    if (axis++) text += ", ";
    text += name;
    if (length >= 0) text += '=';  // piecewise: GCC 12 warns wrongly on "=" + std::to_string (bug 105651)
    if (length >= 0) text += std::to_string(length);
  }
  text += "), got (";
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (i) text += ", ";
    text += std::to_string(got[i]);
  }
  throw ShapeError(text + ")");
}

}  // namespace emisopt
