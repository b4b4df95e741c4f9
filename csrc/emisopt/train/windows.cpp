#include "emisopt/train/windows.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {

WindowWriter::WindowWriter(const Forecaster& forecaster, Emphasis emphasis)
    : layout_(forecaster.layout),
      tags_(forecaster.tags),
      emphasis_(std::move(emphasis)),
      window_(layout_.context() + layout_.horizon(), static_cast<Index>(tags_.tags.size())),
      plan_(layout_.horizon(), static_cast<Index>(layout_.setpoints().size())),
      known_(layout_.horizon(), static_cast<Index>(layout_.disturbances().size())),
      heavy_(layout_.horizon(), static_cast<Index>(layout_.outputs().size())) {
  for (std::size_t o = 0; o < emphasis_.above.size(); ++o)
    if (std::isfinite(emphasis_.above[o]))
      emphasis_.above[o] = forecaster.scaler.tags[static_cast<std::size_t>(layout_.outputs()[o])].normalise(
          emphasis_.above[o]);
}

void WindowWriter::write(kernels::Program<float>& program, int slot, double time0,
                         const Augmentation& augmentation, std::uint64_t seed, std::uint64_t stream) {
  const Index context = layout_.context(), horizon = layout_.horizon();
  Rng rng(seed, stream);
  const bool unknown = rng.uniform() < augmentation.unknown_plan;

  if (emphasis_.active())
    for (Index h = 0; h < horizon; ++h)
      for (std::size_t o = 0; o < emphasis_.above.size(); ++o)
        heavy_(h, static_cast<Index>(o)) = window_(context + h, layout_.outputs()[o]) > emphasis_.above[o];
  for (Index c = 0; c < window_.cols; ++c) {
    const Tag& tag = tags_.tags[static_cast<std::size_t>(c)];
    if (tag.role == Role::cost || tag.kind == Kind::categorical) continue;
    const bool output = tag.role == Role::emission || tag.role == Role::quality;
    const double shift = rng.normal() * (output ? augmentation.level_shift : augmentation.input_shift);
    for (Index r = 0; r < window_.rows; ++r) window_(r, c) += shift;
  }
  const int hidden = augmentation.max_delay > 0 ? static_cast<int>(rng.below(augmentation.max_delay + 1)) : 0;

  if (augmentation.gain_shift > 0 || augmentation.slope_shift > 0) bend(augmentation, rng);
  const ConstView past = ConstView(window_).slice(0, context),
                  coming = ConstView(window_).slice(context, horizon);
  const ContextSummary summary = layout_.summarise(past, hidden);
  layout_.fill_history(program.history() + slot * layout_.history_tokens() * layout_.history_width(), past,
                       summary, time0, hidden);

  const auto gather = [&](Matrix& to, const std::vector<Index>& ids) {
    for (Index h = 0; h < horizon; ++h)
      for (std::size_t i = 0; i < ids.size(); ++i) to(h, static_cast<Index>(i)) = coming(h, ids[i]);
  };
  gather(plan_, layout_.setpoints());
  gather(known_, layout_.disturbances());
  const ConstView plan = plan_;
  layout_.fill_future(program.future() + slot * horizon * layout_.future_width(), summary,
                      unknown ? nullptr : &plan, known_,
                      time0 + static_cast<double>(context) * layout_.period());

  const auto outputs = static_cast<Index>(layout_.outputs().size());
  if (!program.target()) return;  // an infer program, that is asked as a teacher
  float* target = program.target() + slot * horizon * outputs;
  float* weight = program.weight() + slot * horizon * outputs;
  for (Index h = 0; h < horizon; ++h)
    for (Index o = 0; o < outputs; ++o) {
      const Index tag = layout_.outputs()[static_cast<std::size_t>(o)];
      const double change = coming(h, tag) - summary.anchor[static_cast<std::size_t>(tag)];
      const bool counts = !std::isnan(change);
      *target++ = counts ? static_cast<float>(change) : 0.0f;
      *weight++ =
          counts ? (emphasis_.active() && heavy_(h, o) ? static_cast<float>(emphasis_.weight) : 1.0f) : 0.0f;
    }
}

void WindowWriter::bend(const Augmentation& augmentation, Rng& rng) {
  const Index context = layout_.context();
  const auto mean = [&](Index tag) {
    double sum = 0;
    int n = 0;
    for (Index r = 0; r < context; ++r)
      if (!std::isnan(window_(r, tag))) {
        sum += std::clamp(window_(r, tag), -kClip, kClip);
        ++n;
      }
    return n ? sum / n : 0.0;
  };
  std::vector<Index> inputs;
  std::vector<double> means;
  for (const auto* ids : {&layout_.setpoints(), &layout_.disturbances()})
    for (const Index tag : *ids)
      if (tags_.tags[static_cast<std::size_t>(tag)].kind == Kind::continuous) {
        inputs.push_back(tag);
        means.push_back(mean(tag));
      }
  for (const Index tag : layout_.outputs()) {
    const double middle = mean(tag), gain = std::exp(augmentation.gain_shift * rng.normal());
    for (Index r = 0; r < window_.rows; ++r) window_(r, tag) = middle + gain * (window_(r, tag) - middle);
    const double sd =
        augmentation.slope_shift / std::sqrt(std::max<double>(1, static_cast<double>(inputs.size())));
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const double slope = sd * rng.normal();
      for (Index r = 0; r < window_.rows; ++r) {
        const double x = window_(r, inputs[i]);
        if (!std::isnan(x)) window_(r, tag) += slope * (std::clamp(x, -kClip, kClip) - means[i]);
      }
    }
  }
}

void WindowWriter::blank(kernels::Program<float>& program, int slot) const {
  const Index history = static_cast<Index>(layout_.history_tokens()) * layout_.history_width();
  const Index future = static_cast<Index>(layout_.horizon()) * layout_.future_width();
  const Index labels = layout_.horizon() * static_cast<Index>(layout_.outputs().size());
  std::fill_n(program.history() + slot * history, history, 0.0f);
  std::fill_n(program.future() + slot * future, future, 0.0f);
  std::fill_n(program.target() + slot * labels, labels, 0.0f);
  std::fill_n(program.weight() + slot * labels, labels, 0.0f);
}

double WindowWriter::weight(kernels::Program<float>& program, int batch) const {
  const Index labels = batch * layout_.horizon() * static_cast<Index>(layout_.outputs().size());
  return std::accumulate(program.weight(), program.weight() + labels, 0.0);
}

TrainingWindows::TrainingWindows(const Forecaster& forecaster, const History& history, Index end,
                                 Emphasis emphasis)
    : layout_(forecaster.layout),
      scaler_(forecaster.scaler),
      history_(history),
      end_(end),
      writer_(forecaster, std::move(emphasis)) {
  if (end < 0 || end > history.rows())
    throw InputError("TrainingWindows(end): expected 0.." + std::to_string(history.rows()) +
                     " rows of the history, got " + std::to_string(end));
}

// Rows of the window from `origin` on that exist and follow each other, at most the horizon.
Index TrainingWindows::unbroken_from(Index origin) const {
  const Index last = std::min<Index>(origin + layout_.horizon(), end_);
  if (history_.gap.empty()) return last - origin;
  Index r = origin;
  while (r < last && !history_.gap[static_cast<std::size_t>(r)]) ++r;
  return r - origin;
}

void TrainingWindows::fill(kernels::Program<float>& program, int slot, Index origin,
                           const Augmentation& augmentation, std::uint64_t seed, std::uint64_t stream) {
  Matrix& window = writer_.window();
  const Index first = origin - layout_.context(), rows = layout_.context() + unbroken_from(origin);
  for (Index c = 0; c < window.cols; ++c) {
    const TagScale& scale = scaler_.tags[static_cast<std::size_t>(c)];
    for (Index r = 0; r < window.rows; ++r)
      window(r, c) = r < rows ? scale.normalise(history_.values(first + r, c)) : kMissing;
  }
  writer_.write(program, slot,
                history_.time.empty() ? kMissing : history_.time[static_cast<std::size_t>(first)],
                augmentation, seed, stream);
}

}  // namespace emisopt
