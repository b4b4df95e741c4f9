// A small plant with known answers: outputs are log-linear in lagged setpoints, a NOx-CO trade-off in
// setpoint 0 ("o2") and a reagent in setpoint 1 ("nh3") that lowers NOx only.
//   v_t = v_{t-1} + k (u_t - v_{t-1})            per setpoint, k in (0, 1]; k = 1: no lag
//   median_o(t) = offset_o + exp(a_o + sum_u b_ou v_u(t))
//   upper = offset + exp(...) * spread
#pragma once
#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "emisopt/control/controller.hpp"

namespace emisopt {

struct LogPlant : Predictor {
  int h = 24;
  double k = 1;
  double spread = 1;
  std::vector<double> a, offset;  // (O)
  Matrix b;                       // (O,U)
  std::vector<double> v;          // (U) lagged setpoints now
  Matrix disturbances;            // known (H,D)
  int calls = 0, jacobians = 0;
  bool nan_forecast = false, nan_jacobian = false, throws = false;
  bool backward = false;  // offers gradient()
  int gradients = 0;
  std::function<void()> on_call;  // e.g. to advance a test clock

  // NOx = 80 at (3, 0.5), +20 % per unit of o2, halved by 0.5 of nh3; CO = 60 at 3, halved per unit of o2.
  LogPlant() : a(2), offset(2, 0.0), b(2, 2), v{3, 0.5} {
    b(0, 0) = 0.2;
    b(0, 1) = -1.4;
    b(1, 0) = -0.7;
    a[0] = std::log(80) - b(0, 0) * 3 - b(0, 1) * 0.5;
    a[1] = std::log(60) - b(1, 0) * 3;
  }
  int horizon() const override { return h; }
  int setpoints() const override { return static_cast<int>(b.cols); }
  int outputs() const override { return static_cast<int>(b.rows); }
  ConstView known() const override { return disturbances; }

  double core(int o, const std::vector<double>& lagged) const {
    double e = a[static_cast<std::size_t>(o)];
    for (Index u = 0; u < b.cols; ++u) e += b(o, u) * lagged[static_cast<std::size_t>(u)];
    return std::exp(e);
  }
  void predict(View median, View upper, ConstView plan) override {
    ++calls;
    if (on_call) on_call();
    if (throws) throw std::runtime_error("sensor bus is down");
    std::vector<double> lagged = v;
    for (int t = 0; t < h; ++t) {
      for (Index u = 0; u < b.cols; ++u)
        lagged[static_cast<std::size_t>(u)] += k * (plan(t, u) - lagged[static_cast<std::size_t>(u)]);
      for (int o = 0; o < outputs(); ++o) {
        const double y = core(o, lagged), base = offset[static_cast<std::size_t>(o)];
        median(t, o) = nan_forecast && o == 1 && t == 3 ? kMissing : base + y;
        upper(t, o) = base + y * spread;
      }
    }
  }
  bool gradient(View gradient, ConstView seed_median, ConstView seed_upper, ConstView plan) override {
    if (!backward) return false;
    ++gradients;
    if (on_call) on_call();
    const Index rows = Index{h} * outputs(), columns = h * b.cols;
    Matrix jm(rows, columns), ju(rows, columns);
    slopes(jm, ju, plan);
    for (Index s = 0; s < h; ++s)
      for (Index u = 0; u < b.cols; ++u) {
        gradient(s, u) = 0;
        for (Index r = 0; r < rows; ++r)
          gradient(s, u) += seed_median(r / outputs(), r % outputs()) * jm(r, s * b.cols + u) +
                            seed_upper(r / outputs(), r % outputs()) * ju(r, s * b.cols + u);
      }
    return true;
  }
  void jacobian(View median_jacobian, View upper_jacobian, ConstView plan) override {
    ++jacobians;
    if (on_call) on_call();
    slopes(median_jacobian, upper_jacobian, plan);
  }
  void slopes(View median_jacobian, View upper_jacobian, ConstView plan) {
    std::vector<double> lagged = v;
    const Index users = b.cols;
    for (int t = 0; t < h; ++t) {
      for (Index u = 0; u < users; ++u)
        lagged[static_cast<std::size_t>(u)] += k * (plan(t, u) - lagged[static_cast<std::size_t>(u)]);
      for (int o = 0; o < outputs(); ++o) {
        const double y = core(o, lagged);
        for (int s = 0; s < h; ++s)
          for (Index u = 0; u < users; ++u) {
            const double d = s > t ? 0 : y * b(o, u) * k * std::pow(1 - k, t - s);
            median_jacobian(t * outputs() + o, s * users + u) = nan_jacobian ? kMissing : d;
            upper_jacobian(t * outputs() + o, s * users + u) = d * spread;
          }
      }
    }
  }
  /// One tick of the true plant: the lags move, the outputs (O) come back.
  std::vector<double> advance(const std::vector<double>& move) {
    for (std::size_t u = 0; u < v.size(); ++u) v[u] += k * (move[u] - v[u]);
    std::vector<double> y;
    for (int o = 0; o < outputs(); ++o) y.push_back(offset[static_cast<std::size_t>(o)] + core(o, v));
    return y;
  }
};

inline std::vector<Setpoint> log_setpoints() {
  Setpoint o2{.name = "o2", .unit = "%", .low = 1, .high = 6, .rate = 0.3, .price = 5};
  Setpoint nh3{.name = "nh3", .unit = "mol/mol", .low = 0, .high = 1.2, .rate = 0.1, .price = 20};
  return {o2, nh3};
}
inline std::vector<Limit> log_limits() {
  return {{.name = "NOx", .output = 0, .limit = 100}, {.name = "CO", .output = 1, .limit = 125}};
}
inline Matrix repeat_row(const std::vector<double>& row, int rows) {
  Matrix m(rows, static_cast<Index>(row.size()));
  for (int t = 0; t < rows; ++t) std::copy(row.begin(), row.end(), m.row(t));
  return m;
}

}  // namespace emisopt
