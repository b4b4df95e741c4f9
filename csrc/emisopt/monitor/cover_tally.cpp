#include "emisopt/monitor/cover_tally.hpp"

#include <cmath>
#include <string>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {

CoverTally::CoverTally(int window) : window_(window) {
  if (window < 1)
    throw InputError("CoverTally(window): expected 1 or more rows, got " + std::to_string(window));
  ring_.assign(static_cast<std::size_t>(window), 0);
  widths_.assign(static_cast<std::size_t>(window), 0);
}

void CoverTally::add(bool inside, double width) {
  const auto place = static_cast<std::size_t>(rows_ % window_);
  if (rows_ >= window_) {
    in_window_ -= ring_[place];
    window_sum_.subtract(widths_[place]);
  }
  ring_[place] = inside;
  widths_[place] = width;
  in_window_ += inside;
  window_sum_.add(width);
  inside_ += inside;
  sum_.add(width);
  ++rows_;
  if (rows_ < window_) return;
  const double mean = window_sum_.value() / static_cast<double>(window_);
  const bool first = rows_ == window_;
  if (first || in_window_ < least_) {
    least_ = in_window_;
    least_width_ = mean;
  }
  if (first || in_window_ > greatest_) greatest_ = in_window_;
  if (first || mean > widest_) widest_ = mean;
}

double CoverTally::cover() const {
  return rows_ ? static_cast<double>(inside_) / static_cast<double>(rows_) : kMissing;
}

double CoverTally::width() const { return rows_ ? sum_.value() / static_cast<double>(rows_) : kMissing; }

double CoverTally::recent() const {
  return rows_ ? static_cast<double>(in_window_) / static_cast<double>(std::min(rows_, window_)) : kMissing;
}

double CoverTally::least() const {
  return rows_ < window_ ? kMissing : static_cast<double>(least_) / static_cast<double>(window_);
}

double CoverTally::greatest() const {
  return rows_ < window_ ? kMissing : static_cast<double>(greatest_) / static_cast<double>(window_);
}

double CoverTally::least_width() const { return least_width_; }
double CoverTally::widest() const { return widest_; }

CoverageMonitor::CoverageMonitor(int horizon, int outputs, std::vector<double> levels, double low,
                                 double high, int window)
    : horizon_(horizon), outputs_(outputs), levels_(std::move(levels)) {
  if (horizon < 1 || outputs < 1)
    throw InputError("CoverageMonitor: expected a horizon and outputs of 1 or more, got " +
                     std::to_string(horizon) + " and " + std::to_string(outputs));
  const auto place = [&](double wanted, const char* field) {
    for (std::size_t q = 0; q < levels_.size(); ++q)
      if (std::abs(levels_[q] - wanted) < 1e-9) return q;
    throw InputError(std::string("CoverageMonitor(") + field + "): no quantile has the level " +
                     number_text(wanted));
  };
  low_ = place(low, "low");
  high_ = place(high, "high");
  if (!(low < 0.5 && high > 0.5))
    throw InputError("CoverageMonitor(low, high): expected one level on either side of 0.5, got " +
                     number_text(low) + " and " + number_text(high));
  raw_.assign(static_cast<std::size_t>(horizon) * static_cast<std::size_t>(outputs), CoverTally(window));
  corrected_ = raw_;
}

std::size_t CoverageMonitor::at(int step, int output) const {
  if (step < 0 || step >= horizon_ || output < 0 || output >= outputs_)
    throw InputError("CoverageMonitor: expected a step below " + std::to_string(horizon_) +
                     " and an output below " + std::to_string(outputs_) + ", got " + std::to_string(step) +
                     " and " + std::to_string(output));
  return static_cast<std::size_t>(step) * static_cast<std::size_t>(outputs_) +
         static_cast<std::size_t>(output);
}

void CoverageMonitor::add(int step, int output, double y, const double* raw, const double* corrected) {
  const std::size_t k = at(step, output);
  const double spans[] = {raw[high_] - raw[low_], corrected[high_] - corrected[low_]};
  if (!std::isfinite(y) || !std::isfinite(spans[0]) || !std::isfinite(spans[1])) return;
  raw_[k].add(y >= raw[low_] && y <= raw[high_], spans[0]);
  corrected_[k].add(y >= corrected[low_] && y <= corrected[high_], spans[1]);
}

}  // namespace emisopt
