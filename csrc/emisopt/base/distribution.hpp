// Normal, Student's t, F and chi-squared distributions: probabilities and quantiles, to about 1e-12 relative.
// Degrees of freedom need not be whole (Welch's test). Tests hold them against SciPy
// (tests/golden/make_distribution.py).
#pragma once

namespace emisopt {

/// Regularised incomplete beta I_x(a, b), a, b > 0, x in [0, 1]; continued fraction by Lentz's method.
double incomplete_beta(double a, double b, double x);
/// Regularised lower incomplete gamma P(a, x), a > 0, x >= 0; series or continued fraction.
double incomplete_gamma(double a, double x);

/// P(X <= x). Throw InputError for degrees of freedom that are not positive and finite; NaN x gives NaN.
double normal_cdf(double x);
double student_cdf(double x, double dof);
double f_cdf(double x, double dof_numerator, double dof_denominator);
double chi2_cdf(double x, double dof);

/// x with P(X <= x) = p. Throw InputError for p not in (0, 1) or bad degrees of freedom.
double normal_quantile(double p);
double student_quantile(double p, double dof);
double f_quantile(double p, double dof_numerator, double dof_denominator);
double chi2_quantile(double p, double dof);

}  // namespace emisopt
