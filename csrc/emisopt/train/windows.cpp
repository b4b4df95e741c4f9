#include "emisopt/train/windows.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {

TrainingWindows::TrainingWindows(const Forecaster& forecaster, const History& history, Index end,
                                 Emphasis emphasis)
    : layout_(forecaster.layout),
      tags_(forecaster.tags),
      scaler_(forecaster.scaler),
      history_(history),
      end_(end),
      emphasis_(std::move(emphasis)),
      window_(layout_.context() + layout_.horizon(), history.columns()),
      plan_(layout_.horizon(), static_cast<Index>(layout_.setpoints().size())),
      known_(layout_.horizon(), static_cast<Index>(layout_.disturbances().size())),
      prior_(forecaster.prior, layout_, scaler_, forecaster.config.anchor_tau, tags_),
      levels_(forecaster.config.quantiles),
      shift_(static_cast<std::size_t>(history.columns())) {
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
  const Index context = layout_.context(), horizon = layout_.horizon();
  Rng rng(seed, stream);
  const bool unknown = rng.uniform() < augmentation.unknown_plan;

  const Index rows = context + unbroken_from(origin);
  for (Index c = 0; c < window_.cols; ++c) {
    const TagScale& scale = scaler_.tags[static_cast<std::size_t>(c)];
    for (Index r = 0; r < window_.rows; ++r)
      window_(r, c) = r < rows ? scale.normalise(history_.values(origin - context + r, c)) : kMissing;
    const Tag& tag = tags_.tags[static_cast<std::size_t>(c)];
    shift_[static_cast<std::size_t>(c)] = 0;
    if (tag.role == Role::cost || tag.kind == Kind::categorical) continue;
    const bool output = tag.role == Role::emission || tag.role == Role::quality;
    const double shift = rng.normal() * (output ? augmentation.level_shift : augmentation.input_shift);
    shift_[static_cast<std::size_t>(c)] = shift;
    for (Index r = 0; r < window_.rows; ++r) window_(r, c) += shift;
  }
  const int hidden = augmentation.max_delay > 0 ? static_cast<int>(rng.below(augmentation.max_delay + 1)) : 0;

  const ConstView past = ConstView(window_).slice(0, context),
                  coming = ConstView(window_).slice(context, horizon);
  const ContextSummary summary = layout_.summarise(past, hidden);
  const auto stamp = [&](Index r) {
    return history_.time.empty() ? kMissing : history_.time[static_cast<std::size_t>(r)];
  };
  layout_.fill_history(program.history() + slot * layout_.history_tokens() * layout_.history_width(), past,
                       summary, stamp(origin - context), hidden);

  const auto gather = [&](Matrix& to, const std::vector<Index>& ids) {
    for (Index h = 0; h < horizon; ++h)
      for (std::size_t i = 0; i < ids.size(); ++i) to(h, static_cast<Index>(i)) = coming(h, ids[i]);
  };
  gather(plan_, layout_.setpoints());
  gather(known_, layout_.disturbances());
  const ConstView plan = plan_;
  layout_.fill_future(program.future() + slot * horizon * layout_.future_width(), summary,
                      unknown ? nullptr : &plan, known_, stamp(origin));
  if (prior_.active()) {  // what is known of the plant holds for the values that were, not for shifted ones
    prior_.set_context(ConstView(history_.values).slice(origin - context, context), hidden);
    const auto measured = [&](Matrix& to, const std::vector<Index>& ids) {
      for (Index h = 0; h < horizon; ++h)
        for (std::size_t i = 0; i < ids.size(); ++i)
          to(h, static_cast<Index>(i)) = context + h < rows ? history_.values(origin + h, ids[i]) : kMissing;
    };
    measured(plan_, layout_.setpoints());
    measured(known_, layout_.disturbances());
    prior_.fill(program.future() + slot * horizon * layout_.future_width(), unknown ? nullptr : &plan, known_,
                nullptr);
  }

  const auto outputs = static_cast<Index>(layout_.outputs().size());
  fill_teacher(program, slot, origin, summary, !unknown && hidden == 0);
  float* target = program.target() + slot * horizon * outputs;
  float* weight = program.weight() + slot * horizon * outputs;
  for (Index h = 0; h < horizon; ++h)
    for (Index o = 0; o < outputs; ++o) {
      const Index tag = layout_.outputs()[static_cast<std::size_t>(o)];
      const double change = coming(h, tag) - summary.anchor[static_cast<std::size_t>(tag)];
      const bool counts = !std::isnan(change);
      *target++ = counts ? static_cast<float>(change) : 0.0f;
      const bool heavy = counts && emphasis_.active() &&
                         history_.values(origin + h, tag) > emphasis_.above[static_cast<std::size_t>(o)];
      *weight++ = counts ? (heavy ? static_cast<float>(emphasis_.weight) : 1.0f) : 0.0f;
    }
}

void TrainingWindows::set_teacher(const TeacherForecasts& teacher) {
  teacher_ = &teacher;
  between_.clear();
  for (const double tau : levels_) {
    Between& found = between_.emplace_back();
    const auto above = std::lower_bound(teacher.levels.begin(), teacher.levels.end(), tau);
    if (above == teacher.levels.end() || (above == teacher.levels.begin() && *above != tau)) continue;
    found.high = static_cast<int>(above - teacher.levels.begin());
    found.low = *above == tau ? found.high : found.high - 1;
    const double below = teacher.levels[static_cast<std::size_t>(found.low)];
    found.share = found.low == found.high ? 0 : (tau - below) / (*above - below);
  }
}

// A teacher's quantiles as changes against the anchor of this window, shifted as it was.
void TrainingWindows::fill_teacher(kernels::Program<float>& program, int slot, Index origin,
                                   const ContextSummary& summary, bool heard) const {
  const auto outputs = static_cast<Index>(layout_.outputs().size()),
             levels = static_cast<Index>(levels_.size());
  const Index entries = Index{layout_.horizon()} * outputs * levels;
  if (program.teacher()) std::fill_n(program.teacher_weight() + slot * entries, entries, 0.0f);
  if (program.hidden_weight())
    std::fill_n(program.hidden_weight() + slot * layout_.horizon(), layout_.horizon(), 0.0f);
  if (!teacher_ || !heard) return;
  const auto found = std::lower_bound(teacher_->origins.begin(), teacher_->origins.end(), origin);
  if (found == teacher_->origins.end() || *found != origin) return;
  const Index at = found - teacher_->origins.begin(), steps = static_cast<Index>(teacher_->steps.size());
  const auto his_levels = static_cast<Index>(teacher_->levels.size());
  for (Index s = 0; program.teacher() && s < steps; ++s)
    for (Index o = 0; o < outputs; ++o) {
      const auto tag = static_cast<std::size_t>(layout_.outputs()[static_cast<std::size_t>(o)]);
      const float* said = teacher_->quantiles.data() + ((at * steps + s) * outputs + o) * his_levels;
      const Index row =
          slot * entries + ((teacher_->steps[static_cast<std::size_t>(s)] - 1) * outputs + o) * levels;
      for (Index l = 0; l < levels; ++l) {
        const Between& b = between_[static_cast<std::size_t>(l)];
        if (b.low < 0) continue;
        const auto z = [&](int level) {
          return scaler_.tags[tag].normalise(static_cast<double>(said[level]));
        };
        const double change =
            (1 - b.share) * z(b.low) + b.share * z(b.high) + shift_[tag] - summary.anchor[tag];
        if (std::isnan(change)) continue;  // no anchor
        program.teacher()[row + l] = static_cast<float>(change);
        program.teacher_weight()[row + l] = 1.0f;
      }
    }
  if (!program.hidden_target() || teacher_->hidden_width == 0) return;
  const Index states = Index{layout_.horizon()} * teacher_->hidden_width;
  std::copy_n(teacher_->hidden.data() + at * states, states, program.hidden_target() + slot * states);
  std::fill_n(program.hidden_weight() + slot * layout_.horizon(), layout_.horizon(), 1.0f);
}

void TrainingWindows::blank(kernels::Program<float>& program, int slot) {
  const Index history = static_cast<Index>(layout_.history_tokens()) * layout_.history_width();
  const Index future = static_cast<Index>(layout_.horizon()) * layout_.future_width();
  const Index labels = layout_.horizon() * static_cast<Index>(layout_.outputs().size());
  std::fill_n(program.history() + slot * history, history, 0.0f);
  std::fill_n(program.future() + slot * future, future, 0.0f);
  std::fill_n(program.target() + slot * labels, labels, 0.0f);
  std::fill_n(program.weight() + slot * labels, labels, 0.0f);
  const Index answers = labels * static_cast<Index>(levels_.size());
  if (program.teacher_weight()) std::fill_n(program.teacher_weight() + slot * answers, answers, 0.0f);
  if (program.hidden_weight())
    std::fill_n(program.hidden_weight() + slot * layout_.horizon(), layout_.horizon(), 0.0f);
}

double TrainingWindows::weight(kernels::Program<float>& program, int batch) const {
  const Index labels = batch * layout_.horizon() * static_cast<Index>(layout_.outputs().size());
  return std::accumulate(program.weight(), program.weight() + labels, 0.0);
}

}  // namespace emisopt
