#include "emisopt/train/windows.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "emisopt/base/rng.hpp"

namespace emisopt {

TrainingWindows::TrainingWindows(const Forecaster& forecaster, const History& history, Index end)
    : layout_(forecaster.layout),
      tags_(forecaster.tags),
      z_(forecaster.scaler.normalise(history, 0, end)),
      window_(layout_.context() + layout_.horizon(), history.columns()),
      plan_(layout_.horizon(), static_cast<Index>(layout_.setpoints().size())),
      known_(layout_.horizon(), static_cast<Index>(layout_.disturbances().size())) {
  if (!history.time.empty()) time_.assign(history.time.begin(), history.time.begin() + end);
}

void TrainingWindows::fill(kernels::Program<float>& program, int slot, Index origin,
                           const Augmentation& augmentation, std::uint64_t seed, std::uint64_t stream) {
  const Index context = layout_.context(), horizon = layout_.horizon();
  Rng rng(seed, stream);
  const bool unknown = rng.uniform() < augmentation.unknown_plan;

  const double* from = z_.row(origin - context);
  std::copy(from, from + window_.rows * window_.cols, window_.row(0));
  for (Index c = 0; c < window_.cols; ++c) {
    const Tag& tag = tags_.tags[static_cast<std::size_t>(c)];
    if (tag.role == Role::cost || tag.kind == Kind::categorical) continue;
    const bool output = tag.role == Role::emission || tag.role == Role::quality;
    const double shift = rng.normal() * (output ? augmentation.level_shift : augmentation.input_shift);
    for (Index r = 0; r < window_.rows; ++r) window_(r, c) += shift;
  }

  const ConstView past = ConstView(window_).slice(0, context),
                  coming = ConstView(window_).slice(context, horizon);
  const ContextSummary summary = layout_.summarise(past);
  const auto stamp = [&](Index r) { return time_.empty() ? kMissing : time_[static_cast<std::size_t>(r)]; };
  layout_.fill_history(program.history() + slot * layout_.history_tokens() * layout_.history_width(), past,
                       summary, stamp(origin - context));

  const auto gather = [&](Matrix& to, const std::vector<Index>& ids) {
    for (Index h = 0; h < horizon; ++h)
      for (std::size_t i = 0; i < ids.size(); ++i) to(h, static_cast<Index>(i)) = coming(h, ids[i]);
  };
  gather(plan_, layout_.setpoints());
  gather(known_, layout_.disturbances());
  const ConstView plan = plan_;
  layout_.fill_future(program.future() + slot * horizon * layout_.future_width(), summary,
                      unknown ? nullptr : &plan, known_, stamp(origin));

  const auto outputs = static_cast<Index>(layout_.outputs().size());
  float* target = program.target() + slot * horizon * outputs;
  float* weight = program.weight() + slot * horizon * outputs;
  for (Index h = 0; h < horizon; ++h)
    for (Index o = 0; o < outputs; ++o) {
      const Index tag = layout_.outputs()[static_cast<std::size_t>(o)];
      const double change = coming(h, tag) - summary.anchor[static_cast<std::size_t>(tag)];
      const bool counts = !std::isnan(change);
      *target++ = counts ? static_cast<float>(change) : 0.0f;
      *weight++ = counts ? 1.0f : 0.0f;
    }
}

void TrainingWindows::blank(kernels::Program<float>& program, int slot) {
  const Index history = static_cast<Index>(layout_.history_tokens()) * layout_.history_width();
  const Index future = static_cast<Index>(layout_.horizon()) * layout_.future_width();
  const Index labels = layout_.horizon() * static_cast<Index>(layout_.outputs().size());
  std::fill_n(program.history() + slot * history, history, 0.0f);
  std::fill_n(program.future() + slot * future, future, 0.0f);
  std::fill_n(program.target() + slot * labels, labels, 0.0f);
  std::fill_n(program.weight() + slot * labels, labels, 0.0f);
}

double TrainingWindows::weight(kernels::Program<float>& program, int batch) const {
  const Index labels = batch * layout_.horizon() * static_cast<Index>(layout_.outputs().size());
  return std::accumulate(program.weight(), program.weight() + labels, 0.0);
}

}  // namespace emisopt
