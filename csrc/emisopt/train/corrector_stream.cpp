// The corrector on a plant's history: coming rows, their sensitivities, and the past as it was lived.
#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/train/corrector.hpp"

namespace emisopt {

void Corrector::forecast(View mean, View* variance, const History& history, ConstView plan,
                         ConstView known) const {
  check_tags(history, "forecast");
  const Matrix x = columns_.coming(history, scaler_, plan, known);
  std::vector<double> t;
  for (Index h = 0; h < x.rows; ++h) t.push_back(row_time(history, history.rows() + h));
  predict(mean, variance, t.data(), x);
}

void Corrector::jacobian(View out, const History& history, ConstView plan, ConstView known) const {
  check_tags(history, "jacobian");
  const Matrix x = columns_.coming(history, scaler_, plan, known);
  const std::vector<Index> setpoints = tags_.setpoints();
  const Index outputs = output_count(), horizon = x.rows, moves = static_cast<Index>(setpoints.size());
  Matrix mean(1, outputs), slopes(outputs, columns_.width());
  std::fill(out.data, out.data + out.rows * out.stride, 0.0);
  for (Index h = 0; h < horizon; ++h) {
    const double t = row_time(history, history.rows() + h);
    predict(mean, nullptr, &t, ConstView(x.row(h), 1, x.cols));
    slope(slopes, t, x.row(h));
    for (Index c = 0; c < columns_.width(); ++c) {
      const CorrectorColumn& column = columns_.columns()[static_cast<std::size_t>(c)];
      const auto found = std::find(setpoints.begin(), setpoints.end(), column.tag);
      const Index s = h - column.lag, u = found - setpoints.begin();
      if (found == setpoints.end() || s < 0 || std::isnan(plan(s, u)) || column.category >= 0) continue;
      if (std::abs(x(h, c)) >= kOperationClip) continue;
      const double sd = scaler_.tags[static_cast<std::size_t>(column.tag)].sd;
      for (Index o = 0; o < outputs; ++o)
        out(h * outputs + o, s * moves + u) += output_scale(o).slope(mean(0, o)) * slopes(o, c) / sd;
    }
  }
}

void Corrector::replay(View mean, View* variance, const History& history, Index begin, Index end, Index stride,
                       const std::vector<int>& leads) {
  check_tags(history, "replay");
  if (begin < 0 || begin > end || end > history.rows() || stride < 1)
    throw InputError("Corrector.replay: expected rows 0 <= begin <= end <= " + std::to_string(history.rows()) +
                     " and stride >= 1, got " + std::to_string(begin) + ", " + std::to_string(end) + " and " +
                     std::to_string(stride));
  for (const int lead : leads)
    if (lead < 1) throw InputError("Corrector.replay(leads): expected rows >= 1, got " + std::to_string(lead));
  const Index outputs = output_count(), count = static_cast<Index>(leads.size());
  const Matrix x = columns_.rows(history, scaler_, 0, history.rows());
  Matrix at(count, x.cols), m(count, outputs), v(count, outputs);
  std::vector<double> times(static_cast<std::size_t>(count)), y(static_cast<std::size_t>(outputs));
  Index next = std::max<Index>(0, begin - config_.delay - 2 * config_.window);
  while (next < history.rows() && row_time(history, next) <= newest_) ++next;
  View v_view = v;
  const bool hides = columns_.hides(tags_);
  for (Index k = begin, i = 0; k < end; k += stride, ++i) {
    for (; next < k - config_.delay; ++next) {
      for (Index o = 0; o < outputs; ++o)
        y[static_cast<std::size_t>(o)] = history.values(next, outputs_[static_cast<std::size_t>(o)]);
      observe(row_time(history, next), x.row(next), y.data(), row_time(history, k));
    }
    for (Index l = 0; l < count; ++l) {
      const Index row = std::min(k + leads[static_cast<std::size_t>(l)] - 1, history.rows() - 1);
      if (hides)
        columns_.ahead(at.row(l), history, scaler_, k, row);
      else
        std::copy(x.row(row), x.row(row) + x.cols, at.row(l));
      times[static_cast<std::size_t>(l)] = row_time(history, row);
    }
    predict(m, variance == nullptr ? nullptr : &v_view, times.data(), at);
    for (Index l = 0; l < count; ++l)
      for (Index o = 0; o < outputs; ++o) {
        const bool there = k + leads[static_cast<std::size_t>(l)] - 1 < history.rows();
        mean(i, l * outputs + o) = there ? m(l, o) : kMissing;
        if (variance != nullptr) (*variance)(i, l * outputs + o) = there ? v(l, o) : kMissing;
      }
  }
}

}  // namespace emisopt
