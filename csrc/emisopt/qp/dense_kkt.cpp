#include "emisopt/qp/dense_kkt.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/qp/dense.hpp"
#include "emisopt/qp/entries.hpp"

namespace emisopt::detail {
namespace {

constexpr Index kSparse = 8;  // rows with at most one entry in so many are kept as entries

}  // namespace

DenseKkt::DenseKkt(int max_variables, int max_rows) {
  const auto nn = static_cast<std::size_t>(max_variables), mm = static_cast<std::size_t>(max_rows);
  hessian.resize(nn * nn);
  factor_.resize(nn * nn);
  rows.resize(mm * nn);
  full_rows_.resize(mm * nn);
  for (auto* v : {&full_weight_, &weight_, &gather_}) v->resize(mm);
  full_.reserve(mm);
  entries_.reserve(mm * (nn / kSparse) + 1);
  work_.resize(static_cast<std::size_t>(kernels::dense_work(max_variables)));
  pinned_.resize(nn);
}

bool DenseKkt::convex() {
  double size = 0;
  for (Index i = 0; i < n * n; ++i) size = std::max(size, std::abs(hessian[static_cast<std::size_t>(i)]));
  View k(factor_.data(), n, n);
  std::copy_n(hessian.begin(), n * n, factor_.begin());
  for (Index j = 0; j < n; ++j) k(j, j) += 1e-9 * size + 1e-300;
  return dense::cholesky(k, work_.data());
}

// A row of many entries is worth a register tile, a rate row of two only its own products.
void DenseKkt::load() {
  full_.clear();
  entries_.clear();
  for (Index i = 0; i < m; ++i) {
    const double* a = rows.data() + i * n;
    const std::size_t before = entries_.size();
    Index entries = 0, j = next_entry(a, 0, n);
    for (; j < n && (entries + 1) * kSparse <= n; j = next_entry(a, j + 1, n), ++entries)
      entries_.push_back({i, j, a[j]});
    if (j == n) continue;
    entries_.resize(before);
    std::copy_n(a, n, full_rows_.data() + static_cast<Index>(full_.size()) * n);
    full_.push_back(i);
  }
}

void DenseKkt::row_values(double* value, const double* v) {
  const auto count = static_cast<Index>(full_.size());
  dense::multiply(gather_.data(), ConstView(full_rows_.data(), count, n), v);
  for (Index i = 0; i < m; ++i) value[i] = 0;
  for (std::size_t f = 0; f < full_.size(); ++f) value[full_[f]] = gather_[f];
  for (const Entry& e : entries_) value[e.row] += e.value * v[e.column];
}

void DenseKkt::add_rows(double* force, const double* push) {
  for (std::size_t f = 0; f < full_.size(); ++f) gather_[f] = push[full_[f]];
  dense::add_transposed(force, ConstView(full_rows_.data(), static_cast<Index>(full_.size()), n),
                        gather_.data());
  for (const Entry& e : entries_) force[e.column] += e.value * push[e.row];
}

void DenseKkt::products(const double* x, const double* y, double* value, double* force) {
  if (elastic)
    for (Index j = 0; j < n; ++j) force[j] = kElasticCurvature * x[j];
  else
    dense::multiply(force, ConstView(hessian.data(), n, n), x);
  row_values(value, x);
  add_rows(force, y);
}

bool DenseKkt::factorise(const double* bound, const double* row, double rho) {
  View k(factor_.data(), n, n);
  std::copy_n(row, m, weight_.begin());
  for (Index i = 0; i < n; ++i) {
    if (elastic)
      std::fill_n(k.row(i), i + 1, 0.0);
    else
      std::copy_n(hessian.data() + i * n, i + 1, k.row(i));
    pinned_[static_cast<std::size_t>(i)] = bound[i] == HUGE_VAL;
    k(i, i) += rho + (elastic ? kElasticCurvature : 0) + bound[i];
  }
  for (std::size_t begin = 0, e = 0; e < entries_.size(); ++e) {  // pairs of one row, columns rising
    if (entries_[e].row != entries_[begin].row) begin = e;
    const double weighted = row[entries_[e].row] * entries_[e].value;
    for (std::size_t f = begin; f <= e; ++f)
      k(entries_[e].column, entries_[f].column) += weighted * entries_[f].value;
  }
  for (std::size_t i = 0; i < full_.size(); ++i) full_weight_[i] = row[full_[i]];
  dense::add_squares(k, ConstView(full_rows_.data(), static_cast<Index>(full_.size()), n),
                     full_weight_.data(), work_.data());
  for (Index j = 0; j < n; ++j) {
    if (!pinned_[static_cast<std::size_t>(j)]) continue;
    for (Index i = 0; i < n; ++i) (i < j ? k(j, i) : k(i, j)) = 0;
    k(j, j) = 1;
  }
  return dense::cholesky(k, work_.data());
}

void DenseKkt::solve(const double* r, const double* q, double* dx, double* dy, double* dvalue) {
  for (Index i = 0; i < m; ++i) dy[i] = weight_[static_cast<std::size_t>(i)] * q[i];
  std::copy_n(r, n, dx);
  add_rows(dx, dy);
  for (Index j = 0; j < n; ++j)
    if (pinned_[static_cast<std::size_t>(j)]) dx[j] = 0;
  dense::cholesky_solve(dx, ConstView(factor_.data(), n, n));
  row_values(dvalue, dx);
  for (Index i = 0; i < m; ++i) dy[i] = weight_[static_cast<std::size_t>(i)] * (dvalue[i] - q[i]);
}

}  // namespace emisopt::detail
