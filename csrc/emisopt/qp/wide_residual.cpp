// The independent check of an answer to a wide problem, written from the optimality conditions alone. Every
// size that a violation is taken relative to is at most the one of residual.cpp.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "emisopt/qp/dense.hpp"
#include "emisopt/qp/residual_side.hpp"
#include "emisopt/qp/wide.hpp"

namespace emisopt {
namespace {

using detail::CheckedSide;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNegligible = 1e-3;  // share of the objective below which a force counts as that share
constexpr double kSure = 1e-12;       // a violation of this share of the row's value needs no better size
constexpr Index kBlock = 16;          // outputs taken together

std::size_t at(Index i) { return static_cast<std::size_t>(i); }
double side(std::span<const double> v, Index i, double absent) { return v.empty() ? absent : v[at(i)]; }
int output_of(const WideProblem& p, Index i) { return p.row_output.empty() ? -1 : p.row_output[at(i)]; }
bool equality(const WideProblem& p, Index i) {
  return p.row_lower[at(i)] == p.row_upper[at(i)] && side(p.l1, i, kInf) == kInf;
}

struct Parts {
  double *curvature, *push, *reach, *diagonal, *size;  // (n): Hx, A'y, sizes of variables, H_jj
  double *value, *row_size;                            // (m): rows x
  double *outputs, *pull, *weighted;                   // (p): Jx, y of rows about them, w Jx
};

// Hx, A'y, the rows' values and the diagonal of H, J gone through twice.
void products(const WideProblem& p, std::span<const double> x, std::span<const double> y, Parts& a) {
  const Index n = p.variables(), m = p.rows(), outputs = p.outputs.rows;
  for (Index j = 0; j < n; ++j) {
    a.diagonal[j] = p.band(j, 0);
    a.curvature[j] = p.band(j, 0) * x[at(j)];
    a.push[j] = 0;
  }
  for (Index j = 0; j < n; ++j)
    for (Index d = 1; d < p.band.cols && d <= j; ++d) {
      const double t = p.band(j, d);
      a.curvature[j] += t * x[at(j - d)];
      a.curvature[j - d] += t * x[at(j)];
    }
  for (Index k = 0; k < outputs; k += kBlock) {
    const ConstView block = p.outputs.slice(k, std::min(kBlock, outputs - k));
    dense::multiply(a.outputs + k, block, x.data());
    for (Index r = 0; r < block.rows; ++r) {
      const double *row = block.row(r), w = p.output_weight[at(k + r)];
      if (w != 0)
        for (Index j = 0; j < n; ++j) a.diagonal[j] += w * row[j] * row[j];
    }
  }
  for (Index k = 0; k < outputs; ++k) {
    a.pull[k] = 0;
    a.weighted[k] = p.output_weight[at(k)] * a.outputs[k];
  }
  for (Index i = 0; i < m; ++i) {
    const int k = output_of(p, i);
    double value = k < 0 ? 0 : a.outputs[k];
    if (k >= 0) a.pull[k] += y[at(i)];
    for (int e = p.row_start[at(i)]; e < p.row_start[at(i) + 1]; ++e) {
      value += p.row_value[at(e)] * x[at(p.row_column[at(e)])];
      a.push[p.row_column[at(e)]] += p.row_value[at(e)] * y[at(i)];
    }
    a.value[i] = value;
  }
  for (Index k = 0; k < outputs; k += kBlock) {
    const ConstView block = p.outputs.slice(k, std::min(kBlock, outputs - k));
    dense::add_transposed(a.curvature, block, a.weighted + k);
    dense::add_transposed(a.push, block, a.pull + k);
  }
}

// See residual.cpp: what equalities say about the sizes of free variables. Those about outputs are left out.
double sizes_of_equalities(const WideProblem& p, std::span<const double> x, const Parts& a) {
  double energy = 0;
  for (Index j = 0; j < p.variables(); ++j) a.size[j] = 0;
  for (Index i = 0; i < p.rows(); ++i) {
    if (!equality(p, i) || output_of(p, i) >= 0) continue;
    double largest = 0, term = std::abs(p.row_upper[at(i)]);
    for (int e = p.row_start[at(i)]; e < p.row_start[at(i) + 1]; ++e) {
      largest = std::max(largest, std::abs(p.row_value[at(e)]));
      term = std::max(term, std::abs(p.row_value[at(e)] * x[at(p.row_column[at(e)])]));
    }
    for (int e = p.row_start[at(i)]; e < p.row_start[at(i) + 1]; ++e) {
      const int j = p.row_column[at(e)];
      const double size = std::abs(p.row_value[at(e)]);
      if (!(size > 0.5 * largest) || side(p.lower, j, -kInf) > -kInf || side(p.upper, j, kInf) < kInf)
        continue;
      a.size[j] = std::max(a.size[j], term / size);
      energy = std::max(energy, 0.5 * a.diagonal[j] * a.size[j] * a.size[j]);
    }
  }
  return energy;
}

double together(double known, double unlimited) {
  return known > 0 ? std::max(known, std::min(unlimited, 10 * known)) : unlimited;
}

// The size of row i: that of its bounds and, if `full`, of its terms.
double row_size(const WideProblem& p, Index i, const Parts& a, bool full) {
  double size = std::abs(a.value[i]);
  if (full) {
    size = 0;
    const int k = output_of(p, i);
    for (Index j = 0; k >= 0 && j < p.variables(); ++j) size += std::abs(p.outputs(k, j)) * a.reach[j];
    for (int e = p.row_start[at(i)]; e < p.row_start[at(i) + 1]; ++e) {
      const Index j = p.row_column[at(e)];
      const double c = std::abs(p.row_value[at(e)]), o = k < 0 ? 0 : std::abs(p.outputs(k, j));
      size += (std::abs(c - o) - o) * a.reach[j];  // |c + o| at least
    }
  }
  for (double b : {p.row_lower[at(i)], p.row_upper[at(i)]})
    if (std::abs(b) < kInf) size = std::max(size, std::abs(b));
  if (size > 0) return size;
  for (const auto& bounds : {p.row_lower, p.row_upper})
    for (double b : bounds)
      if (std::abs(b) < kInf) size = std::max(size, std::abs(b));
  return size > 0 ? size : 1;
}

}  // namespace

QpResidual wide_residual(const WideProblem& p, std::span<const double> x, std::span<const double> y,
                         std::span<const double> z, std::span<double> memory) {
  const Index n = p.variables(), m = p.rows(), outputs = p.outputs.rows;
  double* next = memory.data();
  const auto take = [&](Index count) { return std::exchange(next, next + count); };
  Parts a{take(n), take(n), take(n),       take(n),       take(n),
          take(m), take(m), take(outputs), take(outputs), take(outputs)};
  products(p, x, y, a);

  double terms = 0, boxed = 0, logs = 0;
  int open = 0;
  const auto box = [&](Index j) {
    return std::max(std::abs(side(p.lower, j, -kInf)), std::abs(side(p.upper, j, kInf)));
  };
  for (Index j = 0; j < n; ++j) {
    const double g = std::abs(p.gradient[at(j)]), h = a.diagonal[j], limit = box(j);
    terms += (g + 0.5 * std::abs(a.curvature[j])) * std::abs(x[at(j)]);
    const double step = std::min(limit, h > 0 ? g / h : kInf);
    if (limit < kInf) {
      boxed = std::max(boxed, g * step);
    } else if (g * step > 0 && step < kInf) {
      logs += std::log(g * step);
      ++open;
    }
  }
  double energy =
      together(std::max({terms, boxed, sizes_of_equalities(p, x, a)}), open ? std::exp(logs / open) : 0);
  const double negligible = kNegligible * energy, floor = energy > 0 ? energy : 1;
  for (Index j = 0; j < n; ++j) {
    const double g = std::abs(p.gradient[at(j)]), h = a.diagonal[j];
    double step = std::min(box(j), h > 0 ? std::max(g / h, std::sqrt(energy / h)) : kInf);
    if (g > 0) step = std::min(step, energy / g);
    const double size = std::max({std::abs(x[at(j)]), step < kInf ? step : 0, a.size[j]});
    a.reach[j] = size > 0 ? size : 1;
  }

  QpResidual r;
  double gap = 0;
  bool nan = false;
  for (Index i = 0; i < m; ++i) {
    const double low = p.row_lower[at(i)], high = p.row_upper[at(i)], yi = y[at(i)];
    const double l1 = side(p.l1, i, kInf), l2 = side(p.l2, i, 0), value = a.value[i];
    nan |= !(std::abs(value) < kInf);
    for (const CheckedSide& s : {CheckedSide{std::max(0.0, -yi), value - low, l1, l2},
                                 CheckedSide{std::max(0.0, yi), high - value, l1, l2}}) {
      double relative = s.violation();
      if (relative > 0) {
        const double known = row_size(p, i, a, false);
        relative = relative <= kSure * known ? relative / known : relative / row_size(p, i, a, true);
      }
      if (!s.soft() || relative < s.penalty_gap() / floor)
        r.primal = std::max(r.primal, relative);
      else
        gap += s.penalty_gap();
      gap += s.room_gap();
      if (s.soft()) energy += (s.l1 + 0.5 * s.l2 * s.violation()) * s.violation();
      r.dual = std::max(r.dual, s.excess());
    }
  }
  for (Index j = 0; j < n; ++j) {
    const double g = p.gradient[at(j)], xj = x[at(j)], zj = z[at(j)];
    const double force = a.curvature[j] + g + a.push[j] + zj;
    const double parts = 0.5 * (std::abs(a.curvature[j]) + std::abs(a.push[j]));
    const double size = std::max({std::abs(g), parts, std::abs(zj), negligible / a.reach[j]});
    if (force != 0) r.dual = std::max(r.dual, size > 0 ? std::abs(force) / size : kInf);
    nan |= !(std::abs(force) < kInf);
    for (const CheckedSide& s : {CheckedSide{std::max(0.0, -zj), xj - side(p.lower, j, -kInf), kInf, 0},
                                 CheckedSide{std::max(0.0, zj), side(p.upper, j, kInf) - xj, kInf, 0}}) {
      r.primal = std::max(r.primal, s.violation() / a.reach[j]);
      gap += s.room_gap();
      r.dual = std::max(r.dual, s.excess());
    }
  }
  r.complementarity = gap / (energy > 0 ? energy : 1);
  if (nan) r.dual = kMissing;
  return r;
}

}  // namespace emisopt
