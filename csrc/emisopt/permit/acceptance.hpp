// Limits that a statistic is judged by, as data with their source: an acceptance limit whose text was only
// recalled is used with allow_unverified alone, and whoever prints the verdict prints UNVERIFIED beside it.
#pragma once
#include <map>
#include <string>
#include <vector>

namespace emisopt {

struct AcceptanceLimit {
  std::string statistic;  // name of the statistic, e.g. "relative_accuracy_pct"
  double limit = 0;
  bool at_most = true;   // else at least
  std::string source;    // regulation, permit condition, ...
  bool verified = true;  // the source's text was read
};

struct Verdict {
  AcceptanceLimit limit;
  double value = 0;  // NaN is not met
  bool met = false;
};

/// One verdict per limit. Throws InputError for a statistic that is not there, a limit that is not finite or
/// has no source, an unverified one that is not allowed.
std::vector<Verdict> judge(const std::map<std::string, double>& statistics,
                           const std::vector<AcceptanceLimit>& limits, bool allow_unverified);

}  // namespace emisopt
