#include "emisopt/monitor/isolation.hpp"

#include <algorithm>

namespace emisopt {

Isolation isolate(const std::function<void(const char*, std::vector<double>&)>& strength,
                  const std::vector<char>& candidate, std::vector<char>& use, Index most) {
  Isolation out;
  std::vector<double> now(use.size(), 0);
  const std::vector<char> before = use;
  strength(use.data(), now);
  const auto left = [&](std::size_t t) { return candidate[t] && use[t] && now[t] > 1; };  // NaN compares false
  for (;;) {
    Index worst = -1;
    for (std::size_t t = 0; t < use.size(); ++t)
      if (left(t) && (worst < 0 || now[t] > now[static_cast<std::size_t>(worst)])) worst = static_cast<Index>(t);
    if (worst < 0) break;
    if (static_cast<Index>(out.accused.size()) == most) {
      out = {{}, {}, true};
      use = before;
      strength(use.data(), now);
      return out;
    }
    out.accused.push_back(worst);
    out.strength.push_back(now[static_cast<std::size_t>(worst)]);
    use[static_cast<std::size_t>(worst)] = 0;
    strength(use.data(), now);
  }
  // The first accused may have looked worse than it is because of the others.
  for (std::size_t i = 0; out.accused.size() > 1 && i < out.accused.size();) {
    const auto t = static_cast<std::size_t>(out.accused[i]);
    if (now[t] > 1) {
      ++i;
      continue;
    }
    use[t] = 1;
    out.accused.erase(out.accused.begin() + static_cast<std::ptrdiff_t>(i));
    out.strength.erase(out.strength.begin() + static_cast<std::ptrdiff_t>(i));
    strength(use.data(), now);
  }
  return out;
}

}  // namespace emisopt
