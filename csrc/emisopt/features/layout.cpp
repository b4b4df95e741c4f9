#include "emisopt/features/layout.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "emisopt/base/error.hpp"

namespace emisopt {
namespace {

constexpr int kCalendar = 4;  // hour and week, each as sine and cosine: no jump at midnight or on Monday
constexpr int kSeasonal = 4;  // columns of a season: mean, newest, spread, known
constexpr int kFadeCount = static_cast<int>(std::size(kFadeRows));
constexpr double kDay = 86400, kWeek = 7 * kDay;
constexpr double kMonday = 3 * kDay;  // 1970-01-01 was a Thursday

double clip(double z) { return std::clamp(z, -kClip, kClip); }
bool known(double z) { return !std::isnan(z); }
double or_zero(double z) { return known(z) ? z : 0.0; }

// A category index as a column, -1 when missing.
int category(double z) { return known(z) ? static_cast<int>(z) : -1; }

template <class T>
void one_hot(T* x, double z, int categories) {
  const int hot = category(z);
  for (int k = 0; k < categories; ++k) x[k] = T(k == hot);
}

}  // namespace

FeatureLayout::FeatureLayout(const TagMap& map, int context, int horizon, int patch, double anchor_tau,
                             bool prior, int season)
    : context_(context),
      horizon_(horizon),
      patch_(patch),
      anchor_tau_(anchor_tau),
      period_(map.period),
      outputs_(map.outputs()),
      setpoints_(map.setpoints()),
      disturbances_(map.disturbances()),
      season_(season),
      tags_(static_cast<Index>(map.tags.size())) {
  if (outputs_.empty())
    throw InputError("FeatureLayout: expected a tag with role emission or quality, the tag map of plant '" +
                     map.plant + "' has none");
  const auto tag_of = [&](Index id) -> const Tag& { return map.tags[static_cast<std::size_t>(id)]; };
  const auto slot_of = [&](Index id, int source, int column) {
    const Tag& tag = tag_of(id);
    Slot slot;
    slot.tag = id;
    slot.source = source;
    slot.column = column;
    slot.categories = tag.kind == Kind::categorical ? static_cast<int>(tag.categories.size()) : 0;
    slot.laboratory = tag.kind == Kind::laboratory;
    slot.ahead = tag.role == Role::setpoint || tag.known_ahead;
    slot.name = tag.name;
    if (slot.categories) slot.labels = tag.categories;
    return slot;
  };
  int column = 0;
  for (Index id : outputs_) {
    history_outputs_.push_back(slot_of(id, 0, column));
    column += 2 + history_outputs_.back().laboratory;
  }
  for (const auto* ids : {&setpoints_, &disturbances_})
    for (Index id : *ids) {
      const Slot& slot = history_inputs_.emplace_back(slot_of(id, 0, column));
      column += slot.categories ? slot.categories : 3 + slot.laboratory;
    }
  history_calendar_ = column;
  history_row_ = column + (period_ > 0 ? kCalendar : 0) + 1;

  column = 0;
  for (const auto* ids : {&setpoints_, &disturbances_})
    for (std::size_t i = 0; i < ids->size(); ++i) {
      const Slot& slot = future_inputs_.emplace_back(slot_of((*ids)[i], static_cast<int>(i), column));
      column += slot.categories ? slot.categories + slot.ahead : (slot.ahead ? 3 : 2);
    }
  future_levels_ = column;
  future_calendar_ = future_levels_ + (1 + kFadeCount) * static_cast<int>(outputs_.size());
  future_step_ = future_calendar_ + (period_ > 0 ? kCalendar : 0);
  future_row_ = future_step_ + 1 + kFadeCount;
  if (season_ > 0) {
    seasonal_ = future_row_;
    future_row_ += kSeasonal * static_cast<int>(outputs_.size());
  }
  if (prior) {
    prior_ = future_row_;
    future_row_ += static_cast<int>(outputs_.size());
  }
}

ContextSummary FeatureLayout::summarise(ConstView z, int hidden) const {
  const auto tags = static_cast<std::size_t>(tags_);
  ContextSummary summary{std::vector<double>(tags, kMissing), std::vector<double>(tags, kMissing), {}};
  const double forget = std::exp(-1.0 / anchor_tau_);
  const auto look = [&](const Slot& slot, Index rows) {
    // Relative to the newest known value, so that a short anchor_tau cannot underflow every weight.
    double sum = 0, weights = 0, fade = 1, value = kMissing;
    for (Index r = 0; r < rows; ++r) {  // oldest first: each row fades what came before
      fade *= forget;
      const double now = z(r, slot.tag);
      if (known(now)) value = slot.categories ? now : clip(now);
      if (!known(now) && (!slot.laboratory || !known(value))) continue;
      sum = sum * fade + value;
      weights = weights * fade + 1;
      fade = 1;
    }
    const auto tag = static_cast<std::size_t>(slot.tag);
    summary.last[tag] = value;
    summary.anchor[tag] = slot.categories || weights == 0 ? value : sum / weights;
  };
  for (const Slot& slot : history_outputs_) look(slot, context_ - hidden);
  for (const Slot& slot : history_inputs_) look(slot, context_);
  if (season_ > 0) summarise_season(summary, z, hidden);
  return summary;
}

// The place of a row in the season is counted back from the first future row, so it needs no stamps.
void FeatureLayout::summarise_season(ContextSummary& summary, ConstView z, int hidden) const {
  Matrix& to = summary.seasonal;
  to = Matrix(season_, 3 * static_cast<Index>(outputs_.size()), kMissing);
  for (int place = 0; place < season_; ++place)
    for (std::size_t o = 0; o < outputs_.size(); ++o) {
      const auto each = [&](auto&& take) {
        // Rows whose distance to the first future row is `place` modulo the season, oldest first.
        for (int r = ((context_ + place) % season_ + season_) % season_; r < context_ - hidden; r += season_)
          if (known(z(r, outputs_[o]))) take(clip(z(r, outputs_[o])));
      };
      double sum = 0, count = 0, newest = kMissing, spread = 0;
      each([&](double value) {
        sum += value;
        ++count;
        newest = value;
      });
      if (count == 0) continue;
      each([&](double value) { spread += std::abs(value - sum / count); });
      double* out = to.row(place) + 3 * o;
      out[0] = sum / count;
      out[1] = spread / count;
      out[2] = newest;
    }
}

template <class T>
void FeatureLayout::fill_calendar(T* x, double time) const {
  const double hour = 2 * M_PI * std::fmod(time, kDay) / kDay;
  const double week = 2 * M_PI * std::fmod(time + kMonday, kWeek) / kWeek;
  const double values[kCalendar] = {std::sin(hour), std::cos(hour), std::sin(week), std::cos(week)};
  for (int k = 0; k < kCalendar; ++k) x[k] = T(or_zero(values[k]));
}

template <class T>
void FeatureLayout::fill_history(T* x, ConstView z, const ContextSummary& summary, double time0,
                                 int hidden) const {
  const double age_scale = 1.0 / std::log1p(static_cast<double>(context_));
  // Writes [z - anchor, (z,) known, (age)] of one tag down the context.
  const auto fill = [&](const Slot& slot, bool level, Index rows) {
    const double anchor = summary.anchor[static_cast<std::size_t>(slot.tag)];
    double value = kMissing;
    Index sampled = -1;
    for (Index r = 0; r < context_; ++r) {
      T* out = x + r * history_row_ + slot.column;
      const double now = r < rows ? z(r, slot.tag) : kMissing;
      if (known(now)) {
        value = clip(now);
        sampled = r;
      } else if (!slot.laboratory) {
        value = kMissing;
      }
      *out++ = T(known(value) ? value - anchor : 0.0);
      if (level) *out++ = T(known(value) ? value : or_zero(anchor));
      *out++ = T(known(value));
      if (slot.laboratory)
        *out++ = T(sampled < 0 ? 1.0 : std::log1p(static_cast<double>(r - sampled)) * age_scale);
    }
  };
  for (const Slot& slot : history_outputs_) fill(slot, false, context_ - hidden);
  for (const Slot& slot : history_inputs_) {
    if (!slot.categories) {
      fill(slot, true, context_);
      continue;
    }
    for (Index r = 0; r < context_; ++r)
      one_hot(x + r * history_row_ + slot.column, z(r, slot.tag), slot.categories);
  }
  for (Index r = 0; r < context_; ++r) {
    T* row = x + r * history_row_;
    if (period_ > 0) fill_calendar(row + history_calendar_, time0 + static_cast<double>(r) * period_);
    row[history_row_ - 1] = T(static_cast<double>(r + 1) / context_);
  }
}

template <class T>
void FeatureLayout::fill_future(T* x, const ContextSummary& summary, const ConstView* plan, ConstView coming,
                                double time0) const {
  for (int h = 0; h < horizon_; ++h) {
    T* row = x + static_cast<Index>(h) * future_row_;
    for (std::size_t i = 0; i < future_inputs_.size(); ++i) {
      const Slot& slot = future_inputs_[i];
      const double anchor = or_zero(summary.anchor[static_cast<std::size_t>(slot.tag)]);
      const double last = summary.last[static_cast<std::size_t>(slot.tag)];
      const bool setpoint = i < setpoints_.size();
      double z = kMissing;
      if (plan && setpoint) z = (*plan)(h, slot.source);
      if (plan && !setpoint && slot.ahead && coming.rows > 0) z = coming(h, slot.source);
      const bool given = known(z);
      if (!given) z = last;
      T* out = row + slot.column;
      if (slot.categories) {
        one_hot(out, z, slot.categories);
        if (slot.ahead) out[slot.categories] = T(given);
        continue;
      }
      if (!setpoint && given) z = clip(z);
      out[0] = T(or_zero(z));
      out[1] = T(known(z) ? z - anchor : 0.0);
      if (slot.ahead) out[2] = T(given);
    }
    for (std::size_t o = 0; o < outputs_.size(); ++o) {
      const auto tag = static_cast<std::size_t>(outputs_[o]);
      T* out = row + future_levels_ + (1 + kFadeCount) * static_cast<int>(o);
      *out++ = T(or_zero(summary.anchor[tag]));
      const double ahead = or_zero(summary.last[tag] - summary.anchor[tag]);
      for (const double rows : kFadeRows) *out++ = T(ahead * std::exp(-h / rows));
    }
    for (std::size_t o = 0; season_ > 0 && o < outputs_.size(); ++o) {
      const double* from = summary.seasonal.row(h % season_) + 3 * o;
      const double anchor = or_zero(summary.anchor[static_cast<std::size_t>(outputs_[o])]);
      T* out = row + seasonal_ + kSeasonal * static_cast<int>(o);
      const bool given = known(from[0]);
      *out++ = T(given ? from[0] - anchor : 0.0);
      *out++ = T(given ? from[2] - anchor : 0.0);
      *out++ = T(given ? from[1] : 0.0);
      *out++ = T(given);
    }
    if (period_ > 0) fill_calendar(row + future_calendar_, time0 + h * period_);
    T* step = row + future_step_;
    *step++ = T((h + 1.0) / horizon_);
    for (const double rows : kFadeRows) *step++ = T(std::exp(-h / rows));
  }
}

FeatureLayout::PlanColumns FeatureLayout::plan_columns(int setpoint) const {
  const int column = future_inputs_[static_cast<std::size_t>(setpoint)].column;
  return {column, column + 1};
}

std::vector<std::string> FeatureLayout::history_names() const {
  std::vector<std::string> names;
  for (const auto* slots : {&history_outputs_, &history_inputs_})
    for (const Slot& slot : *slots) {
      for (const std::string& label : slot.labels) names.push_back(slot.name + " is " + label);
      if (slot.categories) continue;
      names.push_back(slot.name + " z - anchor");
      if (slots == &history_inputs_) names.push_back(slot.name + " z");
      names.push_back(slot.name + " known");
      if (slot.laboratory) names.push_back(slot.name + " age");
    }
  if (period_ > 0) names.insert(names.end(), {"hour sin", "hour cos", "week sin", "week cos"});
  names.push_back("row");
  return names;
}

std::vector<std::string> FeatureLayout::future_names() const {
  std::vector<std::string> names;
  for (const Slot& slot : future_inputs_) {
    for (const std::string& label : slot.labels) names.push_back(slot.name + " is " + label);
    if (!slot.categories) {
      names.push_back(slot.name + (slot.ahead ? " z" : " last"));
      names.push_back(slot.name + (slot.ahead ? " z - anchor" : " last - anchor"));
    }
    if (slot.ahead) names.push_back(slot.name + " known");
  }
  for (const Slot& slot : history_outputs_) {
    names.push_back(slot.name + " anchor");
    for (const int rows : kFadeRows)
      names.push_back(slot.name + " last - anchor, fading over " + std::to_string(rows));
  }
  if (period_ > 0) names.insert(names.end(), {"hour sin", "hour cos", "week sin", "week cos"});
  names.push_back("step");
  for (const int rows : kFadeRows) names.push_back("step fading over " + std::to_string(rows));
  if (season_ > 0)
    for (const Slot& slot : history_outputs_)
      for (const char* what :
           {"season mean - anchor", "season last - anchor", "season spread", "season known"})
        names.push_back(slot.name + " " + what);
  if (prior_ >= 0)
    for (const Slot& slot : history_outputs_) names.push_back(slot.name + " prior");
  return names;
}

template void FeatureLayout::fill_history(float*, ConstView, const ContextSummary&, double, int) const;
template void FeatureLayout::fill_history(double*, ConstView, const ContextSummary&, double, int) const;
template void FeatureLayout::fill_future(float*, const ContextSummary&, const ConstView*, ConstView,
                                         double) const;
template void FeatureLayout::fill_future(double*, const ContextSummary&, const ConstView*, ConstView,
                                         double) const;

}  // namespace emisopt
