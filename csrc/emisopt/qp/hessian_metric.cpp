#include "emisopt/qp/hessian_metric.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/qp/dense.hpp"
#include "emisopt/qp/entries.hpp"

namespace emisopt::detail {
namespace {
constexpr int kBlock = 32;           // rows transformed together
constexpr int kSmall = 32;           // order up to which the plainest way is the fastest
constexpr Index kInverseOrder = 64;  // up to here L^-1 is made once kAsked rows were: products do not wait
constexpr int kAsked = 4;
}  // namespace

HessianMetric::HessianMetric(int max_variables, int max_rows) : table_(kernels::dense_table()) {
  const auto nn = static_cast<std::size_t>(max_variables), mm = static_cast<std::size_t>(max_rows);
  const std::size_t wide = nn + 8;
  for (auto* v : {&factor_, &inverse_}) v->resize(nn * wide);
  built_.resize((mm + nn) * wide);
  block_.resize(nn * kBlock);
  diagonal_.resize(nn);
  copy_.resize(nn);
  share_.resize(nn);
  offset_.resize(mm + nn);
  weight_.resize(mm + nn);
  work_.resize(static_cast<std::size_t>(kernels::dense_work(max_variables)));
  ready_.resize(mm + nn);
  few_.resize(mm);
  entries_.resize(mm * kFew);
  dense_.reserve(mm);
}

void HessianMetric::take(const QpProblem& p) {
  n = p.hessian.rows;
  m = p.rows.rows;
  rows_ = p.rows;
  for (Index j = 0; j < n; ++j) diagonal_[static_cast<std::size_t>(j)] = p.hessian(j, j);
  for (Index j = 0; j < n; ++j)
    share_[static_cast<std::size_t>(j)] = 1 / diagonal_[static_cast<std::size_t>(j)];
  std::fill_n(weight_.begin(), m + n, 0.0);
  dense_.clear();
  int columns[kFew];
  for (Index i = 0; i < m; ++i) {
    const double* a = rows_.row(i);
    const int entries = std::min(table_.entries(columns, kFew, a, static_cast<int>(n)), kFew + 1);
    if (entries > kFew) {
      if (dense_.empty() || dense_.back().first + dense_.back().count != i) dense_.push_back({i, 0});
      ++dense_.back().count;
      // Row by row the rest streams in; the products later ask for eight rows at a time, which does not.
      for (Index j = 0; j < n; j += 8) __builtin_prefetch(a + j);
    } else {
      Entry* kept = entries_.data() + i * kFew;
      for (int e = 0; e < entries; ++e) kept[e] = {columns[e], a[columns[e]]};
    }
    few_[static_cast<std::size_t>(i)] = static_cast<char>(entries);
  }
}

double HessianMetric::weigh(int k) {
  double sum = 0;
  if (k >= m) {
    sum = share_[static_cast<std::size_t>(k - m)];
  } else if (entries(k) > kFew) {
    const double *a = rows_.row(k), *w = share_.data();
    double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    Index j = 0;
    for (; j + 4 <= n; j += 4) {
      s0 += a[j] * a[j] * w[j];
      s1 += a[j + 1] * a[j + 1] * w[j + 1];
      s2 += a[j + 2] * a[j + 2] * w[j + 2];
      s3 += a[j + 3] * a[j + 3] * w[j + 3];
    }
    for (; j < n; ++j) s0 += a[j] * a[j] * w[j];
    sum = (s0 + s1) + (s2 + s3);
  } else {
    const Entry* e = entry(k);
    for (int l = 0; l < entries(k); ++l)
      sum += e[l].value * e[l].value * share_[static_cast<std::size_t>(e[l].column)];
  }
  return weight_[static_cast<std::size_t>(k)] = sum > 0 ? 1 / std::sqrt(sum) : 1;
}

bool HessianMetric::factorise(const QpProblem& p, double least) {
  ties_ = nullptr;
  d = n;
  stride_ = d + (d % 64 == 0 ? 8 : 0);
  // whole rows: potrf may read around the diagonal
  if (p.hessian.stride == stride_)
    std::copy_n(p.hessian.row(0), (n - 1) * stride_ + n, factor_.data());
  else
    for (Index j = 0; j < n; ++j) std::copy_n(p.hessian.row(j), n, factor_.data() + j * stride_);
  std::copy_n(diagonal_.begin(), n, copy_.begin());
  return finish(least);
}

// Z'HZ: rows of a group are added up first, then the columns, up to the diagonal.
bool HessianMetric::factorise(const QpProblem& p, const Ties& ties, double least) {
  ties_ = &ties;
  d = ties.free();
  stride_ = d + (d % 64 == 0 ? 8 : 0);
  const int *order = ties.order(), size = static_cast<int>(n);
  double* sum = block_.data();
  for (Index g = 0; g < d; ++g) {
    const double* from = p.hessian.row(order[ties.start(g)]);
    if (ties.start(g + 1) - ties.start(g) > 1 || ties.scale(order[ties.start(g)]) != 1) {
      std::fill_n(sum, n, 0.0);
      for (int o = ties.start(g); o < ties.start(g + 1); ++o) {
        const double scale = ties.scale(order[o]);
        table_.gemv_transposed(sum, p.hessian.row(order[o]), p.hessian.stride, &scale, 1, size);
      }
      from = sum;
    }
    double* to = factor_.data() + g * stride_;
    for (Index h = 0; h <= g; ++h) {
      double total = 0;
      for (int o = ties.start(h); o < ties.start(h + 1); ++o) total += ties.scale(order[o]) * from[order[o]];
      to[h] = total;
    }
    copy_[static_cast<std::size_t>(g)] = to[g];
  }
  return finish(least);
}

// copy_: the diagonal
bool HessianMetric::finish(double least) {
  const auto size = static_cast<int>(d);
  std::fill_n(ready_.begin(), m + n, 0);
  inverse_ready_ = false;
  asked_ = 0;
  double* l = factor_.data();
  if (size > kSmall) {
    if (table_.potrf(l, stride_, size, work_.data()) >= 0) return false;
    for (Index j = 0; j < d; ++j) {
      const double pivot = l[j * stride_ + j];
      if (!(pivot * pivot > least * copy_[static_cast<std::size_t>(j)])) return false;
    }
    return true;
  }
  // Column by column, from the products that all else here is made of: called once in a while, other code
  // would cost more to fetch than it saves.
  double* column = block_.data();
  for (int j = 0; j < size; ++j) {
    double* row = l + j * stride_;
    table_.gemv(column, row, stride_, row, size - j, j);
    const double pivot = row[j] - column[0];
    if (!(pivot > least * copy_[static_cast<std::size_t>(j)]) || !(pivot < HUGE_VAL)) return false;
    const double root = std::sqrt(pivot), share = 1 / root;
    for (int i = j + 1; i < size; ++i) l[i * stride_ + j] = (l[i * stride_ + j] - column[i - j]) * share;
    row[j] = root;
  }
  invert();
  return true;
}

void HessianMetric::invert() {
  const auto size = static_cast<int>(d);
  double* inverse = inverse_.data();
  for (int j = 0; j < size; ++j) {
    const double* row = factor_.data() + j * stride_;
    double* to = inverse + j * stride_;
    const double share = 1 / row[j];
    std::fill_n(to, size, 0.0);
    table_.gemv_transposed(to, inverse, stride_, row, j, j);
    for (int i = 0; i < j; ++i) to[i] *= -share;
    to[j] = share;
  }
  inverse_ready_ = true;
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
  const auto size = static_cast<int>(d);
  if (!inverse_ready_) return table_.trsv(u, factor_.data(), stride_, size);
  std::copy_n(u, d, copy_.data());
  table_.gemv(u, inverse_.data(), stride_, copy_.data(), size, size);
}

void HessianMetric::backward(double* v) const {
  const auto size = static_cast<int>(d);
  if (!inverse_ready_) return table_.trsv_transposed(v, factor_.data(), stride_, size);
  std::copy_n(v, d, copy_.data());
  std::fill_n(v, d, 0.0);
  table_.gemv_transposed(v, inverse_.data(), stride_, copy_.data(), size, size);
}

void HessianMetric::expand(double* x, const double* v) const {
  if (ties_) return ties_->expand(x, v);
  if (x != v) std::copy_n(v, n, x);
}

void HessianMetric::gather(double* v, const double* force) const {
  if (ties_) return ties_->gather(v, force);
  if (v != force) std::copy_n(force, n, v);
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
  const bool many = k < m && entries(k) > kFew;
  if (many) {
    if (ties_) return ties_->gather(dense, rows_.row(k));
    std::copy_n(rows_.row(k), n, dense);
    return;
  }
  std::fill_n(dense, d, 0.0);
  const Entry bound{static_cast<int>(k - m), 1};
  const Entry* e = k < m ? entry(k) : &bound;
  for (int l = 0; l < (k < m ? entries(k) : 1); ++l) {
    if (!ties_)
      dense[e[l].column] += e[l].value;
    else if (ties_->group(e[l].column) >= 0)
      dense[ties_->group(e[l].column)] += ties_->scale(e[l].column) * e[l].value;
  }
}

void HessianMetric::build(const int* list, int count) {
  asked_ += count;
  if (asked_ > kAsked && !inverse_ready_ && d <= kInverseOrder) invert();
  int wanted[kBlock], some = 0;
  const auto flush = [&] {
    if (some == 1) {
      forward(built_.data() + wanted[0] * stride_);
    } else if (some > 1) {  // right sides are columns there
      for (Index i = 0; i < d; ++i)
        for (int w = 0; w < some; ++w) block_[static_cast<std::size_t>(i * some + w)] = row(wanted[w])[i];
      table_.trsm(block_.data(), some, factor_.data(), stride_, static_cast<int>(d), some);
      for (int w = 0; w < some; ++w) {
        double* to = built_.data() + wanted[w] * stride_;
        for (Index i = 0; i < d; ++i) to[i] = block_[static_cast<std::size_t>(i * some + w)];
      }
    }
    some = 0;
  };
  for (int c = 0; c < count; ++c) {
    const int k = list[c];
    if (ready_[static_cast<std::size_t>(k)]) continue;
    ready_[static_cast<std::size_t>(k)] = 1;
    double* out = built_.data() + k * stride_;
    if (ties_) offset_[static_cast<std::size_t>(k)] = value(k, ties_->offsets());
    if (!inverse_ready_) {
      spread(out, k);
      wanted[some++] = k;
      if (some == kBlock) flush();
    } else if (k < m && entries(k) > kFew) {
      const double* a = rows_.row(k);
      if (ties_) ties_->gather(copy_.data(), a);
      const auto size = static_cast<int>(d);
      table_.gemv(out, inverse_.data(), stride_, ties_ ? copy_.data() : a, size, size);
    } else {  // some columns of L^-1
      const Entry bound{static_cast<int>(k - m), 1};
      const Entry* e = k < m ? entry(k) : &bound;
      std::fill_n(out, d, 0.0);
      for (int l = 0; l < (k < m ? entries(k) : 1); ++l) {
        const int column = ties_ ? ties_->group(e[l].column) : e[l].column;
        if (column < 0) continue;
        const double value = ties_ ? ties_->scale(e[l].column) * e[l].value : e[l].value;
        for (Index i = column; i < d; ++i)
          out[i] += value * inverse_[static_cast<std::size_t>(i * stride_ + column)];
      }
    }
  }
  flush();
}

}  // namespace emisopt::detail
