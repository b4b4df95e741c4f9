// A permit judged on data: as a stream, row by row, or all at once by the same code. The result does not
// depend on how the rows were split into pushes, nor on their order within the stated lateness: the bits are
// the same.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "emisopt/permit/average.hpp"
#include "emisopt/permit/coming_rows.hpp"
#include "emisopt/permit/permit.hpp"

namespace emisopt {

struct EvaluationOptions {
  bool allow_unverified = false;     // judge by limits that nobody read in their source; every text says so
  double period_s = 0;               // between samples; needed where a rule counts shares of samples
  double lateness_s = 0;             // how late a row may come
  Stamp stamp = Stamp::start;        // what a row's stamp says of its sample
  bool negative_is_missing = false;  // else a negative concentration is refused
  int threads = 1;                   // that share the columns of a large push; the bits are the same
};

/// A civil day, month, quarter or year (or all) and how many of its averages are good.
struct PeriodCount {
  std::string label;  // "2024", "2024 Q1", "2024-03", "2024-03-31" or "all"
  Index good = 0, bad = 0;
  bool holds = true;
};

enum class Verdict : std::uint8_t { holds, broken, not_judged };
const char* to_string(Verdict);

/// One rule on one tag.
struct RuleResult {
  std::shared_ptr<const Rule> rule;  // of Evaluation::judged_by
  std::string tag;
  Verdict verdict = Verdict::not_judged;  // by itself, whatever an alternative says
  std::string held_by;                    // the alternative (Rule::either) that holds in its place, or ""
  std::shared_ptr<const Averages> averages;
  std::shared_ptr<const Averages> base;           // the base means that they are made of
  RawVector<char> judged;                         // per average: it counts and the rule is in force
  Index total = 0;                                // averages of operating time while in force
  Index valid = 0;                                // of these, those that count
  Index above = 0;                                // of these, those above the limit
  double hours_above = 0;                         // of the time that these stand for
  Index worst = -1;                               // the highest valid average; -1: none
  std::vector<PeriodCount> periods;               // where the rule allows a share or a number above the limit
  std::vector<PeriodCount> availability;          // where it limits how many averages may be invalid
  std::vector<std::pair<Reason, Index>> reasons;  // how many averages do not count, by reason
  Index negatives = 0;                            // samples left out as negative

  double worst_value() const {
    return worst < 0 ? kMissing : averages->value[static_cast<std::size_t>(worst)];
  }
  bool is_above(std::size_t average) const;
};

struct Evaluation {
  std::string permit, zone;
  std::shared_ptr<const Permit> judged_by;
  std::vector<RuleResult> results;  // in the permit's order of rules, then of signals
  Index rows = 0;                   // judged: each stamp once
  Index steps_back = 0;             // rows whose stamp lies before an earlier row's
  std::vector<StepBack> first_steps_back;

  Evaluation();
  ~Evaluation();
  Evaluation(const Evaluation&);
  Evaluation(Evaluation&&) noexcept;
  Evaluation& operator=(const Evaluation&);
  Evaluation& operator=(Evaluation&&) noexcept;

  std::string permit_hash() const { return judged_by->hash(); }
  /// holds: every rule does, or an alternative of it. not_judged: none is broken, some could not be judged.
  Verdict verdict() const;
  /// Counts, worst averages and verdicts of all rules as canonical JSON; for reports and audit records. Says
  /// nothing of how the rows came, so that the same rows give the same text in any order and split.
  std::string to_json() const;
};

class Evaluator {
 public:
  /// columns: names of the data's columns in their order. signals: what they measure; empty: the permit's
  /// own. zone: of civil days, the permit's or another that is asked for. Throws InputError naming rule and
  /// tag: an unverified limit without allow_unverified, a rule that no signal serves, a signal in another
  /// unit or on another basis than its rule, a signal or oxygen without a column, a share of samples without
  /// period_s.
  Evaluator(const Permit& permit, std::vector<Signal> signals, std::vector<std::string> columns, Zone zone,
            const EvaluationOptions& options);
  ~Evaluator();
  Evaluator(Evaluator&&) noexcept;
  Evaluator& operator=(Evaluator&&) noexcept;

  /// More rows. Throws InputError as SampleQueue::push (the stream is then as before) and as
  /// BaseSeries::take (a value that no analyser gives: the stream is broken, and so is every later call:
  /// StateError). ShapeError when a column is missing.
  void push(const Samples& rows);
  /// Closes what is open: no more rows. Throws InputError when there was none.
  void finish();
  /// push() of all rows, finish() and result() at once: the same bits, less waiting. Throws as they do (of a
  /// last row years ahead before it throws of values); then nothing may be pushed any more.
  Evaluation run(const Samples& rows);
  /// What is decided so far; all of it after finish().
  Evaluation result() const;

  /// The limits as linear rows over the coming steps; the operation to come counts as normal and every sample
  /// to come as valid. A window that will not count even so (too little of it is valid) yields no row, nor
  /// does one that the steps do not touch. Throws InputError naming the rule, unless options.skip: one with
  /// alternatives, without a limit, or corrected by mean oxygen; a tag or its oxygen that is not forecast;
  /// steps that begin before the end of the data. StateError before the first row and after finish().
  PermitRows coming(const Ahead& ahead, const ForecastNames& names, const ComingOptions& options = {}) const;
  /// Stamp of the newest row, UTC seconds; -infinity before the first.
  double newest() const;
  /// The map from forecast outputs to what those rows are on.
  std::shared_ptr<BasisMap> basis_map(const ForecastNames& names) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// All at once: Evaluator::run().
Evaluation evaluate(const Permit& permit, std::vector<Signal> signals, std::vector<std::string> columns,
                    Zone zone, const EvaluationOptions& options, const Samples& rows);

}  // namespace emisopt
