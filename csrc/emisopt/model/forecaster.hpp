// The forecaster: tags, scales, layout, weights, and what it answers in physical units.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "emisopt/features/layout.hpp"
#include "emisopt/model/config.hpp"
#include "emisopt/model/network.hpp"
#include "emisopt/model/plan_move.hpp"
#include "emisopt/model/prior.hpp"
#include "kernels/backend.hpp"

namespace emisopt {

struct Forecaster {
  ForecasterConfig config;
  TagMap tags;
  Scaler scaler;
  FeatureLayout layout;
  kernels::OpList network;
  std::shared_ptr<const Prior> prior;                      // mechanistic, of the skip path; null: none
  std::vector<float> theta;                                // canonical layout; empty only before make or load
  std::vector<std::pair<std::string, std::string>> notes;  // provenance: trained rows, losses, versions

  /// Fixes scales on rows [0, train_rows) and draws initial weights. Does not train (see train/trainer.hpp).
  /// Throws InputError for a bad config or tag map and for what Scaler::fit refuses.
  /// A prior enters the skip path with gain 1, which training may change: the first forecast is then the
  /// anchor moved by the prior. Its slopes are compared with differences on the training rows (check_slopes).
  static Forecaster make(const History& history, const ForecasterConfig& config, Index train_rows,
                         std::shared_ptr<const Prior> prior = nullptr);
  /// The same with scales that are known already, a scale per tag. Throws ShapeError for another number.
  static Forecaster make(const TagMap& tags, const ForecasterConfig& config, Scaler scaler,
                         std::shared_ptr<const Prior> prior = nullptr);

  /// One safetensors file: weights by name, and in its metadata tags, units, scaler, config, notes, format
  /// version, library version and the SHA-256 of all the rest. Atomic: a torn write leaves the old file.
  void save(const std::string& path) const;
  /// Throws FileError naming the file and what is wrong with it: missing, truncated, a flipped bit, not of
  /// emisopt, of a newer format.
  static Forecaster load(const std::string& path);
  /// The same file as bytes, to stand inside another one; `where` names it in errors.
  std::string to_bytes() const;
  static Forecaster from_bytes(std::string_view bytes, const std::string& where);
};

/// Compiled programs of one forecaster, for one thread of control. Physical units in and out.
/// Shapes: horizon H, setpoints U, disturbances D, outputs O, quantile levels Q, in TagMap order.
class ForecastSession {
 public:
  /// Copies what it needs: `forecaster` may be retrained or destroyed afterwards. threads 0: the machine's.
  /// precision: of predict() and predict_batch(); Jacobians are float32 whatever it is.
  explicit ForecastSession(const Forecaster& forecaster, kernels::Isa isa = kernels::isa_level(),
                           int threads = 0, kernels::Precision precision = kernels::Precision::float32);
  ~ForecastSession();
  ForecastSession(ForecastSession&&) noexcept;
  ForecastSession& operator=(ForecastSession&&) noexcept;

  /// Other weights of the same network (parameter_count), e.g. after an online update. The history that is
  /// set stays; its keys and values are computed anew when next needed. Throws ShapeError, and InputError for
  /// weights that are not finite; the weights before stay then.
  void set_weights(std::span<const float> theta);
  /// Reads the last `context` rows of the unbroken run that ends at row `end` (exclusive), and no other row;
  /// the newest `hidden` of them without their outputs (labels that are late). Throws InputError when the run
  /// is shorter than the context or an output was never known in it; the history set before then stays.
  void set_history(const History& history, Index end, int hidden = 0);
  /// quantiles (H, O*Q) for a plan (H, U) and coming disturbances (H, D); NaN in either: unknown at that
  /// step. Columns of disturbances that are not known_ahead are not read. plan null: future operation
  /// unknown. known may be empty (no rows): nothing known. Throws StateError before set_history, ShapeError.
  void predict(View quantiles, const ConstView* plan, ConstView known);
  /// Several plans over one history and one set of disturbances: plans (B*H, U) -> quantiles (B*H, O*Q).
  void predict_batch(View quantiles, ConstView plans, ConstView known, int batch);
  /// J (levels.size()*H*O, H*U): d quantile / d setpoint, physical; block l, row t*O+o, column s*U+u. Exactly
  /// 0 for s > t and where the plan is NaN. `levels` are indexes into config.quantiles.
  void jacobian(View jacobian, ConstView plan, ConstView known, const std::vector<int>& levels);
  /// gradient (H, U) = d/d plan of sum over (t, c) of seed(t, c) * quantiles(t, c), physical, seed (H, O*Q):
  /// one forward and one backward pass, whatever the seed weighs. 0 where the plan is NaN.
  void gradient(View gradient, ConstView seed, ConstView plan, ConstView known);
  /// S (levels.size()*H*O, moves.size()): d quantile / d move, physical: jacobian() with the columns of each
  /// move's steps added up, by one pass forward through the network for all levels; the cheaper way when
  /// moves are fewer than rows. A step whose setpoint is NaN in the plan adds nothing. A program is kept for
  /// each list of moves that was asked for. Throws InputError for a move beyond horizon or setpoints.
  void sensitivities(View sensitivities, ConstView plan, ConstView known, const std::vector<PlanMove>& moves,
                     const std::vector<int>& levels);
  /// What the network is given, normalised: history (history_tokens, history_width) of the history set and
  /// future (H, future_width) of a plan and coming disturbances, row by row; columns as FeatureLayout has
  /// them. The vectors are resized. Throws as predict() does.
  void tokens(std::vector<float>& history, std::vector<float>& future, const ConstView* plan,
              ConstView known);
  /// Anchors of the outputs (O) of the history set, physical: what the forecast is a change from.
  std::vector<double> anchors() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace emisopt
