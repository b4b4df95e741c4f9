// Which sensors are at fault: not those whose residuals a bad neighbour has moved.
#pragma once
#include <functional>
#include <vector>

#include "emisopt/base/types.hpp"

namespace emisopt {

struct Isolation {
  std::vector<Index> accused;    // in the order in which they were taken
  std::vector<double> strength;  // of each, size over limit when it was accused
  bool unexplained = false;      // more than `most` disagree: none is accused
};

/// While some tag is beyond its limit, leaves one out and asks again; then takes back each tag that the rest
/// does not contradict. Which one: of those beyond 0.7 of their limits whose leaving brings all others within
/// their limits the one of the largest residual in standard deviations, else the one that leaves least. The
/// square of that residual is the fall of the squared distance when the tag is left out (reconstruction-based
/// contribution), and Alcala and Qin (2009) show that it is largest for the tag with the fault, where plain
/// contributions to SPE smear. Limits differ from tag to tag, so the faulty one may not be the first beyond
/// its own.
///   size(use, out)  sets out (T): residual of each tag in standard deviations, without sign, the tags in
///   `use`
///                   (T) informing each other; NaN or 0 where there is nothing to judge. The last call has
///                   the final `use`
///   limit (T)       of the sizes
///   candidate (T)   1: may be accused
///   use (T)         in: tags that inform; out: without the accused
Isolation isolate(const std::function<void(const char*, std::vector<double>&)>& size,
                  const std::vector<double>& limit, const std::vector<char>& candidate,
                  std::vector<char>& use, Index most);

}  // namespace emisopt
