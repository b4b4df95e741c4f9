// Private to the online learner: what it holds between two rows.
#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <vector>

#include "emisopt/model/lora.hpp"
#include "emisopt/train/online.hpp"
#include "emisopt/train/windows.hpp"

namespace emisopt {

using SharedWeights = std::shared_ptr<const std::vector<float>>;

struct OnlineLearner::State {
  OnlineConfig config;
  Forecaster forecaster;  // theta: the weights that serve
  std::unique_ptr<Lora> lora;
  // What learns: theta itself, or theta* and its low-rank corrections. `anchor` is where it started.
  std::vector<float> learning, anchor, m, v, fisher;
  std::vector<float> theta_star;
  std::int64_t adam_step = 0, updates = 0;
  double usual_log_loss = kMissing, newest_log_loss = kMissing;  // slow and fast means, for the pace

  History history;
  std::int64_t first_row = 0;  // number of the history's first row
  Index kept_for_others = 0;
  std::int64_t since_update = 0;  // rows
  std::int64_t next_sample = 0;   // first target row of the next window to remember
  Regimes regimes;
  Replay memory;
  std::vector<TrainingSample> guard;
  std::int64_t guard_offers = 0;

  int version = 0;
  struct Version {
    SharedWeights served;
    std::vector<float> learning;  // lora only: what learns cannot be told from what serves
  };
  std::map<int, Version> kept;
  std::map<std::string, std::string> attached;
  std::atomic<SharedWeights> serving;

  std::unique_ptr<WindowWriter> writer;
  std::unique_ptr<kernels::Program<float>> program;  // train mode, of what learns
  std::unique_ptr<kernels::Program<float>> teacher;  // infer mode, of the weights that serve
  int teacher_version = 0;
  std::vector<std::int64_t> batch_rows;  // first target row of each window of the last batch, -1: none
  std::vector<kernels::Range> ranges;    // of the weights that learn

  /// Corrections for the blocks that config names.
  void make_lora() {
    lora = std::make_unique<Lora>(with_lora(forecaster.network, config.rank,
                                            last_block_linears(forecaster.network, config.lora_blocks)));
  }
  /// Compiles what config and forecaster ask for; theta_star, learning and anchor must be set.
  void compile();
  void serve(std::vector<float> theta);
  /// Offers every window that has become complete to the memory or the guard.
  void remember();
  UpdateReport update();
  void learn_fisher();

  const FeatureLayout& layout() const { return forecaster.layout; }
  Index context() const { return layout().context(); }
  Index horizon() const { return layout().horizon(); }
  std::int64_t rows() const { return first_row + history.rows(); }
  /// Rows before this one have their labels, as far as they ever will.
  std::int64_t labelled_end() const { return rows() - config.delay; }
  /// Mean inputs of a context: what regimes are made of.
  std::vector<double> operation(ConstView z) const;
  /// Windows by first target row, in blocks of a horizon; one block in eight judges updates and never
  /// teaches.
  bool held_out(std::int64_t origin) const { return config.guard > 0 && origin / horizon() % 8 == 7; }
  /// The window whose first target row is number `origin`, if its rows are there, unbroken, and can teach.
  bool window_at(std::int64_t origin, Matrix& window, double& time0) const;
  void put(const TrainingSample& sample, int slot, const Augmentation& augmentation, std::uint64_t stream);

 private:
  std::vector<float> teach(const TrainingSample& sample);
  double loss_of(const std::vector<float>& weights, const std::vector<TrainingSample>& samples);
  std::vector<float> merged(const std::vector<float>& weights) const;
  /// One batch; false when no window was found for it.
  bool fill(std::uint64_t stream, int replayed, const Augmentation& augmentation);
  /// Why a step ended in no number: its batch, and which of its windows are to blame.
  std::string trouble(int step) const;
  double choose_pace(UpdateReport& report);
  bool descend(std::vector<float>& weights, std::vector<float>& m_now, std::vector<float>& v_now, int step,
               int replayed, UpdateReport& report);
};

}  // namespace emisopt
