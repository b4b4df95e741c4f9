#include "emisopt/monitor/false_discovery.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

// Without it the weights of all j sum to 12.645 (a test adds them up); its inverse, rounded down.
constexpr double kLordScale = 0.07908;
constexpr std::size_t kRecent = 4096;  // discoveries that still earn: older ones' weights are below 1e-5

void require_level(const char* where, double level) {
  if (!(level > 0 && level < 1))
    throw InputError(std::string(where) + "(level): expected a number in (0, 1), got " + number_text(level));
}

// Rejects the `count` first of `order`, where count is the last i (from 1) that `passes`.
template <class Passes>
std::vector<char> step_up(const std::vector<double>& values, const std::vector<std::size_t>& order,
                          const Passes& passes) {
  std::size_t count = 0;
  for (std::size_t i = order.size(); i > 0 && count == 0; --i)
    if (passes(values[order[i - 1]], static_cast<double>(i))) count = i;
  std::vector<char> rejected(values.size(), 0);
  for (std::size_t i = 0; i < count; ++i) rejected[order[i]] = 1;
  return rejected;
}

std::vector<std::size_t> tested(const std::vector<double>& values) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!std::isnan(values[i])) order.push_back(i);
  return order;
}

}  // namespace

std::vector<char> benjamini_hochberg(const std::vector<double>& p_values, double level) {
  require_level("benjamini_hochberg", level);
  for (std::size_t i = 0; i < p_values.size(); ++i)
    if (p_values[i] < 0 || p_values[i] > 1)
      throw InputError("benjamini_hochberg: test " + std::to_string(i) +
                       ": expected a p-value in [0, 1] or NaN, got " + number_text(p_values[i]));
  auto order = tested(p_values);
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return p_values[a] < p_values[b]; });
  const auto n = static_cast<double>(order.size());
  return step_up(p_values, order, [&](double p, double i) { return p <= level * i / n; });
}

std::vector<char> e_benjamini_hochberg(const std::vector<double>& e_values, double level) {
  require_level("e_benjamini_hochberg", level);
  for (std::size_t i = 0; i < e_values.size(); ++i)
    if (e_values[i] < 0)
      throw InputError("e_benjamini_hochberg: test " + std::to_string(i) +
                       ": expected an e-value, 0 or more, or NaN, got " + number_text(e_values[i]));
  auto order = tested(e_values);
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return e_values[a] > e_values[b]; });
  const auto n = static_cast<double>(order.size());
  return step_up(e_values, order, [&](double e, double i) { return e * i >= n / level; });
}

double lord_weight(Index j) {
  if (j < 1) return 0;
  const auto x = static_cast<double>(j);
  return kLordScale * std::log(std::max(x, 2.0)) / (x * std::exp(std::sqrt(std::log(x))));
}

LordPlusPlus::LordPlusPlus(double level, double start_wealth) : level_(level), start_(level * start_wealth) {
  require_level("LordPlusPlus", level);
  if (!(start_wealth > 0 && start_wealth < 1))
    throw InputError("LordPlusPlus(start_wealth): expected a share in (0, 1), got " +
                     number_text(start_wealth));
}

double LordPlusPlus::next_level() const {
  const Index t = tests_ + 1;
  double next = start_ * lord_weight(t);
  if (!found_.empty()) next += (level_ - start_) * lord_weight(t - found_[0]);
  // Leaving old discoveries out only makes the level smaller.
  for (std::size_t j = std::max<std::size_t>(1, found_.size() > kRecent ? found_.size() - kRecent : 1);
       j < found_.size(); ++j)
    next += level_ * lord_weight(t - found_[j]);
  return next;
}

bool LordPlusPlus::test(double p_value) {
  if (std::isnan(p_value)) return false;
  if (p_value < 0 || p_value > 1)
    throw InputError("LordPlusPlus: test " + std::to_string(tests_) +
                     ": expected a p-value in [0, 1] or NaN, got " + number_text(p_value));
  const bool found = p_value <= next_level();
  ++tests_;
  if (found) found_.push_back(tests_);
  return found;
}

}  // namespace emisopt
