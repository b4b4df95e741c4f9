// With G = L L' and T = L^-1: a member that joins adds the row (-(T g)' T, 1) / pivot. One that leaves takes
// its column out of T; rotations of neighbouring rows that bring that column down to the last row, which goes
// with it, leave T triangular (Gill, Golub, Murray, Saunders 1974, on the inverse). A changed diagonal entry
// is a rotation of every row with one more.
#include "emisopt/qp/gram_factor.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/qp/dense.hpp"

namespace emisopt::detail {
namespace {
constexpr int kStrip = 32;           // rows of T taken together, up to the last one's diagonal
constexpr double kSingular = 1e-14;  // of 1: what must be left of a square that falls
}  // namespace

GramFactor::GramFactor(int capacity)
    : table_(kernels::dense_table()), capacity_(capacity), stride_(capacity + (capacity % 64 == 0 ? 8 : 0)) {
  const auto n = static_cast<std::size_t>(capacity);
  for (auto* v : {&factor_, &inverse_}) v->resize(n * static_cast<std::size_t>(stride_));
  for (auto* v : {&joined_, &combination_, &half_, &carry_, &squares_}) v->resize(n + 1);
  turns_.resize(4 * n + 4);
  work_.resize(static_cast<std::size_t>(kernels::dense_work(capacity)));
}

void GramFactor::clear() {
  for (int i = 0; i < size_; ++i) std::fill_n(row(i), i + 1, 0.0);
  size_ = ahead_ = 0;
}

void GramFactor::gather(double* y, const double* x, int from) const {
  for (int i = from; i < size_; i += kStrip) {
    const int end = std::min(size_, i + kStrip);
    table_.gemv(y + i, row(i), stride_, x, end - i, end);
  }
}

void GramFactor::spread(double* y, const double* x) const {
  std::fill_n(y, size_, 0.0);
  for (int i = 0; i < size_; i += kStrip) {
    const int end = std::min(size_, i + kStrip);
    table_.gemv_transposed(y, row(i), stride_, x + i, end - i, end);
  }
}

double GramFactor::share(const double* g) {
  gather(joined_.data(), g, 0);
  spread(combination_.data(), joined_.data());
  return dense::dot(joined_.data(), joined_.data(), size_);
}

double GramFactor::add_share(const double* g) {
  gather(joined_.data(), g, 0);
  spread(carry_.data(), joined_.data());
  for (int i = 0; i < size_; ++i)
    combination_[static_cast<std::size_t>(i)] += carry_[static_cast<std::size_t>(i)];
  return dense::dot(joined_.data(), joined_.data(), size_);
}

bool GramFactor::join(double square) {
  if (size_ == capacity_) return false;
  double* to = row(size_);
  const double inverse = 1 / std::sqrt(square);
  for (int j = 0; j < size_; ++j) to[j] = -inverse * combination_[static_cast<std::size_t>(j)];
  to[size_] = inverse;
  ++size_;
  return true;
}

View GramFactor::open(int size) {
  clear();
  size_ = size;
  return {factor_.data(), size, size, stride_};
}

void GramFactor::gram(const double* rows, long stride, int length) {
  table_.syrk(factor_.data(), stride_, rows, stride, nullptr, size_, length, false, work_.data());
}

int GramFactor::seal(double least) {
  const auto pivot = [this](int i) { return factor_[static_cast<std::size_t>(i * (stride_ + 1))]; };
  for (int i = 0; i < size_; ++i) squares_[static_cast<std::size_t>(i)] = pivot(i);
  const int bad = table_.potrf(factor_.data(), stride_, size_, work_.data());
  const int checked = bad < 0 ? size_ : bad;
  for (int i = 0; i < checked; ++i)
    if (!(pivot(i) * pivot(i) > least * squares_[static_cast<std::size_t>(i)])) return i;
  if (bad >= 0) return bad;
  for (int j = 0; j < size_; j += kStrip) {  // columns of the inverse begin at their diagonal
    const int width = std::min(kStrip, size_ - j);
    for (int i = 0; i < width; ++i) row(j + i)[j + i] = 1;
    table_.trsm(row(j) + j, stride_, factor_.data() + j * (stride_ + 1), stride_, size_ - j, width);
  }
  return -1;
}

void GramFactor::drop(int member) {
  const int last = size_ - 1, turns = last - member;
  double sum = row(member)[member];  // of the column, as it is carried down
  const bool whole = ahead_ == size_;
  double carried = half_[static_cast<std::size_t>(member)];
  for (int r = 0; r < turns; ++r) {
    const auto below = static_cast<std::size_t>(member + r + 1);
    const double next = row(member + r + 1)[member], root = std::sqrt(sum * sum + next * next);
    const double cosine = next / root, sine = sum / root;
    double* t = turns_.data() + 4 * r;
    t[0] = -cosine;
    t[1] = t[2] = sine;
    t[3] = cosine;
    const double half = half_[below];
    half_[below - 1] = sine * half - cosine * carried;
    carried = sine * carried + cosine * half;
    sum = root;
  }
  if (turns > 0) {
    double *first = row(member), *carry = carry_.data();
    std::copy_n(first, size_, carry);
    table_.turn(first, stride_, carry, first + stride_, stride_, turns_.data(), turns, member);
    table_.turn(first + member, stride_, carry + member + 1, first + stride_ + member + 1, stride_,
                turns_.data(), turns, last - member);
  }
  std::fill_n(row(last), size_, 0.0);
  --size_;
  if (whole)
    ahead_ = size_;
  else
    stale(member);
}

void GramFactor::raise(int member, double amount) {
  stale(member);
  double before = 1;
  for (int r = member; r < size_; ++r) {
    const double a = std::sqrt(amount) * row(r)[member], after = std::sqrt(before * before + a * a);
    double* t = turns_.data() + 4 * (r - member);
    t[0] = a / after;
    t[1] = t[2] = before / after;
    t[3] = -t[0];
    before = after;
  }
  std::fill_n(carry_.begin(), size_, 0.0);
  table_.turn(row(member), stride_, carry_.data(), row(member), stride_, turns_.data(), size_ - member,
              size_);
}

bool GramFactor::lower(int member, double amount) {
  double* column = joined_.data();  // T e_member
  std::fill_n(column, size_, 0.0);
  for (int r = member; r < size_; ++r) column[r] = row(r)[member];
  const double left = 1 - amount * dense::dot(column, column, size_);
  if (!(left > kSingular)) return false;
  stale(0);
  // G^-1 + u u', u = sqrt(amount / left) G^-1 e_member: one more row of T, turned into the others from the
  // end
  double* carry = carry_.data();
  spread(carry, column);
  const double scale = std::sqrt(amount / left);
  for (int j = 0; j < size_; ++j) carry[j] *= scale;
  for (int r = size_ - 1; r >= 0; --r) {
    double* to = row(r);
    const double root = std::hypot(to[r], carry[r]), cosine = to[r] / root, sine = carry[r] / root;
    const double t[4] = {sine, cosine, cosine, -sine};
    table_.turn(to, stride_, carry, to, stride_, t, 1, r + 1);
  }
  return true;
}

void GramFactor::solve(double* x, const double* right) {
  if (ahead_ < size_) gather(half_.data(), right, ahead_);
  ahead_ = size_;
  spread(x, half_.data());
}

void GramFactor::solve(double* x) {
  gather(joined_.data(), x, 0);
  spread(x, joined_.data());
}

}  // namespace emisopt::detail
