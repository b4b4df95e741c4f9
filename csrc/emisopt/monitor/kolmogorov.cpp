#include "emisopt/monitor/kolmogorov.hpp"

#include <algorithm>
#include <string>

#include "emisopt/base/error.hpp"

namespace emisopt {

double ks_p_value(Index n, Index h) {
  if (n < 1 || n > 10000 || h < 0 || h > n)
    throw InputError("ks_p_value: expected 1 <= n <= 10000 and 0 <= h <= n, got n " + std::to_string(n) +
                     ", h " + std::to_string(h));
  if (h == 0) return 1;
  // 2 A1 (1 - A2 (1 - A3 (...))), A_k the ratio of binomials (2n over n - k h) and (2n over n).
  double p = 0;
  for (Index k = n / h; k >= 0; --k) {
    double ratio = 1;
    for (Index j = 0; j < h; ++j)
      ratio = static_cast<double>(n - k * h - j) * ratio / static_cast<double>(n + k * h + j + 1);
    p = ratio * (1 - p);
  }
  return std::clamp(2 * p, 0.0, 1.0);
}

Index ks_critical(Index n, double alpha) {
  Index low = 0, high = n + 1;  // p falls with h: p(low) > alpha, p(high) <= alpha
  while (high - low > 1) {
    const Index middle = low + (high - low) / 2;
    (ks_p_value(n, middle) <= alpha ? high : low) = middle;
  }
  return high;
}

}  // namespace emisopt
