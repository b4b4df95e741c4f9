// The two-sample Kolmogorov–Smirnov test for two samples of one size n, exact, as SciPy's ks_2samp computes
// it: D = h / n, and P(D >= h / n) from Gnedenko and Korolyuk's sum over paths.
#pragma once
#include "emisopt/base/types.hpp"

namespace emisopt {

/// P(D_{n,n} >= h / n) for h from 0 to n, n from 1 to 10000 (SciPy computes beyond that asymptotically);
/// operations in SciPy's order. Throws InputError for h and n outside.
double ks_p_value(Index n, Index h);
/// Least h with ks_p_value(n, h) <= alpha; n + 1 when even h = n is not that rare.
Index ks_critical(Index n, double alpha);

}  // namespace emisopt
