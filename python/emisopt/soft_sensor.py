"""A soft sensor: emissions from the other signals of the same row, by a small network on our own engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from emisopt import _core

__all__ = ["SoftSensor"]

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

CHUNK = 256  # rows per forward pass in predict; a fixed size, so that a row's answer has one path
MOST_HELD_OUT = 1024  # rows: judging costs a few training steps
JUDGE_EVERY = 10  # steps
HEAD_SD = 0.02  # first weights of the spread: nearly the same for all rows
FINAL_RATE = 0.01  # of the first, at the end of the cosine


@dataclass(frozen=True)
class _Columns:
    """How inputs and targets are normalised; fixed on the fitted rows."""

    x_mean: Floats  # (C,) physical
    x_scale: Floats  # (C,)
    gaps: NDArray[np.int64]  # (G,) columns with missing values in fit: each has a second input, 1 = missing
    y_mean: Floats  # (O,) physical, or of log y
    y_scale: Floats  # (O,)

    def inputs(self, x: Floats) -> Floats32:
        """(N, C) -> (N, C + G): z-scores with missing ones at the mean, and the marks of what was missing."""
        missing = np.isnan(x)
        z = np.where(missing, 0.0, (x - self.x_mean) / self.x_scale)
        return np.hstack([z, missing[:, self.gaps]]).astype(np.float32)


class SoftSensor(MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Regression with quantiles for rows of plant signals: what the analyser would show if it were there.

    SwiGLU blocks with a linear path beside them, trained with the quantile loss on the C++ engine. The
    linear path starts at the ridge solution and the blocks add nothing to the median at first: training
    begins at ridge, and leaves it only for what held-out rows confirm. Inputs may be missing (NaN); a column
    that had gaps in `fit` also tells the network that it is missing.

    Parameters
    ----------
    quantiles : levels (Q), rising, with 0.5; `predict` answers with the median
    width, layers : of the network
    steps, batch, rate, average : AdamW with warm-up and cosine; weight averaging, 0: none
    decay : rows; AdamW's weight decay is `decay` / N, a prior that weighs less the more rows there are
    holdout : share of the rows, drawn at random and at most 1024, by which the best weights are chosen. When
        no step beats the linear solution on them by more than the standard error, or none can be held out,
        the linear solution is kept.
    alpha : penalty of the ridge solution, relative to the variance of a normalised column
    log_target : model the logarithm of the targets, for positive, skewed emissions; they must be > 0
    threads : of the engine, 0: EMISOPT_THREADS, else the machine's; the result does not depend on it
    random_state : int, RandomState or None; same integer, same bits

    Attributes
    ----------
    theta_ : ndarray of shape (weights,), float32, in the engine's canonical order
    best_step_ : steps of training that the weights have behind them; 0: the linear solution
    loss_ : mean quantile loss of the held-out rows, normalised; NaN: none held out
    n_outputs_ : O
    n_features_in_, feature_names_in_ : as in scikit-learn

    Notes
    -----
    The fit depends on the weighted set of rows: their order changes nothing, a row of weight 2 is the same
    as the row twice, and one of weight 0 is the same as no row. The median minimises the absolute error; of
    a skewed target it lies below the mean.

    References
    ----------
    Koenker, Bassett 1978 (quantile loss); Shazeer 2020 (SwiGLU); Loshchilov, Hutter 2019 (AdamW).

    Examples
    --------
    >>> import numpy as np
    >>> from emisopt.soft_sensor import SoftSensor
    >>> o2 = np.linspace(2.0, 5.0, 60)[:, None]  # % in the flue gas
    >>> nox = 200.0 + 40.0 * o2[:, 0]  # mg/Nm3
    >>> sensor = SoftSensor().fit(o2, nox)
    >>> bool(abs(sensor.predict([[3.0]])[0] - 320.0) < 5.0)
    True
    >>> sensor.predict_quantiles([[3.0], [4.0]]).shape
    (2, 5)
    """

    def __init__(
        self,
        *,
        quantiles: Sequence[float] = (0.05, 0.25, 0.5, 0.75, 0.95),
        width: int = 16,
        layers: int = 1,
        steps: int = 600,
        batch: int = 128,
        rate: float = 0.02,
        decay: float = 1000.0,
        holdout: float = 0.2,
        average: float = 0.98,
        alpha: float = 1e-3,
        log_target: bool = False,
        threads: int = 1,
        random_state: int | RandomState | None = 0,
    ) -> None:
        self.quantiles = quantiles
        self.width = width
        self.layers = layers
        self.steps = steps
        self.batch = batch
        self.rate = rate
        self.decay = decay
        self.holdout = holdout
        self.average = average
        self.alpha = alpha
        self.log_target = log_target
        self.threads = threads
        self.random_state = random_state

    # ---- learning -----------------------------------------------------------------------------------

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> SoftSensor:
        """Learns from rows of signals and the analyser's values.

        Parameters
        ----------
        X : array or DataFrame of shape (N, C), physical units, NaN = missing
        y : array of shape (N,) or (N, O), physical units
        sample_weight : array of shape (N,), >= 0

        Returns
        -------
        self

        Raises
        ------
        ValueError : unusable parameters or data.   InputError, a ValueError : what the engine refuses
        """
        self._check_parameters()
        x, targets = validate_data(
            self, X, y, dtype=np.float64, ensure_all_finite="allow-nan", multi_output=True, y_numeric=True
        )
        targets = np.asarray(targets, dtype=np.float64)
        self._single_ = targets.ndim == 1
        targets = targets.reshape(len(x), -1)
        if not np.isfinite(targets).all():
            raise ValueError(
                "SoftSensor.fit(y): expected finite values, got NaN or infinity; drop those rows"
            )
        if self.log_target and not (targets > 0).all():
            raise ValueError(
                f"SoftSensor.fit(y): expected positive values with log_target, got {targets.min():g}"
            )
        if self.log_target:
            targets = np.log(targets)
        weight = _check_sample_weight(sample_weight, x, dtype=np.float64, ensure_non_negative=True)
        x, targets, weight = _canonical(x, targets, weight)

        self.n_outputs_ = targets.shape[1]
        self.levels_ = np.array(self.quantiles, dtype=np.float64)
        self._columns_ = _fit_columns(x, targets, weight)
        z = self._columns_.inputs(x)
        t = (targets - self._columns_.y_mean) / self._columns_.y_scale
        self.loss_ = float("nan")
        self._train(z, t, weight, check_random_state(self.random_state))
        return self

    def _train(self, z: Floats32, t: Floats, weight: Floats, rng: RandomState) -> None:
        """AdamW on the engine's gradients; keeps the averaged weights that serve the held-out rows best."""
        network = self._network(z.shape[1])
        share = weight / weight.mean()
        shuffled = rng.permutation(len(z))
        count = min(int(self.holdout * len(z)), MOST_HELD_OUT)
        held, kept = shuffled[:count], shuffled[count:]
        if count == 0:  # nothing could tell a better network from one that knows the rows by heart
            self.theta_, self.best_step_ = self._first_weights(network, z, t, share, rng), 0
            return
        state = rng.get_state()
        theta = self._first_weights(network, z[kept], t[kept], share[kept], rng)
        judge = self._compile(network, count, _core.Mode.train)
        _fill(judge, z[held], t[held], share[held])
        batch = min(self.batch, len(kept))
        program = self._compile(network, batch, _core.Mode.train)
        decays = np.zeros_like(theta)
        for _, shape, offset, decay in network.parameters:
            decays[offset : offset + int(np.prod(shape))] = decay
        first, second, mean = np.zeros_like(theta), np.zeros_like(theta), theta.copy()
        linear = theta.copy()
        best, best_step, best_loss = linear, 0, _loss(judge, linear)
        order = _batches(rng, len(kept), batch)
        warmup, isa = max(1, self.steps // 10), _core.isa_level()
        for step in range(self.steps):
            rows = kept[next(order)]
            _fill(program, z[rows], t[rows], share[rows])
            loss = _loss(program, theta)
            norm = float(np.sqrt(_core.squared_norm(program.gradient)))
            if not (np.isfinite(loss) and np.isfinite(norm)):
                raise ValueError(
                    f"SoftSensor.fit: the loss is {loss:g} at step {step + 1}; try a smaller rate than "
                    f"{self.rate:g}"
                )
            rate = _rate(self.rate, step, warmup, self.steps)
            _core.adamw(
                theta,
                first,
                second,
                program.gradient,
                decays,
                rate=rate,
                decay=min(self.decay / len(kept), 0.5 / rate),  # never more than half a weight in one step
                clip_scale=1.0 / max(norm, 1.0),
                step=step + 1,
                isa=isa,
            )
            keep = np.float32(min(self.average, (1.0 + step) / (10.0 + step)))
            mean += (1 - keep) * (theta - mean)
            if (step + 1) % JUDGE_EVERY == 0 or step + 1 == self.steps:
                loss = _loss(judge, mean)
                if loss < best_loss:
                    best, best_step, best_loss = mean.copy(), step + 1, loss
        if best_step > 0 and not self._gains(judge, linear, best, t[held], share[held]):
            best_step, best_loss = 0, _loss(judge, linear)
        if best_step == 0:  # the linear solution it is, so it may as well have all rows
            rng.set_state(state)
            best = self._first_weights(network, z, t, share, rng)
        self.theta_, self.best_step_, self.loss_ = best, best_step, best_loss

    def _gains(self, judge: _core.Program, old: Floats32, new: Floats32, t: Floats, share: Floats) -> bool:
        """Whether `new` is better than `old` on the held-out rows by more than a standard error.

        The best of many steps is best by luck, too: twenty held-out rows would take noise for curvature.
        """
        difference = self._row_losses(judge, old, t) - self._row_losses(judge, new, t)
        part = share / share.sum()
        gain = float(part @ difference)
        error = float(np.sqrt((part**2) @ (difference - gain) ** 2))
        return gain > error

    def _row_losses(self, judge: _core.Program, theta: Floats32, t: Floats) -> Floats:
        """(N,) quantile loss of each held-out row, mean over outputs and levels."""
        _loss(judge, theta)
        quantiles = judge.quantiles[:, 0, :].astype(np.float64).reshape(*t.shape, -1)
        error = t[:, :, None] - quantiles
        losses: Floats = np.maximum(self.levels_ * error, (self.levels_ - 1) * error).mean(axis=(1, 2))
        return losses

    # ---- the network --------------------------------------------------------------------------------

    def _network(self, inputs: int) -> _core.OpList:
        """embed, `layers` times (norm, SwiGLU, sum), norm, head; a linear path beside them.

        A row has no past: history_tokens is 0, future_tokens is 1, and the batch are the rows.
        """
        net = _core.OpList()
        rows, kind = _core.Rows.future, _core.OpKind
        levels, width = len(self.levels_), self.width

        def linear(name: str, x: int, fan_in: int, fan_out: int, *, bias: bool, decay: bool = True) -> int:
            y = net.add_value(name, fan_out, rows)
            w = net.add_parameter(f"{name}.weight", [fan_in, fan_out], decay)
            b = net.add_parameter(f"{name}.bias", [fan_out], False) if bias else -1
            net.add_op(kind.linear, rows, x, y, w=w, b=b)
            return y

        def rmsnorm(name: str, x: int) -> int:
            y = net.add_value(name, width, rows)
            net.add_op(kind.rmsnorm, rows, x, y, w=net.add_parameter(f"{name}.weight", [width], False))
            return y

        source = net.add_value("inputs", inputs, rows)
        stream = linear("embed", source, inputs, width, bias=True)
        for layer in range(self.layers):
            scope = f"layers.{layer}."
            gates = linear(f"{scope}gate_up", rmsnorm(f"{scope}norm", stream), width, 4 * width, bias=False)
            gated = net.add_value(f"{scope}gated", 2 * width, rows)
            net.add_op(kind.swiglu, rows, gates, gated)
            down = linear(f"{scope}down", gated, 2 * width, width, bias=False)
            total = net.add_value(f"{scope}sum", width, rows)
            net.add_op(kind.add, rows, stream, total, x2=down)
            stream = total
        heads = self.n_outputs_ * levels
        head = linear("head", rmsnorm("norm", stream), width, heads, bias=True)
        # Without decay: its penalty is the ridge solution's alpha, and decay would pull it away from there.
        skip = linear("skip", source, inputs, heads, bias=False, decay=False)
        raw = net.add_value("raw", heads, rows)
        net.add_op(kind.add, rows, head, raw, x2=skip)
        quantiles = net.add_value("quantiles", heads, rows)
        shape = {"outputs": self.n_outputs_, "levels": levels, "middle": self._middle}
        net.add_op(kind.quantiles, rows, raw, quantiles, **shape)
        # The engine asks what a history row would hold; there is none of them.
        net.set_io(source, quantiles, history=net.add_value("history", 1, _core.Rows.history), **shape)
        return net

    def _first_weights(
        self, network: _core.OpList, z: Floats32, t: Floats, weight: Floats, rng: RandomState
    ) -> Floats32:
        """Weights whose median is the ridge solution and whose spread is that of its residuals."""
        slope, intercept, spread = _ridge(z.astype(np.float64), t, weight, self.alpha)
        quantile = [NormalDist().inv_cdf(level) for level in self.levels_]
        # raw of a level = inverse softplus of the distance to its neighbour on the side of the median
        steps = np.abs(np.diff(quantile))[None, :] * spread[:, None]  # (O, Q - 1)
        bias = np.insert(np.log(np.expm1(steps)), self._middle, intercept, axis=1)  # (O, Q)

        theta = np.zeros(network.parameter_count, dtype=np.float32)
        for name, shape, offset, _ in network.parameters:
            w = theta[offset : offset + int(np.prod(shape))].reshape(shape)  # a view
            if name == "skip.weight":
                w.reshape(-1, *bias.shape)[:, :, self._middle] = slope
            elif name == "head.bias":
                w[:] = bias.ravel()
            elif name == "head.weight":
                w[:] = HEAD_SD * rng.standard_normal(shape)
                w.reshape(-1, *bias.shape)[:, :, self._middle] = 0.0
            elif name.endswith("norm.weight"):
                w[:] = 1.0
            elif name.endswith(".weight"):
                sd = 1.0 / np.sqrt(shape[0])
                if name.endswith("down.weight"):
                    sd /= np.sqrt(2.0 * self.layers)  # the stream keeps its size (Radford et al. 2019, 2.3)
                w[:] = sd * rng.standard_normal(shape)
        return theta

    def _compile(self, network: _core.OpList, batch: int, mode: _core.Mode) -> _core.Program:
        return _core.Program(
            network,
            batch=batch,
            history_tokens=0,
            future_tokens=1,
            mode=mode,
            loss=_core.Loss.pinball,
            levels=[float(level) for level in self.levels_],
            threads=self.threads,
            isa=_core.isa_level(),
        )

    @property
    def _middle(self) -> int:
        return int(np.searchsorted(self.levels_, 0.5))

    # ---- answers ------------------------------------------------------------------------------------

    def predict(self, X: ArrayLike) -> Floats:
        """Median of each target, (N, C) -> (N,) or (N, O) as in `fit`, physical units.

        Raises
        ------
        NotFittedError : before `fit`.   ValueError : other columns than in `fit`, infinite values
        """
        return np.ascontiguousarray(self.predict_quantiles(X)[..., self._middle])

    def predict_quantiles(self, X: ArrayLike) -> Floats:
        """All levels, rising: (N, C) -> (N, Q), or (N, O, Q) when `fit` had (N, O) targets; physical units.

        Raises
        ------
        NotFittedError : before `fit`.   ValueError : other columns than in `fit`, infinite values
        """
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)
        z = self._columns_.inputs(x)
        program = self._compile(self._network(z.shape[1]), CHUNK, _core.Mode.infer)
        program.load(self.theta_)
        out = np.empty((len(z), self.n_outputs_, len(self.levels_)))
        for start in range(0, len(z), CHUNK):
            rows = z[start : start + CHUNK]
            program.future[: len(rows), 0, :] = rows
            program.future[len(rows) :] = 0.0
            program.run()
            out[start : start + CHUNK] = program.quantiles[: len(rows), 0, :].reshape(-1, *out.shape[1:])
        out = out * self._columns_.y_scale[:, None] + self._columns_.y_mean[:, None]
        if self.log_target:
            out = np.exp(out)
        return out[:, 0, :] if self._single_ else out

    # ---- checks -------------------------------------------------------------------------------------

    def _check_parameters(self) -> None:
        levels = [float(level) for level in self.quantiles]
        rising = all(a < b for a, b in pairwise(levels))
        if not (rising and 0.5 in levels and levels[0] > 0 and levels[-1] < 1):
            raise ValueError(
                f"SoftSensor(quantiles): expected rising levels between 0 and 1 with 0.5, got {levels}"
            )
        for name, least in (("width", 1), ("layers", 0), ("steps", 1), ("batch", 1), ("threads", 0)):
            if int(getattr(self, name)) < least:
                raise ValueError(f"SoftSensor({name}): expected at least {least}, got {getattr(self, name)}")
        for name, top in (
            ("rate", 1.0),
            ("decay", np.inf),
            ("holdout", 0.9),
            ("average", 0.9999),
            ("alpha", np.inf),
        ):
            value = float(getattr(self, name))
            if not 0 <= value <= top or (name in ("rate", "alpha") and value == 0):
                raise ValueError(f"SoftSensor({name}): expected a number in 0..{top:g}, got {value:g}")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _canonical(x: Floats, y: Floats, weight: Floats) -> tuple[Floats, Floats, Floats]:
    """Distinct rows in sorted order with the sum of their weights: the weighted set that a fit rests on."""
    used = weight > 0
    if not used.any():
        raise ValueError("SoftSensor.fit(sample_weight): expected a weight above 0, got none")
    table, weight = np.hstack([x, y])[used], weight[used]
    order = np.lexsort(table.T[::-1])  # NaN sorts last, equal to itself
    table, weight = table[order], weight[order]
    same = ((table[1:] == table[:-1]) | (np.isnan(table[1:]) & np.isnan(table[:-1]))).all(axis=1)
    first = np.flatnonzero(np.r_[True, ~same])
    return table[first, : x.shape[1]], table[first, x.shape[1] :], np.add.reduceat(weight, first)


def _fit_columns(x: Floats, y: Floats, weight: Floats) -> _Columns:
    missing = np.isnan(x)
    if missing.all(axis=0).any():
        c = int(missing.all(axis=0).argmax())
        raise ValueError(f"SoftSensor.fit(X): column {c}: expected measured values, all are missing; drop it")
    x_mean, x_scale = _moments(np.where(missing, 0.0, x), weight[:, None] * ~missing)
    y_mean, y_scale = _moments(y, np.broadcast_to(weight[:, None], y.shape))
    return _Columns(x_mean, x_scale, np.flatnonzero(missing.any(axis=0)), y_mean, y_scale)


def _moments(values: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Weighted mean and standard deviation of columns, in two passes; a constant column has scale 1."""
    total = weight.sum(axis=0)
    mean = (weight * values).sum(axis=0) / total
    sd = np.sqrt((weight * (values - mean) ** 2).sum(axis=0) / total)
    still = sd <= 10 * np.finfo(np.float64).eps * np.abs(mean)
    return mean, np.where(still, 1.0, sd)


def _ridge(z: Floats, t: Floats, weight: Floats, alpha: float) -> tuple[Floats, Floats, Floats]:
    """Weighted ridge regression: slope (I, O), intercept (O,), spread of residuals (O,), normalised."""
    share = weight / weight.sum()
    centre, level = share @ z, share @ t
    zc = z - centre
    gram = (zc * share[:, None]).T @ zc + alpha * np.eye(z.shape[1])
    slope = np.linalg.solve(gram, (zc * share[:, None]).T @ (t - level))
    residual = t - level - zc @ slope
    # At least a thousandth: a target that is exactly linear must not start with a quantile step of nothing.
    return slope, level - centre @ slope, np.maximum(np.sqrt(share @ residual**2), 1e-3)


def _fill(program: _core.Program, z: Floats32, t: Floats, share: Floats) -> None:
    program.future[:, 0, :] = z
    program.target[:, 0, :] = t
    program.weight[:, 0, :] = share[:, None]


def _loss(program: _core.Program, theta: Floats32) -> float:
    """Mean quantile loss of the rows in the program's buffers; leaves its gradient there, too."""
    program.load(theta)
    program.run()
    return float(program.loss)


def _batches(rng: RandomState, rows: int, batch: int) -> Iterator[NDArray[np.int64]]:
    """Row numbers, `batch` at a time: every row once before any row twice; all rows where they fit."""
    if rows == batch:
        while True:
            yield np.arange(rows)
    queue = np.empty(0, dtype=np.int64)
    while True:
        while len(queue) < batch:
            queue = np.concatenate([queue, rng.permutation(rows)])
        yield queue[:batch]
        queue = queue[batch:]


def _rate(top: float, step: int, warmup: int, steps: int) -> float:
    """Linear warm-up, then a cosine down to `FINAL_RATE` of the top."""
    if step < warmup:
        return top * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return top * (FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + float(np.cos(np.pi * done))))
