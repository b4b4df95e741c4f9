#include "emisopt/train/corrector.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "emisopt/base/distribution.hpp"
#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"
#include "emisopt/model/transplant.hpp"

namespace emisopt {
namespace {

constexpr double kLargestResidual = 8;    // sd of the output: a spike of an analyser counts no more
constexpr double kSpreadGain = 0.005;     // per label: the last few hundred decide how wide intervals are
constexpr double kLargestInnovation = 4;  // sd, in the running mean of their squares
constexpr double kLeastSpread = 0.01;
constexpr double kLeastRowsOfADay = 4;

[[noreturn]] void refuse_early(double row, double now, int delay) {
  throw InputError("Corrector.observe: the label of row " + number_text(row) +
                   " comes too early: expected row " + number_text(row + 1 + delay) +
                   " or later (labels are " + std::to_string(delay) + " rows late), got row " +
                   number_text(now));
}

}  // namespace

const char* to_string(CorrectorConfig::Method method) {
  return method == CorrectorConfig::Method::gp ? "gp" : "rls";
}

void CorrectorConfig::validate() const {
  const auto check = [](const char* field, double got, bool right, const char* expected) {
    if (!right || !std::isfinite(got))
      throw InputError(std::string("CorrectorConfig.") + field + ": expected " + expected + ", got " +
                       number_text(got));
  };
  check("delay", delay, delay >= 0 && delay <= 1'000'000, "0 rows or more");
  check("window", window, window >= 2 && window <= 5000, "2..5000 labels");
  check("noise", noise, noise > 0, "a variance > 0");
  check("spike", spike, spike > 0, "standard deviations > 0");
  check("refactor", refactor, refactor >= 1, "1 label or more");
  check("forgetting", forgetting, forgetting > 0.5 && forgetting <= 1, "above 0.5, up to 1");
  check("prior", prior, prior > 0, "a precision > 0");
  map.validate();
  OperationKernel(kernel, 0);
  if (daily.variance != 0) OperationKernel({daily}, 0);
  if (!patterns.empty()) OperationKernel(patterns, 0);
  check("utc_offset", utc_offset, std::abs(utc_offset) <= 14, "hours, -14..14");
}

Corrector Corrector::fit(const History& history, Index rows, const CorrectorConfig& config) {
  return learn(history, rows, config, nullptr, 0);
}

Corrector Corrector::transfer(const Corrector& source, const History& history, Index rows,
                              const CorrectorConfig& config, double pull,
                              const std::vector<std::pair<std::string, std::string>>& match) {
  if (source.tags_.tags.empty()) throw StateError("Corrector.transfer: expected a fitted source");
  if (!(pull >= 0) || !std::isfinite(pull))
    throw InputError("Corrector.transfer(pull): expected 0 or a positive number, got " + number_text(pull));
  const std::vector<TagMatch> matches = match_tags(source.tags_, history.tags, match);
  const auto start = [&](Corrector& c, Index labelled) {
    c.scaler_ = adopt_scales(source.tags_, source.scaler_, history, labelled, matches).scaler;
    std::vector<Index> inputs, outputs;
    const auto& theirs = source.columns_.columns();
    for (CorrectorColumn column : c.columns_.columns()) {
      if (column.tag >= 0) column.tag = matches[static_cast<std::size_t>(column.tag)].source;
      const bool calendar = column.calendar >= 0;
      const auto found = std::find_if(theirs.begin(), theirs.end(), [&](const CorrectorColumn& other) {
        return other.tag == column.tag && other.lag == column.lag && other.category == column.category &&
               other.calendar == column.calendar;
      });
      const bool there = found != theirs.end() && (calendar || column.tag >= 0);
      inputs.push_back(there ? found - theirs.begin() : Index{-1});
    }
    for (const Index o : c.outputs_) {
      const Index tag = matches[static_cast<std::size_t>(o)].source;
      const auto found = std::find(source.outputs_.begin(), source.outputs_.end(), tag);
      outputs.push_back(tag >= 0 && found != source.outputs_.end() ? found - source.outputs_.begin()
                                                                   : Index{-1});
    }
    const auto lost = std::count(inputs.begin(), inputs.end(), Index{-1});
    if (2 * lost > static_cast<Index>(inputs.size()))  // its map says nothing of this plant
      throw InputError("Corrector.transfer(source): expected at least half of the target's " +
                       std::to_string(inputs.size()) + " columns of operation to match, got " +
                       std::to_string(static_cast<Index>(inputs.size()) - lost));
    c.map_ = source.map_.rearranged(inputs, outputs);
    c.config_.map.waves = source.config_.map.waves;  // they are the source's
  };
  return learn(history, rows, config, start, pull);
}

// `start` gives scales and a map to begin with; null: neither.
Corrector Corrector::learn(const History& history, Index rows, const CorrectorConfig& config,
                           const std::function<void(Corrector&, Index)>& start, double pull) {
  config.validate();
  Corrector c;
  c.config_ = config;
  c.tags_ = history.tags;
  const Index labelled = rows - config.delay;  // the newest have not arrived yet
  if (labelled < 2 || rows > history.rows())
    throw InputError("Corrector.fit(rows): expected " + std::to_string(config.delay + 2) + ".." +
                     std::to_string(history.rows()) + " training rows of the history, got " +
                     std::to_string(rows));
  c.columns_ = CorrectorColumns(history.tags, config.lags, config.calendar, config.utc_offset);
  c.outputs_ = history.tags.outputs();
  const Index outputs = c.output_count();
  if (outputs == 0) throw InputError("Corrector.fit: expected an emission or quality tag, got none");
  if (start)
    start(c, labelled);
  else
    c.scaler_ = Scaler::fit(history, labelled);
  const Matrix x = c.columns_.rows(history, c.scaler_, 0, labelled);
  Matrix z(labelled, outputs);
  for (Index r = 0; r < labelled; ++r)
    for (Index o = 0; o < outputs; ++o)
      z(r, o) = c.output_scale(o).normalise(history.values(r, c.outputs_[static_cast<std::size_t>(o)]));
  c.map_ = start ? OperationMap::fit(x, z, config.map, c.map_, pull) : OperationMap::fit(x, z, config.map);
  c.restart();
  // The end of the training rows fills the window, or brings the recursion into its swing.
  for (Index r = std::max<Index>(0, labelled - 2 * config.window); r < labelled; ++r)
    c.take(row_time(history, r), x.row(r), z.row(r));
  c.now_ = row_time(history, labelled - 1) + 1 + config.delay;
  return c;
}

OperationKernel Corrector::kernel() const {
  std::vector<KernelTerm> terms = config_.kernel;
  const double day = tags_.period > 0 ? 86400 / tags_.period : 0;  // rows
  const auto add = [&](KernelTerm term) {
    if (!(term.variance > 0) || day < kLeastRowsOfADay) return;
    term.time *= day;
    term.period *= day;
    terms.push_back(term);
  };
  add(config_.daily);
  for (const KernelTerm& term : config_.patterns) add(term);
  const Index counted = config_.calendar_distance ? columns_.width() : columns_.operation();
  return OperationKernel(std::move(terms), columns_.width(), counted, columns_.weekend());
}

void Corrector::restart() {
  const Index outputs = output_count();
  spread_.assign(static_cast<std::size_t>(outputs), 1.0);
  groups_.clear();
  rls_.clear();
  now_ = newest_ = kNever;
  labels_ = since_refactor_ = 0;
  if (config_.method == CorrectorConfig::Method::rls) {
    const RecursiveLeastSquares fresh(1 + columns_.width(), config_.forgetting, config_.prior);
    rls_.assign(static_cast<std::size_t>(outputs), fresh);
    return;
  }
  std::vector<Index> all(static_cast<std::size_t>(outputs));
  std::iota(all.begin(), all.end(), Index{0});
  groups_.push_back({all, LabelWindow(kernel(), config_.noise, config_.window, outputs)});
}

void Corrector::check_tags(const History& history, const char* where) const {
  const auto same = [](const Tag& a, const Tag& b) {
    return a.name == b.name && a.role == b.role && a.kind == b.kind && a.known_ahead == b.known_ahead;
  };
  const auto &ours = tags_.tags, &theirs = history.tags.tags;
  if (ours.empty()) throw StateError(std::string("Corrector.") + where + ": expected a fitted corrector");
  if (!std::equal(ours.begin(), ours.end(), theirs.begin(), theirs.end(), same))
    throw InputError(std::string("Corrector.") + where +
                     ": expected a history of the tags of fit, in their order and roles");
}

bool Corrector::observe(double t, const double* x, const double* y, double now) {
  if (!std::isfinite(t) || !std::isfinite(now))
    throw InputError("Corrector.observe: expected finite times, got t=" + number_text(t) +
                     " and now=" + number_text(now));
  if (now < t + 1 + config_.delay) refuse_early(t, now, config_.delay);
  return accept(t, x, y, now);
}

bool Corrector::observe(const History& history, Index row, Index now, Index first) {
  check_tags(history, "observe");
  const Matrix x = columns_.rows(history, scaler_, row, 1);
  // In the history's rows, not in periods since 1970: stamps may jitter.
  if (now < row + 1 + config_.delay)
    refuse_early(static_cast<double>(row), static_cast<double>(now), config_.delay);
  std::vector<double> y;
  for (const Index o : outputs_) y.push_back(history.values(row, o));
  return accept(row_time(history, row, first), x.row(0), y.data(), row_time(history, now, first));
}

bool Corrector::accept(double t, const double* x, const double* y, double now) {
  if (now < now_)
    throw InputError("Corrector.observe(now): expected a clock that does not go back, " + number_text(now_) +
                     " or later, got " + number_text(now));
  now_ = now;
  newest_ = std::max(newest_, t);
  std::vector<double> z;
  for (Index o = 0; o < output_count(); ++o)
    z.push_back(std::isfinite(y[o]) ? output_scale(o).normalise(y[o]) : kMissing);
  const Index before = labels_;
  take(t, x, z.data());
  return labels_ > before;
}

// z (O), normalised, NaN = missing.
void Corrector::take(double t, const double* x, const double* z) {
  newest_ = std::max(newest_, t);
  std::vector<double> residual(static_cast<std::size_t>(output_count()));
  map_.value(residual.data(), x);
  bool any = false;
  for (Index o = 0; o < output_count(); ++o) {
    double& r = residual[static_cast<std::size_t>(o)];
    r = std::clamp(z[o] - r, -kLargestResidual, kLargestResidual);
    any = any || std::isfinite(r);
  }
  if (!any) return;
  if (config_.method == CorrectorConfig::Method::gp)
    take_gp(t, x, residual);
  else
    take_rls(x, residual);
}

void Corrector::take_gp(double t, const double* x, const std::vector<double>& residual) {
  bool taken = false;
  const std::size_t before = groups_.size();
  for (std::size_t g = 0; g < before; ++g) {
    std::vector<Index> known, missing;  // places within the group
    for (std::size_t i = 0; i < groups_[g].outputs.size(); ++i)
      (std::isfinite(residual[static_cast<std::size_t>(groups_[g].outputs[i])]) ? known : missing)
          .push_back(static_cast<Index>(i));
    if (known.empty()) continue;
    if (!missing.empty()) {  // from here on the two parts hold different rows
      const auto part = [&](const std::vector<Index>& kept) {
        std::vector<Index> names;
        for (const Index i : kept) names.push_back(groups_[g].outputs[static_cast<std::size_t>(i)]);
        return Group{names, groups_[g].window.with_outputs(kept)};
      };
      Group rest = part(missing), measured = part(known);
      groups_[g] = std::move(measured);
      groups_.push_back(std::move(rest));
    }
    Group& group = groups_[g];
    std::vector<double> r, bounds, innovation(group.outputs.size());
    for (const Index o : group.outputs) {
      r.push_back(residual[static_cast<std::size_t>(o)]);
      bounds.push_back(config_.spike * std::sqrt(spread_[static_cast<std::size_t>(o)]));
    }
    if (!group.window.add(t, x, r.data(), bounds.data(), innovation.data())) continue;
    taken = true;
    for (std::size_t i = 0; i < group.outputs.size(); ++i) innovate(group.outputs[i], innovation[i]);
  }
  if (!taken) return;
  ++labels_;
  if (++since_refactor_ >= config_.refactor) tidy();
}

// Rounding errors of removals go, and outputs whose gaps have left the window share a factor again.
void Corrector::tidy() {
  since_refactor_ = 0;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    bool merged = false;
    for (std::size_t other = g + 1; other < groups_.size();) {
      if (!groups_[g].window.same_rows(groups_[other].window)) {
        ++other;
        continue;
      }
      groups_[g].window.merge(groups_[other].window);
      auto& names = groups_[g].outputs;
      names.insert(names.end(), groups_[other].outputs.begin(), groups_[other].outputs.end());
      groups_.erase(groups_.begin() + static_cast<std::ptrdiff_t>(other));
      merged = true;
    }
    if (!merged) groups_[g].window.refactor();
  }
}

void Corrector::take_rls(const double* x, const std::vector<double>& residual) {
  std::vector<double> f{1.0};
  for (Index i = 0; i < columns_.width(); ++i) f.push_back(std::isnan(x[i]) ? 0 : x[i]);
  for (Index o = 0; o < output_count(); ++o) {
    const double r = residual[static_cast<std::size_t>(o)];
    if (!std::isfinite(r)) continue;
    RecursiveLeastSquares& rls = rls_[static_cast<std::size_t>(o)];
    const auto before = rls.predict(f.data());
    const double sd = std::sqrt(config_.noise * (1 + before.leverage));
    const double bound = config_.spike * std::sqrt(spread_[static_cast<std::size_t>(o)]) * sd;
    innovate(o, (r - before.mean) / sd);
    rls.update(f.data(), before.mean + std::clamp(r - before.mean, -bound, bound));
  }
  ++labels_;
}

void Corrector::innovate(Index output, double innovation) {
  const double cut = std::clamp(innovation, -kLargestInnovation, kLargestInnovation);
  double& spread = spread_[static_cast<std::size_t>(output)];
  spread = std::max(spread + kSpreadGain * (cut * cut - spread), kLeastSpread);
}

void Corrector::predict(View mean, View* variance, const double* t, ConstView x) const {
  if (config_.method == CorrectorConfig::Method::gp) {
    std::vector<double> v(static_cast<std::size_t>(x.rows));
    for (const Group& group : groups_) {
      Matrix part(x.rows, static_cast<Index>(group.outputs.size()));
      group.window.predict(part, variance == nullptr ? nullptr : v.data(), t, x);
      for (Index r = 0; r < x.rows; ++r)
        for (Index i = 0; i < part.cols; ++i) {
          const Index o = group.outputs[static_cast<std::size_t>(i)];
          mean(r, o) = part(r, i);
          if (variance != nullptr)
            (*variance)(r, o) = spread_[static_cast<std::size_t>(o)] * v[static_cast<std::size_t>(r)];
        }
    }
  } else {
    std::vector<double> f(static_cast<std::size_t>(1 + columns_.width()), 1.0);
    for (Index r = 0; r < x.rows; ++r) {
      for (Index i = 0; i < x.cols; ++i)
        f[static_cast<std::size_t>(1 + i)] = std::isnan(x(r, i)) ? 0 : x(r, i);
      for (Index o = 0; o < output_count(); ++o) {
        const auto p = rls_[static_cast<std::size_t>(o)].predict(f.data());
        mean(r, o) = p.mean;
        if (variance != nullptr)
          (*variance)(r, o) = spread_[static_cast<std::size_t>(o)] * config_.noise * (1 + p.leverage);
      }
    }
  }
  std::vector<double> base(static_cast<std::size_t>(output_count()));
  for (Index r = 0; r < x.rows; ++r) {
    map_.value(base.data(), x.row(r));
    for (Index o = 0; o < output_count(); ++o) mean(r, o) += base[static_cast<std::size_t>(o)];
  }
}

void Corrector::slope(View out, double t, const double* x) const {
  map_.slope(out, x);
  const Index width = columns_.width();
  for (const Group& group : groups_) {
    Matrix part(static_cast<Index>(group.outputs.size()), width);
    group.window.add_slope(part, t, x);
    for (Index i = 0; i < part.rows; ++i)
      for (Index c = 0; c < width; ++c) out(group.outputs[static_cast<std::size_t>(i)], c) += part(i, c);
  }
  for (std::size_t o = 0; o < rls_.size(); ++o)
    for (Index c = 0; c < width; ++c)
      if (!std::isnan(x[c]))
        out(static_cast<Index>(o), c) += rls_[o].weights()[static_cast<std::size_t>(1 + c)];
}

void Corrector::quantiles(View out, ConstView mean, ConstView variance,
                          const std::vector<double>& levels) const {
  for (std::size_t q = 0; q < levels.size(); ++q) {
    const double away = normal_quantile(levels[q]);
    for (Index r = 0; r < mean.rows; ++r)
      for (Index c = 0; c < mean.cols; ++c)
        out(r, c * static_cast<Index>(levels.size()) + static_cast<Index>(q)) =
            output_scale(c % output_count()).physical(mean(r, c) + away * std::sqrt(variance(r, c)));
  }
}

}  // namespace emisopt
