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
      scaler_(forecaster.scaler),
      emphasis_(std::move(emphasis)),
      window_(layout_.context() + layout_.horizon(), static_cast<Index>(tags_.tags.size())),
      prior_(forecaster.prior, layout_, scaler_, forecaster.config.anchor_tau, tags_),
      level_count_(forecaster.config.levels()),
      plan_(layout_.horizon(), static_cast<Index>(layout_.setpoints().size())),
      known_(layout_.horizon(), static_cast<Index>(layout_.disturbances().size())),
      heavy_(layout_.horizon(), static_cast<Index>(layout_.outputs().size())) {
  written_.gain.resize(layout_.outputs().size());
  written_.offset = Matrix(heavy_.rows, heavy_.cols);
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
  if (prior_.active()) {  // what is known of the plant holds for the values that were, not for shifted ones
    physical_ = window_;
    for (Index r = 0; r < physical_.rows; ++r)
      for (Index c = 0; c < physical_.cols; ++c)
        physical_(r, c) = scaler_.tags[static_cast<std::size_t>(c)].physical(physical_(r, c));
  }
  std::fill(written_.gain.begin(), written_.gain.end(), 1.0);
  Index output_id = 0;
  std::vector<double> shifts(written_.gain.size());
  for (Index c = 0; c < window_.cols; ++c) {
    const Tag& tag = tags_.tags[static_cast<std::size_t>(c)];
    if (tag.role == Role::cost || tag.kind == Kind::categorical) continue;
    const bool output = tag.role == Role::emission || tag.role == Role::quality;
    const double shift = rng.normal() * (output ? augmentation.level_shift : augmentation.input_shift);
    if (output) shifts[static_cast<std::size_t>(output_id++)] = shift;
    for (Index r = 0; r < window_.rows; ++r) window_(r, c) += shift;
  }
  for (Index h = 0; h < horizon; ++h) std::copy(shifts.begin(), shifts.end(), written_.offset.row(h));
  const int hidden = augmentation.max_delay > 0 ? static_cast<int>(rng.below(augmentation.max_delay + 1)) : 0;

  if (augmentation.gain_shift > 0 || augmentation.slope_shift > 0) bend(augmentation, rng);
  const ConstView past = ConstView(window_).slice(0, context),
                  coming = ConstView(window_).slice(context, horizon);
  written_.summary = layout_.summarise(past, hidden);
  written_.unknown = unknown;
  written_.hidden = hidden;
  const ContextSummary& summary = written_.summary;
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
  if (prior_.active()) {
    const ConstView measured = physical_;
    prior_.set_context(measured.slice(0, context), hidden);
    for (Index h = 0; h < horizon; ++h) {
      for (std::size_t i = 0; i < layout_.setpoints().size(); ++i)
        plan_(h, static_cast<Index>(i)) = measured(context + h, layout_.setpoints()[i]);
      for (std::size_t i = 0; i < layout_.disturbances().size(); ++i)
        known_(h, static_cast<Index>(i)) = measured(context + h, layout_.disturbances()[i]);
    }
    prior_.fill(program.future() + slot * horizon * layout_.future_width(), unknown ? nullptr : &plan, known_,
                nullptr);
  }

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
  for (std::size_t o = 0; o < layout_.outputs().size(); ++o) {
    const Index tag = layout_.outputs()[o];
    const double middle = mean(tag), gain = std::exp(augmentation.gain_shift * rng.normal());
    for (Index r = 0; r < window_.rows; ++r) window_(r, tag) = middle + gain * (window_(r, tag) - middle);
    written_.gain[o] = gain;
    const auto offset = [&](Index h) -> double& { return written_.offset(h, static_cast<Index>(o)); };
    for (Index h = 0; h < layout_.horizon(); ++h) offset(h) = middle + gain * (offset(h) - middle);
    const double sd =
        augmentation.slope_shift / std::sqrt(std::max<double>(1, static_cast<double>(inputs.size())));
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const double slope = sd * rng.normal();
      for (Index r = 0; r < window_.rows; ++r) {
        const double x = window_(r, inputs[i]);
        if (std::isnan(x)) continue;
        const double more = slope * (std::clamp(x, -kClip, kClip) - means[i]);
        window_(r, tag) += more;
        if (r >= context) offset(r - context) += more;
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
  const Index answers = labels * level_count_;
  if (program.teacher_weight()) std::fill_n(program.teacher_weight() + slot * answers, answers, 0.0f);
  if (program.hidden_weight())
    std::fill_n(program.hidden_weight() + slot * layout_.horizon(), layout_.horizon(), 0.0f);
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
      writer_(forecaster, std::move(emphasis)),
      levels_(forecaster.config.quantiles) {
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
  fill_teacher(program, slot, origin);
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

// A teacher's quantiles as changes against the anchor of this window, changed as it was.
void TrainingWindows::fill_teacher(kernels::Program<float>& program, int slot, Index origin) const {
  const WindowWriter::Written& made = writer_.written();
  const auto outputs = static_cast<Index>(layout_.outputs().size()),
             levels = static_cast<Index>(levels_.size());
  const Index entries = Index{layout_.horizon()} * outputs * levels;
  if (program.teacher()) std::fill_n(program.teacher_weight() + slot * entries, entries, 0.0f);
  if (program.hidden_weight())
    std::fill_n(program.hidden_weight() + slot * layout_.horizon(), layout_.horizon(), 0.0f);
  if (!teacher_ || made.unknown || made.hidden > 0) return;
  const auto found = std::lower_bound(teacher_->origins.begin(), teacher_->origins.end(), origin);
  if (found == teacher_->origins.end() || *found != origin) return;
  const Index at = found - teacher_->origins.begin(), steps = static_cast<Index>(teacher_->steps.size());
  const auto his_levels = static_cast<Index>(teacher_->levels.size());
  for (Index s = 0; program.teacher() && s < steps; ++s)
    for (Index o = 0; o < outputs; ++o) {
      const auto tag = static_cast<std::size_t>(layout_.outputs()[static_cast<std::size_t>(o)]);
      const float* said = teacher_->quantiles.data() + ((at * steps + s) * outputs + o) * his_levels;
      const Index step = teacher_->steps[static_cast<std::size_t>(s)] - 1;
      const Index row = slot * entries + (step * outputs + o) * levels;
      for (Index l = 0; l < levels; ++l) {
        const Between& b = between_[static_cast<std::size_t>(l)];
        if (b.low < 0) continue;
        const auto z = [&](int level) {
          return scaler_.tags[tag].normalise(static_cast<double>(said[level]));
        };
        const double said_z = (1 - b.share) * z(b.low) + b.share * z(b.high);
        const double change =
            made.gain[static_cast<std::size_t>(o)] * said_z + made.offset(step, o) - made.summary.anchor[tag];
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

}  // namespace emisopt
