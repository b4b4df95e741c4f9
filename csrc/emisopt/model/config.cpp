#include "emisopt/model/config.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "emisopt/base/error.hpp"

namespace emisopt {
namespace {

[[noreturn]] void refuse(const char* field, const std::string& expected, const std::string& got) {
  throw InputError(std::string("ForecasterConfig.") + field + ": expected " + expected + ", got " + got);
}

void check_range(const char* field, int value, int low, int high) {
  if (value < low || value > high)
    refuse(field, "an integer in " + std::to_string(low) + ".." + std::to_string(high),
           std::to_string(value));
}

}  // namespace

int ForecasterConfig::middle() const {
  return static_cast<int>(std::find(quantiles.begin(), quantiles.end(), 0.5) - quantiles.begin());
}

void ForecasterConfig::validate() const {
  check_range("context", context, 1, 4096);
  check_range("horizon", horizon, 1, 512);
  check_range("patch", patch, 1, 16);
  if (context % patch != 0)
    refuse("context", "a multiple of patch = " + std::to_string(patch), std::to_string(context));
  check_range("width", width, 2, 4096);
  check_range("heads", heads, 1, 256);
  if (width % (2 * heads) != 0)
    refuse("width", "a multiple of 2 * heads = " + std::to_string(2 * heads), std::to_string(width));
  check_range("kv_heads", kv_heads, 0, heads);
  if (heads % key_heads() != 0)
    refuse("kv_heads", "a divisor of heads = " + std::to_string(heads), std::to_string(kv_heads));
  check_range("layers", layers, 1, 64);
  check_range("feedforward", feedforward, 0, 16384);
  if (!(anchor_tau > 0) || !std::isfinite(anchor_tau))
    refuse("anchor_tau", "a positive number of rows", std::to_string(anchor_tau));
  check_range("season", season, 0, context);
  for (std::size_t i = 0; i < quantiles.size(); ++i) {
    if (!(quantiles[i] > 0 && quantiles[i] < 1))
      refuse("quantiles", "numbers between 0 and 1", std::to_string(quantiles[i]));
    if (i > 0 && !(quantiles[i] > quantiles[i - 1]))
      refuse("quantiles", "rising numbers",
             std::to_string(quantiles[i - 1]) + " before " + std::to_string(quantiles[i]));
  }
  if (middle() == levels()) refuse("quantiles", "0.5 among them", std::to_string(levels()) + " others");
}

}  // namespace emisopt
