#include "emisopt/train/replay.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

constexpr int kLloydIterations = 25;

double squared_distance(const double* a, const double* b, Index n) {
  double sum = 0;
  for (Index i = 0; i < n; ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum;
}

}  // namespace

Regimes::Regimes(ConstView points, int count, std::uint64_t seed) {
  if (points.rows < 1 || count < 1)
    throw InputError("Regimes: expected points and at least one regime, got " + std::to_string(points.rows) +
                     " points and " + std::to_string(count) + " regimes");
  const Index n = points.rows, d = points.cols;
  Rng rng(seed, 0);
  std::vector<double> far(static_cast<std::size_t>(n), std::numeric_limits<double>::infinity());
  std::vector<Index> chosen{rng.below(n)};
  while (static_cast<int>(chosen.size()) < count) {
    double total = 0;
    for (Index i = 0; i < n; ++i) {
      double& f = far[static_cast<std::size_t>(i)];
      f = std::min(f, squared_distance(points.row(i), points.row(chosen.back()), d));
      total += f;
    }
    if (!(total > 0)) break;  // every point is a centre already
    double left = rng.uniform() * total;
    Index next = n - 1;
    for (Index i = 0; i < n; ++i) {
      left -= far[static_cast<std::size_t>(i)];
      if (left < 0) {
        next = i;
        break;
      }
    }
    if (!(far[static_cast<std::size_t>(next)] > 0)) break;
    chosen.push_back(next);
  }
  centres_ = Matrix(static_cast<Index>(chosen.size()), d);
  for (std::size_t k = 0; k < chosen.size(); ++k)
    std::copy_n(points.row(chosen[k]), d, centres_.row(static_cast<Index>(k)));

  Matrix sums(centres_.rows, d);
  std::vector<Index> members(chosen.size());
  for (int iteration = 0; iteration < kLloydIterations; ++iteration) {
    std::fill(sums.values.begin(), sums.values.end(), 0.0);
    std::fill(members.begin(), members.end(), 0);
    for (Index i = 0; i < n; ++i) {
      const int k = of({points.row(i), static_cast<std::size_t>(d)});
      ++members[static_cast<std::size_t>(k)];
      for (Index c = 0; c < d; ++c) sums(k, c) += points(i, c);
    }
    bool moved = false;
    for (Index k = 0; k < centres_.rows; ++k) {
      if (members[static_cast<std::size_t>(k)] == 0) continue;
      for (Index c = 0; c < d; ++c) {
        const double mean = sums(k, c) / static_cast<double>(members[static_cast<std::size_t>(k)]);
        moved = moved || mean != centres_(k, c);
        centres_(k, c) = mean;
      }
    }
    if (!moved) break;
  }
}

int Regimes::of(std::span<const double> point) const {
  int best = 0;
  double nearest = std::numeric_limits<double>::infinity();
  for (Index k = 0; k < centres_.rows; ++k) {
    const double distance = squared_distance(centres_.row(k), point.data(), centres_.cols);
    if (distance < nearest) {
      nearest = distance;
      best = static_cast<int>(k);
    }
  }
  return best;
}

Regimes Regimes::from_centres(Matrix centres) {
  Regimes regimes;
  regimes.centres_ = std::move(centres);
  return regimes;
}

Replay::Replay(int capacity, int regimes, std::uint64_t seed) : seed_(seed) {
  if (regimes < 1 || capacity < regimes)
    throw InputError("Replay: expected room for at least one window a regime, got " +
                     std::to_string(capacity) + " windows for " + std::to_string(regimes) + " regimes");
  per_regime_ = capacity / regimes;
  samples_.resize(static_cast<std::size_t>(per_regime_ * regimes));
  offered_.assign(static_cast<std::size_t>(regimes), 0);
  kept_.assign(static_cast<std::size_t>(regimes), 0);
}

Index Replay::offer(int regime) {
  const auto r = static_cast<std::size_t>(regime);
  const std::int64_t count = offered_[r]++;
  const Index first = regime * per_regime_;
  if (kept_[r] < per_regime_) return first + kept_[r];
  Rng rng(seed_ + r, static_cast<std::uint64_t>(count));
  const std::int64_t place = rng.below(count + 1);
  return place < per_regime_ ? first + place : -1;
}

void Replay::put(Index slot, TrainingSample sample) {
  const auto regime = static_cast<std::size_t>(slot / per_regime_);
  kept_[regime] = std::max(kept_[regime], slot % per_regime_ + 1);
  samples_[static_cast<std::size_t>(slot)] = std::move(sample);
}

std::vector<Index> Replay::filled() const {
  std::vector<Index> slots;
  for (std::size_t r = 0; r < kept_.size(); ++r)
    for (Index i = 0; i < kept_[r]; ++i) slots.push_back(static_cast<Index>(r) * per_regime_ + i);
  return slots;
}

Index Replay::draw(double regime_u, double window_u) const {
  int filled = 0;
  for (const Index kept : kept_) filled += kept > 0;
  int wanted = std::min(filled - 1, static_cast<int>(regime_u * filled));
  for (std::size_t r = 0; r < kept_.size(); ++r) {
    if (kept_[r] == 0 || wanted-- > 0) continue;
    const auto i = static_cast<Index>(window_u * static_cast<double>(kept_[r]));
    return static_cast<Index>(r) * per_regime_ + std::min(i, kept_[r] - 1);
  }
  return -1;
}

Index Replay::size() const {
  Index n = 0;
  for (const Index kept : kept_) n += kept;
  return n;
}

Replay::State Replay::state() const {
  return {offered_, std::vector<std::int64_t>(kept_.begin(), kept_.end())};
}

void Replay::restore(const State& state) {
  if (state.offered.size() != offered_.size() || state.kept.size() != kept_.size())
    throw InputError("Replay.restore: expected " + std::to_string(offered_.size()) + " regimes, got " +
                     std::to_string(state.offered.size()));
  for (std::size_t r = 0; r < kept_.size(); ++r) {
    if (state.kept[r] < 0 || state.kept[r] > per_regime_ || state.offered[r] < state.kept[r])
      throw InputError("Replay.restore: counts of regime " + std::to_string(r) + " do not fit together");
    offered_[r] = state.offered[r];
    kept_[r] = static_cast<Index>(state.kept[r]);
  }
}

}  // namespace emisopt
