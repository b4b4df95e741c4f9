#include <cmath>
#include <string>

#include "emisopt/base/error.hpp"
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
  expect(train_rows >= 0, "train_rows", "0 or more rows", static_cast<double>(train_rows));
  expect(validation_rows >= 0, "validation_rows", "0 or more rows", static_cast<double>(validation_rows));
  expect(validate_every >= 1, "validate_every", "at least 1 step", validate_every);
  expect(patience >= 0, "patience", "0 or more validations", patience);
  expect(threads >= 0, "threads", "0 or more", threads);
}

}  // namespace emisopt
