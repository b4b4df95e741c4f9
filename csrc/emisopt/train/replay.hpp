// What an online learner remembers: whole windows, so that the history behind them may be forgotten, in
// reservoirs by regime, so that the plant's usual state does not crowd out the rare ones.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "emisopt/base/types.hpp"

namespace emisopt {

/// One window of context + horizon rows. Float: the engine's precision, and half the memory.
struct TrainingSample {
  std::int64_t row = 0;        // of its first target row, counted from the first row that the plant ever gave
  double time0 = kMissing;     // stamp of its first row, s
  std::vector<float> z;        // (context + horizon, tags), normalised, NaN = missing
  std::vector<float> teacher;  // (H, O*Q) quantiles as changes from the anchor, normalised; empty: no teacher
};

/// Assigns a window to one of a few regimes: the nearest of K centres of the windows' mean inputs, placed
/// once (k-means++ seeding, Arthur, Vassilvitskii 2007, and Lloyd's iterations) and kept, so that a regime
/// stays what it was.
class Regimes {
 public:
  Regimes() = default;
  /// points (n, features), n >= 1. Fewer distinct points than `count`: fewer regimes.
  Regimes(ConstView points, int count, std::uint64_t seed);
  int count() const { return static_cast<int>(centres_.rows); }
  int of(std::span<const double> point) const;
  const Matrix& centres() const { return centres_; }
  static Regimes from_centres(Matrix centres);

 private:
  Matrix centres_;  // (K, features)
};

/// Reservoirs of equal size, one a regime, each a uniform sample of all windows of its regime that were ever
/// offered (algorithm R, Vitter 1985). Deterministic: the draws belong to the count of offers.
class Replay {
 public:
  Replay() = default;
  /// capacity >= regimes >= 1 windows in all.
  Replay(int capacity, int regimes, std::uint64_t seed);

  /// Whether and where the window offered next to `regime` will be kept: its slot, or -1. Counts the offer.
  Index offer(int regime);
  void put(Index slot, TrainingSample sample);
  const TrainingSample& at(Index slot) const { return samples_[static_cast<std::size_t>(slot)]; }
  TrainingSample& at(Index slot) { return samples_[static_cast<std::size_t>(slot)]; }
  /// Slots that hold a window, rising; those of rare regimes are as many as those of usual ones.
  std::vector<Index> filled() const;
  /// A slot drawn for a uniform number in [0, 1): first a regime that holds a window, then one of its
  /// windows.
  Index draw(double regime_u, double window_u) const;
  Index size() const;
  bool empty() const { return size() == 0; }
  int capacity() const { return static_cast<int>(samples_.size()); }
  int regimes() const { return static_cast<int>(offered_.size()); }
  std::int64_t offered(int regime) const { return offered_[static_cast<std::size_t>(regime)]; }
  Index kept(int regime) const { return kept_[static_cast<std::size_t>(regime)]; }

  /// For the file that an interrupted learner resumes from.
  struct State {
    std::vector<std::int64_t> offered, kept;
  };
  State state() const;
  void restore(const State& state);

 private:
  Index per_regime_ = 0;
  std::uint64_t seed_ = 0;
  std::vector<TrainingSample> samples_;  // (regimes, per_regime)
  std::vector<std::int64_t> offered_;    // by regime
  std::vector<Index> kept_;              // by regime
};

}  // namespace emisopt
