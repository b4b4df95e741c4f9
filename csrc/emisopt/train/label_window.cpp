#include "emisopt/train/label_window.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "emisopt/base/error.hpp"

namespace emisopt {
namespace {

constexpr Index kBatch = 16;  // rows whose variances are found together

bool same(const std::vector<double>& a, const std::vector<double>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](double p, double q) { return p == q || (std::isnan(p) && std::isnan(q)); });
}

}  // namespace

LabelWindow::LabelWindow(OperationKernel kernel, double noise, Index capacity, Index outputs)
    : kernel_(std::move(kernel)), noise_(noise), factor_(capacity, outputs) {
  if (!(noise > 0 && std::isfinite(noise)))
    throw InputError("LabelWindow(noise): expected a variance > 0, got " + std::to_string(noise));
}

double LabelWindow::append(double t, const double* x, const double* r) {
  std::vector<double> k(static_cast<std::size_t>(size()));
  kernel_.row(k.data(), t, x, times_.data(), x_.data(), size());
  const double variance = factor_.append(k.data(), kernel_.variance() + noise_, noise_, r);
  stale_ = true;
  return variance;
}

bool LabelWindow::add(double t, const double* x, const double* r, const double* bounds, double* innovation) {
  const auto found = std::find(times_.begin(), times_.end(), t);
  if (found != times_.end()) {
    remove(found - times_.begin());
  } else if (size() == factor_.capacity()) {
    const auto oldest = std::min_element(times_.begin(), times_.end());
    if (t < *oldest) return false;
    remove(oldest - times_.begin());
  }
  append(t, x, r);
  times_.push_back(t);
  x_.insert(x_.end(), x, x + kernel_.inputs());
  for (Index o = 0; o < outputs(); ++o) {
    innovation[o] = factor_.side(o)[size() - 1];
    const bool within = std::abs(innovation[o]) <= bounds[o];
    r_.push_back(within ? r[o] : factor_.limit_newest(o, bounds[o]));
  }
  return true;
}

void LabelWindow::remove(Index row) {
  factor_.remove(row);
  const auto cut = [&](std::vector<double>& v, Index width) {
    v.erase(v.begin() + row * width, v.begin() + (row + 1) * width);
  };
  cut(times_, 1);
  cut(x_, kernel_.inputs());
  cut(r_, outputs());
  stale_ = true;
}

const Matrix& LabelWindow::coefficients() const {
  if (stale_) {
    coefficients_ = factor_.packed_sides();
    for (Index o = 0; o < outputs(); ++o) factor_.backward(coefficients_.row(o));
    stale_ = false;
  }
  return coefficients_;
}

void LabelWindow::predict(View mean, double* variance, const double* t, ConstView x) const {
  const Matrix& a = coefficients();
  const Index n = size();
  std::vector<double> k(static_cast<std::size_t>(n)), batch(static_cast<std::size_t>(n * kBatch));
  for (Index first = 0; first < x.rows; first += kBatch) {
    const Index rows = std::min(kBatch, x.rows - first);
    for (Index c = 0; c < rows; ++c) {
      const Index row = first + c;
      kernel_.row(k.data(), t[row], x.row(row), times_.data(), x_.data(), n);
      for (Index o = 0; o < outputs(); ++o) {
        double sum = 0;
        for (Index i = 0; i < n; ++i) sum += k[static_cast<std::size_t>(i)] * a(o, i);
        mean(row, o) = sum;
      }
      if (variance != nullptr)
        for (Index i = 0; i < n; ++i)
          batch[static_cast<std::size_t>(i * rows + c)] = k[static_cast<std::size_t>(i)];
    }
    if (variance == nullptr) continue;
    factor_.forward(batch.data(), rows);
    for (Index c = 0; c < rows; ++c) {
      double explained = 0;
      for (Index i = 0; i < n; ++i) {
        const double v = batch[static_cast<std::size_t>(i * rows + c)];
        explained += v * v;
      }
      variance[first + c] = std::max(kernel_.variance() - explained, 0.0) + noise_;
    }
  }
}

void LabelWindow::add_slope(View out, double t, const double* x) const {
  const Matrix& a = coefficients();
  for (Index i = 0; i < size(); ++i)
    for (Index o = 0; o < outputs(); ++o)
      kernel_.add_slope(out.row(o), a(o, i), t, x, times_[static_cast<std::size_t>(i)], inputs(i));
}

void LabelWindow::refactor() {
  const Index n = size();
  factor_.clear();
  for (Index i = 0; i < n; ++i)
    append(times_[static_cast<std::size_t>(i)], inputs(i), r_.data() + i * outputs());
}

LabelWindow LabelWindow::with_outputs(const std::vector<Index>& kept) const {
  LabelWindow copy(*this);
  copy.factor_ = factor_.with_sides(kept);
  copy.r_.clear();
  for (Index i = 0; i < size(); ++i)
    for (const Index o : kept) copy.r_.push_back(residual(i, o));
  copy.stale_ = true;
  return copy;
}

bool LabelWindow::same_rows(const LabelWindow& other) const {
  return same(times_, other.times_) && same(x_, other.x_);
}

void LabelWindow::merge(const LabelWindow& other) {
  const Index before = outputs(), n = size();
  std::vector<double> both;
  for (Index i = 0; i < n; ++i) {
    for (Index o = 0; o < before; ++o) both.push_back(residual(i, o));
    for (Index o = 0; o < other.outputs(); ++o) both.push_back(other.residual(i, o));
  }
  factor_ = SlidingCholesky(factor_.capacity(), before + other.outputs());
  r_ = std::move(both);
  for (Index i = 0; i < n; ++i)
    append(times_[static_cast<std::size_t>(i)], inputs(i), r_.data() + i * outputs());
}

void LabelWindow::restore(std::vector<double> times, std::vector<double> x, std::vector<double> r,
                          const std::vector<double>& packed, const Matrix& sides) {
  const auto n = static_cast<Index>(times.size());
  if (sides.cols != n || static_cast<Index>(x.size()) != n * kernel_.inputs() ||
      static_cast<Index>(r.size()) != n * outputs())
    throw ShapeError("LabelWindow.restore: expected " + std::to_string(n) +
                     " rows of inputs, residuals and " + "factor, got " + std::to_string(x.size()) + ", " +
                     std::to_string(r.size()) + " and " + std::to_string(sides.cols) + " numbers");
  for (const std::vector<double>* part : {&times, &r})
    for (const double v : *part)
      if (!std::isfinite(v))
        throw InputError("LabelWindow.restore: expected finite times and residuals, got " +
                         std::to_string(v));
  factor_.restore(packed, sides);
  times_ = std::move(times);
  x_ = std::move(x);
  r_ = std::move(r);
  stale_ = true;
}

}  // namespace emisopt
