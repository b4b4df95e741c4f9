#include "emisopt/qp/ties.hpp"

#include <algorithm>
#include <cmath>

namespace emisopt::detail {
namespace {
std::size_t at(Index i) { return static_cast<std::size_t>(i); }
constexpr int kRoot = -2, kStill = -1;
constexpr double kRounding = 1e-12;
}  // namespace

Ties::Ties(int max_variables) {
  const auto n = at(max_variables);
  ties_.resize(n);
  steps_.resize(n);
  for (auto* v : {&scale_, &offset_}) v->resize(n);
  for (auto* v : {&parent_, &group_, &order_, &degree_, &link_}) v->resize(n);
  start_.resize(n + 1);
}

void Ties::clear(Index variables) {
  n_ = free_ = variables;
  count_ = 0;
  std::fill_n(parent_.begin(), n_, kRoot);
}

int Ties::root(int j, double& scale, double& offset) {
  scale = 1;
  offset = 0;
  int to = j;
  while (to >= 0 && parent_[at(to)] != kRoot) {
    offset += scale * offset_[at(to)];
    scale *= scale_[at(to)];
    to = parent_[at(to)];
  }
  if (to != j) {  // the next one finds it in one step
    parent_[at(j)] = to;
    scale_[at(j)] = scale;
    offset_[at(j)] = offset;
  }
  return to;
}

bool Ties::tie(int constraint, int i, double a, int j, double b, double value) {
  double si = 0, oi = 0, sj = 0, oj = 0;
  int ri = root(i, si, oi), rj = j < 0 ? kStill : root(j, sj, oj);
  value -= a * oi + b * oj;
  double ci = ri < 0 ? 0 : a * si, cj = rj < 0 ? 0 : b * sj;
  if (ri == rj || (ci == 0 && cj == 0)) return false;
  if (std::abs(ci) < std::abs(cj)) {
    std::swap(ri, rj);
    std::swap(ci, cj);
  }
  // ri = (value - cj rj) / ci
  const double scale = -cj / ci, offset = value / ci;
  if (!(std::abs(offset) < HUGE_VAL)) return false;
  parent_[at(ri)] = rj;
  scale_[at(ri)] = scale;
  offset_[at(ri)] = offset;
  steps_[at(count_)] = {ri, rj, scale, offset};
  ties_[at(count_)] = {constraint, i, j, a, b};
  ++count_;
  return true;
}

Index Ties::finish() {
  free_ = 0;
  for (Index j = 0; j < n_; ++j)
    if (parent_[at(j)] == kRoot) {
      group_[at(j)] = static_cast<int>(free_++);
      scale_[at(j)] = 1;
      offset_[at(j)] = 0;
    }
  for (int t = count_ - 1; t >= 0; --t) {  // onto what is resolved already
    const Step& s = steps_[at(t)];
    const auto to = at(s.variable);
    if (s.onto < 0) {
      group_[to] = -1;
      scale_[to] = 0;
      offset_[to] = s.offset;
    } else {
      group_[to] = group_[at(s.onto)];
      scale_[to] = s.scale * scale_[at(s.onto)];
      offset_[to] = s.offset + s.scale * offset_[at(s.onto)];
    }
  }
  std::fill_n(start_.begin(), free_ + 1, 0);
  for (Index j = 0; j < n_; ++j)
    if (group_[at(j)] >= 0) ++start_[at(group_[at(j)])];
  int sum = 0;
  for (Index g = 0; g <= free_; ++g) {
    const int members = g < free_ ? start_[at(g)] : 0;
    start_[at(g)] = sum;
    sum += members;
  }
  for (Index j = 0; j < n_; ++j)
    if (group_[at(j)] >= 0) order_[at(start_[at(group_[at(j)])]++)] = static_cast<int>(j);
  for (Index g = free_; g > 0; --g) start_[at(g)] = start_[at(g - 1)];
  start_[0] = 0;
  return free_;
}

void Ties::expand(double* x, const double* v) const {
  for (Index j = 0; j < n_; ++j) {
    const int g = group_[at(j)];
    x[j] = g < 0 ? offset_[at(j)] : scale_[at(j)] * v[g] + offset_[at(j)];
  }
}

void Ties::add(double* x, const double* v) const {
  for (Index j = 0; j < n_; ++j)
    if (group_[at(j)] >= 0) x[j] += scale_[at(j)] * v[group_[at(j)]];
}

void Ties::gather(double* v, const double* force) const {
  std::fill_n(v, free_, 0.0);
  for (Index j = 0; j < n_; ++j)
    if (group_[at(j)] >= 0) v[group_[at(j)]] += scale_[at(j)] * force[j];
}

void Ties::multipliers(double* multiplier, double* floor, double* force, const double* size) {
  std::fill_n(degree_.begin(), n_, 0);
  std::fill_n(link_.begin(), n_, 0);
  for (int t = 0; t < count_; ++t)
    for (int v : {ties_[at(t)].i, ties_[at(t)].j})
      if (v >= 0) {
        ++degree_[at(v)];
        link_[at(v)] ^= t;  // with one tie left, that one
      }
  for (Index j = 0; j < n_; ++j)
    for (int v = static_cast<int>(j); v >= 0 && degree_[at(v)] == 1;) {
      const int t = link_[at(v)];
      const Tie& tie = ties_[at(t)];
      const double own = v == tie.i ? tie.a : tie.b, share = v == tie.i ? tie.b : tie.a;
      multiplier[t] = -force[v] / own;
      floor[t] = kRounding * size[v] / std::abs(own);
      force[v] = 0;
      degree_[at(v)] = 0;
      v = v == tie.i ? tie.j : tie.i;
      if (v < 0) break;
      force[v] += multiplier[t] * share;
      --degree_[at(v)];
      link_[at(v)] ^= t;
    }
}

}  // namespace emisopt::detail
