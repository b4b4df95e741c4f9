#include "emisopt/monitor/gaussian_model.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <string>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
constexpr int kRounds = 8;  // of expectation maximisation over missing cells

std::string column_text(const std::vector<std::string>& names, Index column) {
  return names.empty() ? "column " + std::to_string(column)
                       : "tag " + quote(names[static_cast<std::size_t>(column)]);
}

Eigen::Map<const RowMajor, 0, Eigen::OuterStride<>> map(ConstView x) {
  return {x.data, x.rows, x.cols, Eigen::OuterStride<>(x.stride)};
}

double value_of(ConstView x, Index column) {
  for (Index row = 0; row < x.rows; ++row)
    if (!std::isnan(x(row, column))) return x(row, column);
  return kMissing;
}

// Mean and standard deviation over the known cells, in two passes: a pressure may sit at 1013 with 0.3.
void fit_columns(GaussianModel& model, ConstView x, const std::vector<std::string>& names,
                 std::string_view where) {
  const auto d = static_cast<std::size_t>(x.cols);
  std::vector<double> count(d, 0);
  model.mean.assign(d, 0);
  model.sd.assign(d, 0);
  for (Index row = 0; row < x.rows; ++row)
    for (std::size_t c = 0; c < d; ++c) {
      const double value = x(row, static_cast<Index>(c));
      if (std::isinf(value))
        throw InputError(std::string(where) + ": " + column_text(names, static_cast<Index>(c)) + ", row " +
                         std::to_string(row) + ": expected a finite number or NaN, got " +
                         number_text(value));
      if (std::isnan(value)) continue;
      ++count[c];
      model.mean[c] += value;
    }
  for (std::size_t c = 0; c < d; ++c) {
    if (count[c] < 2)
      throw InputError(std::string(where) + ": " + column_text(names, static_cast<Index>(c)) +
                       ": expected at least 2 values, got " + number_text(count[c]) + " in " +
                       std::to_string(x.rows) + " rows; leave it out");
    model.mean[c] /= count[c];
  }
  for (Index row = 0; row < x.rows; ++row)
    for (std::size_t c = 0; c < d; ++c) {
      const double off = x(row, static_cast<Index>(c)) - model.mean[c];
      if (!std::isnan(off)) model.sd[c] += off * off;
    }
  for (std::size_t c = 0; c < d; ++c) {
    model.sd[c] = std::sqrt(model.sd[c] / (count[c] - 1));
    // Rounding of the mean alone gives a constant column a spread of a few ulp.
    if (model.sd[c] <= 1e-12 * std::abs(model.mean[c]) || model.sd[c] == 0)
      throw InputError(std::string(where) + ": " + column_text(names, static_cast<Index>(c)) +
                       ": expected values that vary, got " + number_text(value_of(x, static_cast<Index>(c))) +
                       " in every row; leave it out");
  }
}

}  // namespace

ShrunkPrecision shrunk_precision(ConstView z, std::string_view where, const Matrix* more) {
  if (z.rows < 2)
    throw InputError(std::string(where) + ": expected at least 2 rows, got " + std::to_string(z.rows));
  const auto x = map(z);
  const Index d = z.cols;
  const auto n = static_cast<double>(z.rows);
  Eigen::MatrixXd covariance = Eigen::MatrixXd::Zero(d, d);
  covariance.selfadjointView<Eigen::Lower>().rankUpdate(x.transpose(), 1 / n);
  covariance.triangularView<Eigen::StrictlyUpper>() = covariance.transpose();
  if (more != nullptr) covariance += Eigen::Map<const RowMajor>(more->values.data(), d, d) / n;
  const double mu = covariance.trace() / static_cast<double>(d);
  if (!(mu > 0)) throw InputError(std::string(where) + ": expected rows that vary, got none that does");
  const double fourth = x.rowwise().squaredNorm().array().square().sum() / n;
  const double square = covariance.squaredNorm();
  const double spread = square - static_cast<double>(d) * mu * mu;  // of the eigenvalues; 0: a sphere
  const double error = (fourth - square) / n;
  ShrunkPrecision out;
  out.shrinkage = spread > 0 ? std::clamp(error / spread, 0.0, 1.0) : 1.0;
  covariance *= 1 - out.shrinkage;
  // The floor keeps a precision finite where columns repeat each other exactly and rows are many.
  covariance.diagonal().array() += std::max(out.shrinkage, 1e-9) * mu;
  const Eigen::MatrixXd inverse = covariance.llt().solve(Eigen::MatrixXd::Identity(d, d));
  out.values = Matrix(d, d);
  Eigen::Map<RowMajor>(out.values.values.data(), d, d) = 0.5 * (inverse + inverse.transpose());
  return out;
}

double squared_distance(const Matrix& precision, const double* z) {
  const Eigen::Map<const RowMajor> p(precision.values.data(), precision.rows, precision.cols);
  const Eigen::Map<const Eigen::VectorXd> v(z, precision.cols);
  return v.dot(p * v) / static_cast<double>(precision.cols);
}

double group_contribution(const Matrix& precision, const double* z, Index first, Index step, Index count) {
  const Eigen::Map<const RowMajor> p(precision.values.data(), precision.rows, precision.cols);
  const Eigen::Map<const Eigen::VectorXd> v(z, precision.cols);
  Eigen::MatrixXd block(count, count);
  Eigen::VectorXd pull(count);
  for (Index i = 0; i < count; ++i) {
    pull[i] = p.row(first + i * step).dot(v);
    for (Index j = 0; j < count; ++j) block(i, j) = p(first + i * step, first + j * step);
  }
  return pull.dot(block.llt().solve(pull));
}

GaussianModel GaussianModel::fit(ConstView x, const std::vector<std::string>& names, std::string_view where) {
  GaussianModel model;
  fit_columns(model, x, names, where);
  Matrix z(x.rows, x.cols);
  std::vector<Index> holes;  // rows with a missing cell
  for (Index row = 0; row < x.rows; ++row) {
    model.standardise(x.row(row), z.row(row));
    bool hole = false;
    for (Index c = 0; c < x.cols; ++c) {
      if (!std::isnan(z(row, c))) continue;
      hole = true;
      z(row, c) = 0;
    }
    if (hole) holes.push_back(row);
  }
  for (int pass = 0; pass <= (holes.empty() ? 0 : kRounds); ++pass) {
    Matrix spread(x.cols, x.cols);
    if (pass > 0)
      for (const Index row : holes) {
        model.standardise(x.row(row), z.row(row));
        model.complete(z.row(row), &spread);
      }
    ShrunkPrecision shrunk = shrunk_precision(z, where, &spread);
    model.precision = std::move(shrunk.values);
    model.shrinkage = shrunk.shrinkage;
  }
  return model;
}

void GaussianModel::standardise(const double* x, double* z) const {
  for (std::size_t c = 0; c < mean.size(); ++c) z[c] = (x[c] - mean[c]) / sd[c];
}

Index GaussianModel::complete(double* z, Matrix* spread) const {
  std::vector<Index> missing;
  for (Index c = 0; c < size(); ++c)
    if (std::isnan(z[c])) missing.push_back(c);
  const auto m = static_cast<Index>(missing.size());
  if (m == 0) return 0;
  // x_m | x_o has the mean -(P_mm)^-1 P_mo x_o.
  Eigen::MatrixXd block(m, m);
  Eigen::VectorXd pull = Eigen::VectorXd::Zero(m);
  for (Index i = 0; i < m; ++i) {
    const double* row = precision.row(missing[static_cast<std::size_t>(i)]);
    for (Index c = 0; c < size(); ++c)
      if (!std::isnan(z[c])) pull[i] += row[c] * z[c];
    for (Index j = 0; j < m; ++j) block(i, j) = row[missing[static_cast<std::size_t>(j)]];
  }
  const Eigen::LLT<Eigen::MatrixXd> root(block);
  const Eigen::VectorXd filled = -root.solve(pull);
  for (Index i = 0; i < m; ++i) z[missing[static_cast<std::size_t>(i)]] = filled[i];
  if (spread == nullptr) return m;
  const Eigen::MatrixXd covariance = root.solve(Eigen::MatrixXd::Identity(m, m));
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < m; ++j)
      (*spread)(missing[static_cast<std::size_t>(i)], missing[static_cast<std::size_t>(j)]) +=
          covariance(i, j);
  return m;
}

}  // namespace emisopt
