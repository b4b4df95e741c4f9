// Training with the GIL released; it is taken back only to report, and to see whether somebody pressed
// Ctrl-C.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <chrono>

#include "emisopt/train/emphasis.hpp"
#include "emisopt/train/trainer.hpp"
#include "module.hpp"

namespace emisopt::python {
namespace {

using namespace pybind11::literals;

TrainConfig make_train_config(int steps, int batch, double rate, int warmup, double decay, double clip,
                              double average, double level_shift, double input_shift, double gain_shift,
                              double slope_shift, double unknown_plan, int max_delay, int min_horizon,
                              kernels::Loss loss, std::vector<double> level_weights, double multiscale,
                              double exceed_weight, double exceed_quantile,
                              std::vector<std::pair<std::string, double>> exceed_limits, double l2sp,
                              std::vector<std::string> trainable, Index train_rows, Index validation_rows,
                              int validate_every, int patience, int threads, std::uint64_t seed,
                              kernels::Device device, kernels::Precision precision, bool deterministic) {
  TrainConfig c;
  c.steps = steps;
  c.batch = batch;
  c.rate = rate;
  c.warmup = warmup;
  c.decay = decay;
  c.clip = clip;
  c.average = average;
  c.level_shift = level_shift;
  c.input_shift = input_shift;
  c.gain_shift = gain_shift;
  c.slope_shift = slope_shift;
  c.unknown_plan = unknown_plan;
  c.max_delay = max_delay;
  c.min_horizon = min_horizon;
  c.loss = loss;
  c.level_weights = std::move(level_weights);
  c.multiscale = multiscale;
  c.exceed_weight = exceed_weight;
  c.exceed_quantile = exceed_quantile;
  c.exceed_limits = std::move(exceed_limits);
  c.l2sp = l2sp;
  c.trainable = std::move(trainable);
  c.train_rows = train_rows;
  c.validation_rows = validation_rows;
  c.validate_every = validate_every;
  c.patience = patience;
  c.threads = threads;
  c.seed = seed;
  c.device = device;
  c.precision = precision;
  c.deterministic = deterministic;
  c.validate();
  return c;
}

// Reports at most 20 times a second, and on the last step: a step may take a millisecond, a bar need not
// know.
class Reporter {
 public:
  explicit Reporter(py::object callback) : callback_(std::move(callback)) {}

  bool operator()(const TrainProgress& progress) {
    const auto now = std::chrono::steady_clock::now();
    if (progress.step < progress.steps && now - last_ < std::chrono::milliseconds(50)) return true;
    last_ = now;
    py::gil_scoped_acquire gil;
    if (PyErr_CheckSignals() != 0) return stop_if_interrupt();
    try {
      return callback_.is_none() || !callback_(progress).is(py::bool_(false));
    } catch (py::error_already_set& e) {
      if (!e.matches(PyExc_KeyboardInterrupt)) throw;
      interrupted = true;
      return false;
    }
  }
  bool interrupted = false;

 private:
  // Ctrl-C ends the training in good order, with the best weights so far; any other signal's error is thrown.
  bool stop_if_interrupt() {
    if (!PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) throw py::error_already_set();
    PyErr_Clear();
    interrupted = true;
    return false;
  }
  py::object callback_;
  std::chrono::steady_clock::time_point last_{};
};

// The callback of a group of processes, on arrays that are views of the trainer's memory.
template <class T>
std::function<void(T*, std::size_t)> summing(py::object reduce) {
  return [reduce](T* x, std::size_t count) {
    py::gil_scoped_acquire gil;
    reduce(py::array_t<T>(static_cast<py::ssize_t>(count), x, py::capsule(x, [](void*) {})));
  };
}

}  // namespace

void bind_train(py::module_& m) {
  const TrainConfig d;  // the defaults that the signature shows
  py::class_<TrainConfig>(m, "TrainConfig", "How to train; checked when made.")
      .def(py::init(&make_train_config), py::kw_only(), "steps"_a = d.steps, "batch"_a = d.batch,
           "rate"_a = d.rate, "warmup"_a = d.warmup, "decay"_a = d.decay, "clip"_a = d.clip,
           "average"_a = d.average, "level_shift"_a = d.level_shift, "input_shift"_a = d.input_shift,
           "gain_shift"_a = d.gain_shift, "slope_shift"_a = d.slope_shift, "unknown_plan"_a = d.unknown_plan,
           "max_delay"_a = d.max_delay, "min_horizon"_a = d.min_horizon, "loss"_a = d.loss,
           "level_weights"_a = d.level_weights, "multiscale"_a = d.multiscale,
           "exceed_weight"_a = d.exceed_weight, "exceed_quantile"_a = d.exceed_quantile,
           "exceed_limits"_a = d.exceed_limits, "l2sp"_a = d.l2sp, "trainable"_a = d.trainable,
           "train_rows"_a = d.train_rows, "validation_rows"_a = d.validation_rows,
           "validate_every"_a = d.validate_every, "patience"_a = d.patience, "threads"_a = d.threads,
           "seed"_a = d.seed, "device"_a = d.device, "precision"_a = d.precision,
           "deterministic"_a = d.deterministic)
      .def_readonly("train_rows", &TrainConfig::train_rows)
      .def_readonly("validation_rows", &TrainConfig::validation_rows);
  py::class_<TrainProgress>(m, "TrainProgress", "State of a running training, after a step.")
      .def_readonly("step", &TrainProgress::step)
      .def_readonly("steps", &TrainProgress::steps)
      .def_readonly("loss", &TrainProgress::loss, "Running mean of the training loss.")
      .def_readonly("validation", &TrainProgress::validation, "Last validation loss; NaN: none yet.")
      .def_readonly("best", &TrainProgress::best)
      .def_readonly("rate", &TrainProgress::rate, "Learning rate.")
      .def_readonly("seconds", &TrainProgress::seconds)
      .def_readonly("windows_per_second", &TrainProgress::windows_per_second)
      .def_readonly("seconds_left", &TrainProgress::seconds_left)
      .def_property_readonly(
          "parts",
          [](const TrainProgress& p) {
            py::dict named;
            named["label"] = p.parts.label;
            named["multiscale"] = p.parts.multiscale;
            named["distill"] = p.parts.distill;
            named["distill_multiscale"] = p.parts.distill_multiscale;
            named["hidden"] = p.parts.hidden;
            return named;
          },
          "Parts of this step's loss by name, each before its coefficient.");
  py::class_<TrainResult>(m, "TrainResult", "What a training came to.")
      .def_readonly("loss", &TrainResult::loss)
      .def_readonly("validation", &TrainResult::validation,
                    "Loss of the weights kept; NaN: no validation rows.")
      .def_readonly("steps", &TrainResult::steps, "Steps done.")
      .def_readonly("best_step", &TrainResult::best_step, "Step after which the weights kept were current.")
      .def_readonly("stopped", &TrainResult::stopped, "By the callback or by Ctrl-C.")
      .def_readonly("diverged", &TrainResult::diverged,
                    "A loss was not finite; the last good weights are kept.")
      .def_readonly("trouble", &TrainResult::trouble, "Then: which step, windows, rows and tag.")
      .def_readonly("resumed", &TrainResult::resumed, "Steps that an earlier process had done.")
      .def_readonly("device", &TrainResult::device, "That it ran on.")
      .def_readonly("seconds", &TrainResult::seconds);
  m.def("tail_weights", &tail_weights, "tail"_a, "levels"_a,
        "Weights of quantile levels within the pinball loss: all, upper, lower or both.");
  m.def(
      "train",
      [](Forecaster& forecaster, const History& history, const TrainConfig& config, py::object progress,
         std::string state, int save_every, double save_seconds, const TeacherForecasts* teacher,
         double distill, double distill_multiscale, double hidden, std::string tap,
         const std::optional<std::vector<float>>& held, int rank, int size, py::object reduce,
         kernels::Group* group) {
        Reporter report(std::move(progress));
        const TrainFile file{std::move(state), save_every, save_seconds};
        const Distillation distillation{teacher, distill, distill_multiscale, hidden, std::move(tap)};
        const bool several = !reduce.is_none();
        Processes processes;
        if (several) processes = {rank, size, summing<float>(reduce), summing<double>(reduce), group};
        TrainResult result;
        {
          py::gil_scoped_release nogil;
          result =
              train(forecaster, history, config, std::ref(report), file, teacher ? &distillation : nullptr,
                    held ? &*held : nullptr, several ? &processes : nullptr);
        }
        return py::make_tuple(result, report.interrupted);
      },
      "forecaster"_a, "history"_a, "config"_a, "progress"_a = py::none(), py::kw_only(), "state"_a = "",
      "save_every"_a = TrainFile{}.every_steps, "save_seconds"_a = TrainFile{}.every_seconds,
      "teacher"_a = py::none(), "distill"_a = Distillation{}.distill, "distill_multiscale"_a = 0.0,
      "hidden"_a = 0.0, "tap"_a = "", "held"_a = py::none(), "rank"_a = 0, "size"_a = 1,
      "reduce"_a = py::none(), "group"_a = py::none(),
      "Trains in place; reduce(array) sums a float array over `size` processes, in place; `state` names a "
      "file to keep the run's state in and to go on from; "
      "progress(TrainProgress) may return False to stop. Returns (TrainResult, "
      "interrupted): "
      "Ctrl-C stops with the best weights so far instead of raising.");
}

}  // namespace emisopt::python
