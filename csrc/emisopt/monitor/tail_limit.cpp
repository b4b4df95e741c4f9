#include "emisopt/monitor/tail_limit.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "emisopt/base/distribution.hpp"
#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

constexpr std::size_t kLeast = 20;

// Limit from scores in any order, all blocks but `left_out` (-1: none).
double limit_of(const std::vector<std::vector<double>>& scores, int left_out, double rate,
                const TailOptions& o) {
  std::vector<double> all;
  for (std::size_t b = 0; b < scores.size(); ++b)
    if (static_cast<int>(b) != left_out)
      for (const double s : scores[b])
        if (!std::isnan(s)) all.push_back(s);
  if (all.size() < 2) return std::nan("");
  const auto n = static_cast<double>(all.size());
  std::sort(all.begin(), all.end(), std::greater<>());
  const auto first = static_cast<std::size_t>(std::floor(o.set_aside * n));
  const auto last = std::min(all.size() - 1, std::max(first + 1, static_cast<std::size_t>(o.tail * n)));
  const double threshold = all[last];  // `last` scores lie above it
  // Exponential with the largest `first` censored at the next one: b = (sum + first * next) / (known ones).
  double sum = static_cast<double>(first) * (all[first] - threshold);
  for (std::size_t i = first; i < last; ++i) sum += all[i] - threshold;
  const double scale = sum / static_cast<double>(last - first);
  return threshold + scale * std::log(static_cast<double>(last) / n / rate);
}

}  // namespace

double tail_limit(const std::vector<std::vector<double>>& scores, double rate, const TailOptions& o,
                  std::string_view where) {
  const std::string at(where);
  if (!(rate > 0 && rate <= o.tail && o.tail < 1))
    throw InputError(at + ": expected a rate above 0 and at most " + number_text(o.tail) + ", got " +
                     number_text(rate));
  if (!(o.set_aside >= 0 && o.set_aside < o.tail))
    throw InputError(at + ": expected to set less aside than the tail's " + number_text(o.tail) + ", got " +
                     number_text(o.set_aside));
  if (!(o.confidence >= 0.5 && o.confidence < 1))
    throw InputError(at + ": expected a confidence of 0.5 to below 1, got " + number_text(o.confidence));
  std::size_t count = 0, blocks = 0;
  for (const auto& block : scores) {
    const auto known = static_cast<std::size_t>(
        std::count_if(block.begin(), block.end(), [](double s) { return !std::isnan(s); }));
    count += known;
    blocks += known > 0;
  }
  if (blocks < 2 || count < kLeast)
    throw InputError(at + ": expected at least " + std::to_string(kLeast) +
                     " scores in 2 blocks or more, got " + std::to_string(count) + " in " +
                     std::to_string(blocks));
  const double limit = limit_of(scores, -1, rate, o);
  if (o.confidence == 0.5) return limit;
  double mean = 0, square = 0;
  std::vector<double> parts;
  for (std::size_t b = 0; b < scores.size(); ++b) {
    if (std::all_of(scores[b].begin(), scores[b].end(), [](double s) { return std::isnan(s); })) continue;
    const double part = limit_of(scores, static_cast<int>(b), rate, o);
    parts.push_back(part);
    mean += part;
  }
  const auto k = static_cast<double>(parts.size());
  mean /= k;
  for (const double part : parts) square += (part - mean) * (part - mean);
  return limit + student_quantile(o.confidence, k - 1) * std::sqrt((k - 1) / k * square);
}

}  // namespace emisopt
