// NumPy arrays as views of the core and back, without copies. Type and contiguity are refused, not mended:
// the estimators convert knowingly, so that a hidden copy cannot hide a unit or a layout mistake.
#pragma once
#include <pybind11/numpy.h>

#include <initializer_list>
#include <string_view>
#include <utility>
#include <vector>

#include "emisopt/base/error.hpp"
#include "emisopt/base/types.hpp"

namespace emisopt::python {

namespace py = pybind11;

/// A C-contiguous float64 array; bind with `py::arg("x").noconvert()`.
using Array = py::array_t<double, py::array::c_style>;
using ArrayF = py::array_t<float, py::array::c_style>;

/// The shape as the core's check wants it.
inline std::vector<long> shape_of(const py::array& a) {
  return std::vector<long>(a.shape(), a.shape() + a.ndim());
}

/// Throws ShapeError "where: expected (H=24, U=4), got (4, 24)"; a length of -1 accepts any.
inline void require_shape(std::string_view where, const py::array& a,
                          std::initializer_list<std::pair<const char*, long>> expected) {
  check_shape(where, shape_of(a), expected);
}

/// A 2-d array as a read-only view of its memory; check the shape first.
inline ConstView view(const Array& a) { return {a.data(), a.shape(0), a.shape(1)}; }

/// A fresh 2-d array as a view to write into.
inline View mutable_view(Array& a) { return {a.mutable_data(), a.shape(0), a.shape(1)}; }

/// Hands the memory of a Matrix to NumPy: no copy, freed with the array.
inline Array to_array(Matrix&& matrix) {
  auto* owned = new Matrix(std::move(matrix));
  py::capsule owner(owned, [](void* p) { delete static_cast<Matrix*>(p); });
  return Array({owned->rows, owned->cols}, owned->values.data(), owner);
}

/// A copy of a vector as a 1-d array.
inline Array to_array(const std::vector<double>& values) {
  return Array(static_cast<py::ssize_t>(values.size()), values.data());
}

/// A 1-d array (n) as a vector of the core.
inline std::vector<double> to_vector(const Array& a) {
  return std::vector<double>(a.data(), a.data() + a.size());
}

/// A 2-d array (rows, cols) as an owning matrix of the core: one copy, for inputs that the core keeps.
inline Matrix to_matrix(const Array& a) {
  Matrix m(a.shape(0), a.shape(1));
  std::copy(a.data(), a.data() + a.size(), m.values.begin());
  return m;
}

/// An array of shape `shape` on memory that `owner` keeps alive (an arena): zero copy.
template <class T>
py::array_t<T> borrow(T* data, std::vector<py::ssize_t> shape, py::handle owner) {
  return py::array_t<T>(std::move(shape), data, owner);
}

}  // namespace emisopt::python
