// Sensors watched row by row against a SensorModel.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "emisopt/monitor/finding.hpp"
#include "emisopt/monitor/isolation.hpp"
#include "emisopt/monitor/residual_filter.hpp"
#include "emisopt/monitor/sensor_model.hpp"

namespace emisopt {

class SensorStream {
 public:
  /// Keeps the model alive.
  explicit SensorStream(std::shared_ptr<const SensorModel> model);

  /// Rows (n, C) in time order, physical, NaN = missing; status (n, C) or null: cells that are not 0 are
  /// neither judged nor taken into any state, nor are options.settle_rows after them, and the tag then starts
  /// anew: a calibration may have changed what it shows. gap (n) or null: rows that do not follow the one
  /// before. How rows are split over calls changes no bit of the findings. ShapeError for another width.
  void push(ConstView rows, const std::uint8_t* status, const char* gap);

  /// All findings so far, by first row. An open one ends in the newest row.
  std::vector<Finding> findings() const;
  Index rows() const { return row_; }

 private:
  struct TagState {
    RunCheck run;
    int settle = 0;
    bool flagged = false;
    Index open = -1;  // finding of range, frozen or stuck
    Index told = -1;  // row at which that finding was made: it tells what the others expect there
    ReadingState state = ReadingState::missing;
  };
  struct Suspect {   // a modelled tag's standing with its neighbours
    int beyond = 0;  // rows in a row beyond the jump's limit
    int calm = 0;    // rows in a row within it, since accused
    int side = 0;    // where the last row beyond was
    bool flagged = false;
    Index first = -1, last = -1;  // rows where `beyond` began and was newest
    double far = 0;               // strength of the farthest of these rows, and what it showed
    double value = kMissing, expected = kMissing, sd = kMissing;
    Index open = -1;               // finding while accused
    int view = -1;                 // that accused it; -1: rows did
    std::vector<Index> last_calm;  // (2 M) row at which each view was last well within its limit
  };
  struct Process {  // rows that no few sensors explain, per statistic: the row itself, each mean
    int beyond = 0;
    Index open = -1;
  };
  void step(const double* row, const std::uint8_t* status, bool gap);
  void judge_runs(const double* row, const std::uint8_t* status, bool gap);
  void open_run(Index column, ReadingState state);
  void judge_rows();
  void follow_suspect(Index tag, bool accused, double strength);
  void end_spike(Suspect& s, Index tag);
  void judge_means();
  void accuse(Index tag, std::size_t v, double strength);
  void reconsider(std::size_t v, std::size_t accused);
  void note_process(Process& process, bool unexplained, int rows, Index patience);
  Index open_finding(FindingKind kind, Index column, Index first, double strength);
  void close_finding(Index& open);
  void restart(Index tag);
  double band(Index tag) const;  // sd of reading - expected, normalised

  std::shared_ptr<const SensorModel> model_;
  std::unique_ptr<ResidualFilter> filter_;  // null: nothing is modelled
  std::vector<TagState> tags_;              // (C)
  std::vector<Index> place_;                // (C) place among the modelled tags, -1: none
  std::vector<Suspect> suspects_;           // (T)
  std::vector<Process> process_;
  std::vector<double> row_values_, z_, strength_, size_;
  std::vector<std::vector<double>> limits_;  // (1 + 2 M, T): of a jump, of each view
  std::vector<char> use_, trusted_, believe_, shown_;
  std::vector<Finding> findings_;
  Index row_ = 0;
};

}  // namespace emisopt
