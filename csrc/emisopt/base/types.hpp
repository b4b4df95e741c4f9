// Non-owning row-major views and one owning matrix. No arithmetic here: that is kernels/ or Eigen.
#pragma once
#include <cassert>
#include <cstddef>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

namespace emisopt {

using Index = std::ptrdiff_t;
inline constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

/// A (rows, cols) window on memory of somebody else; `stride` is the distance between rows.
template <class T>
struct MatrixView {
  T* data = nullptr;
  Index rows = 0, cols = 0, stride = 0;

  MatrixView() = default;
  MatrixView(T* d, Index r, Index c) : data(d), rows(r), cols(c), stride(c) {}
  MatrixView(T* d, Index r, Index c, Index s) : data(d), rows(r), cols(c), stride(s) {}
  template <class U>
    requires(std::is_same_v<const U, T>)
  MatrixView(const MatrixView<U>& o) : data(o.data), rows(o.rows), cols(o.cols), stride(o.stride) {}

  T& operator()(Index r, Index c) const {
    assert(r >= 0 && r < rows && c >= 0 && c < cols);
    return data[r * stride + c];
  }
  T* row(Index r) const { return data + r * stride; }
  MatrixView slice(Index first, Index count) const { return {data + first * stride, count, cols, stride}; }
  Index size() const { return rows * cols; }
};

/// An owning row-major matrix of one element type, zero at birth.
template <class T>
struct MatrixOf {
  std::vector<T> values;
  Index rows = 0, cols = 0;

  MatrixOf() = default;
  MatrixOf(Index r, Index c, T fill = T{})
      : values(static_cast<std::size_t>(r * c), fill), rows(r), cols(c) {}
  T& operator()(Index r, Index c) { return values[static_cast<std::size_t>(r * cols + c)]; }
  const T& operator()(Index r, Index c) const { return values[static_cast<std::size_t>(r * cols + c)]; }
  T* row(Index r) { return values.data() + r * cols; }
  const T* row(Index r) const { return values.data() + r * cols; }
  MatrixView<T> view() { return {values.data(), rows, cols}; }
  MatrixView<const T> view() const { return {values.data(), rows, cols}; }
  operator MatrixView<T>() { return view(); }
  operator MatrixView<const T>() const { return view(); }
};

using Matrix = MatrixOf<double>;
using View = MatrixView<double>;
using ConstView = MatrixView<const double>;

}  // namespace emisopt
