#include "emisopt/train/distill.hpp"

#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/sha256.hpp"
#include "emisopt/base/text.hpp"
#include "emisopt/features/windows.hpp"
#include "emisopt/model/prior_columns.hpp"
#include "emisopt/model/projection.hpp"

namespace emisopt {
namespace {

std::string list(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text.append(text.empty() ? "" : ", ").append(name);
  return text;
}

std::vector<std::string> output_names(const Forecaster& f) {
  std::vector<std::string> names;
  for (const Index id : f.layout.outputs()) names.push_back(f.tags.tags[static_cast<std::size_t>(id)].name);
  return names;
}

[[noreturn]] void refuse(const std::string& what) { throw InputError("TeacherForecasts: " + what); }

template <class T>
void check_rising(const char* field, const std::vector<T>& values) {
  for (std::size_t i = 1; i < values.size(); ++i)
    if (!(values[i] > values[i - 1]))
      refuse(std::string(field) + ": expected rising numbers, got " + std::to_string(values[i - 1]) +
             " before " + std::to_string(values[i]));
}

// One teacher's compiled program, and what it says of one origin.
class Asked {
 public:
  Asked(const Forecaster& teacher, const std::string& tap)
      : teacher_(teacher),
        network_(tap.empty() ? teacher.network : with_tap(teacher.network, tap)),
        prior_(teacher.prior, teacher.layout, teacher.scaler, teacher.config.anchor_tau, teacher.tags) {
    kernels::CompileOptions options;
    options.threads = 1;
    program_ = kernels::compile(network_, {1, teacher.layout.history_tokens(), teacher.layout.horizon()},
                                options, kernels::isa_level());
    program_->load(teacher.theta.data());
  }

  void at(const History& history, Index origin) {
    const FeatureLayout& layout = teacher_.layout;
    const Index context = layout.context(), horizon = layout.horizon(), first = origin - context;
    if (!can_forecast(history, layout, origin) || !unbroken(history, first, context + horizon))
      throw InputError("ask_teachers(origins): expected unbroken rows with known outputs around row " +
                       std::to_string(origin) + ", got a gap or none; take training_origins");
    const Matrix z = teacher_.scaler.normalise(history, first, context);
    const ContextSummary summary = layout.summarise(z);
    const auto stamp = [&](Index r) {
      return history.time.empty() ? kMissing : history.time[static_cast<std::size_t>(r)];
    };
    layout.fill_history(program_->history(), z, summary, stamp(first));
    Matrix plan_z(horizon, static_cast<Index>(layout.setpoints().size())), plan = plan_z;
    Matrix known_z(horizon, static_cast<Index>(layout.disturbances().size())), known = known_z;
    const auto gather = [&](Matrix& to, Matrix& to_z, const std::vector<Index>& ids) {
      for (Index h = 0; h < horizon; ++h)
        for (std::size_t i = 0; i < ids.size(); ++i) {
          const auto c = static_cast<Index>(i);
          to(h, c) = history.values(origin + h, ids[i]);
          to_z(h, c) = teacher_.scaler.tags[static_cast<std::size_t>(ids[i])].normalise(to(h, c));
        }
    };
    gather(plan, plan_z, layout.setpoints());
    gather(known, known_z, layout.disturbances());
    const ConstView view_z = plan_z, view = plan;
    layout.fill_future(program_->future(), summary, &view_z, known_z, stamp(origin));
    prior_.set_context(ConstView(history.values).slice(first, context), 0);
    prior_.fill(program_->future(), &view, known, nullptr);
    program_->run_context();
    program_->run();
    anchors_ = summary.anchor;
  }

  /// Quantile of column (step, output, level), physical.
  double physical(Index step, std::size_t output, std::size_t level) const {
    const std::size_t levels = teacher_.config.quantiles.size(), outputs = teacher_.layout.outputs().size();
    const auto tag = static_cast<std::size_t>(teacher_.layout.outputs()[output]);
    const float change =
        program_->quantiles()[(static_cast<std::size_t>(step) * outputs + output) * levels + level];
    return teacher_.scaler.tags[tag].physical(anchors_[tag] + static_cast<double>(change));
  }
  const float* hidden() const { return program_->hidden(); }
  int hidden_width() const {
    return network_.hidden < 0 ? 0 : network_.values[static_cast<std::size_t>(network_.hidden)].width;
  }

 private:
  const Forecaster& teacher_;
  kernels::OpList network_;
  PriorColumns prior_;
  std::unique_ptr<kernels::Program<float>> program_;
  std::vector<double> anchors_;
};

}  // namespace

void TeacherForecasts::validate(const Forecaster& student) const {
  const int horizon = student.layout.horizon();
  if (steps.empty() || steps.front() < 1 || steps.back() > horizon)
    refuse("expected the student's horizon of " + std::to_string(horizon) + " rows, got steps " +
           (steps.empty() ? "none" : std::to_string(steps.front()) + ".." + std::to_string(steps.back())));
  check_rising("steps", steps);
  if (const auto names = output_names(student); outputs != names)
    refuse("expected the student's outputs (" + list(names) + "), got (" + list(outputs) + ")");
  check_rising("levels", levels);
  if (levels.empty() || !(levels.front() > 0) || !(levels.back() < 1))
    refuse("levels: expected rising numbers between 0 and 1, got " +
           (levels.empty() ? std::string("none")
                           : number_text(levels.front()) + ".." + number_text(levels.back())));
  if (levels.size() == 1 && levels[0] != 0.5)
    refuse("levels: expected 0.5 where there is one alone, got " + number_text(levels[0]));
  if (std::none_of(student.config.quantiles.begin(), student.config.quantiles.end(),
                   [&](double tau) { return tau >= levels.front() && tau <= levels.back(); }))
    refuse("levels: expected some that reach the student's, got " + number_text(levels.front()) + ".." +
           number_text(levels.back()));
  if (origins.empty()) refuse("expected forecasts, got none");
  check_rising("origins", origins);
  const std::size_t row = outputs.size() * levels.size(), expected = origins.size() * steps.size() * row;
  if (quantiles.size() != expected)
    throw ShapeError("TeacherForecasts.quantiles: expected origins * steps * outputs * levels = " +
                     std::to_string(expected) + " numbers, got " + std::to_string(quantiles.size()));
  for (std::size_t i = 0; i < quantiles.size(); ++i) {
    const bool falls = i % levels.size() > 0 && quantiles[i] < quantiles[i - 1];
    if (std::isfinite(quantiles[i]) && !falls) continue;
    refuse("expected " + std::string(falls ? "quantiles that rise with their level" : "finite numbers") +
           ", got " + number_text(static_cast<double>(quantiles[i])) + " for output '" +
           outputs[i / levels.size() % outputs.size()] + "', step " +
           std::to_string(steps[i / row % steps.size()]) + " of the forecast from row " +
           std::to_string(origins[i / row / steps.size()]));
  }
  const std::size_t states = origins.size() * static_cast<std::size_t>(horizon) *
                             static_cast<std::size_t>(std::max(hidden_width, 0));
  if (hidden_width < 0 || hidden.size() != states)
    throw ShapeError("TeacherForecasts.hidden: expected origins * horizon * hidden_width = " +
                     std::to_string(states) + " numbers, got " + std::to_string(hidden.size()));
  if (!std::all_of(hidden.begin(), hidden.end(), [](float x) { return std::isfinite(x); }))
    refuse("hidden: expected finite numbers, got others");
}

std::string TeacherForecasts::hash() const {
  Sha256 sha;
  const auto add = [&](const auto& values) {
    sha.update({reinterpret_cast<const char*>(values.data()), values.size() * sizeof(values[0])});
  };
  for (const std::string& name : outputs) sha.update(name + "\n");
  add(levels);
  add(steps);
  add(origins);
  add(quantiles);
  add(hidden);
  return sha.hex();
}

TeacherForecasts ask_teachers(const std::vector<const Forecaster*>& teachers, const History& history,
                              const std::vector<Index>& origins, const std::string& tap,
                              const std::function<bool(double)>& done) {
  if (teachers.empty()) throw InputError("ask_teachers(teachers): expected at least one, got none");
  const Forecaster& first = *teachers.front();
  if (!tap.empty() && teachers.size() > 1)
    throw InputError("ask_teachers(tap): expected one teacher for hidden states, got " +
                     std::to_string(teachers.size()));
  for (const Forecaster* teacher : teachers) {
    if (teacher->theta.empty())
      throw StateError("ask_teachers: expected trained teachers, got one without weights");
    if (teacher->tags.to_json() != history.tags.to_json())
      throw InputError(
          "ask_teachers(history): expected the tag map that each teacher was made for, got another");
    if (teacher->config.horizon != first.config.horizon ||
        teacher->config.quantiles != first.config.quantiles)
      throw InputError(
          "ask_teachers(teachers): expected one horizon and the same levels for all, got others");
  }
  std::vector<Asked> asked;
  for (const Forecaster* teacher : teachers) asked.emplace_back(*teacher, tap);
  TeacherForecasts out;
  out.outputs = output_names(first);
  out.levels = first.config.quantiles;
  out.origins = origins;
  out.hidden_width = asked.front().hidden_width();
  for (int h = 1; h <= first.config.horizon; ++h) out.steps.push_back(h);
  for (std::size_t i = 0; i < origins.size(); ++i) {
    for (Asked& teacher : asked) teacher.at(history, origins[i]);
    for (Index h = 0; h < first.config.horizon; ++h)
      for (std::size_t o = 0; o < out.outputs.size(); ++o)
        for (std::size_t l = 0; l < out.levels.size(); ++l) {
          double sum = 0;
          for (const Asked& teacher : asked) sum += teacher.physical(h, o, l);
          out.quantiles.push_back(static_cast<float>(sum / static_cast<double>(asked.size())));
        }
    if (out.hidden_width > 0)
      out.hidden.insert(out.hidden.end(), asked.front().hidden(),
                        asked.front().hidden() + Index{first.config.horizon} * out.hidden_width);
    if (done && i % 64 == 0 && !done(static_cast<double>(i) / static_cast<double>(origins.size())))
      throw StateError("ask_teachers: stopped by the caller");
  }
  return out;
}

void Distillation::validate() const {
  if (!teacher) throw InputError("Distillation.teacher: expected a teacher's forecasts, got none");
  for (const auto& [name, value] :
       {std::pair{"distill", distill}, {"multiscale", multiscale}, {"hidden", hidden}})
    if (!(value >= 0) || !std::isfinite(value))
      throw InputError(std::string("Distillation.") + name + ": expected 0 or a positive coefficient, got " +
                       number_text(value));
  if (hidden > 0 && teacher->hidden_width == 0)
    throw InputError(
        "Distillation.hidden: expected 0, since the teacher's hidden states were not kept, got " +
        number_text(hidden) + "; ask him with a tap");
}

std::vector<int> copy_layers(const Forecaster& teacher, Forecaster& student) {
  const ForecasterConfig &from = teacher.config, &to = student.config;
  const auto same = [](const char* what, int a, int b) {
    if (a != b)
      throw InputError(std::string("copy_layers: expected a student of the teacher's ") + what + " " +
                       std::to_string(a) + ", got " + std::to_string(b));
  };
  same("width", from.width, to.width);
  same("heads", from.heads, to.heads);
  same("kv_heads", from.key_heads(), to.key_heads());
  same("feedforward", from.inner_width(), to.inner_width());
  same("columns of a history token", teacher.layout.history_width(), student.layout.history_width());
  same("columns of a future row", teacher.layout.future_width(), student.layout.future_width());
  if (teacher.tags.to_json() != student.tags.to_json())
    throw InputError("copy_layers: expected a student of the teacher's tag map, got another one");
  if (to.layers > from.layers)
    throw InputError("copy_layers: expected a student of at most the teacher's " +
                     std::to_string(from.layers) + " layers, got " + std::to_string(to.layers));
  std::vector<int> taken;
  for (int i = 0; i < to.layers; ++i) taken.push_back((i + 1) * from.layers / to.layers - 1);
  for (const kernels::Parameter& p : student.network.parameters) {
    std::string name = p.name;
    if (name.starts_with("layers.")) {
      const std::size_t dot = name.find('.', 7);
      const int layer = std::stoi(name.substr(7, dot - 7));
      name = "layers." + std::to_string(taken[static_cast<std::size_t>(layer)]) + name.substr(dot);
    }
    const bool answers = name.starts_with("head.") || name.starts_with("skip.");
    if (answers && from.quantiles != to.quantiles) continue;
    for (const kernels::Parameter& q : teacher.network.parameters)
      if (q.name == name && q.shape == p.shape)
        std::copy_n(teacher.theta.begin() + static_cast<std::ptrdiff_t>(q.offset), q.size(),
                    student.theta.begin() + static_cast<std::ptrdiff_t>(p.offset));
  }
  return taken;
}

}  // namespace emisopt
