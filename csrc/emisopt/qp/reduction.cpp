#include "emisopt/qp/reduction.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/qp/dense.hpp"
#include "emisopt/qp/entries.hpp"

namespace emisopt::detail {
namespace {

constexpr char kKept = 0, kFixed = 1, kDetermined = 2;
constexpr Index kLeastOrder = 24;     // below, solving as it is costs less
constexpr double kLeastPivot = 0.01;  // of the largest coefficient of its row
constexpr Index kChunk = 32;          // rows of W taken together, up to their last entry

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

bool free(const QpProblem& p, Index j) {
  return (p.lower.empty() || p.lower[at(j)] == -HUGE_VAL) && (p.upper.empty() || p.upper[at(j)] == HUGE_VAL);
}
bool fixed(const QpProblem& p, Index j) {
  return !p.lower.empty() && !p.upper.empty() && p.lower[at(j)] == p.upper[at(j)];
}
bool equality(const QpProblem& p, Index i) {
  return p.row_lower[at(i)] == p.row_upper[at(i)] && (p.l1.empty() || p.l1[at(i)] == HUGE_VAL);
}

}  // namespace

Reduction::Reduction(int max_variables, int max_rows) : table_(kernels::dense_table()) {
  const auto n = at(max_variables), m = at(max_rows);
  steps_.reserve(std::min(n, m));
  kept_.reserve(n);
  end_.resize(std::min(n, m));
  rows_.reserve(m);
  place_.resize(n);
  kind_.resize(n);
  seen_.resize(n);
  gone_.resize(m);
  if (max_variables < kLeastOrder) return;
  for (auto* v : {&combination_, &hessian_}) v->resize(n * n);
  matrix_.resize(m * n);
  for (auto* v : {&offset_, &gradient_, &lower_, &upper_, &weight_, &force_}) v->resize(n);
  for (auto* v : {&row_lower_, &row_upper_, &l1_, &l2_}) v->resize(m);
  work_.resize(static_cast<std::size_t>(kernels::dense_work(max_variables)));
}

// Which equality determines which variable, going through the rows in one direction. Returns how many.
int Reduction::choose(const QpProblem& p, bool backwards) {
  const Index n = p.hessian.rows, m = p.rows.rows;
  steps_.clear();
  std::fill_n(seen_.begin(), n, 0);
  for (Index k = 0; k < m; ++k) {
    const Index i = backwards ? m - 1 - k : k;
    if (!equality(p, i)) continue;
    const double* a = p.rows.row(i);
    double largest = 0, best = 0;
    Index pivot = -1;
    for (Index j = next_entry(a, 0, n); j < n; j = next_entry(a, j + 1, n)) {
      const double size = std::abs(a[j]);
      largest = std::max(largest, size);
      if (!seen_[at(j)] && size > best && free(p, j)) {
        best = size;
        pivot = j;
      }
      seen_[at(j)] = 1;
    }
    if (pivot >= 0 && best >= kLeastPivot * largest) steps_.push_back({i, pivot});
  }
  return static_cast<int>(steps_.size());
}

bool Reduction::worthwhile(const QpProblem& p) {
  const Index n = p.hessian.rows, m = p.rows.rows;
  if (n < kLeastOrder) return false;
  Index gone = 0, equalities = 0;
  for (Index j = 0; j < n; ++j) gone += fixed(p, j);
  for (Index i = 0; i < m; ++i) equalities += equality(p, i);
  if ((gone + equalities) * 8 < n) return false;
  steps_.clear();
  if (equalities > 0) {
    const int forward = choose(p, false);
    if (forward < equalities && choose(p, true) <= forward) choose(p, false);
  }
  gone += static_cast<Index>(steps_.size());
  return gone * 8 >= n && gone < n;
}

void Reduction::express(const QpProblem& p) {
  const Index n = p.hessian.rows, kept = static_cast<Index>(kept_.size());
  for (std::size_t s = 0; s < steps_.size(); ++s) {
    const auto [row, pivot] = steps_[s];
    const double* a = p.rows.row(row);
    double* w = combination_.data() + static_cast<Index>(s) * kept;
    std::fill_n(w, kept, 0.0);
    double right = p.row_lower[at(row)];
    Index& end = end_[s] = 0;
    for (Index j = next_entry(a, 0, n); j < n; j = next_entry(a, j + 1, n)) {
      if (j == pivot) continue;
      if (kind_[at(j)] == kKept) {
        w[place_[at(j)]] += a[j];
        end = std::max(end, place_[at(j)] + 1);
        continue;
      }
      right -= a[j] * offset_[at(j)];
      if (kind_[at(j)] != kDetermined) continue;
      dense::axpy(w, a[j], combination_.data() + place_[at(j)] * kept, end_[at(place_[at(j)])]);
      end = std::max(end, end_[at(place_[at(j)])]);
    }
    const double scale = -1 / a[pivot];
    for (Index k = 0; k < end; ++k) w[k] *= scale;
    offset_[at(pivot)] = -right * scale;
  }
}

QpProblem Reduction::reduce(const QpProblem& p) {
  const Index n = p.hessian.rows, m = p.rows.rows;
  std::fill_n(kind_.begin(), n, kKept);
  std::fill_n(offset_.begin(), n, 0.0);
  for (Index j = 0; j < n; ++j)
    if (fixed(p, j)) kind_[at(j)] = kFixed, offset_[at(j)] = p.lower[at(j)];
  for (std::size_t s = 0; s < steps_.size(); ++s) {
    kind_[at(steps_[s].pivot)] = kDetermined;
    place_[at(steps_[s].pivot)] = static_cast<Index>(s);
  }
  kept_.clear();
  rows_.clear();
  for (Index j = 0; j < n; ++j)
    if (kind_[at(j)] == kKept) {
      place_[at(j)] = static_cast<Index>(kept_.size());
      kept_.push_back(j);
    }
  express(p);
  const auto kept = static_cast<Index>(kept_.size()), steps = static_cast<Index>(steps_.size());

  // H x0 + g, then everything in terms of v.
  View h(hessian_.data(), kept, kept);
  dense::multiply(force_.data(), p.hessian, offset_.data());
  for (Index j = 0; j < n; ++j) force_[at(j)] += p.gradient[at(j)];
  bool diagonal = true;
  const bool run = kept > 0 && kept_[at(kept - 1)] - kept_[0] == kept - 1;  // inputs after states
  for (Index k = 0; k < kept; ++k) {
    const double* from = p.hessian.row(kept_[at(k)]);
    if (run)
      std::copy_n(from + kept_[0], kept, h.row(k));
    else
      for (Index l = 0; l < kept; ++l) h(k, l) = from[kept_[at(l)]];
    gradient_[at(k)] = force_[at(kept_[at(k)])];
  }
  for (Index s = 0; s < steps && diagonal; ++s) {
    const double* from = p.hessian.row(steps_[at(s)].pivot);
    for (Index j = next_entry(from, 0, n); j < n && diagonal; j = next_entry(from, j + 1, n))
      diagonal = j == steps_[at(s)].pivot || kind_[at(j)] == kFixed;
  }
  for (Index s = 0; s < steps; ++s) {
    const double* w = combination_.data() + s * kept;
    const Index pivot = steps_[at(s)].pivot;
    dense::axpy(gradient_.data(), force_[at(pivot)], w, end_[at(s)]);
    weight_[at(s)] = p.hessian(pivot, pivot);
    if (diagonal) continue;
    // Terms that couple this variable: its own row of H against all, the symmetric half by twice the sum / 2.
    for (Index j = 0; j < n; ++j) {
      const double value = p.hessian(pivot, j);
      if (value == 0 || kind_[at(j)] == kFixed) continue;
      if (kind_[at(j)] == kKept) {
        const Index l = place_[at(j)];
        for (Index k = 0; k < kept; ++k) {
          h(k, l) += value * w[k];
          h(l, k) += value * w[k];
        }
      } else if (j != pivot) {
        const double* other = combination_.data() + place_[at(j)] * kept;
        for (Index k = 0; k < kept; ++k) dense::axpy(h.row(k), value * w[k], other, kept);
      }
    }
  }
  for (Index s = 0; s < steps; s += kChunk) {
    const Index rows = std::min(kChunk, steps - s);
    Index end = 0;
    for (Index r = s; r < s + rows; ++r) end = std::max(end, end_[at(r)]);
    if (end > 0)
      table_.syrk_transposed(h.data, kept, combination_.data() + s * kept, kept, weight_.data() + s,
                             static_cast<int>(end), static_cast<int>(rows), true, work_.data());
  }
  for (Index block = 0; block < kept; block += kChunk)  // the other triangle, a strip of the target at a time
    for (Index k = block; k < kept; ++k)
      for (Index l = block; l < std::min(k, block + kChunk); ++l) h(l, k) = h(k, l);

  for (Index k = 0; k < kept; ++k) {
    lower_[at(k)] = p.lower.empty() ? -HUGE_VAL : p.lower[at(kept_[at(k)])];
    upper_[at(k)] = p.upper.empty() ? HUGE_VAL : p.upper[at(kept_[at(k)])];
  }
  std::fill_n(gone_.begin(), m, 0);
  for (const Step& s : steps_) gone_[at(s.row)] = 1;
  for (Index i = 0; i < m; ++i) {
    if (gone_[at(i)]) continue;
    const auto to = static_cast<Index>(rows_.size());
    double* out = matrix_.data() + to * kept;
    const double* a = p.rows.row(i);
    std::fill_n(out, kept, 0.0);
    double constant = 0;
    for (Index j = next_entry(a, 0, n); j < n; j = next_entry(a, j + 1, n)) {
      if (kind_[at(j)] == kKept) {
        out[place_[at(j)]] += a[j];
        continue;
      }
      constant += a[j] * offset_[at(j)];
      if (kind_[at(j)] == kDetermined)
        dense::axpy(out, a[j], combination_.data() + place_[at(j)] * kept, end_[at(place_[at(j)])]);
    }
    row_lower_[at(to)] = p.row_lower[at(i)] - constant;
    row_upper_[at(to)] = p.row_upper[at(i)] - constant;
    l1_[at(to)] = p.l1.empty() ? HUGE_VAL : p.l1[at(i)];
    l2_[at(to)] = p.l2.empty() ? 0 : p.l2[at(i)];
    rows_.push_back(i);
  }
  const auto v = static_cast<std::size_t>(kept), r = rows_.size();
  const auto part = [](const std::vector<double>& from, std::size_t count) {
    return std::span<const double>(from.data(), count);
  };
  return {.hessian = h,
          .gradient = part(gradient_, v),
          .lower = part(lower_, v),
          .upper = part(upper_, v),
          .rows = ConstView(matrix_.data(), static_cast<Index>(r), kept),
          .row_lower = part(row_lower_, r),
          .row_upper = part(row_upper_, r),
          .l1 = part(l1_, r),
          .l2 = part(l2_, r)};
}

void Reduction::restore(const QpProblem& p, std::span<const double> v, std::span<const double> row_multiplier,
                        std::span<const double> bound_multiplier, std::span<double> x, std::span<double> y,
                        std::span<double> z) {
  const Index n = p.hessian.rows, kept = static_cast<Index>(kept_.size());
  for (Index j = 0; j < n; ++j) {
    double value = offset_[at(j)];
    if (kind_[at(j)] == kKept) value = v[at(place_[at(j)])];
    if (kind_[at(j)] == kDetermined)
      value += dense::dot(combination_.data() + place_[at(j)] * kept, v.data(), end_[at(place_[at(j)])]);
    x[at(j)] = value;
  }
  std::fill(y.begin(), y.end(), 0.0);
  std::fill(z.begin(), z.end(), 0.0);
  dense::multiply(force_.data(), p.hessian, x.data());
  for (Index j = 0; j < n; ++j) force_[at(j)] += p.gradient[at(j)];
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    y[at(rows_[r])] = row_multiplier[r];
    if (row_multiplier[r] != 0) dense::axpy(force_.data(), row_multiplier[r], p.rows.row(rows_[r]), n);
  }
  // A determined variable is in its own equality and in later ones only: from the last one backwards.
  for (std::size_t s = steps_.size(); s-- > 0;) {
    const double* a = p.rows.row(steps_[s].row);
    const double multiplier = -force_[at(steps_[s].pivot)] / a[steps_[s].pivot];
    y[at(steps_[s].row)] = multiplier;
    dense::axpy(force_.data(), multiplier, a, n);
  }
  for (Index j = 0; j < n; ++j) {
    if (kind_[at(j)] == kKept) z[at(j)] = bound_multiplier[at(place_[at(j)])];
    if (kind_[at(j)] == kFixed) z[at(j)] = -force_[at(j)];
  }
}

// What rounding has piled up over the steps: the same recursion for the forces that are left.
void Reduction::correct(const QpProblem& p, std::span<const double> x, std::span<double> y,
                        std::span<double> z) {
  const Index n = p.hessian.rows;
  dense::multiply(force_.data(), p.hessian, x.data());
  for (Index j = 0; j < n; ++j) force_[at(j)] += p.gradient[at(j)] + z[at(j)];
  for (std::size_t i = 0; i < y.size(); ++i)
    if (y[i] != 0) dense::axpy(force_.data(), y[i], p.rows.row(static_cast<Index>(i)), n);
  for (std::size_t s = steps_.size(); s-- > 0;) {
    const double* a = p.rows.row(steps_[s].row);
    const double change = -force_[at(steps_[s].pivot)] / a[steps_[s].pivot];
    y[at(steps_[s].row)] += change;
    dense::axpy(force_.data(), change, a, n);
  }
  // A bound takes up what stationarity lacks: then it is a term of the duality gap, which is checked.
  for (Index j = 0; j < n; ++j) {
    const double taken = z[at(j)] - force_[at(j)];
    const auto& side = taken > 0 ? p.upper : p.lower;
    if (kind_[at(j)] == kFixed || (kind_[at(j)] == kKept && !side.empty() && std::isfinite(side[at(j)])))
      z[at(j)] = taken;
  }
}

}  // namespace emisopt::detail
