#include "emisopt/monitor/ewma.hpp"

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {

void EwmaOptions::validate() const {
  if (!(weight > 0 && weight <= 1))
    throw InputError("Ewma(weight): expected a number in (0, 1], got " + number_text(weight));
  if (!(limit > 0)) throw InputError("Ewma(limit): expected a number above 0, got " + number_text(limit));
}

}  // namespace emisopt
