#include "emisopt/monitor/kswin.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"
#include "emisopt/monitor/kolmogorov.hpp"

namespace emisopt {

void KswinOptions::validate() const {
  const std::string where = "Kswin(";
  if (!(alpha > 0 && alpha <= 0.5))
    throw InputError(where + "alpha): expected a number in (0, 0.5], got " + number_text(alpha));
  if (sample < 1 || sample > 10000)
    throw InputError(where + "sample): expected 1 to 10000, got " + std::to_string(sample));
  if (window < 2 * sample || window > 32767)
    throw InputError(where + "window): expected twice the sample, " + std::to_string(2 * sample) +
                     ", to 32767, got " + std::to_string(window));
}

Index KswinOptions::critical() const {
  // river also asks for a distance above 0.1
  Index h = ks_critical(sample, alpha);
  while (h <= sample && !(static_cast<double>(h) / sample > 0.1)) ++h;
  return h;
}

Kswin::Options::Options(const KswinOptions& options) : KswinOptions(options), start(options.seed) {
  validate();
  least = critical();
}

Kswin::Kswin(const Options& options) : random_(options.start) {
  const auto n = static_cast<std::size_t>(options.window);
  values_.resize(n);
  sorted_.resize(n);
  rank_.resize(n);
  mark_.resize(n);
  drawn_.resize(static_cast<std::size_t>(options.sample));
}

void Kswin::reset() {
  oldest_ = count_ = 0;
  distance_ = 0;
  start_anew_ = false;
}

bool Kswin::update(const Options& options, double x) {
  if (start_anew_) {
    reset();
    random_ = options.start;
  }
  if (count_ == options.window) remove_oldest();
  add(x);
  if (count_ < options.window) return false;
  const Index h = test(options);
  distance_ = static_cast<double>(h) / options.sample;
  return start_anew_ = h >= options.least;
}

void Kswin::remove_oldest() {
  const std::uint16_t gone = rank_[static_cast<std::size_t>(oldest_)];
  for (std::uint16_t& r : rank_) r = static_cast<std::uint16_t>(r - (r > gone));
  std::copy(sorted_.begin() + gone + 1, sorted_.begin() + count_, sorted_.begin() + gone);
  if (++oldest_ == static_cast<int>(values_.size())) oldest_ = 0;
  --count_;
}

void Kswin::add(double x) {
  const auto size = static_cast<int>(values_.size());
  const auto place = static_cast<std::uint16_t>(
      std::upper_bound(sorted_.begin(), sorted_.begin() + count_, x) - sorted_.begin());
  std::copy_backward(sorted_.begin() + place, sorted_.begin() + count_, sorted_.begin() + count_ + 1);
  sorted_[place] = x;
  for (std::uint16_t& r : rank_) r = static_cast<std::uint16_t>(r + (r >= place));
  const int slot = oldest_ + count_ < size ? oldest_ + count_ : oldest_ + count_ - size;
  rank_[static_cast<std::size_t>(slot)] = place;
  values_[static_cast<std::size_t>(slot)] = x;
  ++count_;
}

// Largest difference of the two samples' counts, taken where a run of equal values ends.
Index Kswin::test(const Options& options) {
  const int size = options.window, older = size - options.sample;
  random_.sample(static_cast<std::uint32_t>(older), static_cast<std::uint32_t>(options.sample), drawn_.data(),
                 pool_);
  std::fill(mark_.begin(), mark_.end(), std::int16_t{0});
  const auto slot = [&](int age) { return age + oldest_ < size ? age + oldest_ : age + oldest_ - size; };
  for (const std::uint32_t age : drawn_)
    ++mark_[rank_[static_cast<std::size_t>(slot(static_cast<int>(age)))]];
  for (int age = older; age < size; ++age) --mark_[rank_[static_cast<std::size_t>(slot(age))]];
  int sum = 0, most = 0;
  for (int i = 0; i + 1 < size; ++i) {
    const auto k = static_cast<std::size_t>(i);
    sum += mark_[k];
    const int here = sorted_[k] != sorted_[k + 1] ? std::abs(sum) : 0;
    most = std::max(most, here);
  }
  return most;  // behind the last value both samples are complete: no difference
}

Alarm Kswin::alarm(const Options& options) const {
  const int size = options.window, older = size - options.sample;
  double before = 0, after = 0;
  for (int age = 0; age < size; ++age) {
    const int at = age + oldest_ < size ? age + oldest_ : age + oldest_ - size;
    (age < older ? before : after) += values_[static_cast<std::size_t>(at)];
  }
  const double change = after / options.sample - before / older;
  return {change > 0 ? 1 : change < 0 ? -1 : 0, distance_, change, options.sample};
}

}  // namespace emisopt
