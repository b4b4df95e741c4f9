#include "emisopt/train/operation_map.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"
#include "emisopt/base/text.hpp"
#include "emisopt/train/sliding_cholesky.hpp"

namespace emisopt {
namespace {

constexpr double kFreeIntercept = 1e-6;  // its penalty: none, but the system stays solvable without rows

double known(double x) { return std::isfinite(x) ? x : 0; }

// Which outputs are known in exactly the same rows: they share one factor.
std::vector<std::vector<Index>> by_mask(ConstView z) {
  std::vector<std::vector<Index>> groups;
  const auto same = [&](Index a, Index b) {
    for (Index r = 0; r < z.rows; ++r)
      if (std::isnan(z(r, a)) != std::isnan(z(r, b))) return false;
    return true;
  };
  for (Index o = 0; o < z.cols; ++o) {
    const auto found =
        std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return same(g[0], o); });
    if (found == groups.end())
      groups.push_back({o});
    else
      found->push_back(o);
  }
  return groups;
}

}  // namespace

void OperationMapConfig::validate() const {
  const auto check = [](const char* field, double got, bool right, const char* expected) {
    if (!right || !std::isfinite(got))
      throw InputError(std::string("OperationMapConfig.") + field + ": expected " + expected + ", got " +
                       number_text(got));
  };
  check("ridge", ridge, ridge > 0, "a penalty > 0");
  check("waves", waves, waves >= 0 && waves <= 2000, "0..2000");
  check("wave_length", wave_length, wave_length > 0, "a length > 0");
  check("wave_ridge", wave_ridge, wave_ridge > 0, "a penalty > 0");
  check("most_rows", static_cast<double>(most_rows), most_rows >= 2, "2 rows or more");
}

OperationMap OperationMap::fit(ConstView x, ConstView z, const OperationMapConfig& config) {
  config.validate();
  check_shape("OperationMap.fit(z)", {static_cast<long>(z.rows), static_cast<long>(z.cols)},
              {{"N", static_cast<long>(x.rows)}, {"O", -1}});
  OperationMap map;
  const Index inputs = x.cols, waves = inputs > 0 ? config.waves : 0;
  map.omega_ = Matrix(waves, inputs);
  Rng rng(config.seed);
  // Distances are root mean squares over the inputs, as in the kernel: hence the root of F.
  const double length = config.wave_length * std::sqrt(static_cast<double>(std::max<Index>(inputs, 1)));
  for (double& w : map.omega_.values) w = rng.normal() / length;
  for (Index m = 0; m < waves; ++m) map.phase_.push_back(rng.uniform(0, 2 * M_PI));

  const Index p = map.columns();
  map.weights_ = Matrix(z.cols, p);
  const Index stride = std::max<Index>(1, (x.rows + config.most_rows - 1) / config.most_rows);
  std::vector<double> f(static_cast<std::size_t>(p));
  for (const std::vector<Index>& group : by_mask(z)) {
    Matrix gram(p, p), right(static_cast<Index>(group.size()), p);
    for (Index r = x.rows - 1; r >= 0; r -= stride) {  // the newest row always counts
      if (std::isnan(z(r, group[0]))) continue;
      map.features(f.data(), x.row(r));
      for (Index i = 0; i < p; ++i) {
        double* row = gram.row(i);
        const double fi = f[static_cast<std::size_t>(i)];
        for (Index j = 0; j <= i; ++j) row[j] += fi * f[static_cast<std::size_t>(j)];
      }
      for (std::size_t g = 0; g < group.size(); ++g)
        for (Index i = 0; i < p; ++i)
          right(static_cast<Index>(g), i) += z(r, group[g]) * f[static_cast<std::size_t>(i)];
    }
    SlidingCholesky factor(p);
    for (Index i = 0; i < p; ++i) {
      const double penalty = i == 0 ? kFreeIntercept : i <= inputs ? config.ridge : config.wave_ridge;
      factor.append(gram.row(i), gram(i, i) + penalty, kFreeIntercept);
    }
    for (std::size_t g = 0; g < group.size(); ++g) {
      double* w = right.row(static_cast<Index>(g));
      factor.forward(w);
      factor.backward(w);
      std::copy(w, w + p, map.weights_.row(group[g]));
    }
  }
  return map;
}

void OperationMap::features(double* out, const double* x) const {
  const Index inputs = omega_.cols;
  out[0] = 1;
  for (Index i = 0; i < inputs; ++i) out[1 + i] = known(x[i]);
  const double scale = omega_.rows > 0 ? std::sqrt(2.0 / static_cast<double>(omega_.rows)) : 0;
  for (Index m = 0; m < omega_.rows; ++m) {
    double angle = phase_[static_cast<std::size_t>(m)];
    for (Index i = 0; i < inputs; ++i) angle += omega_(m, i) * out[1 + i];
    out[1 + inputs + m] = scale * std::cos(angle);
  }
}

void OperationMap::value(double* z, const double* x) const {
  std::vector<double> f(static_cast<std::size_t>(columns()));
  features(f.data(), x);
  for (Index o = 0; o < outputs(); ++o) {
    double sum = 0;
    for (Index i = 0; i < columns(); ++i) sum += weights_(o, i) * f[static_cast<std::size_t>(i)];
    z[o] = sum;
  }
}

void OperationMap::slope(View out, const double* x) const {
  const Index inputs = omega_.cols;
  const double scale = omega_.rows > 0 ? std::sqrt(2.0 / static_cast<double>(omega_.rows)) : 0;
  for (Index o = 0; o < outputs(); ++o)
    for (Index i = 0; i < inputs; ++i) out(o, i) = weights_(o, 1 + i);
  for (Index m = 0; m < omega_.rows; ++m) {
    double angle = phase_[static_cast<std::size_t>(m)];
    for (Index i = 0; i < inputs; ++i) angle += omega_(m, i) * known(x[i]);
    const double down = -scale * std::sin(angle);
    for (Index o = 0; o < outputs(); ++o)
      for (Index i = 0; i < inputs; ++i) out(o, i) += weights_(o, 1 + inputs + m) * down * omega_(m, i);
  }
  for (Index i = 0; i < inputs; ++i)
    if (!std::isfinite(x[i]))
      for (Index o = 0; o < outputs(); ++o) out(o, i) = 0;
}

OperationMap OperationMap::restore(Matrix weights, Matrix omega, std::vector<double> phase) {
  if (static_cast<Index>(phase.size()) != omega.rows || weights.cols != 1 + omega.cols + omega.rows)
    throw ShapeError("OperationMap.restore: expected weights (O, 1 + F + M), omega (M, F), phase (M), got (" +
                     std::to_string(weights.rows) + ", " + std::to_string(weights.cols) + "), (" +
                     std::to_string(omega.rows) + ", " + std::to_string(omega.cols) + ") and " +
                     std::to_string(phase.size()));
  for (const std::vector<double>* part : {&weights.values, &omega.values, &phase})
    for (const double v : *part)
      if (!std::isfinite(v))
        throw InputError("OperationMap.restore: expected finite numbers, got " + number_text(v));
  OperationMap map;
  map.weights_ = std::move(weights);
  map.omega_ = std::move(omega);
  map.phase_ = std::move(phase);
  return map;
}

}  // namespace emisopt
