#include "emisopt/control/moves.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"

namespace emisopt {
namespace {

constexpr int kSweeps = 20;
constexpr double kHair = 1e-12;  // inside an interlock, so that rounding does not break it

double sum(const Interlock& k, const double* u) {
  double s = 0;
  for (std::size_t i = 0; i < k.weight.size(); ++i) s += k.weight[i] * u[i];
  return s;
}

}  // namespace

std::vector<int> block_lengths(int horizon, int blocks) {
  const int count = std::clamp(blocks, 1, horizon);
  std::vector<int> lengths;
  int end = 0;
  for (int b = 0; b < count; ++b) {
    // Ends grow as horizon^(b / (count - 1)): 1 .. horizon; at least one step each, room left for the rest.
    const double wanted = count == 1 ? horizon : std::pow(horizon, static_cast<double>(b) / (count - 1));
    const int next = std::clamp(static_cast<int>(std::lround(wanted)), end + 1, horizon - (count - 1 - b));
    lengths.push_back((b == count - 1 ? horizon : next) - end);
    end = next;
  }
  std::sort(lengths.begin(), lengths.end());  // rounding may have put 2, 1 next to each other
  return lengths;
}

Moves::Moves(std::vector<Setpoint> setpoints, int horizon, int blocks, std::vector<Interlock> interlocks)
    : list_(std::move(setpoints)), interlocks_(std::move(interlocks)), horizon_(horizon) {
  if (list_.empty()) throw InputError("Controller: expected at least one setpoint, got none");
  if (horizon < 1) throw InputError("Controller: expected horizon >= 1, got " + std::to_string(horizon));
  if (blocks < 1) throw InputError("Controller: expected blocks >= 1, got " + std::to_string(blocks));
  for (const Setpoint& s : list_) {
    const auto require = [&](bool holds, const char* expected, double got) {
      if (!holds)
        throw InputError("setpoint '" + s.name + "': expected " + expected + ", got " + std::to_string(got));
    };
    require(std::isfinite(s.low), "a finite low bound", s.low);
    require(std::isfinite(s.high) && s.high > s.low, "high above low, both finite", s.high);
    require(std::isnan(s.rate) || s.rate > 0, "rate > 0, or NaN for none", s.rate);
    require(std::isnan(s.safe) || (s.safe >= s.low && s.safe <= s.high), "safe within the bounds", s.safe);
    require(std::isfinite(s.price), "a finite price", s.price);
    require(std::isfinite(s.move_weight) && s.move_weight >= 0, "move_weight >= 0", s.move_weight);
    require(std::isfinite(s.dead_band) && s.dead_band >= 0, "dead_band >= 0", s.dead_band);
    require(std::isnan(s.rate) || s.dead_band <= s.rate, "dead_band no larger than the rate", s.dead_band);
    require(s.hold_rows >= 0, "hold_rows >= 0", s.hold_rows);
  }
  for (const Interlock& k : interlocks_) {
    bool finite = std::isfinite(k.upper), any = false;
    for (const double w : k.weight) finite &= std::isfinite(w), any |= w != 0;
    if (k.weight.size() != list_.size() || !finite || !any)
      throw InputError("interlock '" + k.name + "': expected " + std::to_string(list_.size()) +
                       " finite weights, not all 0, and a finite upper, got " +
                       std::to_string(k.weight.size()) + " and " + std::to_string(k.upper));
  }
  int step = 0;
  for (const int length : block_lengths(horizon, blocks)) {
    of_step_.insert(of_step_.end(), static_cast<std::size_t>(length), static_cast<int>(start_.size()));
    start_.push_back(step);
    step += length;
  }
}

double Moves::safe(int u) const {
  const Setpoint& s = setpoint(u);
  return std::isnan(s.safe) ? s.low + 0.5 * range(u) : s.safe;
}

void Moves::hold(const std::vector<int>& steps) {
  if (!steps.empty())
    check_shape("Moves.hold", {static_cast<long>(steps.size())}, {{"U", static_cast<long>(setpoints())}});
  held_ = steps;
}

Moves::Interval Moves::reach(int u, double before, int step) const {
  if (held(u, step)) return {before, before};
  const Setpoint& s = setpoint(u);
  if (std::isnan(s.rate) || std::isinf(s.rate)) return {s.low, s.high};
  double down = before - s.rate, up = before + s.rate;
  // The sum may round to a step one ulp too long; the promise is about the numbers that leave.
  if (before - down > s.rate) down = std::nextafter(down, before);
  if (up - before > s.rate) up = std::nextafter(up, before);
  if (up < s.low) return {up, up};
  if (down > s.high) return {down, down};
  return {std::max(s.low, down), std::min(s.high, up)};
}

double Moves::legalise(int u, double wanted, double before, int step) const {
  const Interval in = reach(u, before, step);
  if (std::isnan(wanted)) wanted = before;
  return std::clamp(wanted, in.low, in.high);
}

void Moves::legalise(double* move, const double* before, int step) const {
  for (int u = 0; u < setpoints(); ++u) move[u] = legalise(u, move[u], before[u], step);
  if (!interlocks_.empty()) respect(move, before, step);
}

bool Moves::legal(const double* move, const double* before, int step) const {
  std::vector<double>& anchor = anchor_;
  anchor.assign(before, before + setpoints());
  for (int u = 0; u < setpoints(); ++u) {
    const Interval in = reach(u, before[u], step);
    if (!(move[u] >= in.low && move[u] <= in.high)) return false;
    anchor[static_cast<std::size_t>(u)] = std::clamp(before[u], in.low, in.high);
  }
  for (std::size_t k = 0; k < interlocks_.size(); ++k)
    if (!(sum(interlocks_[k], move) <= cap(k, anchor.data()))) return false;
  return true;
}

double Moves::cap(std::size_t k, const double* anchor) const {
  return std::max(interlocks_[k].upper, sum(interlocks_[k], anchor));
}

// A point of the box made to keep the interlocks. First the nearest one, interlock by interlock: a shift
// along its weights, setpoints that reach the box's edge staying there. Where these shifts undo one another,
// the line to the anchor.
void Moves::respect(double* move, const double* before, int step) const {
  const auto n = static_cast<std::size_t>(setpoints());
  std::vector<Interval>& box = box_;
  std::vector<double>& anchor = anchor_;
  box.resize(n);
  anchor.resize(n);
  for (std::size_t u = 0; u < n; ++u) {
    box[u] = reach(static_cast<int>(u), before[u], step);
    anchor[u] = std::clamp(before[u], box[u].low, box[u].high);
  }
  const auto broken = [&](bool by_cap) {
    for (std::size_t k = 0; k < interlocks_.size(); ++k)
      if (!(sum(interlocks_[k], move) <= (by_cap ? cap(k, anchor.data()) : interlocks_[k].upper)))
        return true;
    return false;
  };
  for (int sweep = 0; sweep < kSweeps && broken(false); ++sweep)
    for (const Interlock& k : interlocks_) {
      std::vector<char>& stuck = stuck_;
      stuck.assign(n, 0);
      const double goal = k.upper - kHair * (1 + std::abs(k.upper));
      for (std::size_t round = 0; round <= n; ++round) {
        const double beyond = sum(k, move) - goal;
        double give = 0;
        for (std::size_t u = 0; u < n; ++u)
          if (!stuck[u]) give += std::pow(k.weight[u] * range(static_cast<int>(u)), 2);
        if (beyond <= 0 || give == 0) break;
        bool clipped = false;
        for (std::size_t u = 0; u < n; ++u) {
          if (stuck[u] || k.weight[u] == 0) continue;
          const double wanted =
              move[u] - beyond / give * k.weight[u] * std::pow(range(static_cast<int>(u)), 2);
          move[u] = std::clamp(wanted, box[u].low, box[u].high);
          if (move[u] != wanted) stuck[u] = 1, clipped = true;
        }
        if (!clipped) break;
      }
    }
  if (!broken(true)) return;
  double share = 1;
  for (std::size_t k = 0; k < interlocks_.size(); ++k) {
    const double from = sum(interlocks_[k], anchor.data()), to = sum(interlocks_[k], move);
    const double most = cap(k, anchor.data());
    if (to > most) share = std::min(share, (most - from) / (to - from));
  }
  for (std::size_t u = 0; u < n; ++u)
    move[u] = std::clamp(anchor[u] + share * (1 - kHair) * (move[u] - anchor[u]), box[u].low, box[u].high);
  if (broken(true)) std::copy(anchor.begin(), anchor.end(), move);
}

bool Moves::quiet(double* move, const double* before) const {
  const auto n = static_cast<std::size_t>(setpoints());
  std::vector<double>& wanted = wanted_;
  wanted.assign(move, move + n);
  bool changed = false;
  const auto stay = [&](std::size_t u) {
    const Setpoint& s = list_[u];
    if (move[u] == before[u] || before[u] < s.low || before[u] > s.high) return;
    move[u] = before[u];
    changed = true;
  };
  for (std::size_t u = 0; u < n; ++u)
    if (std::abs(move[u] - before[u]) < list_[u].dead_band) stay(u);
  if (!changed) return false;
  // What stayed may have been the other half of a move that an interlock allows only together.
  for (std::size_t round = 0; round <= n && !legal(move, before); ++round)
    for (const Interlock& k : interlocks_)
      if (sum(k, move) > k.upper)
        for (std::size_t u = 0; u < n; ++u)
          if (k.weight[u] != 0) stay(u);
  if (!legal(move, before)) {
    std::copy(wanted.begin(), wanted.end(), move);
    return false;
  }
  return true;
}

void Moves::reachable(Matrix& low, Matrix& high, const double* applied) const {
  for (Matrix* m : {&low, &high}) {
    m->rows = blocks();
    m->cols = setpoints();
    m->values.resize(static_cast<std::size_t>(m->rows * m->cols));
  }
  for (int u = 0; u < setpoints(); ++u) {
    Interval in{applied[u], applied[u]};
    for (int b = 0; b < blocks(); ++b) {
      in = {reach(u, in.low, block_start(b)).low, reach(u, in.high, block_start(b)).high};
      low(b, u) = in.low;
      high(b, u) = in.high;
    }
  }
}

void Moves::legalise_blocks(View x, const double* applied) const {
  for (int b = 0; b < blocks(); ++b) legalise(x.row(b), b == 0 ? applied : x.row(b - 1), block_start(b));
  if (!quiet(x.row(0), applied)) return;
  for (int b = 1; b < blocks(); ++b) legalise(x.row(b), x.row(b - 1), block_start(b));
}

void Moves::legalise_plan(View plan, const double* applied) const {
  for (int t = 0; t < plan.rows; ++t) {
    legalise(plan.row(t), t == 0 ? applied : plan.row(t - 1), t);
    if (t == 0) quiet(plan.row(0), applied);
  }
}

void Moves::expand(View plan, ConstView x, const double* applied) const {
  for (int t = 0; t < horizon_; ++t) std::copy_n(x.row(block_of(t)), setpoints(), plan.row(t));
  legalise_plan(plan, applied);
}

void Moves::sample(View x, ConstView plan, int age) const {
  for (int b = 0; b < blocks(); ++b) {
    const Index row = std::min<Index>(block_start(b) + age, plan.rows - 1);
    std::copy_n(plan.row(row), setpoints(), x.row(b));
  }
}

}  // namespace emisopt
