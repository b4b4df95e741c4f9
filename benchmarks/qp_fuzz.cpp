// Random and adversarial QPs by the hundred thousand, a quarter of them wide ones. Usage: qp_fuzz SEED COUNT;
// prints one line of counts.
#include <cstdio>
#include <cstdlib>

#include "qp/qp_fuzz.hpp"
#include "qp/wide_cases.hpp"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: qp_fuzz SEED COUNT\n");
    return 2;
  }
  const auto seed = std::strtoull(argv[1], nullptr, 10);
  const long count = std::atol(argv[2]);
  emisopt::FuzzCount r = emisopt::fuzz(seed, count - count / 4);
  const emisopt::FuzzCount wide = emisopt::fuzz_wide(seed, count / 4);
  for (const auto part : {&emisopt::FuzzCount::cases, &emisopt::FuzzCount::optimal,
                          &emisopt::FuzzCount::infeasible, &emisopt::FuzzCount::invalid,
                          &emisopt::FuzzCount::undecided, &emisopt::FuzzCount::false_optimal,
                          &emisopt::FuzzCount::false_infeasible, &emisopt::FuzzCount::slow})
    r.*part += wide.*part;
  r.longest = std::max(r.longest, wide.longest);
  std::printf(
      "cases %ld optimal %ld infeasible %ld invalid %ld undecided %ld false_optimal %ld false_infeasible %ld "
      "slow %ld longest_ms %.3f\n",
      r.cases, r.optimal, r.infeasible, r.invalid, r.undecided, r.false_optimal, r.false_infeasible, r.slow,
      1e3 * r.longest);
}
