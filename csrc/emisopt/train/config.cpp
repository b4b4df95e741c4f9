#include <cmath>
#include <string>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"
#include "emisopt/train/trainer.hpp"

namespace emisopt {
namespace {

void expect(bool good, const char* field, const char* expected, double got) {
  if (good) return;
  std::string text = std::to_string(got);
  if (got == std::floor(got) && std::abs(got) < 1e15) text = std::to_string(static_cast<long long>(got));
  throw InputError(std::string("TrainConfig.") + field + ": expected " + expected + ", got " + text);
}

bool from_zero(double x) { return x >= 0 && std::isfinite(x); }

}  // namespace

void TrainConfig::validate() const {
  expect(steps >= 1, "steps", "at least 1", steps);
  expect(batch >= 1 && batch <= 65536, "batch", "1..65536 windows", batch);
  expect(rate > 0 && std::isfinite(rate), "rate", "a positive number", rate);
  expect(warmup >= 0, "warmup", "0 or more steps", warmup);
  expect(from_zero(decay), "decay", "0 or a positive number", decay);
  expect(from_zero(clip), "clip", "a positive gradient norm, or 0 for none", clip);
  expect(average >= 0 && average < 1, "average", "a share in [0, 1)", average);
  expect(from_zero(level_shift), "level_shift", "0 or a positive number", level_shift);
  expect(from_zero(input_shift), "input_shift", "0 or a positive number", input_shift);
  expect(from_zero(gain_shift), "gain_shift", "0 or a positive number", gain_shift);
  expect(from_zero(slope_shift), "slope_shift", "0 or a positive number", slope_shift);
  expect(unknown_plan >= 0 && unknown_plan <= 1, "unknown_plan", "a share in 0..1", unknown_plan);
  expect(max_delay >= 0, "max_delay", "0 or more rows", max_delay);
  expect(min_horizon >= 0, "min_horizon", "0 or more rows", min_horizon);
  for (const double weight : level_weights)
    expect(from_zero(weight), "level_weights", "0 or positive numbers", weight);
  expect(from_zero(multiscale), "multiscale", "0 or a positive coefficient", multiscale);
  expect(exceed_weight > 0 && std::isfinite(exceed_weight), "exceed_weight", "a positive number",
         exceed_weight);
  expect(exceed_quantile >= 0 && exceed_quantile < 1, "exceed_quantile", "a share in [0, 1)",
         exceed_quantile);
  for (const auto& [name, limit] : exceed_limits)
    expect(std::isfinite(limit), "exceed_limits", ("a finite limit of '" + name + "'").c_str(), limit);
  expect(from_zero(l2sp), "l2sp", "0 or a positive coefficient", l2sp);
  expect(train_rows >= 0, "train_rows", "0 or more rows", static_cast<double>(train_rows));
  expect(validation_rows >= 0, "validation_rows", "0 or more rows", static_cast<double>(validation_rows));
  expect(validate_every >= 1, "validate_every", "at least 1 step", validate_every);
  expect(patience >= 0, "patience", "0 or more validations", patience);
  expect(threads >= 0, "threads", "0 or more", threads);
  if (precision == kernels::Precision::int8)
    throw InputError("TrainConfig.precision: expected float32 or bf16, got int8, which is for forecasts");
  if (precision == kernels::Precision::bfloat16 && device != kernels::Device::cuda)
    throw InputError("TrainConfig.precision: expected float32 on the CPU, got bf16, which needs device cuda");
}

void TrainConfig::validate_for(const Forecaster& forecaster) const {
  const ForecasterConfig& sizes = forecaster.config;
  const auto below = [](const char* field, int value, const char* what, int limit) {
    if (value > limit)
      throw InputError(std::string("TrainConfig.") + field + ": expected at most " + std::to_string(limit) +
                       " rows (" + what + "), got " + std::to_string(value));
  };
  below("max_delay", max_delay, "one less than the context", sizes.context - 1);
  below("min_horizon", min_horizon, "the horizon", sizes.horizon);
  if (!level_weights.empty() && level_weights.size() != sizes.quantiles.size())
    throw InputError("TrainConfig.level_weights: expected " + std::to_string(sizes.quantiles.size()) +
                     " weights, one per quantile level, got " + std::to_string(level_weights.size()));
}

RunIdentity TrainConfig::identity() const {
  RunIdentity id;
  const auto number = [&](const char* name, double value) { id[name] = number_text(value); };
  number("steps", steps);
  number("batch", batch);
  number("rate", rate);
  number("warmup", warmup);
  number("decay", decay);
  number("clip", clip);
  number("average", average);
  number("level_shift", level_shift);
  number("input_shift", input_shift);
  number("unknown_plan", unknown_plan);
  number("gain_shift", gain_shift);
  number("slope_shift", slope_shift);
  number("max_delay", max_delay);
  number("min_horizon", min_horizon);
  id["loss"] = loss == kernels::Loss::pinball   ? "pinball"
               : loss == kernels::Loss::squared ? "squared"
                                                : "huber";
  number("multiscale", multiscale);
  number("exceed_weight", exceed_weight);
  number("exceed_quantile", exceed_quantile);
  number("l2sp", l2sp);
  number("train_rows", static_cast<double>(train_rows));
  number("validation_rows", static_cast<double>(validation_rows));
  number("validate_every", validate_every);
  number("patience", patience);
  id["seed"] = std::to_string(seed);
  if (device == kernels::Device::cuda) id["device"] = "cuda";  // sums in another order: other bits
  if (precision == kernels::Precision::bfloat16) id["precision"] = "bf16";
  // lists as words, so that they can be shown when they differ
  const auto list = [&](const char* name, const auto& values, auto word) {
    std::string text;
    for (const auto& value : values) text.append(text.empty() ? "" : " ").append(word(value));
    id[name] = text.empty() ? "none" : text;
  };
  list("level_weights", level_weights, [](double w) { return number_text(w); });
  list("exceed_limits", exceed_limits,
       [](const auto& l) { return quote(l.first).append(1, ' ').append(number_text(l.second)); });
  list("trainable", trainable, [](const std::string& name) { return quote(name); });
  return id;
}

}  // namespace emisopt
