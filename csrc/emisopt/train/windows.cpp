#include "emisopt/train/windows.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "emisopt/base/rng.hpp"

namespace emisopt {

TrainingWindows::TrainingWindows(const Forecaster& forecaster, const History& history, index end)
    : layout_(forecaster.layout),
      tags_(forecaster.tags),
      z_(forecaster.scaler.normalise(history, 0, end)),
      window_(layout_.context() + layout_.horizon(), history.columns()),
      plan_(layout_.horizon(), static_cast<index>(layout_.setpoints().size())),
      known_(layout_.horizon(), static_cast<index>(layout_.disturbances().size())) {
  if (!history.time.empty()) time_.assign(history.time.begin(), history.time.begin() + end);
}

void TrainingWindows::fill(kernels::Program<float>& program, int slot, index origin,
                           const Augmentation& augmentation, std::uint64_t seed, std::uint64_t stream) {
  const index context = layout_.context(), horizon = layout_.horizon();
  Rng rng(seed, stream);
  const bool unknown = rng.uniform() < augmentation.unknown_plan;

  const double* from = z_.row(origin - context);
  std::copy(from, from + window_.rows * window_.cols, window_.row(0));
  for (index c = 0; c < window_.cols; ++c) {
    const Tag& tag = tags_.tags[static_cast<std::size_t>(c)];
    if (tag.role == Role::cost || tag.kind == Kind::categorical) continue;
    const bool output = tag.role == Role::emission || tag.role == Role::quality;
    const double shift = rng.normal() * (output ? augmentation.level_shift : augmentation.input_shift);
    for (index r = 0; r < window_.rows; ++r) window_(r, c) += shift;
  }

  const ConstView past = ConstView(window_).slice(0, context),
                  coming = ConstView(window_).slice(context, horizon);
  const ContextSummary summary = layout_.summarise(past);
  const auto stamp = [&](index r) { return time_.empty() ? kMissing : time_[static_cast<std::size_t>(r)]; };
  layout_.fill_history(program.history() + slot * layout_.history_tokens() * layout_.history_width(), past,
                       summary, stamp(origin - context));

  const auto gather = [&](Matrix& to, const std::vector<index>& ids) {
    for (index h = 0; h < horizon; ++h)
      for (std::size_t i = 0; i < ids.size(); ++i) to(h, static_cast<index>(i)) = coming(h, ids[i]);
  };
  gather(plan_, layout_.setpoints());
  gather(known_, layout_.disturbances());
  const ConstView plan = plan_;
  layout_.fill_future(program.future() + slot * horizon * layout_.future_width(), summary,
                      unknown ? nullptr : &plan, known_, stamp(origin));

  const auto outputs = static_cast<index>(layout_.outputs().size());
  float* target = program.target() + slot * horizon * outputs;
  float* weight = program.weight() + slot * horizon * outputs;
  for (index h = 0; h < horizon; ++h)
    for (index o = 0; o < outputs; ++o) {
      const index tag = layout_.outputs()[static_cast<std::size_t>(o)];
      const double change = coming(h, tag) - summary.anchor[static_cast<std::size_t>(tag)];
      const bool counts = !std::isnan(change);
      *target++ = counts ? static_cast<float>(change) : 0.0f;
      *weight++ = counts ? 1.0f : 0.0f;
    }
}

void TrainingWindows::blank(kernels::Program<float>& program, int slot) {
  const index history = static_cast<index>(layout_.history_tokens()) * layout_.history_width();
  const index future = static_cast<index>(layout_.horizon()) * layout_.future_width();
  const index labels = layout_.horizon() * static_cast<index>(layout_.outputs().size());
  std::fill_n(program.history() + slot * history, history, 0.0f);
  std::fill_n(program.future() + slot * future, future, 0.0f);
  std::fill_n(program.target() + slot * labels, labels, 0.0f);
  std::fill_n(program.weight() + slot * labels, labels, 0.0f);
}

double TrainingWindows::weight(kernels::Program<float>& program, int batch) const {
  const index labels = batch * layout_.horizon() * static_cast<index>(layout_.outputs().size());
  return std::accumulate(program.weight(), program.weight() + labels, 0.0);
}

}  // namespace emisopt
