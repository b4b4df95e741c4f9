#include "emisopt/monitor/residual_limits.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "emisopt/base/rng.hpp"
#include "emisopt/monitor/residual_filter.hpp"
#include "emisopt/monitor/tail_limit.hpp"

namespace emisopt {
namespace {

constexpr Index kFitRows = 20000;
constexpr Index kCalibrationCells = 8'000'000;  // of one statistic over all tags: 64 MB
constexpr std::size_t kLeastScores = 50;        // with fewer the tail is five
constexpr double kSetAside = 0.02;
constexpr double kJumpShare = 0.4;  // of the false-alarm budget; runs take 0.2, all memories together 0.4
constexpr double kMemoryShare = 0.4;
constexpr double kWithin = 0.01;
constexpr double kLeastLimit = 3;  // standard deviations: no limit of a jump lies closer

using Blocks = std::vector<std::vector<double>>;  // per block the values of one statistic of one tag

// Rows [begin, end) left out.
Matrix without(ConstView z, Index begin, Index end) {
  Matrix out(z.rows - (end - begin), z.cols);
  for (Index from = 0, to = 0; from < z.rows; ++from)
    if (from < begin || from >= end) std::copy_n(z.row(from), z.cols, out.row(to++));
  return out;
}

// As a standard deviation, from the median.
double spread_of(const Blocks& sizes) {
  std::vector<double> all;
  for (const auto& block : sizes)
    std::copy_if(block.begin(), block.end(), std::back_inserter(all),
                 [](double v) { return !std::isnan(v); });
  return kMedianToSd * quantile(all, 0.5);
}

double limit_or_never(const Blocks& scores, double rate, const TailOptions& tail) {
  std::size_t blocks = 0, count = 0;
  for (const auto& block : scores) {
    const auto known = static_cast<std::size_t>(
        std::count_if(block.begin(), block.end(), [](double v) { return !std::isnan(v); }));
    blocks += known > 0;
    count += known;
  }
  if (blocks < 2 || count < kLeastScores) return HUGE_VAL;
  return tail_limit(scores, std::min(tail.tail, rate), tail, "SensorMonitor.fit");
}

}  // namespace

Matrix thinned(ConstView z) {
  const Index step = std::max<Index>(1, (z.rows + kFitRows - 1) / kFitRows);
  Matrix out((z.rows + step - 1) / step, z.cols);
  Rng rng(1);
  for (Index row = 0; row < out.rows; ++row) {
    const Index first = row * step, drawn = first + rng.below(std::min(step, z.rows - first));
    std::copy_n(z.row(drawn), z.cols, out.row(row));
  }
  return out;
}

Index choose_factors(ConstView z, const std::vector<char>& judged) {
  const Matrix rows = thinned(z);
  const Index train = rows.rows * 4 / 5;
  std::vector<std::pair<Index, double>> tried;
  double best = HUGE_VAL;
  for (const Index k : {1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32}) {
    // Beyond half of the tags a factor model has more parameters than the covariances tell.
    if (k > 1 && k > rows.cols / 2) break;
    const FactorModel model = FactorModel::fit(rows.view().slice(0, train), k);
    Reconstruction reconstruction(model);
    const std::vector<char> use(judged.size(), 1);
    std::vector<double> expected(judged.size()), sd(judged.size());
    Blocks sizes(judged.size());
    for (Index row = train; row < rows.rows; ++row) {
      reconstruction.run(rows.row(row), use.data(), expected.data(), sd.data());
      for (std::size_t t = 0; t < judged.size(); ++t)
        if (const double off = std::abs(rows(row, static_cast<Index>(t)) - expected[t]); !std::isnan(off))
          sizes[t].push_back(off);
    }
    double sum = 0, count = 0;
    for (std::size_t t = 0; t < judged.size(); ++t) {
      if (!judged[t] || sizes[t].empty()) continue;
      sum += std::log(std::max(quantile(sizes[t], 0.5), 1e-6));
      ++count;
    }
    tried.emplace_back(k, count > 0 ? sum / count : 0);
    best = std::min(best, tried.back().second);
  }
  for (const auto& [k, score] : tried)
    if (score <= best + kWithin) return k;
  return tried.front().first;
}

std::vector<ResidualLimits> residual_limits(ConstView z, const std::vector<char>& gap, Index factors,
                                            const SensorOptions& options) {
  const auto tags = static_cast<std::size_t>(z.cols);
  const std::size_t memories = options.memory.size();
  const auto blocks = static_cast<std::size_t>(options.blocks);
  std::vector<Blocks> size(tags, Blocks(blocks)), jump(size);
  std::vector<std::vector<Blocks>> shift(2 * memories, size);  // by view
  const std::vector<char> all(tags, 1);
  const Index step = std::max<Index>(1, z.rows * z.cols / kCalibrationCells);
  std::vector<Index> seen(tags, 0);  // readings of each tag: every step-th counts
  std::vector<double> means;

  for (std::size_t b = 0; b < blocks; ++b) {
    const Index begin = z.rows * static_cast<Index>(b) / options.blocks;
    const Index end = z.rows * static_cast<Index>(b + 1) / options.blocks;
    const FactorModel model = FactorModel::fit(thinned(without(z, begin, end)), factors);
    ResidualFilter filter(model, options.memory, options.baseline);
    for (Index row = begin; row < end; ++row) {
      if (!gap.empty() && gap[static_cast<std::size_t>(row)]) filter.forget_levels();
      filter.take(z.row(row));
      filter.look(all.data());
      for (std::size_t t = 0; t < tags; ++t) {
        const auto tag = static_cast<Index>(t);
        if (std::isnan(z(row, tag)) || seen[t]++ % step != 0) continue;
        size[t][b].push_back(std::abs(filter.residual(tag)));
        jump[t][b].push_back(std::abs(filter.jump(tag)));  // NaN at a start: left out by tail_limit
      }
      filter.keep(all.data(), all.data());
      for (std::size_t v = 0; v < filter.views(); ++v) {
        const double memory = filter.memory(v);
        const auto every = std::max<Index>(step, static_cast<Index>(memory / 4));
        if (static_cast<double>(row - begin) < memory || (row - begin) % every != 0) continue;
        filter.mean_residual(v, all.data(), means);
        for (std::size_t t = 0; t < tags; ++t) shift[v][t][b].push_back(std::abs(means[t]));
      }
    }
  }

  TailOptions tail;
  tail.set_aside = kSetAside;
  tail.confidence = options.confidence;
  const double budget = options.false_alarms / options.rows_per_month;
  std::vector<ResidualLimits> limits(tags);
  for (std::size_t t = 0; t < tags; ++t) {
    limits[t].spread = spread_of(size[t]);
    limits[t].jump =
        std::max(limit_or_never(jump[t], kJumpShare * budget, tail), kLeastLimit * spread_of(jump[t]));
    for (std::size_t v = 0; v < 2 * memories; ++v) {
      // A mean stays beyond its limit for about its memory: so many rows are one alarm.
      const double rows = std::max(1.0, options.memory[v % memories] / 2);
      const double share = kMemoryShare / static_cast<double>(2 * memories);
      limits[t].shift.push_back(limit_or_never(shift[v][t], share * budget * rows, tail));
    }
  }
  return limits;
}

}  // namespace emisopt
