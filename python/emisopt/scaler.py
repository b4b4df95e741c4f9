"""What the forecaster does to tags before it looks at them, as a scikit-learn transformer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

__all__ = ["TagScaler"]

Floats = NDArray[np.float64]

# As in csrc/emisopt/features/scaler.hpp: upper tail over lower tail, 3.6 for a lognormal of spread 0.5.
SKEWED = 3.0
LOW, HIGH = 0.005, 0.995


class TagScaler(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Physical units to z-scores; positive, skewed columns through a logarithm first.

    z = (g(x) - mean) / scale with g(x) = x, or g(x) = log(max(x, 0) + offset) with the offset at a tenth
    of the median of the positive values. Everything is fixed on the rows of `fit`. Missing values (NaN) are
    left out of the statistics and stay missing. Same formulas as the scaler inside a :class:`Forecaster`.

    Parameters
    ----------
    log : which columns take the logarithm. "auto": those that are never negative and whose upper tail
        (median to 99.5 %) is more than three times as long as the lower one; "never"; or a sequence of
        column names or positions.

    Attributes
    ----------
    log_ : ndarray of shape (C,), bool
    offset_ : ndarray of shape (C,), unit of the column; 0 where no logarithm is taken
    mean_, scale_ : ndarray of shape (C,), of g(x); the scale of a constant column is 1
    low_, high_ : ndarray of shape (C,), unit of the column; 0.5 % and 99.5 % of the fitted rows
    n_features_in_, feature_names_in_ : as in scikit-learn

    Notes
    -----
    A column that is constant becomes 0 here, so that a fold of a cross-validation in which a valve stood
    still can be fitted; the forecaster refuses such a tag. Negative readings of a logarithmic column are an
    analyser's zero drift: they count as 0, so `inverse_transform` does not bring them back. The core's
    formulas are in csrc/emisopt/features/scaler.cpp.

    Examples
    --------
    >>> import numpy as np
    >>> from emisopt.scaler import TagScaler
    >>> x = np.array([[300.0], [310.0], [np.nan], [320.0]])  # load in MW
    >>> scaler = TagScaler().fit(x)
    >>> scaler.transform(x).round(3).ravel()
    array([-1.225,  0.   ,    nan,  1.225])
    >>> float(scaler.inverse_transform([[0.0]])[0, 0])
    310.0
    """

    def __init__(self, *, log: str | Sequence[str] | Sequence[int] = "auto") -> None:
        self.log = log

    def fit(self, X: ArrayLike, y: object = None) -> TagScaler:
        """Learns offset, mean and scale of each column.

        Parameters
        ----------
        X : array or DataFrame of shape (N, C), physical units, NaN = missing
        y : left out, as in every scikit-learn transformer

        Returns
        -------
        self

        Raises
        ------
        ValueError : a column without any value, an unknown column in `log`, a logarithm of a column without
            positive values
        """
        x: Floats = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan")
        empty = np.isnan(x).all(axis=0)
        if empty.any():
            raise ValueError(
                f"TagScaler.fit: column {self._label(int(empty.argmax()))}: expected measured values, all "
                f"{x.shape[0]} are missing; drop the column"
            )
        quantiles = np.nanquantile(x, (LOW, 0.5, HIGH), axis=0)
        self.low_, self.high_ = quantiles[0], quantiles[2]
        self.log_ = self._choose_log(x, quantiles)
        self.offset_ = np.array([_offset(x[:, c]) if self.log_[c] else 0.0 for c in range(x.shape[1])])
        useless = self.log_ & ~(self.offset_ > 0)
        if useless.any():
            c = int(useless.argmax())
            raise ValueError(
                f"TagScaler.fit: column {self._label(c)}: expected positive values for a logarithm, the "
                f"largest is {np.nanmax(x[:, c]):g}; leave it out of `log`"
            )
        g = self._bend(x)
        # numpy's variance runs in two passes: a pressure may sit at 1013 hPa with a spread of 0.3.
        self.mean_ = np.nanmean(g, axis=0)
        spread = np.nanstd(g, axis=0)
        # Rounding of the mean gives a constant column a spread of a few ulp; dividing by it would make noise.
        still = spread <= 10 * np.finfo(np.float64).eps * np.abs(self.mean_)
        self.scale_ = np.where(still, 1.0, spread)
        return self

    def transform(self, X: ArrayLike) -> Floats:
        """(N, C) physical -> (N, C) z-scores; NaN stays NaN.

        Raises
        ------
        NotFittedError : before `fit`.   ValueError : other columns than in `fit`, infinite values
        """
        check_is_fitted(self)
        x: Floats = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)
        z: Floats = (self._bend(x) - self.mean_) / self.scale_
        return z

    def inverse_transform(self, X: ArrayLike) -> Floats:
        """(N, C) z-scores -> (N, C) physical.

        Raises
        ------
        NotFittedError : before `fit`.   ValueError : another number of columns than in `fit`
        """
        check_is_fitted(self)
        # The scores may carry names of their own, so only their number is checked.
        z = np.asarray(X, dtype=np.float64)
        if z.ndim != 2 or z.shape[1] != self.n_features_in_:
            raise ValueError(
                f"TagScaler.inverse_transform(X): expected (N, C={self.n_features_in_}), got {z.shape}"
            )
        x: Floats = z * self.scale_ + self.mean_
        x[:, self.log_] = np.exp(x[:, self.log_]) - self.offset_[self.log_]
        return x

    def _bend(self, x: Floats) -> Floats:
        """g(x) of each column."""
        if not self.log_.any():
            return x
        g = x.copy()
        g[:, self.log_] = np.log(np.maximum(x[:, self.log_], 0.0) + self.offset_[self.log_])
        return g

    def _choose_log(self, x: Floats, quantiles: Floats) -> NDArray[np.bool_]:
        if isinstance(self.log, str):
            if self.log not in ("auto", "never"):
                raise ValueError(
                    f"TagScaler(log): expected 'auto', 'never' or a sequence of columns, got {self.log!r}"
                )
            if self.log == "never":
                return np.zeros(x.shape[1], dtype=bool)
            low, middle, high = quantiles
            skewed = (np.nanmin(x, axis=0) >= 0) & (high - middle > SKEWED * (middle - low))
            # A tenth of the smallest doubles is 0: such a column has no logarithm, and needs none.
            return np.array([s and _offset(x[:, c]) > 0 for c, s in enumerate(skewed)], dtype=bool)
        chosen = np.zeros(x.shape[1], dtype=bool)
        names = list(getattr(self, "feature_names_in_", ()))
        for column in self.log:
            if isinstance(column, str) and column in names:
                chosen[names.index(column)] = True
            elif not isinstance(column, str) and 0 <= column < x.shape[1]:
                chosen[column] = True
            else:
                known = ", ".join(names) if names else f"positions 0 to {x.shape[1] - 1}"
                raise ValueError(f"TagScaler(log): expected columns among {known}, got {column!r}")
        return chosen

    def _label(self, column: int) -> str:
        names = getattr(self, "feature_names_in_", None)
        return str(column) if names is None else f"{column} ({names[column]!r})"

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _offset(column: Floats) -> float:
    """A tenth of the median of the positive values, 0 without any: a relative view that is finite at 0."""
    positive = column[column > 0]
    return 0.1 * float(np.median(positive)) if positive.size else 0.0
