#include "emisopt/monitor/two_window_ks.hpp"

#include <algorithm>
#include <bit>
#include <numeric>
#include <string>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {

void TwoWindowKsOptions::validate() const {
  const std::string where = "TwoWindowKs(";
  constexpr int kMost = 30000;  // reference * recent must fit 32 bits
  if (reference < 2 || reference > kMost)
    throw InputError(where + "reference): expected 2 to 30000, got " + std::to_string(reference));
  if (recent < 2 || recent > kMost)
    throw InputError(where + "recent): expected 2 to 30000, got " + std::to_string(recent));
  if (!(limit > 0)) throw InputError(where + "limit): expected a number above 0, got " + number_text(limit));
}

TwoWindowKs::TwoWindowKs(const Options& options) : limit_(options.limit) {
  reference_.reserve(static_cast<std::size_t>(options.reference));
  bin_.resize(static_cast<std::size_t>(options.recent));
  newest_.resize(static_cast<std::size_t>(options.recent));
}

void TwoWindowKs::reset() {
  reference_.clear();
  seen_ = at_ = count_ = 0;
  distance_ = 0;
  start_anew_ = false;
}

bool TwoWindowKs::update(const Options& options, double x) {
  if (start_anew_) reset();
  if (seen_ < options.reference) {
    reference_.push_back(x);
    if (++seen_ == options.reference) lay_out(options);
    return false;
  }
  const auto place = static_cast<std::size_t>(at_);
  if (count_ == options.recent)
    add(bin_[place], options.reference);  // the oldest of the newest goes
  else
    ++count_;
  bin_[place] = bin_of(x);
  newest_[place] = x;
  add(bin_[place], -options.reference);
  if (++at_ == options.recent) at_ = 0;
  if (count_ < options.recent) return false;
  const Node& root = tree_[1];
  const int most = std::max(root.high, -root.low);
  distance_ = most / (static_cast<double>(options.reference) * options.recent);
  return start_anew_ = distance_ > limit_;
}

// Bins in order: below the first distinct value, at it, between it and the second, at the second, ... A value
// of the reference weighs `recent`, one of the newest -`reference`: prefix sums are differences of the two
// distribution functions in units of 1 / (reference * recent), and between two bins' ends they are monotone.
void TwoWindowKs::lay_out(const Options& options) {
  reference_mean_ = std::accumulate(reference_.begin(), reference_.end(), 0.0) / options.reference;
  std::sort(reference_.begin(), reference_.end());
  std::vector<std::int32_t> times;
  std::size_t distinct = 0;
  for (const double v : reference_) {
    if (distinct > 0 && reference_[distinct - 1] == v) {
      ++times[distinct - 1];
    } else {
      reference_[distinct++] = v;
      times.push_back(1);
    }
  }
  reference_.resize(distinct);
  leaves_ = static_cast<int>(std::bit_ceil(2 * distinct + 1));
  tree_.assign(static_cast<std::size_t>(2 * leaves_), Node{});
  for (std::size_t i = 0; i < distinct; ++i) add(static_cast<int>(2 * i + 1), times[i] * options.recent);
}

int TwoWindowKs::bin_of(double x) const {
  // The first value not below x, by halving without branches to guess wrong.
  const double* from = reference_.data();
  for (std::size_t left = reference_.size(); left > 1; left -= left / 2)
    from += from[left / 2 - 1] < x ? left / 2 : 0;
  from += *from < x;
  const auto i = from - reference_.data();
  const bool found = i < static_cast<Index>(reference_.size()) && *from == x;
  return static_cast<int>(2 * i) + found;
}

void TwoWindowKs::add(int bin, std::int32_t weight) {
  auto i = static_cast<std::size_t>(leaves_ + bin);
  tree_[i].sum += weight;
  tree_[i].low = tree_[i].high = tree_[i].sum;
  for (i /= 2; i > 0; i /= 2) {
    const Node &left = tree_[2 * i], &right = tree_[2 * i + 1];
    tree_[i] = {left.sum + right.sum, std::min(left.low, left.sum + right.low),
                std::max(left.high, left.sum + right.high)};
  }
}

Alarm TwoWindowKs::alarm(const Options& options) const {
  const double change =
      std::accumulate(newest_.begin(), newest_.end(), 0.0) / options.recent - reference_mean_;
  return {change > 0 ? 1 : change < 0 ? -1 : 0, distance_, change, options.recent};
}

}  // namespace emisopt
