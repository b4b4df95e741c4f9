#include "emisopt/permit/acceptance.hpp"

#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {

std::vector<Verdict> judge(const std::map<std::string, double>& statistics,
                           const std::vector<AcceptanceLimit>& limits, bool allow_unverified) {
  std::vector<Verdict> verdicts;
  for (const AcceptanceLimit& limit : limits) {
    const std::string where = "acceptance limit on " + quote(limit.statistic);
    const auto found = statistics.find(limit.statistic);
    if (found == statistics.end()) {
      std::vector<std::string> names;
      for (const auto& [name, value] : statistics) names.push_back(name);
      throw InputError(where + ": there is no such statistic" + did_you_mean(limit.statistic, names));
    }
    if (!std::isfinite(limit.limit))
      throw InputError(where + ": expected a finite limit, got " + number_text(limit.limit));
    if (limit.source.empty()) throw InputError(where + ": expected its source, got none");
    if (!limit.verified && !allow_unverified)
      throw InputError(
          where + " (" + limit.source +
          "): its text was only recalled, not read; pass allow_unverified to judge by it, and mark "
          "what comes out");
    const double value = found->second;
    verdicts.push_back({limit, value, limit.at_most ? value <= limit.limit : value >= limit.limit});
  }
  return verdicts;
}

}  // namespace emisopt
