#include "emisopt/monitor/sensor_stream.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "emisopt/base/error.hpp"

namespace emisopt {
namespace {

constexpr int kSpikeRows = 2;       // a longer excursion is no spike
constexpr int kCalmRows = 3;        // within the limit again before an accused tag is trusted
constexpr double kCalmShare = 0.5;  // of its limit, for a mean
constexpr double kClearly = 1.15;   // times the residual of the accused, for another to take its place

FindingKind kind_of(ReadingState state) {
  return state == ReadingState::range    ? FindingKind::range
         : state == ReadingState::frozen ? FindingKind::frozen
                                         : FindingKind::stuck;
}

}  // namespace

const char* to_string(FindingKind kind) {
  switch (kind) {
    case FindingKind::range:
      return "range";
    case FindingKind::frozen:
      return "frozen";
    case FindingKind::stuck:
      return "stuck";
    case FindingKind::spike:
      return "spike";
    case FindingKind::disagrees:
      return "disagrees";
    case FindingKind::drift:
      return "drift";
    case FindingKind::process:
      return "process";
  }
  return "";
}

SensorStream::SensorStream(std::shared_ptr<const SensorModel> model)
    : model_(std::move(model)),
      tags_(static_cast<std::size_t>(model_->columns())),
      suspects_(static_cast<std::size_t>(model_->size())),
      row_values_(tags_.size()),
      z_(suspects_.size(), kMissing),
      strength_(suspects_.size()),
      size_(suspects_.size()),
      use_(suspects_.size()),
      trusted_(suspects_.size(), 1),
      believe_(suspects_.size()),
      shown_(suspects_.size()) {
  const std::size_t views = 2 * model_->options.memory.size();
  if (model_->size() > 0)
    filter_ =
        std::make_unique<ResidualFilter>(model_->factors, model_->options.memory, model_->options.baseline);
  for (Suspect& s : suspects_) s.last_calm.assign(views, 0);
  process_.resize(views + 1);
  limits_.resize(views + 1);
  for (const ResidualLimits& l : model_->limits) {
    limits_[0].push_back(l.jump);
    for (std::size_t v = 0; v < views; ++v) limits_[v + 1].push_back(l.shift[v]);
  }
  place_.assign(tags_.size(), -1);
  for (Index t = 0; t < model_->size(); ++t)
    place_[static_cast<std::size_t>(model_->modelled[static_cast<std::size_t>(t)])] = t;
}

void SensorStream::push(ConstView rows, const std::uint8_t* status, const char* gap) {
  check_shape("SensorStream.push(rows)", {rows.rows, rows.cols},
              {{"N", -1}, {"tags", static_cast<long>(model_->columns())}});
  for (Index r = 0; r < rows.rows; ++r)
    step(rows.row(r), status == nullptr ? nullptr : status + r * rows.cols, gap != nullptr && gap[r]);
}

std::vector<Finding> SensorStream::findings() const {
  std::vector<Finding> out = findings_;
  std::stable_sort(out.begin(), out.end(), [](const Finding& a, const Finding& b) {
    return std::pair(a.first_row, a.tag) < std::pair(b.first_row, b.tag);
  });
  return out;
}

void SensorStream::step(const double* row, const std::uint8_t* status, bool gap) {
  judge_runs(row, status, gap);
  if (filter_) {
    if (gap) {
      filter_->forget_levels();
      for (std::size_t t = 0; t < suspects_.size(); ++t) end_spike(suspects_[t], static_cast<Index>(t));
    }
    judge_rows();
    judge_means();
  }
  ++row_;
}

// ---- a tag by itself ------------------------------------------------------------------------------------

void SensorStream::judge_runs(const double* row, const std::uint8_t* status, bool gap) {
  for (std::size_t c = 0; c < tags_.size(); ++c) {
    TagState& tag = tags_[c];
    const Tag& about = model_->tags.tags[c];
    row_values_[c] = about.missing && row[c] == *about.missing ? kMissing : row[c];
    if (gap) tag.run.forget();
    const bool flagged = status != nullptr && status[c] != 0;
    if (flagged || tag.settle > 0) {
      if (flagged)
        tag.settle = model_->options.settle_rows;
      else
        --tag.settle;
      if (!tag.flagged) close_finding(tag.open);
      tag.flagged = true;
      tag.state = ReadingState::missing;
      tag.run.forget();
      row_values_[c] = kMissing;
      continue;
    }
    tag.flagged = false;
    const ReadingState state = tag.run.push(model_->runs[c], row_values_[c], row_);
    if (state != tag.state && state != ReadingState::missing) close_finding(tag.open);
    if (state != ReadingState::missing) tag.state = state;
    if (state == ReadingState::missing || state == ReadingState::good) continue;
    if (tag.open < 0) open_run(static_cast<Index>(c), state);
    findings_[static_cast<std::size_t>(tag.open)].last_row = row_;
  }
}

void SensorStream::open_run(Index column, ReadingState state) {
  TagState& tag = tags_[static_cast<std::size_t>(column)];
  const Index first = state == ReadingState::range ? row_ : tag.run.run_start();
  const Index t = place_[static_cast<std::size_t>(column)];
  Suspect* s = t < 0 ? nullptr : &suspects_[static_cast<std::size_t>(t)];
  tag.told = row_;
  if (s == nullptr || s->open < 0 || findings_[static_cast<std::size_t>(s->open)].first_row < first) {
    tag.open = open_finding(kind_of(state), column, first, kMissing);
    return;
  }
  // It was found to disagree before it was seen why: one fault, one finding.
  tag.open = std::exchange(s->open, -1);
  Finding& finding = findings_[static_cast<std::size_t>(tag.open)];
  finding.kind = kind_of(state);
  finding.first_row = first;
  finding.value = row_values_[static_cast<std::size_t>(column)];  // no longer a mean
  finding.averaged = 1;
  restart(t);
}

// ---- a row against its neighbours -----------------------------------------------------------------------

void SensorStream::judge_rows() {
  const SensorModel& model = *model_;
  const auto tags = suspects_.size();
  model.normalise(row_values_.data(), z_.data());
  for (std::size_t t = 0; t < tags; ++t) {
    const TagState& tag = tags_[static_cast<std::size_t>(model.modelled[t])];
    const bool bad = tag.state != ReadingState::good && tag.state != ReadingState::missing;
    if (tag.flagged && !suspects_[t].flagged) restart(static_cast<Index>(t));
    suspects_[t].flagged = tag.flagged;
    if (bad) {
      z_[t] = kMissing;
      suspects_[t].beyond = 0;  // what looked like a spike was the beginning of this
      suspects_[t].far = 0;
    }
    use_[t] = trusted_[t];
  }
  filter_->take(z_.data());
  const Isolation found = isolate(
      [&](const char* use, std::vector<double>& out) {
        filter_->look(use);
        for (std::size_t t = 0; t < tags; ++t) out[t] = std::abs(filter_->jump(static_cast<Index>(t)));
      },
      limits_[0], model.judged, use_, model.most_accused());

  // What came with a finding of its own tells its reader what the others expect now.
  for (std::size_t t = 0; t < tags; ++t) {
    const TagState& tag = tags_[static_cast<std::size_t>(model.modelled[t])];
    if (tag.open < 0 || tag.told != row_) continue;
    Finding& finding = findings_[static_cast<std::size_t>(tag.open)];
    finding.expected = model.scales[t].physical(filter_->expected()[t]);
    finding.sd = model.scales[t].slope(filter_->expected()[t]) * band(static_cast<Index>(t));
  }

  std::fill(strength_.begin(), strength_.end(), 0.0);
  for (std::size_t i = 0; i < found.accused.size(); ++i)
    strength_[static_cast<std::size_t>(found.accused[i])] = found.strength[i];
  for (std::size_t t = 0; t < tags; ++t) {
    believe_[t] = 1;
    if (!std::isnan(z_[t])) follow_suspect(static_cast<Index>(t), strength_[t] > 0, strength_[t]);
  }
  note_process(process_[0], found.unexplained, kSpikeRows + 1, kCalmRows);
  filter_->keep(believe_.data(), trusted_.data());
}

// Beyond once or twice is a spike; the third row in a row makes a disagreement. Neither goes into the means,
// nor into what is usual for the tag: that is what its return is measured by.
void SensorStream::follow_suspect(Index tag, bool accused, double strength) {
  const auto t = static_cast<std::size_t>(tag);
  Suspect& s = suspects_[t];
  const Index column = model_->modelled[t];
  const double jump = filter_->jump(tag);
  if (s.open >= 0) {
    findings_[static_cast<std::size_t>(s.open)].last_row = row_;
    if (s.view >= 0) return;  // its mean ends it
    if (std::isnan(jump)) {   // what it would return to is no longer known; its means go on looking
      restart(tag);
      return;
    }
    believe_[t] = 0;
    s.calm = std::abs(jump) <= model_->limits[t].jump ? s.calm + 1 : 0;
    if (s.calm < kCalmRows) return;
    findings_[static_cast<std::size_t>(s.open)].last_row = row_ - kCalmRows;
    restart(tag);
    return;
  }
  if (!accused) {
    end_spike(s, tag);
    return;
  }
  believe_[t] = 0;
  const int side = jump > 0 ? 1 : -1;
  if (s.beyond > 0 && side != s.side)
    end_spike(s, tag);  // far above, then far below: neither confirms the other
  if (s.beyond++ == 0) s.first = row_;
  s.last = row_;
  s.side = side;
  if (strength > s.far) {
    s.far = strength;
    s.value = row_values_[static_cast<std::size_t>(column)];
    s.expected = model_->scales[t].physical(filter_->expected()[t]);
    s.sd = model_->scales[t].slope(filter_->expected()[t]) * band(tag);
  }
  if (s.beyond <= kSpikeRows) return;
  s.open = open_finding(FindingKind::disagrees, column, s.first, strength);
  Finding& finding = findings_[static_cast<std::size_t>(s.open)];
  finding.expected = model_->scales[t].physical(filter_->expected()[t]);
  finding.sd = s.sd;
  s.view = -1;
  s.calm = s.beyond = 0;
  s.far = 0;
  trusted_[t] = 0;
}

void SensorStream::end_spike(Suspect& s, Index tag) {
  if (s.beyond == 0) return;
  Index spike =
      open_finding(FindingKind::spike, model_->modelled[static_cast<std::size_t>(tag)], s.first, s.far);
  Finding& finding = findings_[static_cast<std::size_t>(spike)];
  finding.last_row = s.last;
  finding.value = s.value;
  finding.expected = s.expected;
  finding.sd = s.sd;
  close_finding(spike);
  s.beyond = 0;
  s.far = 0;
}

// ---- means against their neighbours ---------------------------------------------------------------------

void SensorStream::judge_means() {
  const SensorModel& model = *model_;
  for (std::size_t v = 0; v < filter_->views(); ++v) {
    // A mean moves slowly: it is looked at a few times per memory.
    const auto every = std::max<Index>(1, static_cast<Index>(filter_->memory(v) / 12));
    if (row_ % every != 0) continue;
    std::vector<double> residual;
    for (std::size_t t = 0; t < use_.size(); ++t) use_[t] = trusted_[t];
    filter_->mean_residual(v, use_.data(), residual);
    for (std::size_t t = 0; t < shown_.size(); ++t) {
      const TagState& tag = tags_[static_cast<std::size_t>(model.modelled[t])];
      const bool accused = suspects_[t].open >= 0;  // it is let go by what little the others may say
      shown_[t] =
          !tag.flagged &&
          (accused || (tag.state == ReadingState::good && filter_->informed(v, static_cast<Index>(t))));
    }
    bool beyond = false;
    const auto weigh = [&](std::vector<double>& out) {
      for (std::size_t t = 0; t < out.size(); ++t) {
        out[t] = shown_[t] ? std::abs(residual[t]) : 0;
        strength_[t] = out[t] / model.limits[t].shift[v];
        beyond = beyond || (model.judged[t] && use_[t] && strength_[t] > 1);
      }
    };
    weigh(size_);
    Isolation found;
    if (beyond)  // the rule is that nothing is: it is worth the second look only then
      found = isolate(
          [&](const char* use, std::vector<double>& out) {
            filter_->mean_residual(v, use, residual);
            weigh(out);
          },
          limits_[v + 1], model.judged, use_, model.most_accused());
    for (std::size_t i = 0; i < found.accused.size(); ++i) accuse(found.accused[i], v, found.strength[i]);
    for (std::size_t t = 0; t < suspects_.size(); ++t) {
      Suspect& s = suspects_[t];
      if (!shown_[t] || !(strength_[t] < kCalmShare)) continue;
      s.last_calm[v] = row_;
      if (s.open < 0 || s.view != static_cast<int>(v)) continue;
      close_finding(s.open);
      trusted_[t] = 1;
    }
    for (std::size_t t = 0; t < suspects_.size(); ++t)
      if (suspects_[t].open >= 0 && suspects_[t].view == static_cast<int>(v)) reconsider(v, t);
    note_process(process_[v + 1], found.unexplained, 1, std::max<Index>(kCalmRows, every + 1));
  }
}

void SensorStream::accuse(Index tag, std::size_t v, double strength) {
  const auto t = static_cast<std::size_t>(tag);
  Suspect& s = suspects_[t];
  end_spike(s, tag);
  const std::size_t memories = model_->options.memory.size();
  const bool longest = memories > 1 && v % memories == memories - 1;
  s.open = open_finding(longest ? FindingKind::drift : FindingKind::disagrees, model_->modelled[t],
                        std::min(s.last_calm[v] + 1, row_), strength);
  s.view = static_cast<int>(v);
  trusted_[t] = 0;
  Finding& finding = findings_[static_cast<std::size_t>(s.open)];
  const SensorScale& scale = model_->scales[t];
  const double mean = filter_->mean_of(v, tag), expected = mean - filter_->mean_difference(tag);
  finding.averaged = filter_->memory(v);
  finding.value = scale.physical(mean);
  finding.expected = scale.physical(expected);
  finding.sd = scale.slope(expected) * band(tag);
}

// Of two tags that mirror each other the wrong one may be accused while the difference is small. As it grows,
// what the rest says decides: if another tag's fault explains clearly more, and this one then agrees, they
// change places.
void SensorStream::reconsider(std::size_t v, std::size_t accused) {
  std::vector<double> residual;
  for (std::size_t t = 0; t < use_.size(); ++t) use_[t] = trusted_[t];
  use_[accused] = 1;
  filter_->mean_residual(v, use_.data(), residual);
  std::size_t other = accused;
  for (std::size_t t = 0; t < use_.size(); ++t) {
    const bool free = model_->judged[t] && use_[t] && !suspects_[t].flagged;
    if (free && std::abs(residual[t]) > std::abs(residual[other])) other = t;
  }
  if (std::abs(residual[other]) < kClearly * std::abs(residual[accused])) return;
  const double strength = std::abs(residual[other]) / model_->limits[other].shift[v];
  use_[other] = 0;
  filter_->mean_residual(v, use_.data(), residual);
  if (strength <= 1 || !(std::abs(residual[accused]) < kCalmShare * model_->limits[accused].shift[v])) return;
  close_finding(suspects_[accused].open);
  trusted_[accused] = 1;
  accuse(static_cast<Index>(other), v, strength);
}

// ---- findings -------------------------------------------------------------------------------------------

void SensorStream::note_process(Process& process, bool unexplained, int rows, Index patience) {
  Index& open = process.open;
  process.beyond = unexplained ? process.beyond + 1 : 0;
  if (unexplained) {
    if (open < 0 && process.beyond >= rows)
      open = open_finding(FindingKind::process, -1, row_ - process.beyond + 1, kMissing);
    if (open >= 0) findings_[static_cast<std::size_t>(open)].last_row = row_;
  } else if (open >= 0 && row_ - findings_[static_cast<std::size_t>(open)].last_row >= patience) {
    close_finding(open);
  }
}

Index SensorStream::open_finding(FindingKind kind, Index column, Index first, double strength) {
  Finding finding;
  finding.kind = kind;
  finding.tag = column;
  finding.first_row = first;
  finding.last_row = finding.alarm_row = row_;
  finding.strength = strength;
  if (column >= 0) finding.value = row_values_[static_cast<std::size_t>(column)];
  findings_.push_back(finding);
  return static_cast<Index>(findings_.size()) - 1;
}

void SensorStream::close_finding(Index& open) {
  if (open >= 0) findings_[static_cast<std::size_t>(open)].open = false;
  open = -1;
}

void SensorStream::restart(Index tag) {
  Suspect& s = suspects_[static_cast<std::size_t>(tag)];
  end_spike(s, tag);
  close_finding(s.open);
  s.view = -1;
  s.calm = 0;
  std::fill(s.last_calm.begin(), s.last_calm.end(), row_);
  trusted_[static_cast<std::size_t>(tag)] = 1;
  filter_->restart(tag);
}

double SensorStream::band(Index tag) const {
  return filter_->sd()[static_cast<std::size_t>(tag)] * model_->limits[static_cast<std::size_t>(tag)].spread;
}

}  // namespace emisopt
