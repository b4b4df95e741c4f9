"""The forecaster as a scikit-learn estimator: DataFrames in, quantiles in physical units out."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from emisopt import _core, _training
from emisopt._precision import precision_of
from emisopt._sentinels import warn_of_sentinels
from emisopt.history import coming_index, known_array, plan_array, to_history, warn_of_columns_outside
from emisopt.parallel import Processes
from emisopt.prior import FunctionPrior, TablePrior, prior_from_json
from emisopt.sensitivity import Sensitivity
from emisopt.tags import TagMap, load_tagmap

if TYPE_CHECKING:
    from emisopt.permit.document import Permit

__all__ = ["Forecaster", "Sensitivity"]

Floats = NDArray[np.float64]


class Forecaster(BaseEstimator):  # type: ignore[misc]
    """Forecasts a plant's outputs over the next rows, as quantiles, as a function of the planned setpoints.

    A small prefix-causal transformer, run by the C++ core: an output never depends on a setpoint that is
    applied later, so the sensitivity to the plan is exact and block lower triangular.

    Parameters
    ----------
    context : rows of history that a forecast reads
    horizon : rows ahead (H)
    patch : rows per history token, 1..16
    width, heads, kv_heads, layers, feedforward : of the network; 0: chosen from the others
    anchor_tau : rows; the forecast is a change against an exponential mean with this time constant
    season : rows of a cycle, e.g. a day, whose course over the context stands beside the coming rows; 0: none
    quantiles : levels (Q), rising, with 0.5
    steps, batch, rate, warmup, decay, clip, average : AdamW with warm-up and cosine, weight averaging
    level_shift, input_shift : random shift of a window's outputs and inputs, in standard deviations: what
        makes the forecaster follow drift
    unknown_plan : share of windows trained with future operation unknown, for `predict` without a plan
    max_delay : rows by which labels may be late: each window hides its newest 0..max_delay labels, so that
        one model serves all delays up to there
    min_horizon : windows that a gap cuts off after so many rows ahead train, too; 0: whole windows only
    loss : "pinball", or "squared" or "huber" for the median alone
    tail : "all", or the quantiles that the pinball loss looks at more: "upper", "lower", "both"
    multiscale : coefficient of the error of means over 2, 4 and 8 rows, which averaging limits are about
    exceed_weight : weight of targets above `exceed_limits` or, for outputs not named there, above the
        `exceed_quantile` of the training rows; more than 1 lifts the forecast (docs/learning.md)
    exceed_limits, exceed_quantile : {output: limit} in physical units; a share, 0: none
    prior : what is known before any data, see :class:`emisopt.TablePrior`; training starts from it
    validate_every, patience : steps between validations; validations without gain before stopping, 0: never
    threads : 0: EMISOPT_THREADS, else the machine's; the result does not depend on it
    seed : of the initial weights and the order of windows: same seed, same bits

    Attributes
    ----------
    tags_ : the tag map; `outputs_`, `setpoints_`, `disturbances_` : names in order
    training_ : dict with loss, validation, steps, best_step, seconds and device of the fit
    interrupted_ : whether Ctrl-C ended the fit (the best weights so far are kept)
    n_features_in_, feature_names_in_ : as in scikit-learn

    See Also
    --------
    Controller : chooses setpoints with a fitted forecaster.

    References
    ----------
    Koenker, Bassett 1978 (quantile loss); Vaswani et al. 2017; Zhang, Sennrich 2019 (RMSNorm); Su et al. 2021
    (rotary positions); Shazeer 2020 (SwiGLU).

    Examples
    --------
    >>> from emisopt import Forecaster, plants
    >>> history, tags = plants.Boiler(seed=1).simulate_history(days=2)
    >>> f = Forecaster(context=24, horizon=6, width=16, heads=2, layers=1, steps=20)
    >>> f.fit(history, tags=tags, progress=False).predict(history)["nox", 0.5].shape
    (6,)
    """

    def __init__(
        self,
        *,
        context: int = 96,
        horizon: int = 24,
        patch: int = 1,
        width: int = 64,
        heads: int = 4,
        kv_heads: int = 0,
        layers: int = 1,
        feedforward: int = 0,
        anchor_tau: float = 6.0,
        season: int = 0,
        quantiles: Sequence[float] = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95),
        steps: int = 1000,
        batch: int = 64,
        rate: float = 2e-3,
        warmup: int = 100,
        decay: float = 0.02,
        clip: float = 1.0,
        average: float = 0.995,
        level_shift: float = 1.0,
        input_shift: float = 0.3,
        gain_shift: float = 0.0,
        slope_shift: float = 0.0,
        unknown_plan: float = 0.2,
        max_delay: int = 0,
        min_horizon: int = 0,
        loss: str = "pinball",
        tail: str = "all",
        multiscale: float = 0.0,
        exceed_weight: float = 1.0,
        exceed_quantile: float = 0.95,
        exceed_limits: Mapping[str, float] | None = None,
        prior: TablePrior | FunctionPrior | None = None,
        validate_every: int = 100,
        patience: int = 0,
        threads: int = 0,
        seed: int = 0,
    ) -> None:
        self.context = context
        self.horizon = horizon
        self.patch = patch
        self.width = width
        self.heads = heads
        self.kv_heads = kv_heads
        self.layers = layers
        self.feedforward = feedforward
        self.anchor_tau = anchor_tau
        self.season = season
        self.quantiles = quantiles
        self.steps = steps
        self.batch = batch
        self.rate = rate
        self.warmup = warmup
        self.decay = decay
        self.clip = clip
        self.average = average
        self.level_shift = level_shift
        self.input_shift = input_shift
        self.gain_shift = gain_shift
        self.slope_shift = slope_shift
        self.unknown_plan = unknown_plan
        self.max_delay = max_delay
        self.min_horizon = min_horizon
        self.loss = loss
        self.tail = tail
        self.multiscale = multiscale
        self.exceed_weight = exceed_weight
        self.exceed_quantile = exceed_quantile
        self.exceed_limits = exceed_limits
        self.prior = prior
        self.validate_every = validate_every
        self.patience = patience
        self.threads = threads
        self.seed = seed

    # ---- learning ---------------------------------------------------------------------------------------

    def fit(
        self,
        history: pd.DataFrame,
        y: None = None,
        *,
        tags: TagMap | str | Path,
        train_rows: int | None = None,
        validation_rows: int = 0,
        progress: bool = True,
        resume: str | os.PathLike[str] | None = None,
        save_every: float = 60.0,
        processes: Processes | None = None,
        device: str = "cpu",
        precision: str = "float32",
        deterministic: bool = False,
    ) -> Forecaster:
        """Fixes scales and trains on the first rows of a history.

        Parameters
        ----------
        history : DataFrame with a column per tag, N rows, physical units; see :mod:`emisopt.history`
        y : left out; outputs are columns of the history
        tags : what the columns are: a map, or what :func:`emisopt.load_tagmap` takes
        train_rows : rows to learn from, None: all before the validation rows. No later row changes a weight.
        validation_rows : rows after `train_rows` by which the best weights are chosen; 0: the last are kept
        progress : show a bar with loss, validation, rate and time left (on stderr)
        resume : file to keep the run's state in, and to go on from when it is there: a fit that was killed,
            at any moment, so ends with the bits of one that was not. A state of other settings or data is
            refused.
        save_every : seconds between two writes of that file
        processes : those that share this training, see :mod:`emisopt.parallel`; each calls fit with the same
            arguments and ends with the weights that one process would find. `resume` must then be readable
            for all of them; only rank 0 writes it.
        device : "cpu", or "cuda" where :func:`emisopt.show_config` names a GPU. Not the same bits: sums are
            made in another order, and a run cannot be resumed on the other device (docs/cuda.md). "auto":
            the quicker one for these sizes, measured once and stored (:mod:`emisopt.choices`)
        precision : "float32", or "bf16" with `device` "cuda": activations and the weights that products read
            in 8 significant bits, everything that is summed up or kept in float32 (docs/cuda.md, "bf16"). A
            run is resumed in the precision that it began in.
        deterministic : take stored choices only, measure nothing; StateError where one is missing

        Returns
        -------
        self. Ctrl-C during the fit ends it with the best weights so far and a warning. Another names tags
        with a number that looks like an unlisted code for no value, -9999 say.

        Raises
        ------
        InputError : a parameter or a column is unusable, or no window fits into the rows.
        StateError : `device` is "cuda" and no GPU can be used; the text says why.
        FileError : `resume` names a file that is torn, or the state of another run; the text says what to do.
        """
        tags = load_tagmap(tags)
        core_history = to_history(history, tags, where="Forecaster.fit(history)")
        train_rows = _training.rows_of(core_history.rows, train_rows, validation_rows)
        warn_of_sentinels(history, core_history, train_rows + validation_rows, "Forecaster.fit(history)")
        core = _training.fresh_core(self, core_history, tags, train_rows)
        settings = _training.train_config(
            self,
            train_rows,
            validation_rows,
            device=device,
            precision=precision,
            deterministic=deterministic,
        )
        _training.run(self, core, core_history, settings, progress, resume, save_every, processes)
        return self

    def _adopt(self, core: _core.Forecaster) -> None:
        """Takes a trained or loaded core as the learned state."""
        self.core_ = core
        self.tags_ = TagMap.from_json(core.tags.to_json())
        self.outputs_ = tuple(self.tags_.outputs)
        self.setpoints_ = tuple(self.tags_.setpoints)
        self.disturbances_ = tuple(self.tags_.disturbances)
        self.feature_names_in_ = np.array(self.tags_.names, dtype=object)
        self.n_features_in_ = len(self.tags_)
        self._sessions: dict[str, _core.ForecastSession] | None = None  # by precision, made when asked for

    # ---- forecasting ------------------------------------------------------------------------------------

    def predict(
        self,
        history: pd.DataFrame,
        plan: pd.DataFrame | ArrayLike | None = None,
        known: pd.DataFrame | ArrayLike | None = None,
        *,
        precision: str = "float32",
    ) -> pd.DataFrame:
        """Quantiles of each output for the rows after the end of `history`, in physical units.

        Parameters
        ----------
        history : DataFrame whose last `context` rows are unbroken
        plan : setpoints of the next H rows, (H, U) or a DataFrame by column name, inside each tag's range;
            None: the setpoints of the coming rows are unknown
        known : coming disturbances, (H, D) or a DataFrame with some of them, inside each tag's range, NaN =
            unknown; None: none known. Stamps of either must be those of the coming rows
        precision : "float32", or "int8" for screening and small machines (docs/engine.md, "int8")

        Returns
        -------
        DataFrame of H rows (stamps, or steps 1..H) with columns (output, quantile)

        Raises
        ------
        NotFittedError, InputError (history too short or broken, plan or known outside its range), ShapeError
        """
        session = self._ready(history, precision)
        index = coming_index(history, self.tags_.period, self._horizon, plan=plan, known=known)
        if plan is None and known is not None:  # without any plan the core takes all of the future as unknown
            plan = np.full((self._horizon, len(self.setpoints_)), np.nan)
        quantiles = session.predict(
            None if plan is None else plan_array(plan, self.tags_, self._horizon),
            known_array(known, self.tags_, self._horizon),
        )
        columns = pd.MultiIndex.from_product(
            [self.outputs_, self.core_.config.quantiles], names=["output", "quantile"]
        )
        return pd.DataFrame(quantiles.reshape(self._horizon, -1), index=index, columns=columns)

    def jacobian(
        self,
        history: pd.DataFrame,
        plan: pd.DataFrame | ArrayLike,
        known: pd.DataFrame | ArrayLike | None = None,
        *,
        quantile: float = 0.5,
    ) -> Sensitivity:
        """Exact derivative of one quantile of the forecast by the plan.

        Parameters
        ----------
        history, plan, known : as in :meth:`predict`
        quantile : one of the levels

        Returns
        -------
        Sensitivity : (H, O, H, U) with labels, e.g. (mg/Nm3) per (% O2); 0 for setpoints after the output
        """
        session = self._ready(history)
        levels = list(self.core_.config.quantiles)
        if quantile not in levels:
            raise _core.InputError(
                f"Forecaster.jacobian(quantile): expected one of {', '.join(f'{q:g}' for q in levels)}, "
                f"got {quantile!r}"
            )
        index = coming_index(history, self.tags_.period, self._horizon, plan=plan, known=known)
        values = session.jacobian(
            plan_array(plan, self.tags_, self._horizon),
            known_array(known, self.tags_, self._horizon),
            [levels.index(quantile)],
        )[0]
        units = {n: self.tags_[n].unit for n in self.outputs_ + self.setpoints_}
        return Sensitivity(values, self.outputs_, self.setpoints_, units, index, quantile)

    @property
    def _horizon(self) -> int:
        return int(self.core_.config.horizon)  # of the checkpoint, whatever set_params says since

    def _ready(self, history: pd.DataFrame, precision: str = "float32") -> _core.ForecastSession:
        """The compiled session with this history's keys and values cached."""
        check_is_fitted(self, "core_")
        session = self._session_of(precision)
        # The session reads the last `context` rows; one more lets it see a break right before them.
        tail = history.tail(self.core_.config.context + 1) if isinstance(history, pd.DataFrame) else history
        core_history = to_history(tail, self.tags_, live=True)
        warn_of_columns_outside(tail, core_history, "Forecaster.predict(history)")
        session.set_history(core_history, core_history.rows)
        return session

    def _can(self, history: _core.History) -> bool:
        """Whether the context before the end of a history is unbroken and knows every output."""
        context = int(self.core_.config.context)
        if history.rows < context or np.asarray(history.gap)[history.rows - context + 1 :].any():
            return False
        places = [self.tags_.names.index(n) for n in self.outputs_]
        return bool(np.isfinite(np.asarray(history.values)[-context:, places]).any(axis=0).all())

    def _say(self, history: _core.History, plan: Floats, known: Floats) -> Floats:
        """(H, O, Q) after a history; NaN where :meth:`_can` says no."""
        if not self._can(history):
            return np.full((self._horizon, len(self.outputs_), len(self.core_.config.quantiles)), np.nan)
        session = self._session_of("float32")
        session.set_history(history, history.rows)
        return np.asarray(session.predict(plan, known))

    def _session_of(self, precision: str) -> _core.ForecastSession:
        kind = precision_of("Forecaster.predict(precision)", precision)
        if self._sessions is None:
            self._sessions = {}
        if precision not in self._sessions:
            self._sessions[precision] = _core.ForecastSession(self.core_, self.threads, kind)
        return self._sessions[precision]

    # ---- checkpoints ------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str], *, permit: Permit | None = None) -> None:
        """Writes weights, tags, units, scales and versions to one safetensors file, atomically.

        Parameters
        ----------
        permit : that this forecaster serves: its name and hash go into the checkpoint's notes, so that a
            later audit shows which rules it was used with (`permit_hash_` after loading)

        Raises
        ------
        NotFittedError, FileError
        """
        check_is_fitted(self, "core_")
        if permit is not None and self.permit_hash_ != permit.hash:  # the last note of a name counts
            self.core_.add_note("permit", permit.name)
            self.core_.add_note("permit_hash", permit.hash)
        self.core_.save(os.fspath(path))

    @property
    def permit_hash_(self) -> str | None:
        """SHA-256 of the permit that the checkpoint was saved with; None without one."""
        check_is_fitted(self, "core_")
        return dict(self.core_.notes).get("permit_hash")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Forecaster:
        """A fitted forecaster from a checkpoint.

        Raises
        ------
        FileError : missing, truncated, changed, foreign, or written by a newer version; the text says which
        """
        core = _core.Forecaster.load(os.fspath(path))
        c = core.config
        self = cls(
            context=c.context,
            horizon=c.horizon,
            patch=c.patch,
            width=c.width,
            heads=c.heads,
            kv_heads=c.kv_heads,
            layers=c.layers,
            feedforward=c.feedforward,
            anchor_tau=c.anchor_tau,
            season=c.season,
            quantiles=tuple(c.quantiles),
            seed=c.seed,
            prior=prior_from_json(core.prior),
        )
        self._adopt(core)
        return self

    @classmethod
    def from_pretrained(cls, name: str = "base") -> Forecaster:
        """A forecaster that comes with the package, to :func:`emisopt.transfer` from.

        This version ships none: a base trained on synthetic plants did not win on both real pairs
        (docs/learning.md, "Pretrained base", has the figures). `tools/pretrain_base.py` trains one;
        :meth:`load` reads its file.

        Raises
        ------
        InputError : no such file in the package; those that are there are named
        """
        folder = Path(__file__).with_name("pretrained")
        names = sorted(p.stem for p in folder.glob("*.safetensors"))
        if name not in names:
            there = f"expected one of {', '.join(names)}" if names else "this version ships none"
            raise _core.InputError(
                f"Forecaster.from_pretrained: {there}, got {name!r}; tools/pretrain_base.py trains a base, "
                "Forecaster.load reads it"
            )
        return cls.load(folder / f"{name}.safetensors")

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        state.pop("_sessions", None)
        core = state.pop("core_", None)
        if core is not None:  # weights travel as the bytes of a checkpoint
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "model.safetensors"
                core.save(str(file))
                state["_checkpoint"] = file.read_bytes()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        checkpoint = state.pop("_checkpoint", None)
        super().__setstate__(state)
        self._sessions = None
        if checkpoint is not None:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "model.safetensors"
                file.write_bytes(checkpoint)
                self.core_ = _core.Forecaster.load(str(file))

    # ---- notebooks --------------------------------------------------------------------------------------

    def summary(self) -> pd.Series:
        """What this forecaster is, line by line."""
        check_is_fitted(self, "core_")
        c = self.core_.config
        lines = {
            "plant": self.tags_.plant + (" (synthetic)" if self.tags_.synthetic else ""),
            "outputs": ", ".join(f"{n} [{self.tags_[n].unit}]" for n in self.outputs_),
            "setpoints": ", ".join(self.setpoints_) or "none",
            "disturbances": ", ".join(self.disturbances_) or "none",
            "rows": f"{c.context} back, {c.horizon} ahead"
            + (f", {self.tags_.period:g} s each" if self.tags_.period else ", no stamps"),
            "weights": f"{self.core_.parameter_count:,}",
        }
        lines.update(dict(self.core_.notes))
        return pd.Series(lines, name="forecaster")

    def _repr_html_(self) -> str:
        if not hasattr(self, "core_"):
            return f"<pre>{escape(repr(self))} (not fitted)</pre>"
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(str(k))}</th><td>{escape(str(v))}</td></tr>"
            for k, v in self.summary().items()
        )
        return f"<table><caption>emisopt Forecaster</caption>{rows}</table>"
