// What a future row holds of a mechanistic prior: how far the prior moves each output from where it was.
#pragma once
#include <memory>
#include <vector>

#include "emisopt/features/layout.hpp"
#include "emisopt/model/prior.hpp"

namespace emisopt {

/// Column of output o in coming row t: z(prior_t) - r, with z the output's scale and r the mean of z(prior)
/// over the context, weighted as the output's anchor is (FeatureLayout::summarise). So a prior that is right
/// gives the very change against the anchor that is to be forecast, and one that is off by a constant (or in
/// log scale by a factor) as well. Inputs that are missing are held at their last value; a value that the
/// prior does not know, or that is not finite, gives 0 in column and slope.
class PriorColumns {
 public:
  PriorColumns() = default;
  /// prior null: nothing is ever written.
  PriorColumns(std::shared_ptr<const Prior> prior, const FeatureLayout& layout, const Scaler& scaler,
               double anchor_tau, const TagMap& tags);

  bool active() const { return prior_ != nullptr; }
  /// Reads the context (context, tags), physical; of outputs the newest `hidden` rows are not looked at.
  void set_context(ConstView values, int hidden);
  /// Writes the columns of rows x (H, future_width). plan (H, U), null: unknown; known (H, D) or no rows;
  /// both physical, NaN: unknown. slopes, where not null: (H, O, U), d column / d setpoint; 0 where the
  /// setpoint is unknown.
  template <class T>
  void fill(T* x, const ConstView* plan, ConstView known, std::vector<double>* slopes);

 private:
  void evaluate();  // u_, d_ -> value_, slope_

  std::shared_ptr<const Prior> prior_;
  FeatureLayout layout_;
  std::vector<TagScale> scales_;          // of the outputs
  std::vector<char> laboratory_, ahead_;  // per output; per disturbance
  double forget_ = 0;                     // per row
  std::vector<double> last_u_, last_d_;   // newest known values
  std::vector<double> reference_;         // (O), NaN: the prior knew nothing
  std::vector<double> u_, d_, value_, slope_;
};

}  // namespace emisopt
