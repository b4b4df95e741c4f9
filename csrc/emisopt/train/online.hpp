// Learning from the stream without forgetting: predict, store, and when the label has come, learn.
//   min over theta of  L(theta; D_t) + l2sp |theta - theta*|^2 + ewc/2 sum F (theta - theta*)^2 + distill KD
// L: pinball loss over recent windows and windows replayed from every regime; theta*: the weights at the
// start (L2-SP: Li et al. 2018); F: diagonal Fisher information at theta* (EWC: Kirkpatrick et al. 2017); KD:
// distance to the teacher's quantiles that were stored with the replayed window (DER++: Buzzega et al. 2020).
#pragma once
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "emisopt/model/forecaster.hpp"
#include "emisopt/train/replay.hpp"

namespace emisopt {

/// Which weights an update may move. lora: low-rank corrections of the blocks' matrices (model/lora.hpp),
/// that serve merged into theta*. head: what stands behind the last block.
enum class UpdateScope { full, lora, head };
const char* to_string(UpdateScope);

struct OnlineConfig {
  UpdateScope update = UpdateScope::full;
  int rank = 4;         // of lora, 1..256
  int lora_blocks = 0;  // lora: blocks with corrections, counted from the last, >= 0; 0: the upper half
  int delay = 0;        // a row's outputs are known `delay` rows after it, 0..; 0: with the row itself
  int every = 24;       // rows between updates, >= 1
  int steps = 2;        // AdamW steps of one update, >= 1
  int batch = 32;       // windows per step, 1..65536
  double rate = 3e-4;   // AdamW, > 0; constant
  double clip = 0.5;    // gradient norm, > 0; 0: off
  double replay = 0.5;  // share of a batch that is replayed, 0..1; the rest is recent
  int recent_rows =
      1000;              // how far back recent windows may begin, rows, >= 1; newer ones are drawn more often
  int memory = 4096;     // windows remembered, >= regimes
  int regimes = 8;       // of operation; each has an equal share of the memory, >= 1
  double l2sp = 1e-3;    // pull to theta*, >= 0
  double ewc = 0;        // the same weighted by the Fisher information (mean 1), >= 0
  double distill = 0;    // distance to the teacher's quantiles stored with a replayed window, >= 0
  double pace = 0;       // >= 0; steps are multiplied by (newest loss / usual loss)^pace, so that it learns
                         // faster while the plant drifts and rests when it does not
  double pace_most = 4;  // bounds of that factor: 1 / pace_most .. pace_most, >= 1
  double level_shift = 0.5;  // as in TrainConfig
  double input_shift = 0.3;
  double gain_shift = 0, slope_shift = 0;
  double unknown_plan = 0;
  double tolerance = 0.02;  // an update is dropped when the loss on the held-out windows rises by more than
                            // this share, >= 0
  int guard = 64;           // held-out windows, never learnt from; 0: no guard
  int snapshots = 8;        // versions kept for rollback, >= 1
  bool learn = true;        // false: remember, but never update (frozen for compliance)
  int threads = 0;          // 0: the machine's
  std::uint64_t seed = 0;
  void validate() const;  // throws InputError "OnlineConfig.field: expected ..., got ..."
};

/// What one update did, and why. Loss terms are means over its steps.
struct UpdateReport {
  std::int64_t row = 0;  // rows seen when it ran
  int version = 0;       // of the weights that serve afterwards
  bool accepted = false;
  std::string reason;  // of a refusal
  int steps = 0;
  double pace = 1;                                         // factor on the steps
  double newest_loss = kMissing;                           // of the newest windows before the update
  double recent_loss = kMissing, replay_loss = kMissing;   // L by part, normalised units
  double l2sp = 0, ewc = 0;                                // the penalties' values, coefficients included
  double distill = 0;                                      // KD, coefficient included
  double gradient_norm = 0;                                // of L and KD, before clipping
  double guard_before = kMissing, guard_after = kMissing;  // loss on the held-out windows
  double seconds = 0;
};

/// One plant's learner, for one thread. `weights()` alone may be called from other threads: they see a whole
/// version or another whole version, never half an update.
class OnlineLearner {
 public:
  /// `past`: rows with their labels, up to now; they fill the memory and give theta* its Fisher information.
  /// Throws InputError for a bad config, a history of other tags, or fewer rows than one window.
  OnlineLearner(const Forecaster& forecaster, const History& past, const OnlineConfig& config);
  ~OnlineLearner();

  /// The newest row (tags), physical units. With delay > 0 its outputs must be missing: a label handed in
  /// early is refused (InputError). `breaks`: it does not
  /// follow the row before. Runs an update when one is due and returns its report.
  std::optional<UpdateReport> observe(std::span<const double> row, double time_s = kMissing,
                                      bool breaks = false);
  /// Outputs (O) of row number `row` (counted from the first of `past`), NaN where the analyser gave none.
  /// Throws InputError for a row not yet seen, too old to be still remembered, or whose label cannot be known
  /// yet.
  void label(std::int64_t row, std::span<const double> outputs);
  /// An update now, due or not.
  UpdateReport update();

  /// Rows with the labels that are known; its first row is number first_row().
  const History& history() const;
  std::int64_t first_row() const;
  std::int64_t rows() const;  // seen so far, those of `past` included
  const OnlineConfig& config() const;
  /// The weights that serve, (parameter_count); a version that no later update changes.
  std::shared_ptr<const std::vector<float>> weights() const;
  int version() const;
  const std::vector<float>& anchor() const;  // theta*
  const std::vector<float>& fisher() const;  // diagonal at theta*, mean 1; empty without ewc
  const Replay& memory() const;

  /// Serves the weights of an earlier version again (a kept snapshot), as a new version; learning goes on
  /// from there. Throws InputError naming the versions kept.
  int rollback(int version);
  std::vector<int> snapshots() const;  // versions kept, rising

  /// The forecaster with the weights that serve.
  Forecaster forecaster() const;

  /// Rows that are kept for others, beyond what learning needs; >= 0. Not part of its file.
  void keep_rows(Index rows);
  /// What belongs to this learner and goes into its file, as bytes by name: say, a corrector beside it.
  std::map<std::string, std::string>& attached();
  const std::map<std::string, std::string>& attached() const;

  /// Everything: rows, memory, weights, versions, moments. A learner loaded from it goes on to the same bits.
  /// Atomic; throws FileError.
  void save(const std::string& path) const;
  /// Throws FileError: missing, truncated, changed, foreign or of a newer format; the text says which.
  static OnlineLearner load(const std::string& path);

  OnlineLearner(OnlineLearner&&) noexcept;
  OnlineLearner& operator=(OnlineLearner&&) noexcept;

 private:
  OnlineLearner();
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace emisopt
