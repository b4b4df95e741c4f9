#include "emisopt/monitor/page_hinkley.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {

void PageHinkleyOptions::validate() const {
  const std::string where = "PageHinkley(";
  if (min_instances < 1)
    throw InputError(where + "min_instances): expected 1 or more, got " + std::to_string(min_instances));
  if (!std::isfinite(delta))
    throw InputError(where + "delta): expected a finite number, got " + number_text(delta));
  if (!(limit > 0)) throw InputError(where + "limit): expected a number above 0, got " + number_text(limit));
  if (!(alpha > 0 && alpha <= 1))
    throw InputError(where + "alpha): expected a number in (0, 1], got " + number_text(alpha));
  if (variant == DriftVariant::moa && mode != DriftMode::up)
    throw InputError(where + "mode): MOA's test looks for increases only; expected 'up'");
}

bool PageHinkley::update_river(const Options& options, double x) {
  if (alarmed_) reset();
  ++count_;
  mean_ += (1.0 / static_cast<double>(count_)) * (x - mean_);
  const double deviation = x - mean_;
  up_ = options.alpha * up_ + deviation - options.delta;
  down_ = options.alpha * down_ + deviation + options.delta;
  if (up_ < low_) low_ = up_, low_at_ = count_;
  if (down_ > high_) high_ = down_, high_at_ = count_;
  if (count_ < options.min_instances) return false;
  rise_ = options.mode == DriftMode::down ? 0 : up_ - low_;
  fall_ = options.mode == DriftMode::up ? 0 : high_ - down_;
  return alarmed_ = rise_ > limit_ || fall_ > limit_;
}

bool PageHinkley::update_moa(const Options& options, double x) {
  if (alarmed_) reset();
  ++count_;
  mean_ = mean_ + (x - mean_) / static_cast<double>(count_);
  up_ = options.alpha * up_ + (x - mean_ - options.delta);
  if (up_ <= 0) low_at_ = count_;
  if (count_ + 1 < options.min_instances) return false;  // MOA counts from 1 and compares afterwards
  rise_ = up_ > 0 ? up_ : 0;
  return alarmed_ = up_ > limit_;
}

Alarm PageHinkley::alarm(const Options& options) const {
  const bool up = rise_ >= fall_;
  const Index since = std::max<Index>(count_ - (up ? low_at_ : high_at_), 1);
  const double size = options.delta + statistic() / static_cast<double>(since);
  return {up ? 1 : -1, statistic(), up ? size : -size, since};
}

}  // namespace emisopt
