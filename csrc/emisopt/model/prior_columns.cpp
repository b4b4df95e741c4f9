#include "emisopt/model/prior_columns.hpp"

#include <cmath>

namespace emisopt {

PriorColumns::PriorColumns(std::shared_ptr<const Prior> prior, const FeatureLayout& layout,
                           const Scaler& scaler, double anchor_tau, const TagMap& tags)
    : prior_(std::move(prior)), layout_(layout), forget_(std::exp(-1.0 / anchor_tau)) {
  if (!prior_) return;
  for (const Index id : layout.outputs()) {
    scales_.push_back(scaler.tags[static_cast<std::size_t>(id)]);
    laboratory_.push_back(tags.tags[static_cast<std::size_t>(id)].kind == Kind::laboratory);
  }
  for (const Index id : layout.disturbances())
    ahead_.push_back(tags.tags[static_cast<std::size_t>(id)].known_ahead);
  last_u_.assign(layout.setpoints().size(), kMissing);
  last_d_.assign(layout.disturbances().size(), kMissing);
  reference_.assign(scales_.size(), kMissing);
  u_ = last_u_;
  d_ = last_d_;
  value_.resize(scales_.size());
  slope_.resize(scales_.size() * u_.size());
}

void PriorColumns::evaluate() {
  std::fill(value_.begin(), value_.end(), kMissing);
  std::fill(slope_.begin(), slope_.end(), 0.0);
  prior_->evaluate(u_, d_, value_, slope_);
}

void PriorColumns::set_context(ConstView values, int hidden) {
  if (!active()) return;
  const std::size_t outputs = scales_.size();
  std::fill(last_u_.begin(), last_u_.end(), kMissing);
  std::fill(last_d_.begin(), last_d_.end(), kMissing);
  std::vector<double> sum(outputs, 0.0), weights(outputs, 0.0), fade(outputs, 1.0), held(outputs, kMissing);
  const auto hold = [&](std::vector<double>& last, const std::vector<Index>& ids, Index row) {
    for (std::size_t i = 0; i < ids.size(); ++i)
      if (const double x = values(row, ids[i]); !std::isnan(x)) last[i] = x;
  };
  for (Index r = 0; r < values.rows;
       ++r) {  // the recursion of FeatureLayout::summarise, of the prior's values
    hold(last_u_, layout_.setpoints(), r);
    hold(last_d_, layout_.disturbances(), r);
    u_ = last_u_;
    d_ = last_d_;
    evaluate();
    for (std::size_t o = 0; o < outputs; ++o) {
      if (r >= values.rows - hidden) continue;
      fade[o] *= forget_;
      const bool measured = !std::isnan(values(r, layout_.outputs()[o]));
      if (measured) held[o] = scales_[o].normalise(value_[o]);
      if (!measured && !laboratory_[o]) continue;
      if (!std::isfinite(held[o])) continue;
      sum[o] = sum[o] * fade[o] + held[o];
      weights[o] = weights[o] * fade[o] + 1;
      fade[o] = 1;
    }
  }
  for (std::size_t o = 0; o < outputs; ++o) reference_[o] = weights[o] > 0 ? sum[o] / weights[o] : kMissing;
}

template <class T>
void PriorColumns::fill(T* x, const ConstView* plan, ConstView known, std::vector<double>* slopes) {
  if (!active()) return;
  const std::size_t outputs = scales_.size(), setpoints = u_.size();
  if (slopes) slopes->assign(static_cast<std::size_t>(layout_.horizon()) * outputs * setpoints, 0.0);
  for (int h = 0; h < layout_.horizon(); ++h) {
    u_ = last_u_;
    d_ = last_d_;
    for (std::size_t i = 0; plan && i < setpoints; ++i)
      if (const double u = (*plan)(h, static_cast<Index>(i)); !std::isnan(u)) u_[i] = u;
    for (std::size_t i = 0; plan && known.rows > 0 && i < d_.size(); ++i)
      if (const double d = known(h, static_cast<Index>(i)); ahead_[i] && !std::isnan(d)) d_[i] = d;
    evaluate();
    for (std::size_t o = 0; o < outputs; ++o) {
      const double z = scales_[o].normalise(value_[o]), column = z - reference_[o];
      const bool sound = std::isfinite(column);
      x[Index{h} * layout_.future_width() + layout_.prior_column(static_cast<int>(o))] =
          T(sound ? column : 0.0);
      // a log scale takes values below zero for zero: nothing moves there
      if (!slopes || !sound || (scales_[o].log && value_[o] < 0)) continue;
      for (std::size_t i = 0; i < setpoints; ++i) {
        if (!plan || std::isnan((*plan)(h, static_cast<Index>(i)))) continue;
        const double slope = slope_[o * setpoints + i] / scales_[o].slope(z);
        if (std::isfinite(slope))
          (*slopes)[(static_cast<std::size_t>(h) * outputs + o) * setpoints + i] = slope;
      }
    }
  }
}

template void PriorColumns::fill(float*, const ConstView*, ConstView, std::vector<double>*);
template void PriorColumns::fill(double*, const ConstView*, ConstView, std::vector<double>*);

}  // namespace emisopt
