// Row by row, with the elimination tree for the pattern (Liu 1990; Davis 2006, "Direct Methods for Sparse
// Linear Systems", 4).
#include "emisopt/qp/sparse_factor.hpp"

#include <algorithm>
#include <cmath>

namespace emisopt::detail {
namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

SparseFactor::SparseFactor(int max_order, int room) {
  const auto n = at(max_order), count = at(room);
  pairs_.reserve(count);
  column_.reserve(count);
  sorted_.resize(count);
  couplings.resize(count);
  for (auto* v : {&diagonal, &inverse_, &work_}) v->resize(n);
  for (auto* v : {&parent_, &mark_}) v->resize(n);
  start_.resize(n + 1);
  fill_.resize(n + 1);
  pinned.resize(n);
}

void SparseFactor::begin(Index n) {
  n_ = n;
  pairs_.clear();
}

bool SparseFactor::couple(Index i, Index j) {
  if (pairs_.size() == pairs_.capacity()) return false;
  const Pair pair{static_cast<int>(std::max(i, j)), static_cast<int>(std::min(i, j))};
  // Bands and rates name most pairs twice, one right after the other.
  if (pairs_.empty() || pairs_.back().row != pair.row || pairs_.back().column != pair.column)
    pairs_.push_back(pair);
  return true;
}

bool SparseFactor::analyse() {
  std::fill_n(start_.begin(), n_ + 1, 0);
  for (const Pair& p : pairs_) ++start_[at(p.row) + 1];
  for (Index i = 0; i < n_; ++i) start_[at(i) + 1] += start_[at(i)];
  std::copy_n(start_.begin(), n_ + 1, fill_.begin());
  for (const Pair& p : pairs_) sorted_[fill_[at(p.row)]++] = p.column;
  std::copy_n(start_.begin(), n_ + 1, fill_.begin());
  std::fill_n(mark_.begin(), n_, -1);
  column_.clear();
  // Row i of L: all that the columns of row i of B reach in the tree.
  for (Index i = 0; i < n_; ++i) {
    start_[at(i)] = column_.size();
    parent_[at(i)] = -1;
    mark_[at(i)] = static_cast<int>(i);
    for (std::size_t k = fill_[at(i)]; k < fill_[at(i) + 1]; ++k)
      for (int j = sorted_[k]; mark_[at(j)] != static_cast<int>(i); j = parent_[at(j)]) {
        if (column_.size() == column_.capacity()) return false;
        column_.push_back(j);
        mark_[at(j)] = static_cast<int>(i);
        if (parent_[at(j)] < 0) {
          parent_[at(j)] = static_cast<int>(i);
          break;
        }
      }
    std::sort(column_.begin() + static_cast<Index>(start_[at(i)]), column_.end());
  }
  start_[at(n_)] = column_.size();
  return true;
}

std::size_t SparseFactor::place(Index i, Index j) const {
  const auto row = at(std::max(i, j));
  const auto begin = column_.begin() + static_cast<Index>(start_[row]),
             end = column_.begin() + static_cast<Index>(start_[row + 1]);
  return at(std::lower_bound(begin, end, static_cast<int>(std::min(i, j))) - column_.begin());
}

bool SparseFactor::factorise() {
  std::fill_n(work_.begin(), n_, 0.0);
  for (Index i = 0; i < n_; ++i) {
    const std::size_t first = start_[at(i)], last = start_[at(i) + 1];
    for (std::size_t k = first; k < last; ++k) work_[at(column_[k])] = couplings[k];
    double pivot = diagonal[at(i)];
    for (std::size_t k = first; k < last; ++k) {
      const auto j = at(column_[k]);
      double w = work_[j];
      for (std::size_t l = start_[j]; l < start_[j + 1]; ++l) w -= couplings[l] * work_[at(column_[l])];
      work_[j] = w;
      couplings[k] = w * inverse_[j];
      pivot -= w * couplings[k];
    }
    for (std::size_t k = first; k < last; ++k) work_[at(column_[k])] = 0;
    if (pinned[at(i)]) {
      inverse_[at(i)] = 0;
      continue;
    }
    if (!(pivot > 0) || !std::isfinite(pivot)) return false;
    inverse_[at(i)] = 1 / pivot;
  }
  return true;
}

void SparseFactor::forward(double* x) const {
  for (Index i = 0; i < n_; ++i) {
    double sum = x[i];
    for (std::size_t k = start_[at(i)]; k < start_[at(i) + 1]; ++k) sum -= couplings[k] * x[column_[k]];
    x[i] = sum;
  }
}

void SparseFactor::backward(double* x) const {
  for (Index i = n_ - 1; i >= 0; --i)
    for (std::size_t k = start_[at(i)]; k < start_[at(i) + 1]; ++k) x[column_[k]] -= couplings[k] * x[i];
}

}  // namespace emisopt::detail
