#include "emisopt/monitor/isolation.hpp"

#include <algorithm>

namespace emisopt {
namespace {

constexpr double kNear = 0.7;          // of its limit, for a tag that may explain another's crossing
constexpr std::size_t kMostTried = 6;  // tags that are left out for a try, largest residuals first

struct Search {
  const std::function<void(const char*, std::vector<double>&)>& size;
  const std::vector<double>& limit;
  const std::vector<char>& candidate;
  std::vector<char>& use;
  std::vector<double> now;  // (T) sizes under `use`

  bool open(std::size_t t) const { return candidate[t] && use[t] && now[t] > 0; }  // NaN compares false
  double strength(std::size_t t) const { return now[t] / limit[t]; }
  void look() { size(use.data(), now); }
  double worst() const {
    double most = 0;
    for (std::size_t t = 0; t < use.size(); ++t)
      if (open(t)) most = std::max(most, strength(t));
    return most;
  }

  // The tag to leave out; some tag is beyond its limit.
  std::size_t choose() {
    std::vector<std::size_t> tried;
    for (std::size_t t = 0; t < use.size(); ++t)
      if (open(t)) tried.push_back(t);
    const std::vector<double> before = now;
    std::sort(tried.begin(), tried.end(),
              [&](std::size_t a, std::size_t b) { return before[a] > before[b]; });
    std::erase_if(tried, [&](std::size_t t) { return strength(t) <= kNear; });
    if (tried.size() > kMostTried) tried.resize(kMostTried);
    if (tried.size() == 1) return tried.front();
    std::size_t best = tried.front();
    double least = -1;
    for (const std::size_t t : tried) {
      use[t] = 0;
      look();
      const double left = worst();  // of the others
      use[t] = 1;
      if (left <= 1) {  // they are sorted: the first that explains all has the largest residual
        best = t;
        break;
      }
      if (least < 0 || left < least) {
        least = left;
        best = t;
      }
    }
    now = before;
    return best;
  }
};

}  // namespace

Isolation isolate(const std::function<void(const char*, std::vector<double>&)>& size,
                  const std::vector<double>& limit, const std::vector<char>& candidate,
                  std::vector<char>& use, Index most) {
  Isolation out;
  const std::vector<char> before = use;
  Search search{size, limit, candidate, use, std::vector<double>(use.size(), 0)};
  search.look();
  while (search.worst() > 1) {
    if (static_cast<Index>(out.accused.size()) == most) {
      out = {{}, {}, true};
      use = before;
      search.look();
      return out;
    }
    const std::size_t t = search.choose();
    out.accused.push_back(static_cast<Index>(t));
    out.strength.push_back(search.strength(t));
    use[t] = 0;
    search.look();
  }
  // An early one may have looked worse than it is because of the others.
  for (std::size_t i = 0; out.accused.size() > 1 && i < out.accused.size();) {
    const auto t = static_cast<std::size_t>(out.accused[i]);
    if (search.strength(t) > 1) {
      ++i;
      continue;
    }
    use[t] = 1;
    search.look();
    if (search.worst() > 1) {  // it explained the others
      use[t] = 0;
      search.look();
      ++i;
      continue;
    }
    out.accused.erase(out.accused.begin() + static_cast<std::ptrdiff_t>(i));
    out.strength.erase(out.strength.begin() + static_cast<std::ptrdiff_t>(i));
  }
  return out;
}

}  // namespace emisopt
