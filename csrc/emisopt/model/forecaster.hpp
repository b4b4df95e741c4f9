// The forecaster: tags, scales, layout, weights, and what it answers in physical units.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "emisopt/features/layout.hpp"
#include "kernels/backend.hpp"

namespace emisopt {

struct ForecasterConfig {
  int context = 96;        // rows of history; a multiple of patch
  int horizon = 24;        // rows ahead
  int patch = 1;           // rows per history token, 1..16
  int width = 64;          // model width d; a multiple of 2 * heads
  int heads = 4;
  int kv_heads = 0;        // 0: as heads; else divides heads (grouped-query attention)
  int layers = 2;
  int feedforward = 0;     // 0: 8/3 of width, rounded up to a multiple of 8
  double anchor_tau = 6;   // rows
  std::vector<double> quantiles = {0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95};  // must hold 0.5
  std::uint64_t seed = 0;
  void validate() const;   // throws InputError naming the field, what was expected, what came
};

/// The network of a config as data: prefix-causal, pre-norm RMSNorm, rotary positions, SwiGLU, GQA; linear
/// skip path from the future row to the median; head and skip start small, so that the first forecast is the
/// anchor (zero-start).
kernels::OpList make_network(const ForecasterConfig& config, int history_width, int future_width, int outputs);
/// Initial weights, a function of the seed alone.
std::vector<float> initial_weights(const kernels::OpList& network, std::uint64_t seed);

struct Forecaster {
  ForecasterConfig config;
  TagMap tags;
  Scaler scaler;
  FeatureLayout layout;
  kernels::OpList network;
  std::vector<float> theta;   // empty until trained or loaded
  std::vector<std::pair<std::string, std::string>> notes;  // provenance: trained rows, losses, versions

  /// Fixes scales on rows [0, train_rows) and draws initial weights. Does not train (see train/trainer.hpp).
  static Forecaster make(const History& history, const ForecasterConfig& config, index train_rows);

  /// safetensors with tags, units, scaler, config, format version and content hash in its metadata.
  /// Atomic: a torn write leaves the old file. load throws FileError for truncated, bit-flipped, foreign or
  /// newer files, saying which.
  void save(const std::string& path) const;
  static Forecaster load(const std::string& path);
};

/// Compiled programs of one forecaster, for one thread of control. Physical units in and out.
class ForecastSession {
 public:
  explicit ForecastSession(const Forecaster& forecaster, kernels::Isa isa = kernels::isa_level(), int threads = 0);
  ~ForecastSession();
  ForecastSession(ForecastSession&&) noexcept;

  /// Reads the last `context` rows of the unbroken run that ends at row `end` (exclusive) and caches their keys
  /// and values. Throws InputError when the run is shorter than the context or an output was never known in it.
  void set_history(const History& history, index end, int hidden = 0);
  /// quantiles (H, O*Q) in physical units for a plan (H,U), known disturbances (H,D; NaN unknown).
  /// plan null: future operation unknown.
  void predict(View quantiles, const ConstView* plan, ConstView known);
  /// Several plans over one history: plans (B*H,U) -> quantiles (B*H, O*Q).
  void predict_batch(View quantiles, ConstView plans, ConstView known, int batch);
  /// J (levels.size()*H*O, H*U): d quantile / d setpoint, physical; block l, row t*O+o, column s*U+u.
  void jacobian(View jacobian, ConstView plan, ConstView known, const std::vector<int>& levels);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace emisopt
