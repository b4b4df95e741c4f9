#include "emisopt/train/trouble.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/base/text.hpp"

namespace emisopt {

std::string strangest_value(const Forecaster& forecaster, const History& history, Index origin) {
  const Index begin = origin - forecaster.config.context,
              end = std::min<Index>(origin + forecaster.config.horizon, history.rows());
  std::string text = "holds rows " + std::to_string(begin) + ".." + std::to_string(end - 1);
  if (!history.time.empty())
    text += " (from " + time_text(history.time[static_cast<std::size_t>(begin)]) + ")";
  double largest = 0;
  Index row = begin, column = 0;
  for (Index r = begin; r < end; ++r)
    for (Index c = 0; c < history.columns(); ++c) {
      const double z =
          std::abs(forecaster.scaler.tags[static_cast<std::size_t>(c)].normalise(history.values(r, c)));
      if (z > largest) largest = z, row = r, column = c;
    }
  const Tag& tag = forecaster.tags.tags[static_cast<std::size_t>(column)];
  return text + ", in which tag '" + tag.name +
         "' strays furthest: " + number_text(history.values(row, column)) + " " + tag.unit + " in row " +
         std::to_string(row) + "; correct it or give the tag a physical range";
}

}  // namespace emisopt
