// The corrector on a plant's history: coming rows, their sensitivities, and the past as it was lived.
#include <algorithm>
#include <cmath>

#include "emisopt/base/error.hpp"
#include "emisopt/train/corrector.hpp"

namespace emisopt {

void Corrector::forecast(View mean, View* variance, const History& history, ConstView plan, ConstView known,
                         Index first) const {
  check_tags(history, "forecast");
  const Matrix x = columns_.coming(history, scaler_, plan, known);
  std::vector<double> t;
  for (Index h = 0; h < x.rows; ++h) t.push_back(row_time(history, history.rows() + h, first));
  predict(mean, variance, t.data(), x);
}

void Corrector::jacobian(View out, const History& history, ConstView plan, ConstView known,
                         Index first) const {
  check_tags(history, "jacobian");
  const Matrix x = columns_.coming(history, scaler_, plan, known);
  const std::vector<Index> setpoints = tags_.setpoints();
  const Index outputs = output_count(), horizon = x.rows, moves = static_cast<Index>(setpoints.size());
  Matrix mean(1, outputs), slopes(outputs, columns_.width());
  std::fill(out.data, out.data + out.rows * out.stride, 0.0);
  for (Index h = 0; h < horizon; ++h) {
    const double t = row_time(history, history.rows() + h, first);
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

// The first row whose label is newer than all that were handed in, or the end of those that may be by now.
Index Corrector::first_new(const History& history, Index now, Index first) const {
  const Index end = std::max<Index>(0, std::min(now, history.rows()) - config_.delay);
  Index row = std::max<Index>(0, end - 2 * config_.window);
  while (row < end && row_time(history, row, first) <= newest_) ++row;
  return row;
}

Index Corrector::catch_up(const History& history, Index now, Index first) {
  check_tags(history, "catch_up");
  if (now < 0 || now > history.rows())
    throw InputError("Corrector.catch_up(now): expected 0.." + std::to_string(history.rows()) + ", got " +
                     std::to_string(now));
  const Index begin = first_new(history, now, first), end = std::max<Index>(begin, now - config_.delay);
  const Matrix x = columns_.rows(history, scaler_, begin, end - begin);
  std::vector<double> y(outputs_.size());
  Index taken = 0;
  for (Index r = begin; r < end; ++r) {
    for (std::size_t o = 0; o < y.size(); ++o) y[o] = history.values(r, outputs_[o]);
    const double t = row_time(history, r, first);
    taken += accept(t, x.row(r - begin), y.data(), row_time(history, now, first)) ? 1 : 0;
  }
  return taken;
}

void Corrector::replay(View mean, View* variance, const History& history, Index begin, Index end,
                       Index stride, const std::vector<int>& leads) {
  check_tags(history, "replay");
  if (begin < 0 || begin > end || end > history.rows() || stride < 1)
    throw InputError("Corrector.replay: expected rows 0 <= begin <= end <= " +
                     std::to_string(history.rows()) + " and stride >= 1, got " + std::to_string(begin) +
                     ", " + std::to_string(end) + " and " + std::to_string(stride));
  for (const int lead : leads)
    if (lead < 1)
      throw InputError("Corrector.replay(leads): expected rows >= 1, got " + std::to_string(lead));
  const Index outputs = output_count(), count = static_cast<Index>(leads.size());
  catch_up(history, begin);
  const Matrix x = columns_.rows(history, scaler_, 0, history.rows());
  Matrix at(count, x.cols), m(count, outputs), v(count, outputs);
  std::vector<double> times(static_cast<std::size_t>(count)), y(static_cast<std::size_t>(outputs));
  View v_view = v;
  const bool hides = columns_.hides(tags_);
  Index next = first_new(history, begin, 0);
  for (Index k = begin, i = 0; k < end; k += stride, ++i) {
    for (; next < k - config_.delay; ++next) {
      for (Index o = 0; o < outputs; ++o)
        y[static_cast<std::size_t>(o)] = history.values(next, outputs_[static_cast<std::size_t>(o)]);
      accept(row_time(history, next), x.row(next), y.data(), row_time(history, k));
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
        if (variance != nullptr) (*variance)(i, l* outputs + o) = there ? v(l, o) : kMissing;
      }
  }
}

}  // namespace emisopt
