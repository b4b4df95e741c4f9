#include "emisopt/train/operation_kernel.hpp"

#include <cmath>
#include <string>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

constexpr double kRoot3 = 1.7320508075688772;

double matern(double v) { return (1 + kRoot3 * v) * std::exp(-kRoot3 * v); }

// Squared difference of one input; what is no finite number is a point one sd off the axis, the same for all.
double squared(double a, double b) {
  const bool left = std::isfinite(a), right = std::isfinite(b);
  if (left && right) return (a - b) * (a - b);
  if (left == right) return 0;
  const double known = left ? a : b;
  return known * known + 1;
}

}  // namespace

OperationKernel::OperationKernel(std::vector<KernelTerm> terms, Index inputs, Index counted, Index kind)
    : terms_(std::move(terms)), inputs_(inputs), counted_(counted), kind_(kind) {
  if (inputs < 0)
    throw InputError("OperationKernel(inputs): expected 0 or more, got " + std::to_string(inputs));
  if (counted < 0 || counted > inputs || kind < -1 || kind >= inputs)
    throw InputError("OperationKernel(counted, kind): expected places of the " + std::to_string(inputs) +
                     " inputs, got " + std::to_string(counted) + " and " + std::to_string(kind));
  if (terms_.empty()) throw InputError("OperationKernel(terms): expected at least one term, got none");
  for (std::size_t i = 0; i < terms_.size(); ++i) {
    const KernelTerm& t = terms_[i];
    const auto check = [&](const char* field, double got, bool right, const char* expected) {
      if (!right || !std::isfinite(got))
        throw InputError("OperationKernel: term " + std::to_string(i) + ": " + field + ": expected " +
                         expected + ", got " + number_text(got));
    };
    check("variance", t.variance, t.variance >= 0, "0 or more");
    check("time", t.time, t.time > 0, "rows > 0");
    check("length", t.length, t.length >= 0, "0 or more");
    check("period", t.period, t.period >= 0, "rows, 0 or more");
    check("ripple", t.ripple, t.ripple > 0, "a number > 0");
    check("weekend", t.weekend, t.weekend >= 0 && t.weekend <= 1, "0..1");
    variance_ += t.variance;
    operation_ = operation_ || t.length > 0;
  }
  if (!(variance_ > 0)) throw InputError("OperationKernel: expected a variance above 0, all terms have 0");
}

double OperationKernel::distance(const double* a, const double* b) const {
  if (!operation_ || counted_ == 0) return 0;
  double sum = 0;
  for (Index i = 0; i < counted_; ++i) {
    const double d = a[i] - b[i];
    sum += d * d;
  }
  if (!std::isfinite(sum)) {  // rare, and so the test for it is not in the loop above
    sum = 0;
    for (Index i = 0; i < counted_; ++i) sum += squared(a[i], b[i]);
  }
  return std::sqrt(sum / static_cast<double>(counted_));
}

double OperationKernel::over_time(const KernelTerm& term, double dt, bool same_kind) {
  double exponent = -dt / term.time;
  if (term.period > 0) {
    const double wave = std::sin(M_PI * dt / term.period) / term.ripple;
    exponent -= 2 * wave * wave;
  }
  return term.variance * std::exp(exponent) * (same_kind ? 1 : term.weekend);
}

double OperationKernel::value(double ta, const double* a, double tb, const double* b) const {
  const double dt = std::abs(ta - tb), d = distance(a, b);
  const bool same = same_kind(a, b);
  double sum = 0;
  for (const KernelTerm& t : terms_) {
    const double then = over_time(t, dt, same);
    sum += t.length > 0 ? then * matern(d / t.length) : then;
  }
  return sum;
}

void OperationKernel::row(double* out, double t, const double* x, const double* times, const double* xs,
                          Index n) const {
  for (Index i = 0; i < n; ++i) out[i] = value(t, x, times[i], xs + i * inputs_);
}

void OperationKernel::add_slope(double* out, double weight, double ta, const double* a, double tb,
                                const double* b) const {
  if (!operation_ || counted_ == 0) return;
  const double dt = std::abs(ta - tb), d = distance(a, b);
  const bool same = same_kind(a, b);
  double common = 0;  // d value / d x_i = common * (a_i - b_i)
  for (const KernelTerm& t : terms_)
    if (t.length > 0)
      common -= over_time(t, dt, same) * 3 * std::exp(-kRoot3 * d / t.length) /
                (t.length * t.length * static_cast<double>(counted_));
  for (Index i = 0; i < counted_; ++i) {
    if (!std::isfinite(a[i])) continue;
    out[i] += weight * common * (std::isfinite(b[i]) ? a[i] - b[i] : a[i]);
  }
}

}  // namespace emisopt
