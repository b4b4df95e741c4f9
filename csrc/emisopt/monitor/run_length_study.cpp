#include "emisopt/monitor/run_length_study.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

constexpr Index kChunk = 4096;

class Stream {
 public:
  Stream(const ValueSource& source, std::uint64_t seed) : source_(source), rng_(seed) {}

  void fill(std::vector<double>& out) {
    for (double& x : out) x = next();
  }

 private:
  double next() {
    switch (source_.kind) {
      case ValueSource::Kind::normal:
        return rng_.normal();
      case ValueSource::Kind::uniform:
        return rng_.uniform();
      case ValueSource::Kind::ar1:
        last_ = begun_ ? source_.phi * last_ + std::sqrt(1 - source_.phi * source_.phi) * rng_.normal()
                       : rng_.normal();
        begun_ = true;
        return last_;
      case ValueSource::Kind::blocks:
        break;
    }
    if (left_ == 0) {
      left_ = source_.block;
      at_ = rng_.below(static_cast<Index>(source_.series.size()) - source_.block + 1);
    }
    --left_;
    return source_.series[static_cast<std::size_t>(at_++)];
  }

  const ValueSource& source_;
  Rng rng_;
  double last_ = 0;
  bool begun_ = false;
  Index at_ = 0, left_ = 0;
};

}  // namespace

void ValueSource::validate() const {
  const std::string where = "ValueSource(";
  if (kind == Kind::ar1 && !(std::abs(phi) < 1))
    throw InputError(where + "phi): expected a number in (-1, 1), got " + number_text(phi));
  if (kind != Kind::blocks) return;
  const auto n = static_cast<Index>(series.size());
  if (block < 1 || block > n)
    throw InputError(where + "block): expected 1 to the series' length, " + std::to_string(n) + ", got " +
                     std::to_string(block));
  for (std::size_t i = 0; i < series.size(); ++i)
    if (!std::isfinite(series[i]))
      throw InputError(where + "series): row " + std::to_string(i) + ": expected a finite number, got " +
                       number_text(series[i]));
}

std::vector<RunLength> simulated_run_lengths(const std::vector<DetectorOptions>& detectors,
                                             const ValueSource& source, Index values, std::uint64_t seed) {
  source.validate();
  if (values < 1)
    throw InputError("simulated_run_lengths(values): expected 1 or more, got " + std::to_string(values));
  std::vector<DriftBank> banks;
  for (const DetectorOptions& options : detectors) banks.emplace_back(options, std::vector<std::string>{"x"});
  Stream stream(source, seed);
  std::vector<double> chunk;
  std::vector<RunLength> out(detectors.size());
  std::vector<Index> last(detectors.size(), 0);  // values up to the last alarm
  for (Index done = 0; done < values; done += static_cast<Index>(chunk.size())) {
    chunk.resize(static_cast<std::size_t>(std::min(kChunk, values - done)));
    stream.fill(chunk);
    for (std::size_t i = 0; i < banks.size(); ++i)
      out[i].alarms +=
          static_cast<Index>(banks[i].push({chunk.data(), static_cast<Index>(chunk.size()), 1, 1, 1}).size());
  }
  for (RunLength& r : out)
    r.mean = r.alarms > 0 ? static_cast<double>(values) / static_cast<double>(r.alarms)
                          : std::numeric_limits<double>::infinity();
  return out;
}

double limit_inflation(const DetectorOptions& options, double run_length, const ValueSource& source,
                       Index values, std::uint64_t seed) {
  const double limit = std::visit(
      [](const auto& o) {
        if constexpr (requires { o.limit; }) return o.limit;
        return kMissing;
      },
      options);
  if (std::isnan(limit))
    throw InputError("limit_inflation: expected a detector with a limit, not adwin or kswin");
  if (!(run_length > 1) || static_cast<double>(values) < 20 * run_length)
    throw InputError("limit_inflation(values): expected at least 20 run lengths of " +
                     number_text(run_length) + ", got " + std::to_string(values));
  constexpr double kFactors[] = {1, 1.1, 1.2, 1.35, 1.5, 1.75, 2, 2.5, 3, 4, 6, 8, 12, 16};
  double below = 0, before = 0;
  for (const double factor : kFactors) {
    DetectorOptions scaled = options;
    std::visit(
        [&](auto& o) {
          if constexpr (requires { o.limit; }) o.limit = factor * limit;
        },
        scaled);
    const double got = std::log(simulated_run_lengths({scaled}, source, values, seed)[0].mean);
    const double wanted = std::log(run_length);
    if (got >= wanted) {
      if (factor == 1) return 1;
      const double most = wanted + 3;  // no alarm at all says only that it is far enough
      return below + (factor - below) * (wanted - before) / (std::min(got, most) - before);
    }
    below = factor, before = got;
  }
  return std::numeric_limits<double>::infinity();
}

}  // namespace emisopt
