#include "emisopt/train/recursive_least_squares.hpp"

#include <cmath>
#include <string>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {

RecursiveLeastSquares::RecursiveLeastSquares(Index features, double forgetting, double prior)
    : forgetting_(forgetting), prior_(prior) {
  const auto refuse = [](const char* what, const char* expected, const std::string& got) {
    throw InputError(std::string("RecursiveLeastSquares(") + what + "): expected " + expected + ", got " +
                     got);
  };
  if (features < 1 || features > 2000) refuse("features", "1..2000", std::to_string(features));
  if (!(forgetting > 0.5 && forgetting <= 1))
    refuse("forgetting", "above 0.5, up to 1", number_text(forgetting));
  if (!(prior > 0 && std::isfinite(prior))) refuse("prior", "a precision > 0", number_text(prior));
  root_ = Matrix(features, features + 1);
  for (Index i = 0; i < features; ++i) root_(i, i) = std::sqrt(prior);
}

// (R | d) with one more row, zero before column `from`.
void RecursiveLeastSquares::rotate_in(std::vector<double>& row, Index from) {
  const Index p = features();
  for (Index k = from; k < p; ++k) {
    const double in = row[static_cast<std::size_t>(k)];
    if (in == 0) continue;
    double* r = root_.row(k);
    const double pivot = std::hypot(r[k], in);
    const double cosine = r[k] / pivot, sine = in / pivot;
    for (Index j = k; j <= p; ++j) {
      const double a = r[j], b = row[static_cast<std::size_t>(j)];
      r[j] = cosine * a + sine * b;
      row[static_cast<std::size_t>(j)] = cosine * b - sine * a;
    }
  }
}

void RecursiveLeastSquares::update(const double* f, double y) {
  const Index p = features();
  if (forgetting_ < 1) {
    const double keep = std::sqrt(forgetting_);
    for (double& v : root_.values) v *= keep;
    row_.assign(static_cast<std::size_t>(p + 1), 0.0);
    row_[static_cast<std::size_t>(next_)] = std::sqrt((1 - forgetting_) * prior_ * static_cast<double>(p));
    rotate_in(row_, next_);
    next_ = (next_ + 1) % p;
  }
  row_.assign(f, f + p);
  row_.push_back(y);
  rotate_in(row_, 0);
  stale_ = true;
}

const std::vector<double>& RecursiveLeastSquares::weights() const {
  if (stale_) {
    const Index p = features();
    weights_.assign(static_cast<std::size_t>(p), 0.0);
    for (Index i = p; i-- > 0;) {
      double sum = root_(i, p);
      for (Index j = i + 1; j < p; ++j) sum -= root_(i, j) * weights_[static_cast<std::size_t>(j)];
      weights_[static_cast<std::size_t>(i)] = sum / root_(i, i);
    }
    stale_ = false;
  }
  return weights_;
}

RecursiveLeastSquares::Prediction RecursiveLeastSquares::predict(const double* f) const {
  const Index p = features();
  const std::vector<double>& w = weights();
  Prediction out;
  std::vector<double> q(f, f + p);  // R'^-1 f, by columns of R' = rows of R
  for (Index i = 0; i < p; ++i) {
    const double v = q[static_cast<std::size_t>(i)] / root_(i, i);
    for (Index j = i + 1; j < p; ++j) q[static_cast<std::size_t>(j)] -= v * root_(i, j);
    out.leverage += v * v;
    out.mean += f[i] * w[static_cast<std::size_t>(i)];
  }
  return out;
}

void RecursiveLeastSquares::restore(const Matrix& root, Index next) {
  if (root.rows != root_.rows || root.cols != root_.cols || next < 0 || next >= features())
    throw ShapeError("RecursiveLeastSquares.restore: expected (" + std::to_string(root_.rows) + ", " +
                     std::to_string(root_.cols) + ") and a weight of it, got (" + std::to_string(root.rows) +
                     ", " + std::to_string(root.cols) + ") and " + std::to_string(next));
  for (Index i = 0; i < root.rows; ++i)
    for (Index j = 0; j < root.cols; ++j)
      if (!std::isfinite(root(i, j)) || (i == j && !(root(i, j) > 0)))
        throw InputError(
            "RecursiveLeastSquares.restore: expected finite numbers and a diagonal above 0, got " +
            number_text(root(i, j)) + " in row " + std::to_string(i));
  root_ = root;
  next_ = next;
  stale_ = true;
}

}  // namespace emisopt
