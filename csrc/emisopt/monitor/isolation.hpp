// Which sensors are at fault: not those whose residuals a bad neighbour has moved.
#pragma once
#include <functional>
#include <vector>

#include "emisopt/base/types.hpp"

namespace emisopt {

struct Isolation {
  std::vector<Index> accused;    // worst first
  std::vector<double> strength;  // of each, statistic over limit when it was accused
  bool unexplained = false;      // more than `most` disagree: none is accused
};

/// Leaves out the tag that is farthest beyond its limit, asks again, and so on until the rest agrees; then
/// takes back each tag that the rest does not contradict. The squared standardised residual of a tag's
/// reconstruction is the fall of the squared distance when it is left out, so the first tag taken is the one
/// whose fault explains most (reconstruction-based contributions: Alcala and Qin 2009, who show that this
/// finds a large single fault for certain, where plain contributions to SPE may not).
///   strength(use, out)  sets out (T): statistic over limit of each tag, the tags in `use` (T) informing each
///                       other; NaN or 0 where there is nothing to judge. The last call has the final `use`
///   candidate (T)       1: may be accused
///   use (T)             in: tags that inform; out: without the accused
Isolation isolate(const std::function<void(const char*, std::vector<double>&)>& strength,
                  const std::vector<char>& candidate, std::vector<char>& use, Index most);

}  // namespace emisopt
