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

  map.weights_ = Matrix(z.cols, map.columns());
  map.solve(x, z, config, 1, kFreeIntercept);
  return map;
}

OperationMap OperationMap::fit(ConstView x, ConstView z, const OperationMapConfig& config,
                               const OperationMap& from, double pull) {
  config.validate();
  if (!(pull >= 0) || !std::isfinite(pull))
    throw InputError("OperationMap.fit(pull): expected 0 or a positive number, got " + number_text(pull));
  if (from.inputs() != x.cols || from.outputs() != z.cols || z.rows != x.rows)
    throw ShapeError("OperationMap.fit(from): expected a map of " + std::to_string(x.cols) + " inputs and " +
                     std::to_string(z.cols) + " outputs, got " + std::to_string(from.inputs()) + " and " +
                     std::to_string(from.outputs()));
  OperationMap map = from;
  Matrix rest(z.rows, z.cols);
  std::vector<double> expected(static_cast<std::size_t>(z.cols));
  for (Index r = 0; r < z.rows; ++r) {
    from.value(expected.data(), x.row(r));
    for (Index o = 0; o < z.cols; ++o) rest(r, o) = z(r, o) - expected[static_cast<std::size_t>(o)];
  }
  map.solve(x, rest, config, pull, std::max(pull * config.ridge, kFreeIntercept));
  for (std::size_t i = 0; i < map.weights_.values.size(); ++i)
    map.weights_.values[i] += from.weights_.values[i];
  return map;
}

OperationMap OperationMap::rearranged(const std::vector<Index>& inputs,
                                      const std::vector<Index>& outputs) const {
  const auto check = [](const std::vector<Index>& places, Index count, const char* what) {
    for (const Index i : places)
      if (i < -1 || i >= count)
        throw InputError(std::string("OperationMap.rearranged(") + what + "): expected -1.." +
                         std::to_string(count - 1) + ", got " + std::to_string(i));
  };
  check(inputs, this->inputs(), "inputs");
  check(outputs, this->outputs(), "outputs");
  const auto width = static_cast<Index>(inputs.size());
  OperationMap map;
  const Index waves = width > 0 ? omega_.rows : 0;  // without inputs they are constants: the intercept does
  map.phase_.assign(phase_.begin(), phase_.begin() + waves);
  map.omega_ = Matrix(waves, width);
  for (Index m = 0; m < waves; ++m)
    for (Index i = 0; i < width; ++i)
      if (const Index ours = inputs[static_cast<std::size_t>(i)]; ours >= 0)
        map.omega_(m, i) = omega_(m, ours);
  map.weights_ = Matrix(static_cast<Index>(outputs.size()), map.columns());
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    if (outputs[o] < 0) continue;
    const double* from = weights_.row(outputs[o]);
    double* to = map.weights_.row(static_cast<Index>(o));
    to[0] = from[0];
    for (Index i = 0; i < width; ++i)
      if (const Index ours = inputs[static_cast<std::size_t>(i)]; ours >= 0) to[1 + i] = from[1 + ours];
    std::copy_n(from + 1 + this->inputs(), waves, to + 1 + width);
  }
  return map;
}

// Ridge regression of z on the features that the map has: weights_, which it overwrites.
void OperationMap::solve(ConstView x, ConstView z, const OperationMapConfig& config, double pull,
                         double intercept) {
  const Index p = columns(), inputs = omega_.cols;
  std::fill(weights_.values.begin(), weights_.values.end(), 0.0);
  const Index stride = std::max<Index>(1, (x.rows + config.most_rows - 1) / config.most_rows);
  std::vector<double> f(static_cast<std::size_t>(p));
  for (const std::vector<Index>& group : by_mask(z)) {
    Matrix gram(p, p), right(static_cast<Index>(group.size()), p);
    for (Index r = x.rows - 1; r >= 0; r -= stride) {  // the newest row always counts
      if (std::isnan(z(r, group[0]))) continue;
      features(f.data(), x.row(r));
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
      const double penalty =
          i == 0 ? intercept
                 : std::max(pull * (i <= inputs ? config.ridge : config.wave_ridge), kFreeIntercept);
      factor.append(gram.row(i), gram(i, i) + penalty, kFreeIntercept);
    }
    for (std::size_t g = 0; g < group.size(); ++g) {
      double* w = right.row(static_cast<Index>(g));
      factor.forward(w);
      factor.backward(w);
      std::copy(w, w + p, weights_.row(group[g]));
    }
  }
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
