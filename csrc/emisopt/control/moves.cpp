#include "emisopt/control/moves.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"

namespace emisopt {

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

Moves::Moves(std::vector<Setpoint> setpoints, int horizon, int blocks)
    : list_(std::move(setpoints)), horizon_(horizon) {
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

Moves::Interval Moves::reach(int u, double before) const {
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

double Moves::legalise(int u, double wanted, double before) const {
  const Interval in = reach(u, before);
  if (std::isnan(wanted)) wanted = before;
  return std::clamp(wanted, in.low, in.high);
}

void Moves::legalise(double* move, const double* before) const {
  for (int u = 0; u < setpoints(); ++u) move[u] = legalise(u, move[u], before[u]);
}

bool Moves::legal(const double* move, const double* before) const {
  for (int u = 0; u < setpoints(); ++u) {
    const Interval in = reach(u, before[u]);
    if (!(move[u] >= in.low && move[u] <= in.high)) return false;
  }
  return true;
}

void Moves::reachable(Matrix& low, Matrix& high, const double* applied) const {
  low = high = Matrix(blocks(), setpoints());
  for (int u = 0; u < setpoints(); ++u) {
    Interval in{applied[u], applied[u]};
    for (int b = 0; b < blocks(); ++b) {
      in = {reach(u, in.low).low, reach(u, in.high).high};
      low(b, u) = in.low;
      high(b, u) = in.high;
    }
  }
}

void Moves::legalise_blocks(View x, const double* applied) const {
  for (int b = 0; b < blocks(); ++b) legalise(x.row(b), b == 0 ? applied : x.row(b - 1));
}

void Moves::legalise_plan(View plan, const double* applied) const {
  for (Index t = 0; t < plan.rows; ++t) legalise(plan.row(t), t == 0 ? applied : plan.row(t - 1));
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
