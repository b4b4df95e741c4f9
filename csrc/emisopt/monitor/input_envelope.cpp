#include "emisopt/monitor/input_envelope.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/base/text.hpp"

namespace emisopt {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
constexpr Index kLeastBlock = 10;
constexpr double kSame = 1e-9;  // relative: a constant that went through a text file

bool mostly_known(const double* row, Index d) {
  return 2 * std::count_if(row, row + d, [](double v) { return std::isnan(v); }) <= d;
}

bool differs(double value, double constant) {
  return std::abs(value - constant) > kSame * std::max(1e-300, std::abs(constant));  // NaN compares false
}

}  // namespace

void EnvelopeOptions::validate() const {
  const auto fail = [](const std::string& what) { throw InputError("Envelope: " + what); };
  if (neighbours < 1 || neighbours > 1000)
    fail("neighbours: expected 1 to 1000, got " + std::to_string(neighbours));
  if (blocks < 2 || blocks > 100) fail("blocks: expected 2 to 100, got " + std::to_string(blocks));
  if (most_rows < 100) fail("most_rows: expected 100 or more, got " + std::to_string(most_rows));
}

void InputEnvelope::fit_distance(const Matrix& rows, const std::vector<std::string>& names) {
  std::vector<std::string> own;
  if (!names.empty())
    for (const Index c : varying_) own.push_back(names[static_cast<std::size_t>(c)]);
  model_ = GaussianModel::fit(rows, own, "Envelope.fit");
  const Index v = model_.size();
  const Eigen::Map<const RowMajor> p(model_.precision.values.data(), v, v);
  root_ = Matrix(v, v);
  Eigen::Map<RowMajor> root(root_.values.data(), v, v);
  root = p.llt().matrixL();
  if (options_.distance != EnvelopeDistance::neighbours) return;
  const Index step = std::max<Index>(1, (rows.rows + options_.most_rows - 1) / options_.most_rows);
  references_ = Matrix((rows.rows + step - 1) / step, v);
  std::vector<double> z(static_cast<std::size_t>(v));
  for (Index r = 0; r < references_.rows; ++r) {
    model_.standardise(rows.row(r * step), z.data());
    model_.complete(z.data());
    Eigen::Map<Eigen::RowVectorXd>(references_.row(r), v) =
        Eigen::Map<const Eigen::RowVectorXd>(z.data(), v) * root;
  }
}

InputEnvelope InputEnvelope::fit(ConstView rows, const std::vector<std::string>& names,
                                 const EnvelopeOptions& options) {
  options.validate();
  InputEnvelope envelope;
  envelope.options_ = options;
  const Index d = rows.cols;
  std::vector<Index> kept;
  for (Index r = 0; r < rows.rows; ++r)
    if (mostly_known(rows.row(r), d)) kept.push_back(r);
  const auto n = static_cast<Index>(kept.size());
  if (n < kLeastBlock * options.blocks)
    throw InputError("Envelope.fit: expected at least " + std::to_string(kLeastBlock) + " rows for each of " +
                     std::to_string(options.blocks) + " blocks, got " + std::to_string(n) +
                     " that are mostly known");
  for (Index c = 0; c < d; ++c) {
    double low = kMissing, high = kMissing;
    for (const Index r : kept) {
      low = std::fmin(low, rows(r, c));  // passes over NaN
      high = std::fmax(high, rows(r, c));
    }
    const bool constant = low == high;
    envelope.constant_.push_back(constant ? low : kMissing);
    if (!constant) envelope.varying_.push_back(c);
  }
  if (envelope.varying_.empty())
    throw InputError("Envelope.fit: expected at least one tag that varies, got none of " + std::to_string(d));
  const auto v = static_cast<Index>(envelope.varying_.size());
  const auto part = [&](Index begin, Index end, bool inside) {  // rows in or outside [begin, end) of `kept`
    Matrix out(inside ? end - begin : n - (end - begin), v);
    for (Index from = 0, to = 0; from < n; ++from)
      if ((from >= begin && from < end) == inside) {
        const double* row = rows.row(kept[static_cast<std::size_t>(from)]);
        for (Index c = 0; c < v; ++c) out(to, c) = row[envelope.varying_[static_cast<std::size_t>(c)]];
        ++to;
      }
    return out;
  };
  const Index step = std::max<Index>(1, (n + options.most_rows - 1) / options.most_rows);
  for (int b = 0; b < options.blocks; ++b) {
    const Index begin = n * b / options.blocks, end = n * (b + 1) / options.blocks;
    envelope.fit_distance(part(begin, end, false), names);
    const Matrix held = part(begin, end, true);
    for (Index r = 0; r < held.rows; r += step) {
      const double distance = envelope.distance(held.row(r), nullptr);
      if (!std::isnan(distance)) envelope.calibration_.push_back(distance);
    }
  }
  std::sort(envelope.calibration_.begin(), envelope.calibration_.end());
  envelope.fit_distance(part(0, 0, false), names);
  return envelope;
}

// row (v): the varying columns. contribution: null or (v).
double InputEnvelope::distance(const double* row, double* contribution) const {
  const Index v = model_.size();
  std::vector<double> z(static_cast<std::size_t>(v));
  model_.standardise(row, z.data());
  const Index known =
      v - static_cast<Index>(std::count_if(z.begin(), z.end(), [](double x) { return std::isnan(x); }));
  if (known == 0) return kMissing;
  model_.complete(z.data());
  double square;
  if (options_.distance == EnvelopeDistance::mahalanobis) {
    square = squared_distance(model_.precision, z.data());
  } else {
    const Eigen::Map<const RowMajor> root(root_.values.data(), v, v);
    const Eigen::RowVectorXd y = Eigen::Map<const Eigen::RowVectorXd>(z.data(), v) * root;
    std::vector<std::pair<double, Index>> near(static_cast<std::size_t>(references_.rows));
    for (Index r = 0; r < references_.rows; ++r)
      near[static_cast<std::size_t>(r)] = {
          (y - Eigen::Map<const Eigen::RowVectorXd>(references_.row(r), v)).squaredNorm(), r};
    const auto k = std::min<std::ptrdiff_t>(options_.neighbours, references_.rows);
    std::nth_element(near.begin(), near.begin() + (k - 1), near.end());
    double sum = 0;
    Eigen::RowVectorXd centre = Eigen::RowVectorXd::Zero(v);
    for (std::ptrdiff_t i = 0; i < k; ++i) {
      sum += near[static_cast<std::size_t>(i)].first;
      centre +=
          Eigen::Map<const Eigen::RowVectorXd>(references_.row(near[static_cast<std::size_t>(i)].second), v);
    }
    square = sum / static_cast<double>(k * v);
    if (contribution != nullptr) {  // from here on z is the way from the neighbours' centre
      const Eigen::VectorXd away = (y - centre / static_cast<double>(k)).transpose();
      Eigen::Map<Eigen::VectorXd>(z.data(), v) = root.transpose().triangularView<Eigen::Upper>().solve(away);
    }
  }
  if (contribution != nullptr)
    for (Index c = 0; c < v; ++c)
      contribution[c] =
          std::isnan(row[c]) ? kMissing : group_contribution(model_.precision, z.data(), c, 1, 1);
  // A missing tag was filled with what fits best, so it adds nothing; the mean is over the known ones.
  return std::sqrt(square * static_cast<double>(v) / static_cast<double>(known));
}

std::vector<EnvelopePlace> InputEnvelope::place(ConstView rows, double* contribution) const {
  check_shape("Envelope.place(rows)", {rows.rows, rows.cols},
              {{"n", -1}, {"tags", static_cast<long>(size())}});
  const auto v = static_cast<std::size_t>(model_.size());
  std::vector<double> row(v), part(v);
  std::vector<EnvelopePlace> out(static_cast<std::size_t>(rows.rows));
  for (Index r = 0; r < rows.rows; ++r) {
    double* parts = contribution == nullptr ? nullptr : contribution + r * size();
    if (parts != nullptr) std::fill_n(parts, size(), kMissing);
    std::vector<double> whole(rows.row(r), rows.row(r) + size());
    for (double& value : whole)
      if (std::isinf(value)) value = kMissing;
    if (!mostly_known(whole.data(), size())) continue;
    EnvelopePlace& place = out[static_cast<std::size_t>(r)];
    for (std::size_t c = 0; c < v; ++c) row[c] = whole[static_cast<std::size_t>(varying_[c])];
    place.distance = distance(row.data(), parts == nullptr ? nullptr : part.data());
    if (std::isnan(place.distance)) continue;
    if (parts != nullptr)
      for (std::size_t c = 0; c < v; ++c) parts[varying_[c]] = part[c];
    for (Index c = 0; c < size(); ++c) {
      if (!differs(whole[static_cast<std::size_t>(c)], constant_[static_cast<std::size_t>(c)])) continue;
      place.distance = HUGE_VAL;
      if (parts != nullptr) parts[c] = HUGE_VAL;
    }
    const auto farther =
        calibration_.end() - std::lower_bound(calibration_.begin(), calibration_.end(), place.distance);
    place.p = static_cast<double>(farther + 1) / static_cast<double>(calibration_.size() + 1);
  }
  return out;
}

}  // namespace emisopt
