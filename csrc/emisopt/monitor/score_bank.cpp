#include "emisopt/monitor/score_bank.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"
#include "emisopt/monitor/run_length_study.hpp"
#include "emisopt/monitor/tag_threads.hpp"

namespace emisopt {
namespace {

// One tag's column, contiguous.
std::vector<double> column(const TagRows& v, Index tag) {
  std::vector<double> out(static_cast<std::size_t>(v.rows));
  for (Index r = 0; r < v.rows; ++r) out[static_cast<std::size_t>(r)] = v(r, tag);
  return out;
}

}  // namespace

ScoreBank::ScoreBank(const TagRows& reference, const char* gap, std::vector<std::string> names,
                     const ReferenceOptions& options, int threads)
    : names_(std::move(names)),
      references_(names_.size()),
      streams_(names_.size()),
      busy_(std::make_unique<std::atomic<bool>>(false)) {
  options.validate();
  check_shape("ScoreBank(reference)", {reference.rows, reference.tags}, {{"N", -1}, {"tags", tags()}});
  require_finite_or_missing("ScoreBank(reference)", reference, names_, 0);
  share_out(tags(), threads, [&](Index tag) {
    const std::vector<double> x = column(reference, tag);
    references_[static_cast<std::size_t>(tag)] =
        ReferenceScore::fit(x.data(), reference.rows, 1, gap, options);
  });
}

Matrix ScoreBank::push(const TagRows& values, const char* gap, int threads) {
  const OneAtATime alone("ScoreBank.push", *busy_);
  check_shape("ScoreBank.push(values)", {values.rows, values.tags}, {{"N", -1}, {"tags", tags()}});
  require_finite_or_missing("ScoreBank.push(values)", values, names_, rows_);
  Matrix out(values.rows, values.tags);
  share_out(tags(), threads, [&](Index tag) {
    const auto at = static_cast<std::size_t>(tag);
    streams_[at].run(references_[at], values.data + tag * values.tag_step, values.rows, values.row_step, gap,
                     out.values.data() + tag, values.tags);
  });
  rows_ += values.rows;
  return out;
}

std::vector<double> ScoreBank::inflations(const TagRows& reference, const char* gap,
                                          const DetectorOptions& chart, double run_length, Index block,
                                          Index values, std::uint64_t seed, int threads) const {
  check_shape("ScoreBank.inflations(reference)", {reference.rows, reference.tags},
              {{"N", -1}, {"tags", tags()}});
  require_finite_or_missing("ScoreBank.inflations(reference)", reference, names_, 0);
  std::vector<double> out(references_.size(), kMissing);
  share_out(tags(), threads, [&](Index tag) {
    const auto at = static_cast<std::size_t>(tag);
    if (references_[at].state != ReferenceScore::State::judged) return;
    const std::vector<double> x = column(reference, tag);
    ValueSource source;
    source.kind = ValueSource::Kind::blocks;
    source.series.resize(x.size());
    ScoreStream stream;
    stream.run(references_[at], x.data(), reference.rows, 1, gap, source.series.data(), 1);
    std::erase_if(source.series, [](double v) { return std::isnan(v); });
    const auto n = static_cast<Index>(source.series.size());
    source.block = block > 0 ? block : static_cast<Index>(4 * std::cbrt(static_cast<double>(n)));
    source.block = std::clamp<Index>(source.block, 1, n);
    out[at] = limit_inflation(chart, run_length, source, values, seed);
  });
  return out;
}

}  // namespace emisopt
