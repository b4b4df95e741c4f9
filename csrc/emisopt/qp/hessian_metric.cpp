#include "emisopt/qp/hessian_metric.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/qp/dense.hpp"
#include "emisopt/qp/entries.hpp"

namespace emisopt::detail {
namespace {
constexpr int kBlock = 32;  // rows transformed together
}

HessianMetric::HessianMetric(int max_variables, int max_rows) : table_(kernels::dense_table()) {
  const auto nn = static_cast<std::size_t>(max_variables), mm = static_cast<std::size_t>(max_rows);
  const std::size_t wide = nn + 8;
  for (auto* v : {&factor_, &inverse_}) v->resize(nn * wide);
  built_.resize((mm + nn) * wide);
  block_.resize(nn * kBlock);
  diagonal_.resize(nn);
  copy_.resize(nn);
  weight_.resize(mm + nn);
  work_.resize(static_cast<std::size_t>(kernels::dense_work(max_variables)));
  ready_.resize(mm + nn);
  few_.resize(mm);
  entries_.resize(mm * kFew);
  dense_.reserve(mm);
}

bool HessianMetric::load(const QpProblem& p, bool inverse, double least) {
  n = p.hessian.rows;
  m = p.rows.rows;
  rows_ = p.rows;
  stride_ = n + (n % 64 == 0 ? 8 : 0);
  const auto size = static_cast<int>(n);
  std::fill_n(ready_.begin(), m + n, 0);
  for (Index j = 0; j < n; ++j) {
    const double* from = p.hessian.row(j);
    std::copy_n(from, n, factor_.data() + j * stride_);  // the whole row: potrf may read around the diagonal
    diagonal_[static_cast<std::size_t>(j)] = from[j];
    weight_[static_cast<std::size_t>(m + j)] = std::sqrt(from[j]);
  }
  if (table_.potrf(factor_.data(), stride_, size, work_.data()) >= 0) return false;
  for (Index j = 0; j < n; ++j) {
    const double pivot = factor_[static_cast<std::size_t>(j * stride_ + j)];
    if (!(pivot * pivot > least * diagonal_[static_cast<std::size_t>(j)])) return false;
  }

  double* share = copy_.data();  // 1 / H_jj
  for (Index j = 0; j < n; ++j) share[j] = 1 / diagonal_[static_cast<std::size_t>(j)];
  dense_.clear();
  for (Index i = 0; i < m; ++i) {
    const double* a = rows_.row(i);
    int entries = 0;
    Index j = 0;
    Entry* kept = entries_.data() + i * kFew;
    while (j < n) {
      if (j + 8 <= n && !any_entry(a + j)) {
        j += 8;
        continue;
      }
      const Index end = std::min(n, j + 8);
      for (; j < end; ++j) {
        if (a[j] == 0) continue;
        if (entries == kFew) break;
        kept[entries++] = {static_cast<int>(j), a[j]};
      }
      if (j < end) break;
    }
    double sum = 0;
    if (j < n) {
      entries = kFew + 1;
      if (dense_.empty() || dense_.back().first + dense_.back().count != i) dense_.push_back({i, 0});
      ++dense_.back().count;
      double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
      for (j = 0; j + 4 <= n; j += 4) {
        s0 += a[j] * a[j] * share[j];
        s1 += a[j + 1] * a[j + 1] * share[j + 1];
        s2 += a[j + 2] * a[j + 2] * share[j + 2];
        s3 += a[j + 3] * a[j + 3] * share[j + 3];
      }
      for (; j < n; ++j) s0 += a[j] * a[j] * share[j];
      sum = (s0 + s1) + (s2 + s3);
    } else {
      for (int e = 0; e < entries; ++e) sum += kept[e].value * kept[e].value * share[kept[e].column];
    }
    few_[static_cast<std::size_t>(i)] = static_cast<char>(entries);
    weight_[static_cast<std::size_t>(i)] = sum > 0 ? 1 / std::sqrt(sum) : 1;
  }

  inverse_ready_ = inverse;
  if (inverse) {
    std::fill_n(inverse_.begin(), n * stride_, 0.0);
    for (Index j = 0; j < n; ++j) inverse_[static_cast<std::size_t>(j * stride_ + j)] = 1;
    table_.trsm(inverse_.data(), stride_, factor_.data(), stride_, size, size);
  }
  return true;
}

void HessianMetric::build_all() {
  int list[kBlock];
  for (Index k = 0; k < m + n; k += kBlock) {
    int count = 0;
    for (Index l = k; l < std::min(m + n, k + kBlock); ++l) list[count++] = static_cast<int>(l);
    build(list, count);
  }
}

void HessianMetric::forward(double* u) const {
  if (!inverse_ready_) return table_.trsv(u, factor_.data(), stride_, static_cast<int>(n));
  std::copy_n(u, n, copy_.data());
  table_.gemv(u, inverse_.data(), stride_, copy_.data(), static_cast<int>(n), static_cast<int>(n));
}

void HessianMetric::backward(double* x) const {
  if (!inverse_ready_) return table_.trsv_transposed(x, factor_.data(), stride_, static_cast<int>(n));
  std::copy_n(x, n, copy_.data());
  std::fill_n(x, n, 0.0);
  table_.gemv_transposed(x, inverse_.data(), stride_, copy_.data(), static_cast<int>(n), static_cast<int>(n));
}

double HessianMetric::value(int k, const double* x) const {
  if (k >= m) return x[k - m];
  const int entries = few_[static_cast<std::size_t>(k)];
  if (entries > kFew) return dense::dot(rows_.row(k), x, n);
  const Entry* e = entries_.data() + static_cast<Index>(k) * kFew;
  double sum = 0;
  for (int i = 0; i < entries; ++i) sum += e[i].value * x[e[i].column];
  return sum;
}

void HessianMetric::values(double* out, const double* x) const {
  for (const Range& r : dense_)
    table_.gemv(out + r.first, rows_.row(r.first), rows_.stride, x, static_cast<int>(r.count),
                static_cast<int>(n));
  for (Index i = 0; i < m; ++i) {
    const int entries = few_[static_cast<std::size_t>(i)];
    if (entries > kFew) continue;
    const Entry* e = entries_.data() + i * kFew;
    double sum = 0;
    for (int l = 0; l < entries; ++l) sum += e[l].value * x[e[l].column];
    out[i] = sum;
  }
}

void HessianMetric::add_rows(double* force, const double* y) const {
  for (Index i = 0; i < m; ++i) {
    if (y[i] == 0) continue;
    const int entries = few_[static_cast<std::size_t>(i)];
    if (entries > kFew) {
      dense::axpy(force, y[i], rows_.row(i), n);
      continue;
    }
    const Entry* e = entries_.data() + i * kFew;
    for (int l = 0; l < entries; ++l) force[e[l].column] += y[i] * e[l].value;
  }
}

void HessianMetric::spread(double* dense, int k) const {
  if (k < m && few_[static_cast<std::size_t>(k)] > kFew) {
    std::copy_n(rows_.row(k), n, dense);
    return;
  }
  std::fill_n(dense, n, 0.0);
  if (k >= m) {
    dense[k - m] = 1;
    return;
  }
  const Entry* e = entries_.data() + static_cast<Index>(k) * kFew;
  for (int l = 0; l < few_[static_cast<std::size_t>(k)]; ++l) dense[e[l].column] += e[l].value;
}

void HessianMetric::build(const int* list, int count) {
  int wanted[kBlock], some = 0;
  const auto flush = [&] {
    if (some == 1) {
      forward(built_.data() + wanted[0] * stride_);
    } else if (some > 1) {  // right sides are columns there
      for (Index i = 0; i < n; ++i)
        for (int w = 0; w < some; ++w) block_[static_cast<std::size_t>(i * some + w)] = row(wanted[w])[i];
      table_.trsm(block_.data(), some, factor_.data(), stride_, static_cast<int>(n), some);
      for (int w = 0; w < some; ++w) {
        double* to = built_.data() + wanted[w] * stride_;
        for (Index i = 0; i < n; ++i) to[i] = block_[static_cast<std::size_t>(i * some + w)];
      }
    }
    some = 0;
  };
  for (int c = 0; c < count; ++c) {
    const int k = list[c];
    if (ready_[static_cast<std::size_t>(k)]) continue;
    ready_[static_cast<std::size_t>(k)] = 1;
    double* out = built_.data() + k * stride_;
    const int entries = k < m ? few_[static_cast<std::size_t>(k)] : 1;
    if (!inverse_ready_) {
      spread(out, k);
      wanted[some++] = k;
      if (some == kBlock) flush();
    } else if (entries <= kFew) {  // some columns of L^-1
      const Entry bound{k < m ? 0 : static_cast<int>(k - m), 1};
      const Entry* e = k < m ? entries_.data() + static_cast<Index>(k) * kFew : &bound;
      std::fill_n(out, n, 0.0);
      for (int l = 0; l < entries; ++l)
        for (Index i = e[l].column; i < n; ++i)
          out[i] += e[l].value * inverse_[static_cast<std::size_t>(i * stride_ + e[l].column)];
    } else {
      table_.gemv(out, inverse_.data(), stride_, rows_.row(k), static_cast<int>(n), static_cast<int>(n));
    }
  }
  flush();
}

}  // namespace emisopt::detail
