#include "emisopt/loop/faults.hpp"

#include <cmath>
#include <ctime>
#include <stdexcept>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

// CPU time where the system tells that of a thread, else of the process.
double cpu_seconds() {
#ifdef CLOCK_THREAD_CPUTIME_ID
  timespec now{};
  if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0)
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
#endif
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

}  // namespace

FaultyPredictor::FaultyPredictor(Predictor& base, const Faults& faults)
    : base_(base), faults_(faults), rng_(faults.seed) {
  for (const double share : {faults.nan_forecast, faults.nan_sensitivity, faults.interrupt})
    if (!(share >= 0 && share <= 1))
      throw InputError("FaultyPredictor: expected shares of 0 to 1, got " + number_text(share));
  if (!std::isfinite(faults.gain))
    throw InputError("FaultyPredictor(gain): expected a number, got " + number_text(faults.gain));
}

template <class Call>
auto FaultyPredictor::timed(const Call& call) {
  struct Stop {
    double began, *longest;
    ~Stop() { *longest = std::max(*longest, cpu_seconds() - began); }
  } stop{cpu_seconds(), &longest_};
  return call();
}

void FaultyPredictor::interrupt() {
  if (strikes(faults_.interrupt)) throw std::runtime_error("interrupted");
}

void FaultyPredictor::set_held(const std::vector<double>& applied) {
  held_median_ = held_upper_ = Matrix();
  longest_ = 0;
  if (faults_.gain == 1) return;
  Matrix plan(horizon(), setpoints());
  for (Index t = 0; t < plan.rows; ++t) std::copy(applied.begin(), applied.end(), plan.row(t));
  held_median_ = held_upper_ = Matrix(horizon(), outputs());
  base_.predict(held_median_, held_upper_, plan);
}

void FaultyPredictor::predict(View median, View upper, ConstView plan) {
  predict_batch(median, upper, plan, 1);
}

void FaultyPredictor::predict_batch(View median, View upper, ConstView plans, int batch) {
  interrupt();
  timed([&] { base_.predict_batch(median, upper, plans, batch); });
  if (held_median_.rows > 0)
    for (Index r = 0; r < median.rows; ++r)
      for (Index o = 0; o < median.cols; ++o) {
        const double hold = held_median_(r % horizon(), o), high = held_upper_(r % horizon(), o);
        median(r, o) = hold + faults_.gain * (median(r, o) - hold);
        upper(r, o) = high + faults_.gain * (upper(r, o) - high);
      }
  if (!strikes(faults_.nan_forecast)) return;
  const auto step = static_cast<Index>(rng_.below(static_cast<std::uint64_t>(horizon())));
  const auto output = static_cast<Index>(rng_.below(static_cast<std::uint64_t>(outputs())));
  for (int b = 0; b < batch; ++b) median(b * horizon() + step, output) = kMissing;
}

void FaultyPredictor::spoil(View slopes) {
  if (held_median_.rows > 0)
    for (Index r = 0; r < slopes.rows; ++r)
      for (Index c = 0; c < slopes.cols; ++c) slopes(r, c) *= faults_.gain;
}

void FaultyPredictor::jacobian(View median_jacobian, View upper_jacobian, ConstView plan) {
  interrupt();
  timed([&] { base_.jacobian(median_jacobian, upper_jacobian, plan); });
  spoil(median_jacobian);
  spoil(upper_jacobian);
  if (strikes(faults_.nan_sensitivity)) median_jacobian(median_jacobian.rows - 1, 0) = kMissing;
}

void FaultyPredictor::sensitivities(View median, View upper, ConstView plan,
                                    const std::vector<PlanMove>& moves) {
  interrupt();
  timed([&] { base_.sensitivities(median, upper, plan, moves); });
  spoil(median);
  spoil(upper);
  if (strikes(faults_.nan_sensitivity)) median(median.rows - 1, 0) = kMissing;
}

bool FaultyPredictor::gradient(View gradient, ConstView seed_median, ConstView seed_upper, ConstView plan) {
  interrupt();
  if (!timed([&] { return base_.gradient(gradient, seed_median, seed_upper, plan); })) return false;
  spoil(gradient);
  if (strikes(faults_.nan_sensitivity)) gradient(0, 0) = kMissing;
  return true;
}

}  // namespace emisopt
