// The reference level: always there, and the only one for double.
#pragma once
#include "kernels/table.hpp"

namespace emisopt::kernels::ref {

template <class T>
const KernelTable<T>& table();
extern template const KernelTable<float>& table<float>();
extern template const KernelTable<double>& table<double>();

}  // namespace emisopt::kernels::ref
