#include "emisopt/monitor/residual_filter.hpp"

#include <algorithm>
#include <cmath>

namespace emisopt {
namespace {
constexpr int kLevelRows = 6;  // the usual residual is that of so many rows
constexpr double kLevelWeight = 2.0 / (kLevelRows + 1);
constexpr double kOldEnough = 3;  // memories: rows that a baseline needs before means are compared with it
constexpr double kMostlyKnown = 0.5;
constexpr double kNearlyAll = 1.5;  // times the standard deviation with all tags
}  // namespace

ResidualFilter::ResidualFilter(const FactorModel& model, const std::vector<double>& memory, double baseline)
    : reconstruction_(model),
      memory_(memory),
      z_(static_cast<std::size_t>(model.tags()), kMissing),
      expected_(z_),
      sd_(z_),
      level_(z_),
      away_(z_.size(), 0),
      mean_(static_cast<Index>(memory.size()) + 1, model.tags()),
      known_(mean_.rows, mean_.cols, 1.0),
      offset_(z_.size(), 0),
      age_(z_.size(), 0),
      use_(z_.size()),
      row_(z_),
      mean_expected_(z_),
      mean_sd_(z_) {
  for (const double m : memory) weight_.push_back(2 / (m + 1));
  weight_.push_back(2 / (baseline + 1));
  for (Index m = 0; m < mean_.rows; ++m) std::copy(model.mean.begin(), model.mean.end(), mean_.row(m));
  whole_sd_.resize(z_.size());
  const std::vector<char> all(z_.size(), 1);
  reconstruction_.run(model.mean.data(), all.data(), mean_expected_.data(), whole_sd_.data());
}

void ResidualFilter::take(const double* z) { std::copy_n(z, z_.size(), z_.begin()); }

void ResidualFilter::look(const char* use) {
  reconstruction_.run(z_.data(), use, expected_.data(), sd_.data());
}

void ResidualFilter::keep(const char* believe, const char* trust) {
  const std::size_t memories = weight_.size() - 1;
  double* base = mean_.row(static_cast<Index>(memories));
  for (std::size_t t = 0; t < z_.size(); ++t) {
    const bool known = !std::isnan(z_[t]), taken = known && believe[t];
    away_[t] = known ? 0 : away_[t] + 1;
    if (away_[t] > kLevelRows) level_[t] = kMissing;
    const double reading = taken ? z_[t] : expected_[t];
    if (taken) {
      const double residual = (z_[t] - expected_[t]) / sd_[t];
      level_[t] = std::isnan(level_[t]) ? residual : level_[t] + kLevelWeight * (residual - level_[t]);
    }
    for (std::size_t m = 0; m < memories; ++m) {
      double& mean = mean_(static_cast<Index>(m), static_cast<Index>(t));
      double& share = known_(static_cast<Index>(m), static_cast<Index>(t));
      mean += weight_[m] * (reading - mean);
      share += weight_[m] * (double(known) - share);
    }
    // The baseline in two parts, so that a tag may start anew or stand still without the others: what was
    // expected of it, and by how much it differed.
    base[t] += young_weight(rows_) * (expected_[t] - base[t]);
    if (taken && trust[t]) offset_[t] += young_weight(age_[t]++) * (z_[t] - expected_[t] - offset_[t]);
  }
  ++rows_;
}

// A young baseline is the plain mean of what came.
double ResidualFilter::young_weight(Index age) const {
  return std::max(weight_.back(), 1 / (static_cast<double>(age) + 1));
}

void ResidualFilter::mean_residual(std::size_t view, const char* use, std::vector<double>& out) {
  const std::size_t memories = weight_.size() - 1, m = view % memories;
  const bool change = view >= memories;
  const double* mean = mean_.row(static_cast<Index>(m));
  const double* base = mean_.row(static_cast<Index>(memories));
  const double* known = known_.row(static_cast<Index>(m));
  const std::vector<double>& middle = reconstruction_.model().mean;
  for (std::size_t t = 0; t < use_.size(); ++t) {
    use_[t] = use[t] && known[t] >= kMostlyKnown;
    row_[t] = change ? mean[t] - (base[t] + offset_[t]) + middle[t] : mean[t];
  }
  reconstruction_.run(row_.data(), use_.data(), mean_expected_.data(), mean_sd_.data());
  out.resize(use_.size());
  for (std::size_t t = 0; t < use_.size(); ++t) {
    const bool young = change && static_cast<double>(age_[t]) < kOldEnough * memory(view);
    out[t] = young ? kMissing : (row_[t] - mean_expected_[t]) / mean_sd_[t];
  }
}

bool ResidualFilter::informed(std::size_t view, Index tag) const {
  const auto t = static_cast<std::size_t>(tag);
  const auto m = static_cast<Index>(view % (weight_.size() - 1));
  return known_(m, tag) >= kMostlyKnown && mean_sd_[t] <= kNearlyAll * whole_sd_[t];
}

void ResidualFilter::restart(Index tag) {
  const auto t = static_cast<std::size_t>(tag);
  level_[t] = kMissing;
  offset_[t] = 0;
  age_[t] = 0;
  std::vector<char> others(use_.size(), 1);
  others[t] = 0;
  for (Index m = 0; m + 1 < mean_.rows; ++m) {
    reconstruction_.run(mean_.row(m), others.data(), mean_expected_.data(), mean_sd_.data());
    mean_(m, tag) = mean_expected_[t];
    known_(m, tag) = 1;
  }
}

void ResidualFilter::forget_levels() { std::fill(level_.begin(), level_.end(), kMissing); }

}  // namespace emisopt
