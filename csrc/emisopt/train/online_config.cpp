#include <cmath>
#include <string>

#include "emisopt/base/error.hpp"
#include "emisopt/train/online.hpp"

namespace emisopt {
namespace {

void expect(bool good, const char* field, const char* expected, double got) {
  if (good) return;
  std::string text = std::to_string(got);
  if (got == std::floor(got) && std::abs(got) < 1e15) text = std::to_string(static_cast<long long>(got));
  throw InputError(std::string("OnlineConfig.") + field + ": expected " + expected + ", got " + text);
}

bool from_zero(double x) { return x >= 0 && std::isfinite(x); }

}  // namespace

const char* to_string(UpdateScope scope) {
  switch (scope) {
    case UpdateScope::full:
      return "full";
    case UpdateScope::lora:
      return "lora";
    case UpdateScope::head:
      return "head";
  }
  return "unknown";
}

void OnlineConfig::validate() const {
  expect(delay >= 0, "delay", "0 or more rows", delay);
  expect(every >= 1, "every", "at least 1 row", every);
  expect(steps >= 1, "steps", "at least 1", steps);
  expect(batch >= 1 && batch <= 65536, "batch", "1..65536 windows", batch);
  expect(rate > 0 && std::isfinite(rate), "rate", "a positive number", rate);
  expect(from_zero(clip), "clip", "a positive gradient norm, or 0 for none", clip);
  expect(replay >= 0 && replay <= 1, "replay", "a share in 0..1", replay);
  expect(recent_rows >= 1, "recent_rows", "at least 1 row", recent_rows);
  expect(regimes >= 1, "regimes", "at least 1", regimes);
  expect(memory >= regimes, "memory", "at least one window a regime", memory);
  expect(from_zero(l2sp), "l2sp", "0 or a positive number", l2sp);
  expect(from_zero(ewc), "ewc", "0 or a positive number", ewc);
  expect(ewc == 0 || update != UpdateScope::lora, "ewc",
         "0 with update = lora, whose corrections have no Fisher information at their start", ewc);
  expect(from_zero(distill), "distill", "0 or a positive number", distill);
  expect(rank >= 1 && rank <= 256, "rank", "1..256", rank);
  expect(lora_blocks >= 0, "lora_blocks", "0 (the upper half) or a number of blocks", lora_blocks);
  expect(from_zero(pace), "pace", "0 or a positive number", pace);
  expect(pace_most >= 1 && std::isfinite(pace_most), "pace_most", "at least 1", pace_most);
  expect(from_zero(gain_shift), "gain_shift", "0 or a positive number", gain_shift);
  expect(from_zero(slope_shift), "slope_shift", "0 or a positive number", slope_shift);
  expect(from_zero(level_shift), "level_shift", "0 or a positive number", level_shift);
  expect(from_zero(input_shift), "input_shift", "0 or a positive number", input_shift);
  expect(unknown_plan >= 0 && unknown_plan <= 1, "unknown_plan", "a share in 0..1", unknown_plan);
  expect(from_zero(tolerance), "tolerance", "0 or a positive share", tolerance);
  expect(guard >= 0, "guard", "0 or more windows", guard);
  expect(snapshots >= 1, "snapshots", "at least 1", snapshots);
  expect(threads >= 0, "threads", "0 or more", threads);
}

}  // namespace emisopt
