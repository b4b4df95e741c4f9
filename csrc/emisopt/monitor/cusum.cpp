#include "emisopt/monitor/cusum.hpp"

#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {

void CusumOptions::validate() const {
  if (!(slack >= 0) || std::isinf(slack))
    throw InputError("Cusum(slack): expected a finite number, 0 or more, got " + number_text(slack));
  if (!(limit > 0)) throw InputError("Cusum(limit): expected a number above 0, got " + number_text(limit));
}

Alarm Cusum::alarm(const Options& options) const {
  const bool rise = up_ >= down_;
  const Index count = rise ? up_count_ : down_count_;
  if (count == 0) return {};
  const double mean = options.slack + statistic() / static_cast<double>(count);
  return {rise ? 1 : -1, statistic(), rise ? mean : -mean, count};
}

}  // namespace emisopt
