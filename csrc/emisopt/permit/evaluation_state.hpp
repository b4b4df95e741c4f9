// What an Evaluator holds between pushes; private to evaluation.cpp and coming_rows.cpp.
#pragma once
#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <thread>

#include "emisopt/base/error.hpp"
#include "emisopt/permit/evaluation.hpp"
#include "emisopt/permit/verdict.hpp"

namespace emisopt {

struct Evaluator::State {
  struct Pair {  // a rule on a tag
    std::size_t rule, average, base_average;
    std::string tag;
  };

  std::shared_ptr<const Permit> shared;
  const Permit& permit = *shared;
  EvaluationOptions options;
  Zone zone;
  std::vector<std::string> columns;
  SampleQueue queue;
  std::vector<std::unique_ptr<BaseClock>> clocks;
  std::vector<std::unique_ptr<BaseSeries>> bases;
  std::vector<std::unique_ptr<AverageSeries>> averages;
  std::vector<Pair> pairs;
  Index rows = 0;  // judged: each stamp once
  bool broken = false, finished = false;

  State(const Permit& p, std::vector<std::string> names, Zone z, const EvaluationOptions& o)
      : shared(std::make_shared<Permit>(p)),
        options(o),
        zone(std::move(z)),
        columns(names),
        queue(names, o.lateness_s) {}

  const BaseClock& clock(int length_s) {
    for (const auto& clock : clocks)
      if (clock->length_s() == length_s) return *clock;
    clocks.push_back(std::make_unique<BaseClock>(zone, length_s, options.stamp));
    return *clocks.back();
  }
  const BaseSeries& base(const BaseSpec& spec) {
    for (const auto& base : bases)
      if (base->spec().same(spec)) return *base;
    bases.push_back(std::make_unique<BaseSeries>(spec, clock(spec.base.length_s)));
    return *bases.back();
  }
  std::size_t average(const Averaging& averaging, const BaseSeries& base, double subtract) {
    for (std::size_t i = 0; i < averages.size(); ++i)
      if (&averages[i]->base() == &base && averages[i]->spec() == averaging &&
          averages[i]->subtract() == subtract)
        return i;
    auto windows = std::make_shared<Windows>();
    if (AverageSeries::by_clock(averaging))
      for (const auto& other : averages)
        if (&other->base().clock() == &base.clock() && other->spec().over == averaging.over &&
            other->spec().length == averaging.length)
          windows = other->averages()->windows;
    averages.push_back(std::make_unique<AverageSeries>(averaging, base, zone, subtract, std::move(windows)));
    return averages.size() - 1;
  }

  void require_open() const {
    if (broken)
      throw StateError("Evaluator: an earlier push failed amid its rows; begin again with a new one");
    if (finished) throw StateError("Evaluator: finished; begin again with a new one");
  }
  void require_columns(const Samples& samples) const {
    if (samples.columns.size() != columns.size())
      throw ShapeError("Evaluator.push: expected " + std::to_string(columns.size()) + " columns, got " +
                       std::to_string(samples.columns.size()));
  }
  Evaluation heading() const {
    Evaluation out;
    out.permit = permit.name;
    out.judged_by = shared;
    out.zone = zone.name;
    out.rows = rows;
    out.steps_back = queue.steps_back();
    out.first_steps_back = queue.first_steps_back();
    return out;
  }
  void process(const Samples& samples) {
    const std::vector<const RawVector<Piece>*> pieces = cut(samples, 1);
    share_out(
        threads_for(samples), [] {},
        [&](std::size_t i) {
          bases[i]->take(samples, *pieces[i]);
          advance(*bases[i], false);
        });
  }
  void finish() {
    lay_out(0);
    for (const auto& base : bases) close(*base);
  }
  /// process() of all the rows there are, finish() and the verdicts, each column at one go, so that what one
  /// makes the next has at hand. Statuses are looked at while the rows are cut. What was made stays as it is
  /// when this throws.
  std::vector<RuleResult> run(const Samples& samples) {
    std::vector<RuleResult> results(pairs.size());
    std::vector<const RawVector<Piece>*> pieces;
    std::vector<std::exception_ptr> wrong(samples.status.size());
    std::atomic<std::size_t> column = 0;
    const auto check = [&] {
      for (std::size_t c = column++; c < wrong.size(); c = column++)
        wrong[c] = caught([&] { queue.check_status(samples, c); });
    };
    std::exception_ptr unfit;
    std::atomic<bool> is_cut = false;
    const std::thread::id here = std::this_thread::get_id();
    const auto prepare = [&] {
      if (std::this_thread::get_id() == here) {
        unfit = caught([&] { pieces = cut(samples, 0); });
        is_cut = true;
        is_cut.notify_all();
      }
      check();
      is_cut.wait(false);
    };
    std::exception_ptr error = caught([&] {
      share_out(threads_for(samples), prepare, [&](std::size_t i) {
        if (unfit) return;
        bases[i]->take(samples, *pieces[i]);
        close(*bases[i]);
        for (std::size_t k = 0; k < pairs.size(); ++k)
          if (&averages[pairs[k].average]->base() == bases[i].get())
            results[k] = judged(pairs[k], averages[pairs[k].average]->averages(),
                                averages[pairs[k].base_average]->averages());
      });
    });
    wrong.push_back(unfit);  // in the order in which push() looks at them
    wrong.push_back(error);
    for (const std::exception_ptr& one : wrong)
      if (one) std::rethrow_exception(one);
    return results;
  }
  /// What a rule says of these averages.
  RuleResult judged(const Pair& pair, std::shared_ptr<const Averages> own,
                    std::shared_ptr<const Averages> base_own) const {
    RuleResult result;
    result.rule = {shared, &permit.rules[pair.rule]};
    result.tag = pair.tag;
    result.averages = std::move(own);
    result.base = std::move(base_own);
    const BaseSeries& base = averages[pair.average]->base();
    result.negatives = base.negatives();
    judge(result, base.clock().length_s(), zone);
    return result;
  }

 private:
  static constexpr double kWorthAThread = 200'000;  // samples: some 0.2 ms, against 0.03 ms for a thread

  int threads_for(const Samples& samples) const {
    const double values = static_cast<double>(samples.rows) * static_cast<double>(bases.size());
    return values >= kWorthAThread ? options.threads : 1;
  }
  template <class Work>
  static std::exception_ptr caught(const Work& work) {
    try {
      work();
    } catch (...) {
      return std::current_exception();
    }
    return nullptr;
  }

  // The pieces that each base series has to take; of the periods the last `open` are still open.
  std::vector<const RawVector<Piece>*> cut(const Samples& samples, std::size_t open) {
    rows += samples.rows;
    const Stamps& time = samples.time;
    zone.require(static_cast<Second>(std::floor(time[0])) - 1,
                 static_cast<Second>(std::ceil(time[samples.rows - 1])));
    std::vector<const RawVector<Piece>*> pieces(bases.size());
    for (const auto& clock : clocks) {
      const RawVector<Piece>& cut = clock->cut(samples);
      for (std::size_t i = 0; i < bases.size(); ++i)
        if (&bases[i]->clock() == clock.get()) pieces[i] = &cut;
    }
    lay_out(open);
    return pieces;
  }
  // Windows of all periods but the last `open`.
  void lay_out(std::size_t open) {
    for (const auto& average : averages) {
      const std::size_t begun = average->base().clock().periods().size();
      average->lay_out(begun - std::min(open, begun));
    }
  }
  void advance(const BaseSeries& base, bool last) {
    for (const auto& average : averages)
      if (&average->base() == &base) average->advance(last);
  }
  void close(BaseSeries& base) {
    base.finish();
    advance(base, true);
  }
  // Every base series once, each thread after its `prepare`, which throws nothing. Of several errors the
  // first series' is thrown, as with one thread.
  template <class Prepare, class Work>
  void share_out(int threads, const Prepare& prepare, const Work& work) {
    const std::size_t count = bases.size();
    std::vector<std::exception_ptr> errors(count);
    std::atomic<std::size_t> next = 0;
    const auto run = [&] {
      prepare();
      for (std::size_t i = next++; i < count; i = next++) errors[i] = caught([&] { work(i); });
    };
    std::vector<std::thread> others;
    for (int t = 1; t < threads && t < static_cast<int>(count); ++t) others.emplace_back(run);
    run();
    for (std::thread& other : others) other.join();
    for (const std::exception_ptr& error : errors)
      if (error) std::rethrow_exception(error);
  }
};

}  // namespace emisopt
