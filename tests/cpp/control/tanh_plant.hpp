// A random plant that is convex nowhere in particular: outputs are a small tanh network of lagged setpoints.
//   v_t = v_{t-1} + k (u_t - v_{t-1}) per setpoint;  median_o = offset_o + sum_i c_oi tanh(w_i . v + d_i)
//   upper = median * spread
// Costs over it are concave here and convex there, which a log-linear plant's never are.
#pragma once
#include <cmath>
#include <vector>

#include "emisopt/base/rng.hpp"
#include "emisopt/control/controller.hpp"

namespace emisopt {

struct TanhPlant : Predictor {
  static constexpr int kUnits = 8;
  int h = 24;
  double spread;
  std::vector<double> k, v, d, offset;  // (U), (U), (units), (O)
  Matrix w, c;                          // (units,U), (O,units)

  TanhPlant(Rng& rng, int users, int outs)
      : spread(rng.uniform(1, 1.3)),
        v(static_cast<std::size_t>(users), 0.5),
        w(kUnits, users),
        c(outs, kUnits) {
    for (int u = 0; u < users; ++u) k.push_back(rng.uniform(0.1, 1));
    for (int i = 0; i < kUnits; ++i) d.push_back(rng.normal());
    for (int o = 0; o < outs; ++o) offset.push_back(rng.uniform(80, 120));
    for (double& x : w.values) x = 1.5 * rng.normal();
    for (double& x : c.values) x = 10 * rng.normal();
  }
  int horizon() const override { return h; }
  int setpoints() const override { return static_cast<int>(w.cols); }
  int outputs() const override { return static_cast<int>(c.rows); }

  /// Output o at lagged setpoints x (U), and its slope (U) where wanted.
  double core(int o, const std::vector<double>& x, double* slope) const {
    double y = offset[static_cast<std::size_t>(o)];
    if (slope) std::fill_n(slope, setpoints(), 0.0);
    for (int i = 0; i < kUnits; ++i) {
      double a = d[static_cast<std::size_t>(i)];
      for (int u = 0; u < setpoints(); ++u) a += w(i, u) * x[static_cast<std::size_t>(u)];
      const double t = std::tanh(a);
      y += c(o, i) * t;
      for (int u = 0; slope && u < setpoints(); ++u) slope[u] += c(o, i) * (1 - t * t) * w(i, u);
    }
    return y;
  }
  void move(std::vector<double>& x, const double* u) const {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += k[i] * (u[i] - x[i]);
  }
  void predict(View median, View upper, ConstView plan) override {
    std::vector<double> x = v;
    for (int t = 0; t < h; ++t) {
      move(x, plan.row(t));
      for (int o = 0; o < outputs(); ++o) {
        median(t, o) = core(o, x, nullptr);
        upper(t, o) = median(t, o) * spread;
      }
    }
  }
  void jacobian(View median_jacobian, View upper_jacobian, ConstView plan) override {
    std::vector<double> x = v, slope(v.size());
    for (int t = 0; t < h; ++t) {
      move(x, plan.row(t));
      for (int o = 0; o < outputs(); ++o) {
        core(o, x, slope.data());
        for (int s = 0; s < h; ++s)
          for (int u = 0; u < setpoints(); ++u) {
            const auto at = static_cast<std::size_t>(u);
            const double j = s > t ? 0 : slope[at] * k[at] * std::pow(1 - k[at], t - s);
            median_jacobian(t * outputs() + o, s * setpoints() + u) = j;
            upper_jacobian(t * outputs() + o, s * setpoints() + u) = j * spread;
          }
      }
    }
  }
  /// One tick of the true plant: the lags move, the outputs (O) come back.
  std::vector<double> advance(const std::vector<double>& u) {
    move(v, u.data());
    std::vector<double> y;
    for (int o = 0; o < outputs(); ++o) y.push_back(core(o, v, nullptr));
    return y;
  }
};

}  // namespace emisopt
