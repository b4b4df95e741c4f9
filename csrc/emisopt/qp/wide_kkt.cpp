#include "emisopt/qp/wide_kkt.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "emisopt/qp/dense.hpp"
#include "emisopt/qp/entries.hpp"

namespace emisopt::detail {
namespace {

constexpr Index kChunk = 32;  // positions taken together: their part of V stays in the second-level cache
constexpr Index kLanes = 8;

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

Index padded(Index p) { return (p + kLanes - 1) / kLanes * kLanes; }

// Of the caller's row i.
struct Row {
  Index first, last, output;
};
Row row_of(const WideProblem& p, Index i) {
  return {p.row_start[at(i)], p.row_start[at(i) + 1], p.row_output.empty() ? -1 : p.row_output[at(i)]};
}

}  // namespace

WideKkt::WideKkt(WideSize room)
    : table_(kernels::dense_table()),
      room_(room),
      factor_(room.variables, room.variables * (room.band + 2) + 4 * room.entries) {
  const auto n = at(room.variables), m = at(room.rows), p = at(room.outputs), e = at(room.entries);
  const auto lines = at(padded(room.outputs));
  lines_.reserve(p);
  for (auto* v : {&place_, &active_}) v->resize(n);
  line_of_.resize(m);
  owner_.resize(p);
  coupled_.resize(n);
  touched_.resize(n);
  entries_.reserve(e);
  mixed_.reserve(e);
  band_.reserve(n * at(room.band));
  pairs_.reserve(4 * e + 1);
  for (auto* v : {&band_diagonal_, &xe_, &se_}) v->resize(n);
  jt_.resize(n * lines + kLanes);
  v_.resize(n * lines + kLanes);
  gram_.resize(lines * lines + kLanes);
  for (auto* v : {&root_, &theta_, &rest_, &inverse_, &f_}) v->resize(lines);
  for (auto* v : {&row_weight_, &cross_}) v->resize(m);
  work_.resize(static_cast<std::size_t>(kernels::dense_work(room.outputs)));
}

// Registers are 64 bytes wide, and so are lines of the cache.
double* WideKkt::aligned(std::vector<double>& v) const {
  const auto address = reinterpret_cast<std::uintptr_t>(v.data());
  return v.data() + (64 - address % 64) % 64 / sizeof(double);
}

// The outputs that count: each with its weight and its first row, and one more for each further row.
void WideKkt::lines(const WideProblem& p) {
  lines_.clear();
  std::fill_n(owner_.begin(), p.outputs.rows, -1);
  const auto add = [&](Index output, Index row, double weight) {
    lines_.push_back({output, row, 0, 0, weight});
  };
  for (Index k = 0; k < p.outputs.rows; ++k)
    if (p.output_weight[at(k)] > 0) {
      owner_[at(k)] = static_cast<Index>(lines_.size());
      add(k, -1, p.output_weight[at(k)]);
    }
  for (Index i = 0; i < m; ++i) {
    const Index k = row_of(p, i).output;
    if (k < 0) continue;
    if (owner_[at(k)] >= 0 && lines_[at(owner_[at(k)])].row < 0) {
      lines_[at(owner_[at(k)])].row = i;
    } else if (lines_.size() < at(room_.outputs)) {
      owner_[at(k)] = static_cast<Index>(lines_.size());
      add(k, i, 0);
    } else {
      p_ = -1;
      return;
    }
  }
  p_ = static_cast<Index>(lines_.size());
  stride_ = padded(p_);
}

// In the order of time or against it: whichever leaves more of L^-1 J' zero. An output that only looks back
// has zeros at the end. Variables of their own (a slack that rows share) come last, where nothing fills up.
void WideKkt::order(const WideProblem& p) {
  std::fill_n(coupled_.begin(), n, 0);
  std::fill_n(touched_.begin(), n, 0);
  for (Index j = 0; j < n; ++j)
    for (Index d = 1; d < p.band.cols && d <= j; ++d)
      if (p.band(j, d) != 0) coupled_[at(j)] = coupled_[at(j - d)] = 1;
  for (Index i = 0; i < m; ++i) {
    const Row row = row_of(p, i);
    for (Index e = row.first; e < row.last; ++e) {
      const auto j = at(p.row_column[at(e)]);
      if (row.last - row.first > 1) coupled_[j] = 1;
      if (row.output >= 0) touched_[j] = 1;
    }
  }
  for (Index j = 0; j < n; ++j)
    for (Index k = 0; k < p.outputs.rows && touched_[at(j)]; ++k)
      if (p.outputs(k, j) != 0) touched_[at(j)] = 0;
  Index own = 0;
  for (Index j = 0; j < n; ++j) own += touched_[at(j)] && !coupled_[at(j)];
  Index ahead = 0, behind = 0;  // zeros before the first entry, after the last one
  for (Line& line : lines_) {
    const double* a = p.outputs.row(line.output);
    line.first = next_entry(a, 0, n);
    line.last = last_entry(a, n);
    ahead += line.first;
    behind += n - 1 - line.last;
  }
  const bool reversed = behind > ahead;
  Index next = 0, next_own = n - own;
  for (Index k = 0; k < n; ++k) {
    const Index j = reversed ? n - 1 - k : k;
    place_[at(j)] = touched_[at(j)] && !coupled_[at(j)] ? next_own++ : next++;
  }
  for (Line& line : lines_) {
    const Index entry = reversed ? line.last : line.first;
    line.first = entry >= 0 && entry < n ? place_[at(entry)] : n - 1;
    if (line.row < 0) continue;
    const Row row = row_of(p, line.row);
    for (Index e = row.first; e < row.last; ++e)
      line.first = std::min(line.first, place_[at(p.row_column[at(e)])]);
  }
  std::sort(lines_.begin(), lines_.end(), [](const Line& a, const Line& b) {
    return a.first != b.first     ? a.first < b.first
           : a.output != b.output ? a.output < b.output
                                  : a.row < b.row;
  });
  Index line = 0;
  for (Index e = 0; e < n; ++e) {
    while (line < p_ && lines_[at(line)].first <= e) ++line;
    active_[at(e)] = line;
  }
  std::fill_n(line_of_.begin(), m, -1);
  for (Index k = 0; k < p_; ++k)
    if (lines_[at(k)].row >= 0) line_of_[at(lines_[at(k)].row)] = k;
}

bool WideKkt::pattern(const WideProblem& p, const double* column, const double* row, double cost) {
  factor_.begin(n);
  band_.clear();
  pairs_.clear();
  entries_.clear();
  mixed_.clear();
  for (Index j = 0; j < n; ++j) {
    band_diagonal_[at(place_[at(j)])] = cost * p.band(j, 0) * column[j] * column[j];
    for (Index d = 1; d < p.band.cols && d <= j; ++d) {
      if (p.band(j, d) == 0) continue;
      const Index a = place_[at(j)], b = place_[at(j - d)];
      band_.push_back({-1, a, b, 0, cost * p.band(j, d) * column[j] * column[j - d]});
      if (!factor_.couple(a, b)) return false;
    }
  }
  for (Index i = 0; i < m; ++i) {
    const Row r = row_of(p, i);
    const std::size_t first = entries_.size();
    for (Index e = r.first; e < r.last; ++e) {
      const Index j = p.row_column[at(e)];
      const Entry entry{i, place_[at(j)], row[i] * p.row_value[at(e)] * column[j]};
      for (std::size_t f = first; f < entries_.size(); ++f) {
        if (pairs_.size() == pairs_.capacity()) return false;
        pairs_.push_back({i, entry.position, entries_[f].position, 0, entry.value * entries_[f].value});
        if (!factor_.couple(entry.position, entries_[f].position)) return false;
      }
      entries_.push_back(entry);
      if (line_of_[at(i)] >= 0) mixed_.push_back(entry);
    }
  }
  if (!factor_.analyse()) return false;
  for (auto* list : {&band_, &pairs_})
    for (Coupling& c : *list) c.place = factor_.place(c.i, c.j);
  std::sort(mixed_.begin(), mixed_.end(), [](const Entry& a, const Entry& b) {
    return a.position != b.position ? a.position < b.position : a.row < b.row;
  });
  return true;
}

void WideKkt::transpose(const WideProblem& p, const double* column, const double* output) {
  double* jt = aligned(jt_);
  for (Index block = 0; block < stride_; block += kLanes) {
    const double* from[kLanes];
    double scale[kLanes];
    for (Index k = 0; k < kLanes; ++k) {
      const bool there = block + k < p_;
      from[k] = p.outputs.row(there ? lines_[at(block + k)].output : 0);
      scale[k] = there ? output[lines_[at(block + k)].output] : 0;
    }
    for (Index j = 0; j < n; ++j) {
      double* to = jt + place_[at(j)] * stride_ + block;
      for (Index k = 0; k < kLanes; ++k) to[k] = scale[k] * from[k][j] * column[j];
    }
  }
}

bool WideKkt::load(const WideProblem& p, const double* column, const double* row, const double* output,
                   double cost) {
  n = p.variables();
  m = p.rows();
  lines(p);
  if (p_ < 0) return false;
  order(p);
  for (Line& line : lines_) line.weight *= cost / (output[line.output] * output[line.output]);
  if (!pattern(p, column, row, cost)) return false;
  if (p_ > 0) transpose(p, column, output);
  return true;
}

void WideKkt::output_values(const double* x) {
  std::fill_n(f_.begin(), stride_, 0.0);
  const double* jt = aligned(jt_);
  for (Index e = 0; e < n; e += kChunk) {
    const Index count = std::min(kChunk, n - e), lines = active_[at(e + count - 1)];
    if (lines > 0)
      table_.gemv_transposed(f_.data(), jt + e * stride_, stride_, x + e, static_cast<int>(count),
                             static_cast<int>(lines));
  }
}

void WideKkt::add_outputs(const double* matrix, double* force) {
  double part[kChunk];
  for (Index e = 0; e < n; e += kChunk) {
    const Index count = std::min(kChunk, n - e), lines = active_[at(e + count - 1)];
    if (lines == 0) continue;
    table_.gemv(part, matrix + e * stride_, stride_, f_.data(), static_cast<int>(count),
                static_cast<int>(lines));
    for (Index k = 0; k < count; ++k) force[e + k] += part[k];
  }
}

void WideKkt::products(const double* x, const double* y, double* value, double* force) {
  for (Index j = 0; j < n; ++j) xe_[at(place_[at(j)])] = x[j];
  output_values(xe_.data());
  for (Index i = 0; i < m; ++i) value[i] = line_of_[at(i)] < 0 ? 0 : f_[at(line_of_[at(i)])];
  for (Index k = 0; k < p_; ++k) {
    const Line& line = lines_[at(k)];
    f_[at(k)] *= elastic ? 0 : line.weight;
    if (line.row >= 0) f_[at(k)] += y[line.row];
  }
  for (Index e = 0; e < n; ++e)
    se_[at(e)] = (elastic ? kElasticCurvature : band_diagonal_[at(e)]) * xe_[at(e)];
  if (!elastic)
    for (const Coupling& c : band_) {
      se_[at(c.i)] += c.value * xe_[at(c.j)];
      se_[at(c.j)] += c.value * xe_[at(c.i)];
    }
  for (const Entry& e : entries_) {
    value[e.row] += e.value * xe_[at(e.position)];
    se_[at(e.position)] += e.value * y[e.row];
  }
  add_outputs(aligned(jt_), se_.data());
  for (Index j = 0; j < n; ++j) force[j] = se_[at(place_[at(j)])];
}

void WideKkt::gram(Index first, Index last) {
  double *jt = aligned(jt_), *v = aligned(v_);
  const Index lines = active_[at(last - 1)];
  if (lines == 0) return;
  for (Index e = first; e < last; ++e) {
    double* to = v + e * stride_;
    const double* own = jt + e * stride_;
    const int* columns;
    const double* values;
    const Index count = factor_.row_entries(e, columns, values);
    if (count > 0) {
      const double *other = v + columns[0] * stride_, scale = values[0];
      const Index part = active_[at(columns[0])];
      for (Index k = 0; k < part; ++k) to[k] = own[k] - scale * other[k];
      std::copy_n(own + part, lines - part, to + part);
    } else {
      std::copy_n(own, lines, to);
    }
    for (; next_mixed_ < mixed_.size() && mixed_[next_mixed_].position == e; ++next_mixed_) {
      const Index k = line_of_[at(mixed_[next_mixed_].row)];
      to[k] += theta_[at(k)] * mixed_[next_mixed_].value;
    }
    for (Index k = 1; k < count; ++k)
      dense::axpy(to, -values[k], v + columns[k] * stride_, active_[at(columns[k])]);
  }
  table_.syrk_transposed(aligned(gram_), stride_, v + first * stride_, stride_, factor_.inverse() + first,
                         static_cast<int>(lines), static_cast<int>(last - first), true, work_.data());
}

bool WideKkt::factorise(const double* bound, const double* row, double rho) {
  for (Index k = 0; k < p_; ++k) {
    const Line& line = lines_[at(k)];
    const double base = elastic ? 0 : line.weight, d = line.row < 0 ? 0 : row[line.row], sum = base + d;
    root_[at(k)] = std::sqrt(sum);
    inverse_[at(k)] = sum > 0 ? 1 / sum : 0;
    theta_[at(k)] = sum > 0 ? d / sum : 0;
    rest_[at(k)] = base * theta_[at(k)];
  }
  for (Index i = 0; i < m; ++i)
    row_weight_[at(i)] = line_of_[at(i)] < 0 ? row[i] : rest_[at(line_of_[at(i)])];
  for (Index j = 0; j < n; ++j) {
    const auto e = at(place_[at(j)]);
    factor_.pinned[e] = bound[j] == HUGE_VAL;
    factor_.diagonal[e] = (elastic ? kElasticCurvature : band_diagonal_[e]) + rho + bound[j];
  }
  std::fill_n(factor_.couplings.begin(), factor_.places(), 0.0);
  if (!elastic)
    for (const Coupling& c : band_) factor_.couplings[c.place] += c.value;
  for (const Coupling& c : pairs_) factor_.couplings[c.place] += row_weight_[at(c.row)] * c.value;
  for (const Entry& e : entries_)
    factor_.diagonal[at(e.position)] += row_weight_[at(e.row)] * e.value * e.value;
  if (!factor_.factorise()) return false;
  if (p_ == 0) return true;

  double* g = aligned(gram_);
  for (Index k = 0; k < p_; ++k) std::fill_n(g + k * stride_, k + 1, 0.0);
  next_mixed_ = 0;
  for (Index e = 0; e < n; e += kChunk) gram(e, std::min(n, e + kChunk));
  // Scaled by the roots of W: 1 on the diagonal and nothing that grows where a weight is 0.
  for (Index k = 0; k < p_; ++k) {
    double* to = g + k * stride_;
    const double scale = root_[at(k)];
    for (Index l = 0; l <= k; ++l) to[l] *= scale * root_[at(l)];
    to[k] += 1;
  }
  return table_.potrf(g, stride_, static_cast<int>(p_), work_.data()) < 0;
}

void WideKkt::solve(const double* r, const double* q, double* dx, double* dy, double* dvalue) {
  const double* g = aligned(gram_);
  const int order = static_cast<int>(p_);
  for (Index j = 0; j < n; ++j) xe_[at(place_[at(j)])] = r[j];
  for (const Entry& e : entries_) xe_[at(e.position)] += e.value * row_weight_[at(e.row)] * q[e.row];
  factor_.forward(xe_.data());
  if (p_ > 0) {
    for (Index e = 0; e < n; ++e) se_[at(e)] = xe_[at(e)] * factor_.inverse()[e];
    std::fill_n(f_.begin(), stride_, 0.0);
    const double* v = aligned(v_);
    for (Index e = 0; e < n; e += kChunk) {
      const Index count = std::min(kChunk, n - e), lines = active_[at(e + count - 1)];
      if (lines > 0)
        table_.gemv_transposed(f_.data(), v + e * stride_, stride_, se_.data() + e, static_cast<int>(count),
                               static_cast<int>(lines));
    }
    for (Index k = 0; k < p_; ++k) {
      const Index row = lines_[at(k)].row;
      f_[at(k)] = root_[at(k)] * (f_[at(k)] - (row < 0 ? 0 : theta_[at(k)] * q[row]));
    }
    table_.trsv(f_.data(), g, stride_, order);
    table_.trsv_transposed(f_.data(), g, stride_, order);
    for (Index k = 0; k < p_; ++k) f_[at(k)] *= -root_[at(k)];
    add_outputs(v, xe_.data());
  }
  for (Index e = 0; e < n; ++e) xe_[at(e)] *= factor_.inverse()[e];
  factor_.backward(xe_.data());
  for (Index j = 0; j < n; ++j) dx[j] = xe_[at(place_[at(j)])];
  std::fill_n(cross_.begin(), m, 0.0);
  for (const Entry& e : entries_) cross_[at(e.row)] += e.value * xe_[at(e.position)];
  for (Index i = 0; i < m; ++i) {
    const double cross = cross_[at(i)];
    const Index k = line_of_[at(i)];
    if (k < 0) {
      dvalue[i] = cross;
      dy[i] = row_weight_[at(i)] * (cross - q[i]);
      continue;
    }
    const double f = -f_[at(k)], t = theta_[at(k)];
    dvalue[i] = f * inverse_[at(k)] + t * q[i] + (1 - t) * cross;
    dy[i] = t * f + rest_[at(k)] * (cross - q[i]);
  }
}

}  // namespace emisopt::detail
