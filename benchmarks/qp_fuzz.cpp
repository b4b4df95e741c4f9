// Random and adversarial QPs by the hundred thousand. Usage: qp_fuzz SEED COUNT; prints one line of counts.
#include <cstdio>
#include <cstdlib>

#include "qp/qp_fuzz.hpp"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: qp_fuzz SEED COUNT\n");
    return 2;
  }
  const emisopt::FuzzCount r = emisopt::fuzz(std::strtoull(argv[1], nullptr, 10), std::atol(argv[2]));
  std::printf(
      "cases %ld optimal %ld infeasible %ld invalid %ld undecided %ld false_optimal %ld false_infeasible %ld "
      "slow %ld longest_ms %.3f\n",
      r.cases, r.optimal, r.infeasible, r.invalid, r.undecided, r.false_optimal, r.false_infeasible, r.slow,
      1e3 * r.longest);
}
