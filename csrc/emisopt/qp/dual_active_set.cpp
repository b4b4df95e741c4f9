#include "emisopt/qp/dual_active_set.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "emisopt/qp/dense.hpp"

namespace emisopt::detail {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kCancelled = 1e-6;  // rest of a square below which its digits are asked for
constexpr double kTidy = 0.05;       // of what counts as violated: the answer's members are that near
constexpr double kClear = 100;       // times the error of members: certainly violated
constexpr double kViolated = 1e-13;  // relative to x in the metric of diag(H)
constexpr double kDoubtful = 1e4;    // up to so many times that, a contradiction may be rounding
constexpr double kWorthwhile = 0.2;  // candidates are at least this share of the worst violation
constexpr int kIdle = 60;            // steps of length zero in a row: cycling

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

int capacity_of(int n, int m) { return std::min(n + m, n + n / 2 + 32); }

}  // namespace

DualActiveSet::DualActiveSet(int max_variables, int max_rows)
    : metric_(max_variables, max_rows),
      factor_(capacity_of(max_variables, max_rows)),
      ties_(max_variables),
      table_(kernels::dense_table()) {
  const auto n = at(max_variables), m = at(max_rows), w = at(factor_.capacity());
  for (auto* v : {&low_, &high_, &value_, &score_}) v->resize(m + n);
  for (auto* v : {&l1_, &l2_, &y, &start_y}) v->resize(m);
  for (auto* v : {&x, &z, &origin_, &u_, &tmp_, &tied_, &floor_, &start_z}) v->resize(n);
  state_.resize(m + n);
  side_.resize(n);
  members_.resize(w * (n + 8));
  id_.resize(w);
  slot_.resize(w);
  for (auto* v : {&lambda_, &target_, &right_, &least_, &most_, &open_, &square_, &product_, &scattered_})
    v->resize(w + 1);
}

bool DualActiveSet::load(const QpProblem& p) {
  factor_.clear();
  ties_.clear(0);
  std::fill(state_.begin(), state_.end(), 0);
  const Index n = p.hessian.rows;
  stride_ = n + (n % 64 == 0 ? 8 : 0);
  metric_.take(p);
  return metric_.factorise(p, kDefinite);
}

// Range of the multiplier of k in the set. Upper side: positive.
void DualActiveSet::ranges(int k, bool beyond, int side, double& low, double& high) const {
  const double weight = soft(k) ? l1_[at(k)] : kInf;
  if (beyond) {
    low = side > 0 ? weight : -kInf;
    high = side > 0 ? kInf : -weight;
  } else {
    const bool both = low_[at(k)] == high_[at(k)];
    low = both || side < 0 ? -weight : 0;
    high = both || side > 0 ? weight : 0;
  }
}

double DualActiveSet::bound(int i) const {
  const int k = id_[at(i)], side = state_[at(k)];
  const double b = side > 0 ? high_[at(k)] : low_[at(k)];
  return std::abs(side) == 2 ? b - (side > 0 ? l1_[at(k)] : -l1_[at(k)]) * open_[at(i)] : b;
}

void DualActiveSet::products(const double* m, double* out) {
  const int count = factor_.size();
  table_.gemv(scattered_.data(), members_.data(), stride_, m, count, static_cast<int>(metric_.d));
  for (int i = 0; i < count; ++i) out[i] = scattered_[at(slot_[at(i)])];
}

void DualActiveSet::shift_origin(const double* m, double amount) {
  products(m, product_.data());
  dense::axpy(origin_.data(), -amount, m, metric_.d);
  dense::axpy(right_.data(), -amount, product_.data(), factor_.size());
  factor_.stale(0);
}

double DualActiveSet::remainder(const double* m, double square) {
  const double rest = square - factor_.share(product_.data());
  const int count = factor_.size(), d = static_cast<int>(metric_.d);
  if (rest > kCancelled * square || count == 0) return rest;
  // Mostly a combination of members: what is new, from the combination itself, and once more what the
  // members have of that.
  const double* share = factor_.combination();
  double *left = u_.data(), kept = 0;
  std::copy_n(m, d, left);
  for (int i = 0; i < count; ++i) {
    scattered_[at(slot_[at(i)])] = -share[i];
    kept += open_[at(i)] * share[i] * share[i];
  }
  table_.gemv_transposed(left, members_.data(), stride_, scattered_.data(), count, d);
  products(left, target_.data());
  for (int i = 0; i < count; ++i) target_[at(i)] -= open_[at(i)] * share[i];
  const double squares = dense::dot(left, left, d) + kept;
  return squares - factor_.add_share(target_.data());
}

void DualActiveSet::push(int k, double lambda, bool beyond, double square) {
  const int i = factor_.size() - 1, side = state_[at(k)];
  id_[at(i)] = k;
  slot_[at(i)] = i;
  std::copy_n(metric_.row(k), metric_.d, members_.data() + i * stride_);
  open_[at(i)] = beyond ? 1 / l2_[at(k)] : 0;
  square_[at(i)] = square;
  ranges(k, beyond, side, least_[at(i)], most_[at(i)]);
  lambda_[at(i)] = lambda;
  right_[at(i)] = dense::dot(metric_.row(k), origin_.data(), metric_.d) + metric_.offset(k) - bound(i);
}

void DualActiveSet::remove(int i) {
  const int last = factor_.size() - 1, hole = slot_[at(i)];
  if (hole != last) {
    std::copy_n(members_.data() + last * stride_, metric_.d, members_.data() + hole * stride_);
    for (int j = 0; j <= last; ++j)
      if (slot_[at(j)] == last) slot_[at(j)] = hole;
  }
  factor_.drop(i);
  for (auto* v : {&lambda_, &right_, &least_, &most_, &open_, &square_})
    std::copy(v->begin() + i + 1, v->begin() + last + 1, v->begin() + i);
  std::copy(id_.begin() + i + 1, id_.begin() + last + 1, id_.begin() + i);
  std::copy(slot_.begin() + i + 1, slot_.begin() + last + 1, slot_.begin() + i);
}

void DualActiveSet::hold(int i, double limit) {
  const int k = id_[at(i)];
  shift_origin(metric_.row(k), limit);
  remove(i);
  state_[at(k)] = limit > 0 ? 3 : -3;
  ++held_;
}

void DualActiveSet::event(int i, double limit) {
  const int k = id_[at(i)];
  if (limit == 0) {
    state_[at(k)] = 0;
    return remove(i);
  }
  const int side = limit > 0 ? 1 : -1;
  if (l2_[at(k)] == 0) return hold(i, limit);
  const double amount = 1 / l2_[at(k)];
  if (std::abs(state_[at(k)]) == 2) {  // the slack closes
    if (factor_.lower(i, amount)) {
      right_[at(i)] -= limit * amount;
      factor_.stale(i);
      open_[at(i)] = 0;
      state_[at(k)] = static_cast<signed char>(side);
    } else {
      return hold(i, limit);
    }
  } else {
    factor_.raise(i, amount);
    open_[at(i)] = amount;
    state_[at(k)] = static_cast<signed char>(2 * side);
    right_[at(i)] += limit * amount;
    factor_.stale(i);
  }
  ranges(k, open_[at(i)] > 0, side, least_[at(i)], most_[at(i)]);
}

bool DualActiveSet::settle() {
  for (;;) {
    const int count = factor_.size();
    factor_.solve(target_.data(), right_.data());
    double step = 1;
    int blocking = -1;
    for (int i = 0; i < count; ++i) {
      const double to = target_[at(i)], low = least_[at(i)], high = most_[at(i)];
      if (to >= low && to <= high) continue;
      const double from = lambda_[at(i)], share = ((to < low ? low : high) - from) / (to - from);
      if (share < step || blocking < 0) {
        step = std::max(0.0, share);
        blocking = i;
      }
    }
    if (blocking < 0) {
      std::copy_n(target_.begin(), count, lambda_.begin());
      return true;
    }
    if (++pivots_ > max_pivots_) return false;
    idle_ = step > 0 ? 0 : idle_ + 1;
    if (idle_ > kIdle) return false;
    const double limit =
        target_[at(blocking)] < least_[at(blocking)] ? least_[at(blocking)] : most_[at(blocking)];
    for (int i = 0; i < count; ++i)
      lambda_[at(i)] =
          std::clamp(lambda_[at(i)] + step * (target_[at(i)] - lambda_[at(i)]), least_[at(i)], most_[at(i)]);
    event(blocking, limit);
  }
}

// Lets k join at the side that its state names; a constraint that depends on the set first pushes members to
// the ends of their ranges.
bool DualActiveSet::join(int k, bool known) {
  const double* m = metric_.row(k);
  const double square = dense::dot(m, m, metric_.d);
  const bool held = std::abs(state_[at(k)]) == 3;
  const int side = state_[at(k)] > 0 ? 1 : -1;
  double lambda = 0;
  if (held) {
    lambda = side * l1_[at(k)];
    shift_origin(m, -lambda);
    known = true;
    --held_;
  }
  state_[at(k)] = static_cast<signed char>(side);
  // A held row whose slack has quadratic cost may be wanted on either side of l1.
  const bool opens =
      held && l2_[at(k)] > 0 && side * (value_[at(k)] - (side > 0 ? high_[at(k)] : low_[at(k)])) > 0;
  if (opens) {
    state_[at(k)] = static_cast<signed char>(2 * side);
    if (factor_.join(remainder(m, square) + 1 / l2_[at(k)])) return push(k, lambda, true, square), true;
    pivots_ = max_pivots_ + 1;
    return true;
  }
  const double way = held ? -side : side;
  for (;; known = false) {
    if (!known) products(m, product_.data());
    const double rest = remainder(m, square);
    if (rest > kDependent * square && factor_.join(rest)) {
      push(k, lambda, false, square);
      return true;
    }
    const int count = factor_.size();
    if (++pivots_ > max_pivots_ || count == factor_.capacity()) {
      pivots_ = max_pivots_ + 1;
      state_[at(k)] = 0;
      return true;
    }
    double* share = target_.data();
    std::copy_n(factor_.combination(), count, share);
    double step = held ? std::abs(lambda) : soft(k) ? l1_[at(k)] - std::abs(lambda) : kInf;
    int blocking = -1;
    const double size = std::sqrt(square);
    for (int i = 0; i < count; ++i) {
      const double change = -way * share[i];
      if (std::abs(change) * std::sqrt(square_[at(i)]) <= 1e-9 * size) continue;
      const double end = change > 0 ? most_[at(i)] : least_[at(i)];
      const double room = std::max(0.0, (end - lambda_[at(i)]) / change);
      if (room < step) {
        step = room;
        blocking = i;
      }
    }
    if (step == kInf && score_[at(k)] <= doubt_) {  // a copy of what binds already, off by rounding
      state_[at(k)] = kIgnored;
      ignored_ = true;
      return true;
    }
    if (step == kInf) {
      std::fill(y.begin(), y.end(), 0.0);
      std::fill(z.begin(), z.end(), 0.0);
      const auto set = [&](int c, double v) { (c < metric_.m ? y[at(c)] : z[at(c - metric_.m)]) = v; };
      for (int i = 0; i < count; ++i) set(id_[at(i)], -way * share[i]);
      set(k, way);
      state_[at(k)] = 0;
      return false;
    }
    const double limit = blocking < 0                 ? 0
                         : -way * share[blocking] > 0 ? most_[at(blocking)]
                                                      : least_[at(blocking)];
    for (int i = 0; i < count; ++i)
      lambda_[at(i)] = std::clamp(lambda_[at(i)] - step * way * share[i], least_[at(i)], most_[at(i)]);
    lambda += way * step;
    if (blocking >= 0) {
      event(blocking, limit);
      continue;
    }
    // its own end: out again, or slack opens
    if (held) {
      state_[at(k)] = 0;
      return true;
    }
    lambda = side * l1_[at(k)];
    if (l2_[at(k)] > 0) {
      const double open = 1 / l2_[at(k)];
      state_[at(k)] = static_cast<signed char>(2 * side);
      if (factor_.join(rest + open)) {
        push(k, lambda, true, square);
        return true;
      }
    }
    state_[at(k)] = static_cast<signed char>(3 * side);
    ++held_;
    shift_origin(m, lambda);
    return true;
  }
}

void DualActiveSet::position() {
  const int count = factor_.size();
  double *at_x = value_.data() + metric_.m, *v = tied() ? tmp_.data() : at_x;
  std::copy_n(origin_.begin(), metric_.d, v);
  for (int i = 0; i < count; ++i) scattered_[at(slot_[at(i)])] = -lambda_[at(i)];
  table_.gemv_transposed(v, members_.data(), stride_, scattered_.data(), count, static_cast<int>(metric_.d));
  metric_.backward(v);
  metric_.expand(at_x, v);
}

// Scores of all constraints at the present multipliers; returns the worst. least: what counts as violated;
// off: the worst of the members, which solve() leaves near their bounds as its rounding has it.
double DualActiveSet::scores(double& least, double& off) {
  const Index n = metric_.n, m = metric_.m, all = m + n;
  position();
  const double* at_x = value_.data() + m;
  metric_.values(value_.data(), at_x);
  const double* diagonal = metric_.diagonal();
  double size = 0;
  for (Index j = 0; j < n; ++j) size += at_x[j] * at_x[j] * diagonal[j];
  least =
      kViolated * std::sqrt(size) + 1e-15 * std::sqrt(dense::dot(origin_.data(), origin_.data(), metric_.d));
  for (Index k = 0; k < all; ++k)
    score_[at(k)] = std::max(low_[at(k)] - value_[at(k)], value_[at(k)] - high_[at(k)]);
  off = 0;
  for (int i = 0; i < factor_.size(); ++i) {
    const int k = id_[at(i)];
    product_[at(i)] = value_[at(k)] - bound(i) - open_[at(i)] * lambda_[at(i)];
    off = std::max(off, product_[at(i)] * product_[at(i)] / square_[at(i)]);
    score_[at(k)] = 0;
  }
  off = std::sqrt(off);
  for (int t = 0; t < ties_.count(); ++t) score_[at(ties_.constraint(t))] = 0;
  if (ignored_)
    for (Index k = 0; k < all; ++k)
      if (state_[at(k)] == kIgnored) score_[at(k)] = 0;
  if (held_ > 0)
    for (Index i = 0; i < m; ++i)
      if (std::abs(state_[at(i)]) == 3) {
        const double inside = state_[at(i)] > 0 ? high_[at(i)] - value_[at(i)] : value_[at(i)] - low_[at(i)];
        score_[at(i)] = l2_[at(i)] > 0 ? std::abs(inside) : inside;
      }
  double worst = 0;
  for (Index k = 0; k < all; ++k)
    if (score_[at(k)] > 0) worst = std::max(worst, score_[at(k)] *= metric_.weight(static_cast<int>(k)));
  return worst;
}

int DualActiveSet::scan() {
  double least = 0, off = 0, worst = 0;
  for (int round = 0; round < 3; ++round) {
    worst = scores(least, off);
    const bool done = !(worst > least);
    if (off <= (done ? kTidy : 1) * least || (!done && worst > kClear * off)) break;
    // The members first: a violation of the size of their errors may be one that depends on them.
    factor_.solve(product_.data());
    dense::axpy(lambda_.data(), 1, product_.data(), factor_.size());
    if (done) position();
    if (done) break;
  }
  if (!(worst > least)) return 0;
  doubt_ = kDoubtful * least;
  const double floor = std::max(least, kWorthwhile * worst);
  int count = 0;
  for (Index k = 0; k < metric_.m + metric_.n; ++k) {
    const double score = score_[at(k)];
    if (!(score > floor)) continue;
    int place = std::min(count, kCandidates - 1);
    if (count == kCandidates && score <= candidates_[kCandidates - 1].score) continue;
    for (; place > 0 && candidates_[place - 1].score < score; --place)
      candidates_[place] = candidates_[place - 1];
    candidates_[place] = {static_cast<int>(k), score};
    count = std::min(count + 1, kCandidates);
  }
  return count;
}

DualActiveSet::End DualActiveSet::iterate(int max_pivots, const std::function<bool()>* stop) {
  max_pivots_ = max_pivots;
  idle_ = 0;
  const Index n = metric_.d;
  int list[kCandidates];
  for (;;) {
    if (!settle()) return multipliers(), End::pivots;
    if (stop && (*stop)()) return multipliers(), End::stopped;
    const int count = scan();
    if (count == 0) return multipliers(true), End::converged;
    for (int c = 0; c < count; ++c) list[c] = candidates_[c].constraint;
    metric_.build(list, count);
    for (int c = 0; c < count; ++c) {
      const int k = list[c];
      if (c > 0) {  // still violated, after those before it have joined?
        products(metric_.row(k), product_.data());
        const double value = dense::dot(metric_.row(k), origin_.data(), n) + metric_.offset(k) -
                             dense::dot(product_.data(), lambda_.data(), factor_.size());
        const int state = state_[at(k)];
        if (state != 0 && std::abs(state) != 3) continue;
        const double room = 0.01 * candidates_[c].score / metric_.weight(k);
        if (state == 0 && value >= low_[at(k)] - room && value <= high_[at(k)] + room) continue;
        if (state == 3 && value >= high_[at(k)] - room && l2_[at(k)] == 0) continue;
        if (state == -3 && value <= low_[at(k)] + room && l2_[at(k)] == 0) continue;
        value_[at(k)] = value;
      }
      if (state_[at(k)] == 0) state_[at(k)] = value_[at(k)] > high_[at(k)] ? 1 : -1;
      ++pivots_;
      if (!join(k, c > 0)) return End::infeasible;
      if (pivots_ > max_pivots_ || !settle()) return multipliers(), End::pivots;
    }
  }
}

}  // namespace emisopt::detail
