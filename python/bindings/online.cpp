// Online learning: the learner row by row, and the same over a past.
#include "emisopt/train/online.hpp"

#include <pybind11/stl.h>

#include "arrays.hpp"
#include "emisopt/loop/prequential.hpp"
#include "module.hpp"

namespace emisopt::python {
namespace {

using namespace pybind11::literals;

OnlineConfig make_online_config(int delay, int every, int steps, int batch, double rate, double clip,
                                double replay, int recent_rows, int memory, int regimes, double l2sp,
                                double ewc, double level_shift, double input_shift, double gain_shift,
                                double slope_shift, double unknown_plan, double tolerance, int guard,
                                int snapshots, bool learn, int threads, std::uint64_t seed) {
  OnlineConfig c;
  c.delay = delay;
  c.every = every;
  c.steps = steps;
  c.batch = batch;
  c.rate = rate;
  c.clip = clip;
  c.replay = replay;
  c.recent_rows = recent_rows;
  c.memory = memory;
  c.regimes = regimes;
  c.l2sp = l2sp;
  c.ewc = ewc;
  c.level_shift = level_shift;
  c.input_shift = input_shift;
  c.gain_shift = gain_shift;
  c.slope_shift = slope_shift;
  c.unknown_plan = unknown_plan;
  c.tolerance = tolerance;
  c.guard = guard;
  c.snapshots = snapshots;
  c.learn = learn;
  c.threads = threads;
  c.seed = seed;
  c.validate();
  return c;
}

}  // namespace

void bind_online(py::module_& m) {
  const OnlineConfig d;
  py::class_<OnlineConfig>(m, "OnlineConfig", "How to learn online; checked when made.")
      .def(py::init(&make_online_config), py::kw_only(), "delay"_a = d.delay, "every"_a = d.every,
           "steps"_a = d.steps, "batch"_a = d.batch, "rate"_a = d.rate, "clip"_a = d.clip,
           "replay"_a = d.replay, "recent_rows"_a = d.recent_rows, "memory"_a = d.memory,
           "regimes"_a = d.regimes, "l2sp"_a = d.l2sp, "ewc"_a = d.ewc, "level_shift"_a = d.level_shift,
           "input_shift"_a = d.input_shift, "gain_shift"_a = d.gain_shift, "slope_shift"_a = d.slope_shift,
           "unknown_plan"_a = d.unknown_plan, "tolerance"_a = d.tolerance, "guard"_a = d.guard,
           "snapshots"_a = d.snapshots, "learn"_a = d.learn, "threads"_a = d.threads, "seed"_a = d.seed);
  py::class_<UpdateReport>(m, "UpdateReport", "What one update did, and why.")
      .def_readonly("row", &UpdateReport::row)
      .def_readonly("version", &UpdateReport::version)
      .def_readonly("accepted", &UpdateReport::accepted)
      .def_readonly("reason", &UpdateReport::reason)
      .def_readonly("steps", &UpdateReport::steps)
      .def_readonly("recent_loss", &UpdateReport::recent_loss)
      .def_readonly("replay_loss", &UpdateReport::replay_loss)
      .def_readonly("l2sp", &UpdateReport::l2sp)
      .def_readonly("ewc", &UpdateReport::ewc)
      .def_readonly("gradient_norm", &UpdateReport::gradient_norm)
      .def_readonly("guard_before", &UpdateReport::guard_before)
      .def_readonly("guard_after", &UpdateReport::guard_after)
      .def_readonly("seconds", &UpdateReport::seconds);
  m.def(
      "run_prequential",
      [](const Forecaster& forecaster, const History& history, Index first, Index last,
         const OnlineConfig& config, bool operation_known, Index stride) {
        Prequential result;
        {
          py::gil_scoped_release nogil;
          result = run_prequential(forecaster, history, first, last, config,
                                   operation_known ? Known::operation : Known::nothing, stride);
        }
        const auto n = static_cast<py::ssize_t>(result.origins.size());
        const Array flat = to_array(std::move(result.quantiles));
        const Array quantiles = flat.attr("reshape")(py::make_tuple(
            n, forecaster.config.horizon, forecaster.layout.outputs().size(), forecaster.config.levels()));
        return py::make_tuple(result.origins, quantiles, result.reports);
      },
      "forecaster"_a, "history"_a, "first"_a, "last"_a, "config"_a, "operation_known"_a, "stride"_a = 1,
      "(origins, quantiles (n, H, O, Q), reports).");
}

}  // namespace emisopt::python
