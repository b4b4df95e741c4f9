// Programs are compiled when first asked for and kept: one per batch size, one per set of Jacobian levels.
#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "emisopt/base/error.hpp"
#include "emisopt/features/windows.hpp"
#include "emisopt/model/forecaster.hpp"
#include "emisopt/model/physical.hpp"
#include "emisopt/model/prior_columns.hpp"

namespace emisopt {
namespace {

using kernels::Mode;
using kernels::Program;

// The check without the cost of building its message: this runs in every control tick.
void expect(const char* where, ConstView view, const char* rows, Index r, const char* cols, Index c) {
  if (view.rows != r || view.cols != c)
    check_shape(where, {static_cast<long>(view.rows), static_cast<long>(view.cols)},
                {{rows, static_cast<long>(r)}, {cols, static_cast<long>(c)}});
}

}  // namespace

struct ForecastSession::State {
  // The programs that read one program's weights and its keys and values of a history (0: of none yet).
  struct Family {
    Program<float>* head;
    long history = 0;
  };
  struct Compiled {
    std::unique_ptr<Program<float>> program;
    std::size_t family = 0;
  };

  ForecasterConfig config;
  std::vector<std::string> names;  // of the tags, in order
  Scaler scaler;
  FeatureLayout layout;
  kernels::OpList network;
  std::vector<float> theta;
  kernels::Isa isa;
  int threads;
  kernels::Precision precision;

  std::vector<Family> families;                   // one, and one more where inference is in 8 bits
  std::map<int, Compiled> infer;                  // by batch
  std::map<std::vector<int>, Compiled> jacobian;  // by levels
  std::map<std::vector<PlanMove>, Compiled> tangent;
  Compiled vjp;
  long history = 0;            // counts set_history
  long ahead_history = 0;      // the one of vjp's last forward pass
  std::vector<float> rows;     // (H, future_width) of the plan in hand
  std::vector<float> context;  // (history_tokens, history_width)
  ContextSummary summary;      // of that context
  double time0 = kMissing;     // of the first future row, s
  Matrix plan_z, known_z;      // (H, U), (H, D)
  PriorColumns prior;
  std::vector<double> prior_slopes;  // (H, O, U) of the last jacobian

  Index horizon() const { return layout.horizon(); }
  Index outputs() const { return static_cast<Index>(layout.outputs().size()); }
  Index setpoints() const { return static_cast<Index>(layout.setpoints().size()); }
  Index disturbances() const { return static_cast<Index>(layout.disturbances().size()); }

  void compile(Compiled& compiled, Mode mode, int batch, std::vector<kernels::Seed> seeds,
               std::vector<kernels::Direction> directions = {}) {
    kernels::CompileOptions options;
    options.mode = mode;
    options.threads = threads;
    if (mode == Mode::infer) options.precision = precision;
    options.seeds = std::move(seeds);
    options.directions = std::move(directions);
    for (double level : config.quantiles) options.levels.push_back(static_cast<float>(level));
    auto program =
        kernels::compile(network, {batch, layout.history_tokens(), layout.horizon()}, options, isa);
    std::size_t family = 0;
    while (family < families.size() && !program->share(*families[family].head)) ++family;
    if (family == families.size()) families.push_back({program.get()});
    program->load(theta.data());
    compiled = {std::move(program), family};
  }

  Program<float>& ready(Compiled& compiled) {
    Family& family = families[compiled.family];
    if (family.history != history) {
      std::copy(context.begin(), context.end(), family.head->history());
      family.head->run_context();
      family.history = history;
    }
    return *compiled.program;
  }

  Program<float>& infer_program(int batch) {
    Compiled& compiled = infer[batch];
    if (!compiled.program) compile(compiled, Mode::infer, batch, {});
    return ready(compiled);
  }

  Program<float>& jacobian_program(const std::vector<int>& levels) {
    Compiled& compiled = jacobian[levels];
    if (!compiled.program) {
      std::vector<kernels::Seed> seeds;
      for (int level : levels)
        for (Index o = 0; o < outputs(); ++o) seeds.push_back({static_cast<int>(o), level});
      compile(compiled, Mode::jacobian, 1, std::move(seeds));
    }
    return ready(compiled);
  }

  Program<float>& vjp_program() {
    if (!vjp.program) compile(vjp, Mode::vjp, 1, {});
    return ready(vjp);
  }

  float* row_buffer() {
    rows.resize(static_cast<std::size_t>(horizon() * layout.future_width()));
    return rows.data();
  }

  // The vjp program, its forward pass done at the future rows in `rows`: again only if the last was
  // elsewhere.
  Program<float>& ahead() {
    Program<float>& program = vjp_program();
    if (ahead_history == history && std::equal(rows.begin(), rows.end(), program.future())) return program;
    std::copy(rows.begin(), rows.end(), program.future());
    ahead_history = 0;
    program.run_ahead();
    ahead_history = history;
    return program;
  }

  Program<float>& tangent_program(const std::vector<PlanMove>& moves) {
    Compiled& compiled = tangent[moves];
    if (!compiled.program) {
      std::vector<kernels::Direction> directions;
      for (const PlanMove& move : moves) directions.push_back({move.first, move.last});
      compile(compiled, Mode::tangent, 1, {}, std::move(directions));
    }
    return ready(compiled);
  }

  void expect_levels(const char* where, const std::vector<int>& levels) const {
    if (levels.empty())
      throw InputError(std::string(where) + "(levels): expected at least one level, got none");
    for (int level : levels)
      if (level < 0 || level >= config.levels())
        throw InputError(std::string(where) + "(levels): expected 0.." + std::to_string(config.levels() - 1) +
                         ", got " + std::to_string(level));
  }

  void expect_history(const char* where) const {
    if (history == 0)
      throw StateError(std::string(where) + ": expected a history, none is set; call set_history first");
  }

  void expect_known(const char* where, ConstView known) const {
    if (known.rows > 0) expect(where, known, "H", horizon(), "D", disturbances());
  }

  static void normalise(Matrix& z, ConstView physical, const Scaler& scaler, const std::vector<Index>& tags) {
    for (Index r = 0; r < physical.rows; ++r)
      for (Index c = 0; c < physical.cols; ++c)
        z(r, c) = scaler.tags[static_cast<std::size_t>(tags[static_cast<std::size_t>(c)])].normalise(
            physical(r, c));
  }

  void fill_future(float* x, const ConstView* plan, ConstView known, std::vector<double>* slopes = nullptr) {
    if (plan) normalise(plan_z, *plan, scaler, layout.setpoints());
    if (known.rows > 0) normalise(known_z, known, scaler, layout.disturbances());
    const ConstView z = plan_z;
    layout.fill_future(x, summary, plan ? &z : nullptr, known.rows > 0 ? ConstView(known_z) : ConstView(),
                       time0);
    prior.fill(x, plan, known, slopes);
  }
};

ForecastSession::ForecastSession(const Forecaster& forecaster, kernels::Isa isa, int threads,
                                 kernels::Precision precision)
    : state_(std::make_unique<State>()) {
  if (forecaster.theta.size() != forecaster.network.parameter_count() || forecaster.theta.empty())
    throw StateError(
        "ForecastSession: expected a forecaster with weights, it has none; make, train or load it");
  State& s = *state_;
  s.config = forecaster.config;
  for (const Tag& tag : forecaster.tags.tags) s.names.push_back(tag.name);
  s.scaler = forecaster.scaler;
  s.layout = forecaster.layout;
  s.network = forecaster.network;
  s.theta = forecaster.theta;
  s.isa = isa;
  s.threads = threads;
  s.precision = precision;
  s.plan_z = Matrix(s.horizon(), s.setpoints());
  s.known_z = Matrix(s.horizon(), s.disturbances());
  s.prior = PriorColumns(forecaster.prior, s.layout, s.scaler, s.config.anchor_tau, forecaster.tags);
}

ForecastSession::~ForecastSession() = default;
ForecastSession::ForecastSession(ForecastSession&&) noexcept = default;
ForecastSession& ForecastSession::operator=(ForecastSession&&) noexcept = default;

void ForecastSession::set_weights(std::span<const float> theta) {
  State& s = *state_;
  check_shape("ForecastSession.set_weights", {static_cast<long>(theta.size())},
              {{"weights", static_cast<long>(s.theta.size())}});
  if (!std::all_of(theta.begin(), theta.end(), [](float w) { return std::isfinite(w); }))
    throw InputError("ForecastSession.set_weights: expected finite weights, got NaN or infinity among them");
  s.theta.assign(theta.begin(), theta.end());
  const auto reload = [&](auto& programs) {
    for (auto& [key, compiled] : programs) compiled.program->load(s.theta.data());
  };
  reload(s.infer);
  reload(s.jacobian);
  if (s.vjp.program) s.vjp.program->load(s.theta.data());
  reload(s.tangent);
  for (State::Family& family : s.families) family.history = 0;
  s.ahead_history = 0;
}

void ForecastSession::set_history(const History& history, Index end, int hidden) {
  constexpr const char* kWhere = "ForecastSession.set_history";
  State& s = *state_;
  const Index context = s.layout.context();
  bool same = history.tags.tags.size() == s.names.size();
  for (std::size_t c = 0; same && c < s.names.size(); ++c) same = history.tags.tags[c].name == s.names[c];
  if (!same)
    throw InputError(std::string(kWhere) + "(history): expected the " + std::to_string(s.names.size()) +
                     " tags that the forecaster was made for, in their order, got another tag map");
  if (end < 0 || end > history.rows())
    throw InputError(std::string(kWhere) + "(end): expected 0.." + std::to_string(history.rows()) + ", got " +
                     std::to_string(end));
  if (hidden < 0 || hidden >= context)
    throw InputError(std::string(kWhere) + "(hidden): expected 0.." + std::to_string(context - 1) + ", got " +
                     std::to_string(hidden));
  const Index first = end - context;
  if (!unbroken(history, first, context))
    throw InputError(std::string(kWhere) + ": expected an unbroken run of " + std::to_string(context) +
                     " rows before row " + std::to_string(end) + ", got " +
                     std::to_string(end == 0 ? 0 : end - history.run_start(end - 1)) +
                     "; wait for more rows or use a shorter context");
  const Matrix z = s.scaler.normalise(history, first, context);
  const ContextSummary summary = s.layout.summarise(z, hidden);
  for (Index tag : s.layout.outputs())
    if (std::isnan(summary.anchor[static_cast<std::size_t>(tag)]))
      throw InputError(std::string(kWhere) + ": expected a known value of output '" +
                       s.names[static_cast<std::size_t>(tag)] + "' in the " + std::to_string(context) +
                       " rows before row " + std::to_string(end) + ", all are missing");
  s.summary = summary;
  s.prior.set_context(ConstView(history.values).slice(first, context), hidden);
  const bool stamped = !history.time.empty();
  const auto stamp = [&](Index r) { return stamped ? history.time[static_cast<std::size_t>(r)] : kMissing; };
  s.context.resize(static_cast<std::size_t>(s.layout.history_tokens() * s.layout.history_width()));
  s.layout.fill_history(s.context.data(), z, s.summary, stamp(first), hidden);
  s.time0 = stamp(end - 1) + s.layout.period();
  ++s.history;
}

void ForecastSession::predict(View quantiles, const ConstView* plan, ConstView known) {
  State& s = *state_;
  s.expect_history("ForecastSession.predict");
  expect("ForecastSession.predict(quantiles)", quantiles, "H", s.horizon(), "O*Q",
         s.outputs() * s.config.levels());
  if (plan) expect("ForecastSession.predict(plan)", *plan, "H", s.horizon(), "U", s.setpoints());
  s.expect_known("ForecastSession.predict(known)", known);
  Program<float>& program = s.infer_program(1);
  s.fill_future(program.future(), plan, known);
  program.run();
  quantiles_to_physical(quantiles, program.quantiles(), s.layout, s.scaler, s.summary.anchor);
}

void ForecastSession::predict_batch(View quantiles, ConstView plans, ConstView known, int batch) {
  State& s = *state_;
  s.expect_history("ForecastSession.predict_batch");
  if (batch < 1)
    throw InputError("ForecastSession.predict_batch(batch): expected at least 1, got " +
                     std::to_string(batch));
  expect("ForecastSession.predict_batch(quantiles)", quantiles, "B*H", batch * s.horizon(), "O*Q",
         s.outputs() * s.config.levels());
  expect("ForecastSession.predict_batch(plans)", plans, "B*H", batch * s.horizon(), "U", s.setpoints());
  s.expect_known("ForecastSession.predict_batch(known)", known);
  const Index rows = s.horizon();
  // Who asks for gradients asks for them where a forecast was: its activations are kept for the way back.
  if (batch == 1 && s.vjp.program && s.precision == kernels::Precision::float32) {
    s.fill_future(s.row_buffer(), &plans, known);
    quantiles_to_physical(quantiles, s.ahead().quantiles(), s.layout, s.scaler, s.summary.anchor);
    return;
  }
  Program<float>& program = s.infer_program(batch);
  for (int b = 0; b < batch; ++b) {
    const ConstView plan = plans.slice(b * rows, rows);
    s.fill_future(program.future() + b * rows * s.layout.future_width(), &plan, known);
  }
  program.run();
  for (int b = 0; b < batch; ++b)
    quantiles_to_physical(quantiles.slice(b * rows, rows), program.quantiles() + b * rows * quantiles.cols,
                          s.layout, s.scaler, s.summary.anchor);
}

void ForecastSession::jacobian(View jacobian, ConstView plan, ConstView known,
                               const std::vector<int>& levels) {
  State& s = *state_;
  s.expect_history("ForecastSession.jacobian");
  s.expect_levels("ForecastSession.jacobian", levels);
  expect("ForecastSession.jacobian(jacobian)", jacobian, "L*H*O",
         static_cast<Index>(levels.size()) * s.horizon() * s.outputs(), "H*U", s.horizon() * s.setpoints());
  expect("ForecastSession.jacobian(plan)", plan, "H", s.horizon(), "U", s.setpoints());
  s.expect_known("ForecastSession.jacobian(known)", known);
  Program<float>& program = s.jacobian_program(levels);
  s.fill_future(program.future(), &plan, known, &s.prior_slopes);
  program.run();
  jacobian_to_physical(jacobian, program.jacobian(), program.quantiles(), plan, levels, s.config.levels(),
                       s.layout, s.scaler, s.summary.anchor, s.prior.active() ? &s.prior_slopes : nullptr);
}

void ForecastSession::gradient(View gradient, ConstView seed, ConstView plan, ConstView known) {
  State& s = *state_;
  s.expect_history("ForecastSession.gradient");
  expect("ForecastSession.gradient(gradient)", gradient, "H", s.horizon(), "U", s.setpoints());
  expect("ForecastSession.gradient(seed)", seed, "H", s.horizon(), "O*Q", s.outputs() * s.config.levels());
  expect("ForecastSession.gradient(plan)", plan, "H", s.horizon(), "U", s.setpoints());
  s.expect_known("ForecastSession.gradient(known)", known);
  // The seed of a logarithmic scale depends on the answer, so the answer comes first.
  s.fill_future(s.row_buffer(), &plan, known, &s.prior_slopes);
  Program<float>& program = s.ahead();
  seed_to_network(program.seed(), seed, program.quantiles(), s.layout, s.scaler, s.summary.anchor);
  program.run_back();
  gradient_to_physical(gradient, program.future_gradient(), plan, s.layout, s.scaler,
                       s.prior.active() ? &s.prior_slopes : nullptr);
}

void ForecastSession::sensitivities(View out, ConstView plan, ConstView known,
                                    const std::vector<PlanMove>& moves, const std::vector<int>& levels) {
  constexpr const char* kWhere = "ForecastSession.sensitivities";
  State& s = *state_;
  s.expect_history(kWhere);
  s.expect_levels(kWhere, levels);
  if (moves.empty()) throw InputError(std::string(kWhere) + "(moves): expected at least one, got none");
  for (std::size_t k = 0; k < moves.size(); ++k) {
    const PlanMove& m = moves[k];
    if (m.setpoint < 0 || m.setpoint >= s.setpoints() || m.first < 0 || m.last < m.first ||
        m.last >= s.horizon())
      throw InputError(std::string(kWhere) + "(moves[" + std::to_string(k) +
                       "]): expected a setpoint below " + std::to_string(s.setpoints()) +
                       " and 0 <= first <= last < " + std::to_string(s.horizon()) + ", got setpoint " +
                       std::to_string(m.setpoint) + ", steps " + std::to_string(m.first) + ".." +
                       std::to_string(m.last));
  }
  expect("ForecastSession.sensitivities(sensitivities)", out, "L*H*O",
         static_cast<Index>(levels.size()) * s.horizon() * s.outputs(), "moves",
         static_cast<Index>(moves.size()));
  expect("ForecastSession.sensitivities(plan)", plan, "H", s.horizon(), "U", s.setpoints());
  s.expect_known(kWhere, known);
  Program<float>& program = s.tangent_program(moves);
  s.fill_future(program.future(), &plan, known, &s.prior_slopes);
  moves_to_directions(program.direction(), moves, plan, s.layout, s.scaler,
                      s.prior.active() ? &s.prior_slopes : nullptr);
  program.run();
  tangents_to_physical(out, program.tangent(), program.quantiles(), levels, s.config.levels(), s.layout,
                       s.scaler, s.summary.anchor);
}

void ForecastSession::tokens(std::vector<float>& history, std::vector<float>& future, const ConstView* plan,
                             ConstView known) {
  State& s = *state_;
  s.expect_history("ForecastSession.tokens");
  if (plan) expect("ForecastSession.tokens(plan)", *plan, "H", s.horizon(), "U", s.setpoints());
  s.expect_known("ForecastSession.tokens(known)", known);
  history = s.context;
  future.resize(static_cast<std::size_t>(s.horizon() * s.layout.future_width()));
  s.fill_future(future.data(), plan, known);
}

std::vector<double> ForecastSession::anchors() const {
  const State& s = *state_;
  s.expect_history("ForecastSession.anchors");
  std::vector<double> physical;
  for (Index tag : s.layout.outputs()) {
    const auto i = static_cast<std::size_t>(tag);
    physical.push_back(s.scaler.tags[i].physical(s.summary.anchor[i]));
  }
  return physical;
}

}  // namespace emisopt
