"""Golden numbers of the distributions in ``csrc/emisopt/base/distribution.cpp``, from SciPy.

Run from the repository root: ``python tests/golden/make_distribution.py``. The tests read the committed
``distribution.csv``: a row is function, argument, two degrees of freedom (0 where there is none), value.
"""

from __future__ import annotations

from pathlib import Path

from scipy import stats

PROBABILITIES = (1e-6, 0.001, 0.025, 0.05, 0.1, 0.5, 0.9, 0.95, 0.975, 0.99, 0.999)
DEGREES = (1, 2, 3, 5, 8, 11.76, 14, 26, 30, 100, 1000)
PAIRS = ((1, 1), (1, 8), (2, 2), (6, 10), (8, 8), (11, 7.5), (26, 26), (8, 100), (1000, 30))


def rows() -> list[str]:
    out = []

    def add(name: str, x: float, first: float, second: float, value: float) -> None:
        out.append(f"{name},{x!r},{first!r},{second!r},{float(value)!r}")

    for p in PROBABILITIES:
        add("normal_quantile", p, 0, 0, stats.norm.ppf(p))
        for v in DEGREES:
            add("student_quantile", p, v, 0, stats.t.ppf(p, v))
            add("chi2_quantile", p, v, 0, stats.chi2.ppf(p, v))
        for a, b in PAIRS:
            add("f_quantile", p, a, b, stats.f.ppf(p, a, b))
    for x in (0.01, 0.3, 1.0, 2.5, 17.0):
        add("normal_cdf", x, 0, 0, stats.norm.cdf(x))
        for v in DEGREES:
            add("student_cdf", -x, v, 0, stats.t.cdf(-x, v))
            add("chi2_cdf", x, v, 0, stats.chi2.cdf(x, v))
        for a, b in PAIRS:
            add("f_cdf", x, a, b, stats.f.cdf(x, a, b))
    return out


if __name__ == "__main__":
    Path(__file__).with_name("distribution.csv").write_text("\n".join(rows()) + "\n", encoding="utf-8")
