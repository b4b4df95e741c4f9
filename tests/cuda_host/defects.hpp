// Kernels with a defect sown on purpose, to show that the executor sees what it is for. Number 0 is without.
#pragma once
#include <string>
#include <vector>

namespace emisopt::cuda_test {

/// What finds it: the executor's own rules, a sanitizer, the watched loads and stores, or only a wrong value.
struct Defect {
  int number;
  const char* what;
  bool plain;  // found in the plain build already, in one of the orders
};
const std::vector<Defect>& defects();
/// Runs the kernel with the defect. True when its result differs from plain loops; Failure as of launch().
bool gives_wrong_values(int number);

}  // namespace emisopt::cuda_test
