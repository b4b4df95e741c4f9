// What an Evaluator holds between pushes; private to evaluation.cpp and coming_rows.cpp.
#pragma once
#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <thread>

#include "emisopt/base/error.hpp"
#include "emisopt/permit/evaluation.hpp"

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
  void process(const Samples& samples) {
    rows += samples.rows;
    const Stamps& time = samples.time;
    zone.require(static_cast<Second>(std::floor(time[0])) - 1,
                 static_cast<Second>(std::ceil(time[samples.rows - 1])));
    std::vector<const std::vector<Piece>*> pieces(bases.size());
    for (const auto& clock : clocks) {
      const std::vector<Piece>& cut = clock->cut(samples);
      for (std::size_t i = 0; i < bases.size(); ++i)
        if (&bases[i]->clock() == clock.get()) pieces[i] = &cut;
    }
    const double values = static_cast<double>(samples.rows) * static_cast<double>(bases.size());
    lay_out(1);
    share_out(values >= kWorthAThread ? options.threads : 1, [&](std::size_t i) {
      bases[i]->take(samples, *pieces[i]);
      advance(*bases[i], false);
    });
  }
  void finish() {
    lay_out(0);
    for (const auto& base : bases) {
      base->finish();
      advance(*base, true);
    }
  }

 private:
  static constexpr double kWorthAThread = 200'000;  // samples: some 0.2 ms, against 0.03 ms for a thread

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
  // Every base series once. Of several errors the first series' is thrown, as with one thread.
  template <class Work>
  void share_out(int threads, const Work& work) {
    const std::size_t count = bases.size();
    std::vector<std::exception_ptr> errors(count);
    std::atomic<std::size_t> next = 0;
    const auto run = [&] {
      for (std::size_t i = next++; i < count; i = next++) {
        try {
          work(i);
        } catch (...) {
          errors[i] = std::current_exception();
        }
      }
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
