#include "emisopt/monitor/factor_model.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "emisopt/base/error.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Eigen::MatrixXd;
using Eigen::VectorXd;
constexpr int kSubspaceRounds = 12;
constexpr double kSettled = 1e-3;  // largest relative change of a noise variance at which the fit stops

struct Sums {                  // of one pass over the rows
  MatrixXd ff;                 // (k, k) sum of E[f f']
  RowMajor xf;                 // (T, k) sum over the rows that know the tag
  std::vector<MatrixXd> less;  // (T) of (k, k): E[f f'] of the rows that miss the tag; empty: none does
};

RowMajor centred(ConstView z, std::vector<double>& mean, VectorXd& square, VectorXd& count) {
  const Index n = z.rows, tags = z.cols;
  RowMajor x(n, tags);
  mean.assign(static_cast<std::size_t>(tags), 0);
  count = VectorXd::Zero(tags);
  square = VectorXd::Zero(tags);
  for (Index r = 0; r < n; ++r)
    for (Index t = 0; t < tags; ++t) {
      const double v = z(r, t);
      if (std::isinf(v))
        throw InputError("FactorModel.fit: column " + std::to_string(t) + ", row " + std::to_string(r) +
                         ": expected a finite number or NaN, got an infinite one");
      if (std::isnan(v)) continue;
      mean[static_cast<std::size_t>(t)] += v;
      ++count[t];
    }
  for (Index t = 0; t < tags; ++t)
    if (count[t] > 0) mean[static_cast<std::size_t>(t)] /= count[t];
  for (Index r = 0; r < n; ++r)
    for (Index t = 0; t < tags; ++t) {
      x(r, t) = z(r, t) - mean[static_cast<std::size_t>(t)];
      if (!std::isnan(x(r, t))) square[t] += x(r, t) * x(r, t);
    }
  return x;
}

// Loadings and noise from the principal components; missing cells stand at the mean here, EM mends that.
void principal_components(const RowMajor& x, const VectorXd& variance, Index k, RowMajor& w,
                          VectorXd& noise) {
  const RowMajor full = x.array().isNaN().select(0.0, x.array());
  Rng rng(0);
  MatrixXd q(x.cols(), k);
  for (Index i = 0; i < q.size(); ++i) q.data()[i] = rng.normal();
  for (int round = 0; round < kSubspaceRounds; ++round) {
    const MatrixXd y = full.transpose() * (full * q);
    q = Eigen::HouseholderQR<MatrixXd>(y).householderQ() * MatrixXd::Identity(x.cols(), k);
  }
  const MatrixXd scores = full * q;
  const Eigen::SelfAdjointEigenSolver<MatrixXd> eigen(scores.transpose() * scores /
                                                      static_cast<double>(x.rows()));
  w = q * eigen.eigenvectors() * eigen.eigenvalues().cwiseMax(0).cwiseSqrt().asDiagonal();
  noise = (variance - w.rowwise().squaredNorm()).cwiseMax(0.05 * variance);
}

// Rows that miss the same tags share one conditional covariance.
struct PatternRows {
  std::vector<Index> known, missing;  // tags
  std::vector<Index> rows;
};

std::vector<PatternRows> by_pattern(const RowMajor& x, const std::vector<Index>& holes) {
  std::map<std::string, PatternRows> found;  // ordered: the sums must not depend on a hash
  std::string key(static_cast<std::size_t>(x.cols()), '0');
  for (const Index r : holes) {
    for (Index t = 0; t < x.cols(); ++t) key[static_cast<std::size_t>(t)] = std::isnan(x(r, t)) ? '1' : '0';
    PatternRows& pattern = found[key];
    if (pattern.rows.empty())
      for (Index t = 0; t < x.cols(); ++t)
        (std::isnan(x(r, t)) ? pattern.missing : pattern.known).push_back(t);
    pattern.rows.push_back(r);
  }
  std::vector<PatternRows> out;
  for (auto& [_, pattern] : found) out.push_back(std::move(pattern));
  return out;
}

void add_pattern(Sums& sums, const RowMajor& x, const PatternRows& pattern, const RowMajor& w,
                 const VectorXd& inverse) {
  const Index k = w.cols();
  const auto known = static_cast<Index>(pattern.known.size()), rows = static_cast<Index>(pattern.rows.size());
  RowMajor own(known, k);
  VectorXd own_inverse(known);
  RowMajor part(rows, known);
  for (Index i = 0; i < known; ++i) {
    const Index t = pattern.known[static_cast<std::size_t>(i)];
    own.row(i) = w.row(t);
    own_inverse[i] = inverse[t];
    for (Index r = 0; r < rows; ++r) part(r, i) = x(pattern.rows[static_cast<std::size_t>(r)], t);
  }
  const MatrixXd m = MatrixXd::Identity(k, k) + own.transpose() * own_inverse.asDiagonal() * own;
  const MatrixXd covariance = m.llt().solve(MatrixXd::Identity(k, k));
  const RowMajor f = part * (own_inverse.asDiagonal() * (own * covariance));  // (rows, k)
  const MatrixXd second = f.transpose() * f + static_cast<double>(rows) * covariance;
  sums.ff += second;
  const RowMajor xf = part.transpose() * f;
  for (Index i = 0; i < known; ++i) sums.xf.row(pattern.known[static_cast<std::size_t>(i)]) += xf.row(i);
  for (const Index t : pattern.missing) {
    MatrixXd& less = sums.less[static_cast<std::size_t>(t)];
    if (less.size() == 0) less = MatrixXd::Zero(k, k);
    less += second;
  }
}

Sums expectation(const RowMajor& x, const std::vector<Index>& whole, const std::vector<PatternRows>& holes,
                 const RowMajor& w, const VectorXd& noise) {
  const Index k = w.cols();
  const VectorXd inverse = noise.cwiseInverse();
  Sums sums{MatrixXd::Zero(k, k), RowMajor::Zero(w.rows(), k), {}};
  sums.less.resize(static_cast<std::size_t>(w.rows()));
  const MatrixXd m = MatrixXd::Identity(k, k) + w.transpose() * inverse.asDiagonal() * w;
  const MatrixXd covariance = m.llt().solve(MatrixXd::Identity(k, k));
  const MatrixXd gain = covariance * w.transpose() * inverse.asDiagonal();  // (k, T)
  constexpr Index kChunk = 512;  // rows at a time: the products stay in cache
  for (std::size_t at = 0; at < whole.size(); at += kChunk) {
    const auto count = static_cast<Index>(std::min<std::size_t>(kChunk, whole.size() - at));
    RowMajor rows(count, x.cols());
    for (Index i = 0; i < count; ++i) rows.row(i) = x.row(whole[at + static_cast<std::size_t>(i)]);
    const RowMajor f = rows * gain.transpose();
    sums.ff.noalias() += f.transpose() * f;
    sums.xf.noalias() += rows.transpose() * f;
  }
  sums.ff += static_cast<double>(whole.size()) * covariance;
  for (const PatternRows& pattern : holes) add_pattern(sums, x, pattern, w, inverse);
  return sums;
}

}  // namespace

FactorModel FactorModel::fit(ConstView z, Index factors, int iterations) {
  if (factors < 1 || factors >= z.cols)
    throw InputError("FactorModel.fit(factors): expected 1 to " + std::to_string(z.cols - 1) + " for " +
                     std::to_string(z.cols) + " tags, got " + std::to_string(factors));
  FactorModel model;
  VectorXd square, count, noise;
  const RowMajor x = centred(z, model.mean, square, count);
  VectorXd variance = VectorXd::Ones(z.cols);
  for (Index t = 0; t < z.cols; ++t)
    if (count[t] >= 2) variance[t] = std::max(square[t] / count[t], 1e-300);
  std::vector<Index> whole, holes;
  for (Index r = 0; r < x.rows(); ++r) (x.row(r).array().isNaN().any() ? holes : whole).push_back(r);

  const std::vector<PatternRows> patterns = by_pattern(x, holes);

  RowMajor w;
  principal_components(x, variance, factors, w, noise);
  for (Index t = 0; t < z.cols; ++t)
    if (count[t] < 2) {
      w.row(t).setZero();
      noise[t] = 1;
    }
  for (int round = 0; round < iterations; ++round) {
    const Sums sums = expectation(x, whole, patterns, w, noise);
    const Eigen::LLT<MatrixXd> all(sums.ff);
    double moved = 0;
    for (Index t = 0; t < w.rows(); ++t) {
      if (count[t] < 2) continue;
      const MatrixXd& less = sums.less[static_cast<std::size_t>(t)];
      const VectorXd row = less.size() == 0
                               ? VectorXd(all.solve(sums.xf.row(t).transpose()))
                               : VectorXd((sums.ff - less).llt().solve(sums.xf.row(t).transpose()));
      w.row(t) = row.transpose();
      const double own =
          std::max((square[t] - row.dot(sums.xf.row(t).transpose())) / count[t], kLeastNoise * variance[t]);
      moved = std::max(moved, std::abs(own - noise[t]) / noise[t]);
      noise[t] = own;
    }
    if (moved < kSettled) break;
  }
  model.loading = Matrix(w.rows(), w.cols());
  Eigen::Map<RowMajor>(model.loading.values.data(), w.rows(), w.cols()) = w;
  model.noise.assign(noise.data(), noise.data() + noise.size());
  return model;
}

Reconstruction::Reconstruction(const FactorModel& model)
    : model_(&model),
      use_(static_cast<std::size_t>(model.tags())),
      factor_(static_cast<std::size_t>(model.factors())) {
  prepare(whole_, std::vector<char>(use_.size(), 1));
}

// M = I + sum over the tags in use of w w' / noise; f | z = M^-1 W' (z - mean) / noise.
void Reconstruction::prepare(Pattern& pattern, const std::vector<char>& use) const {
  const Index k = model_->factors(), tags = model_->tags();
  const Eigen::Map<const RowMajor> w(model_->loading.values.data(), tags, k);
  VectorXd inverse(tags);
  for (Index t = 0; t < tags; ++t)
    inverse[t] = use[static_cast<std::size_t>(t)] ? 1 / model_->noise[static_cast<std::size_t>(t)] : 0;
  const MatrixXd m = MatrixXd::Identity(k, k) + w.transpose() * inverse.asDiagonal() * w;
  const RowMajor spread = m.llt().solve(w.transpose()).transpose();  // (T, k): M^-1 w of each tag
  pattern.use = use;
  pattern.gain = Matrix(k, tags);
  Eigen::Map<RowMajor>(pattern.gain.values.data(), k, tags) = spread.transpose() * inverse.asDiagonal();
  pattern.h.resize(static_cast<std::size_t>(tags));
  for (Index t = 0; t < tags; ++t) {
    const double variance = spread.row(t).dot(w.row(t));
    pattern.h[static_cast<std::size_t>(t)] =
        use[static_cast<std::size_t>(t)] ? variance * inverse[t] : variance;
  }
}

void Reconstruction::run(const double* z, const char* use, double* expected, double* sd) {
  const Index k = model_->factors(), tags = model_->tags();
  const std::vector<double>& mean = model_->mean;
  const std::vector<double>& noise = model_->noise;
  for (std::size_t t = 0; t < use_.size(); ++t) use_[t] = use[t] && !std::isnan(z[t]);
  if (use_ != whole_.use && use_ != other_.use) prepare(other_, use_);
  const Pattern& pattern = use_ == whole_.use ? whole_ : other_;

  for (Index j = 0; j < k; ++j) {
    const double* gain = pattern.gain.row(j);
    double sum = 0;
    for (Index t = 0; t < tags; ++t)
      sum += use_[static_cast<std::size_t>(t)] ? gain[t] * (z[t] - mean[static_cast<std::size_t>(t)]) : 0.0;
    factor_[static_cast<std::size_t>(j)] = sum;
  }
  for (std::size_t t = 0; t < use_.size(); ++t) {
    const double* w = model_->loading.row(static_cast<Index>(t));
    double fit = mean[t];
    for (Index j = 0; j < k; ++j) fit += w[j] * factor_[static_cast<std::size_t>(j)];
    if (!use_[t]) {
      expected[t] = fit;
      sd[t] = std::sqrt(noise[t] + pattern.h[t]);
    } else {
      // Taking tag t out of the conditioning set is a rank-one change of M (Sherman and Morrison).
      expected[t] = z[t] - (z[t] - fit) / (1 - pattern.h[t]);
      sd[t] = std::sqrt(noise[t] / (1 - pattern.h[t]));
    }
  }
}

}  // namespace emisopt
