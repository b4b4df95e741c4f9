"""Choosing a forecaster's settings: Optuna over trials whose every cost is logged, in order of time."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emisopt import _core, _settings, _training, metrics
from emisopt.energy import WATTS_PER_CORE, EnergyMeter
from emisopt.errors import ConfigError
from emisopt.forecaster import Forecaster
from emisopt.history import to_history
from emisopt.tags import TagMap, load_tagmap

__all__ = ["SPACE", "Tuning", "tune"]

Floats = NDArray[np.float64]
Say = Callable[[str], None]

# What is tried where the caller names nothing: sizes, rate, and what teaches a model not to trust levels.
SPACE: dict[str, Any] = {
    "context": [48, 96, 168],
    "width": [32, 64, 96],
    "layers": [1, 2],
    "steps": [500, 1000, 2000],
    "rate": {"low": 5e-4, "high": 5e-3, "log": True},
    "decay": {"low": 1e-3, "high": 0.1, "log": True},
    "level_shift": {"low": 0.3, "high": 2.0},
    "input_shift": {"low": 0.0, "high": 1.0},
    "anchor_tau": {"low": 2.0, "high": 24.0, "log": True},
}
FIXED = ("horizon", "quantiles")  # another horizon or other levels would be another question
SCORED = 1000  # origins, evenly spread over the rows scored


@dataclass(frozen=True)
class Tuning:
    """What was tried and what it cost.

    Attributes
    ----------
    trials : a row per trial: state ("done", "failed"), score, seconds, cpu_seconds, joules, energy (measured
        or estimated), weights, error, then its settings
    settings : of the best trial, with what was fixed; `Forecaster(**settings)` is that forecaster
    score : its mean pinball loss on the scored rows, in training standard deviations; lower is better
    """

    trials: pd.DataFrame
    settings: dict[str, Any]
    score: float

    @property
    def kilowatt_hours(self) -> float:
        """Of all trials, failed ones too."""
        return float(self.trials["joules"].sum()) / 3.6e6

    def text(self) -> str:
        """A table for people, the best marked, and what it took in all."""
        from emisopt._format import text_table

        varied = [c for c in self.trials.columns if c not in COLUMNS]
        rows = []
        for number, trial in self.trials.iterrows():
            best = trial["score"] == self.score
            cells = [f"{number}{'*' if best else ''}", trial["state"], _short(trial["score"])]
            cells += [_short(trial[c]) for c in ("seconds", "cpu_seconds", "joules")]
            rows.append(cells + [_short(trial[c]) for c in varied])
        head = ["trial", "state", "score", "s", "CPU s", "J", *varied]
        failed = self.trials[self.trials["state"] == "failed"]
        lines = [text_table(head, rows, left=2)]
        lines += [f"trial {number} failed: {error}" for number, error in failed["error"].items()]
        how = ", ".join(sorted(set(self.trials["energy"]) - {""}))
        lines.append(
            f"{len(self.trials)} trials, {self.trials['seconds'].sum():.1f} s, "
            f"{self.trials['cpu_seconds'].sum():.1f} s of CPU, {self.kilowatt_hours:.3g} kWh "
            f"({how or 'unknown'})"
        )
        return "\n".join(lines)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the best settings as YAML, for `emisopt fit --settings`."""
        heading = (
            f"Best of {len(self.trials)} trials of `emisopt tune`: score {self.score:.5g}, "
            f"{self.kilowatt_hours:.3g} kWh in all."
        )
        _settings.write_settings(path, self.settings, heading)


COLUMNS = ("state", "score", "seconds", "cpu_seconds", "joules", "energy", "weights", "error")


def tune(
    history: pd.DataFrame,
    *,
    tags: TagMap | str | Path,
    score_rows: int,
    validation_rows: int = 0,
    train_rows: int | None = None,
    trials: int = 20,
    space: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    operation: str = "known",
    storage: str | os.PathLike[str] | None = None,
    timeout: float = math.inf,
    watts_per_core: float = WATTS_PER_CORE,
    seed: int = 0,
    progress: Say | None = None,
) -> Tuning:
    """Tries settings on the past and scores them on later rows.

    The history is cut in order of time: each trial is trained on the first rows, its weights are chosen on
    the `validation_rows` after them, and it is scored on the `score_rows` after those. Keep a test year out
    of `history`: the best of many trials is a little better on the rows that chose it than elsewhere.

    Parameters
    ----------
    history, tags, train_rows : as in :meth:`Forecaster.fit`
    score_rows, validation_rows : rows, in this order from the end; train_rows None: all before them
    trials : in all, failed ones and those of earlier runs on the same storage included
    space : {parameter of Forecaster: list of choices, or {low, high, log: bool}, or one value}; None: SPACE
    settings : other parameters of every trial
    operation : "known" or "unknown": what is scored
    storage : SQLite file that keeps the trials; a tuning that was stopped or killed goes on from there
    timeout : seconds after which no further trial begins
    watts_per_core : for the energy where the processor's counters cannot be read
    seed : of the choices; the same history of trials gives the same next one
    progress : called with a line per trial

    Returns
    -------
    Tuning. Ctrl-C ends it after the trials so far, with a warning.

    Raises
    ------
    InputError, ConfigError : settings, space or rows that cannot be; no trial that succeeded
    FileError : the storage holds a tuning of other data or settings, or is none
    ImportError : Optuna is not installed (`pip install emisopt[tune]`)

    References
    ----------
    Akiba et al. 2019 (Optuna); Bergstra et al. 2011 (tree-structured Parzen estimator).

    Examples
    --------
    >>> from emisopt import plants
    >>> history, tags = plants.Boiler(seed=1).simulate_history(days=2)
    >>> small = {"context": 24, "horizon": 6, "width": 16, "heads": 2, "steps": 10}
    >>> found = tune(history, tags=tags, score_rows=100, trials=2, settings=small,
    ...              space={"rate": [1e-3, 3e-3]})
    >>> sorted(found.trials["state"].unique()), found.settings["rate"] in (1e-3, 3e-3)
    (['done'], True)
    """
    optuna = _optuna()
    ranges = _ranges(SPACE if space is None else space)
    fixed = {n: _settings.check_setting(n, v, "tune(settings)") for n, v in (settings or {}).items()}
    both = sorted(set(ranges) & set(fixed))
    if both:
        raise ConfigError(f"tune: expected {both[0]!r} in space or in settings, got it in both")
    if operation not in ("known", "unknown"):
        raise _core.InputError(f"tune(operation): expected known or unknown, got {operation!r}")
    if trials < 1 or not timeout > 0:
        raise _core.InputError(f"tune(trials, timeout): expected 1 or more and > 0, got {trials}, {timeout}")
    if train_rows is None:
        train_rows = len(history) - validation_rows - score_rows
    if min(train_rows, score_rows) < 1 or validation_rows < 0:
        raise _core.InputError(
            f"tune(score_rows): expected rows for training, validation and score within the history's "
            f"{len(history)}, got {train_rows}, {validation_rows} and {score_rows}"
        )
    tags = load_tagmap(tags)
    used = history.iloc[: train_rows + validation_rows + score_rows]
    core_history = to_history(used, tags, where="tune(history)")
    if len(used) != train_rows + validation_rows + score_rows:
        raise _core.InputError(
            f"tune(train_rows): expected at most the history's {len(history)} rows in all, got "
            f"{train_rows + validation_rows + score_rows}"
        )
    EnergyMeter(watts_per_core=watts_per_core)  # refused here, not in the first trial
    scorer = _Scorer(core_history, fixed, ranges, train_rows, len(used) - score_rows, operation)
    identity = {
        "rows": [train_rows, validation_rows, score_rows],
        "space": ranges,
        "settings": fixed,
        "operation": operation,
        "seed": seed,
        "tags": hashlib.sha256(tags.to_json().encode()).hexdigest(),
        "history": hashlib.sha256(np.ascontiguousarray(core_history.values).tobytes()).hexdigest(),
    }
    study = _study(optuna, storage, identity)
    start = time.monotonic()
    while len(study.trials) < trials and time.monotonic() - start < timeout:
        study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))
        trial = study.ask()
        chosen = {name: _suggest(trial, name, r) for name, r in ranges.items()}
        meter = EnergyMeter(watts_per_core=watts_per_core)
        score, weights, error, interrupted = math.nan, 0, "", False
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)  # a fit that diverged or was interrupted
                forecaster = Forecaster(**{"seed": seed, **fixed, **chosen}).fit(
                    used.iloc[: train_rows + validation_rows],
                    tags=tags,
                    train_rows=train_rows,
                    validation_rows=validation_rows,
                    progress=False,
                )
            weights = int(forecaster.core_.parameter_count)
            score = scorer(forecaster)
        except KeyboardInterrupt:
            error, interrupted = "interrupted", True
        except (_core.Error, UserWarning, ConfigError) as problem:
            error = " ".join(str(problem).split())
            interrupted = "interrupted at step" in error
        energy = meter.read()
        for name, value in (
            ("seconds", energy.seconds),
            ("cpu_seconds", energy.cpu_seconds),
            ("joules", energy.joules),
            ("energy", energy.source),
            ("weights", weights),
            ("error", error),
        ):
            trial.set_user_attr(name, value)
        if error or not math.isfinite(score):
            trial.set_user_attr("error", error or "its score is not finite")
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, score)
        if progress:
            shown = f"score {score:.5g}" if not error else f"failed: {error}"
            progress(f"trial {trial.number + 1} of {trials}: {shown}, {energy.seconds:.1f} s")
        if interrupted:
            warnings.warn(f"tune was interrupted in trial {trial.number}", stacklevel=2)
            break
    return _result(optuna, study, {"seed": seed, **fixed}, ranges)


# ---- trials and their storage ---------------------------------------------------------------------------


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise ImportError("tune needs Optuna, which is not installed; pip install 'emisopt[tune]'") from None
    return optuna


def _study(optuna: Any, storage: str | os.PathLike[str] | None, identity: Mapping[str, Any]) -> Any:
    """A new study, or the one of the file when it is of the same data and settings."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        if storage is None:
            return optuna.create_study(direction="minimize")
        path = Path(storage)
        if not path.resolve().parent.is_dir():
            raise _core.FileError(f"{path}: expected a file in a folder that exists")
        try:
            study = optuna.create_study(
                storage=f"sqlite:///{path}", study_name="emisopt", direction="minimize", load_if_exists=True
            )
        except Exception as error:  # of Optuna, SQLAlchemy or alembic; they share no base
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise _core.FileError(f"{path}: not a storage of trials: {reason}") from None
    finally:
        optuna.logging.set_verbosity(level)
    kept = study.user_attrs.get("identity")
    plain = json.loads(json.dumps(identity))
    if kept is None:
        study.set_user_attr("identity", plain)
    elif kept != plain:
        part = next(name for name in plain if kept.get(name) != plain[name])
        raise _core.FileError(
            f"{path}: expected the trials of this tuning, got those of another {part}; give another file, or "
            "the same data and settings"
        )
    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):  # its process ended in it
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    return study


def _ranges(space: Mapping[str, Any]) -> dict[str, Any]:
    """The space checked: {name: [choices]} or {name: {low, high, log, whole}}."""
    if not isinstance(space, Mapping) or not space:
        raise ConfigError(f"tune(space): expected settings and what to try of each, got {space!r:.40}")
    ranges: dict[str, Any] = {}
    for name, tried in space.items():
        where = "tune(space)"
        if name in FIXED or name == "exceed_limits":
            raise ConfigError(f"{where}: {name}: expected settings that leave the question as it is; fix it")
        if not isinstance(tried, Mapping):
            choices = list(tried) if isinstance(tried, (list, tuple)) else [tried]
            if not choices:
                raise ConfigError(f"{where}: {name}: expected at least one choice, got none")
            ranges[name] = [_settings.check_setting(name, c, where) for c in choices]
            continue
        unknown = sorted(set(tried) - {"low", "high", "log"})
        if unknown or "low" not in tried or "high" not in tried:
            got = f"{unknown[0]!r}" if unknown else ", ".join(map(repr, tried))
            raise ConfigError(f"{where}: {name}: expected low, high and perhaps log, got {got}")
        low, high = (_settings.check_setting(name, tried[end], where) for end in ("low", "high"))
        log = tried.get("log", False)
        if isinstance(low, str) or not low < high or (log and low <= 0) or not isinstance(log, bool):
            raise ConfigError(
                f"{where}: {name}: expected low < high, and low > 0 for log, got {dict(tried)!r}"
            )
        ranges[name] = {"low": low, "high": high, "log": log}
    return ranges


def _suggest(trial: Any, name: str, tried: Any) -> Any:
    if isinstance(tried, list):
        return tried[0] if len(tried) == 1 else trial.suggest_categorical(name, tried)
    if isinstance(tried["low"], int):
        return trial.suggest_int(name, tried["low"], tried["high"], log=tried["log"])
    return trial.suggest_float(name, tried["low"], tried["high"], log=tried["log"])


def _result(optuna: Any, study: Any, fixed: Mapping[str, Any], ranges: Mapping[str, Any]) -> Tuning:
    rows = []
    for trial in study.trials:
        done = trial.state == optuna.trial.TrialState.COMPLETE
        logged = trial.user_attrs
        rows.append(
            {
                "state": "done" if done else "failed",
                "score": trial.value if done else math.nan,
                **{n: logged.get(n, math.nan) for n in ("seconds", "cpu_seconds", "joules")},
                "energy": logged.get("energy", ""),
                "weights": logged.get("weights", 0),
                "error": logged.get("error", "" if done else "its process ended in it"),
                **{name: trial.params[name] for name in ranges if name in trial.params},
            }
        )
    table = pd.DataFrame(rows).rename_axis("trial")
    if not (table["state"] == "done").any():
        raise _core.InputError(
            f"tune: expected a trial that succeeds, got none; the last: {rows[-1]['error']}"
        )
    best = study.best_trial
    single = {n: tried[0] for n, tried in ranges.items() if isinstance(tried, list) and len(tried) == 1}
    return Tuning(table, {**fixed, **single, **best.params}, float(best.value))


class _Scorer:
    """Mean pinball loss on later rows, each output in standard deviations of its training rows."""

    def __init__(
        self,
        history: _core.History,
        fixed: Mapping[str, Any],
        ranges: Mapping[str, Any],
        train_rows: int,
        begin: int,
        operation: str,
    ) -> None:
        self._history, self._known = history, operation == "known"
        contexts = ranges.get("context", [fixed.get("context", Forecaster().context)])
        longest = max(contexts) if isinstance(contexts, list) else contexts["high"]
        small = {"context": int(longest), "patch": 1, "layers": 1, "width": 8, "heads": 1, "kv_heads": 0}
        probe = Forecaster(**{**fixed, **small})
        core = _core.Forecaster.make(history, _training.network_config(probe), train_rows)
        found = np.asarray(core.training_origins(history, begin, history.rows), dtype=np.int64)
        if not found.size:
            raise _core.InputError(
                f"tune(score_rows): expected a window of {longest} + {probe.horizon} unbroken rows whose "
                f"targets lie in the last {history.rows - begin} rows, got none"
            )
        keep = np.unique(np.linspace(0, found.size - 1, min(SCORED, found.size)).round().astype(np.int64))
        self._origins = found[keep]
        values = np.asarray(history.values)
        self._columns = [history.tags.names.index(n) for n in history.tags.outputs]
        self._scale = np.nanstd(values[:train_rows, self._columns], axis=0)
        steps = np.arange(probe.horizon)
        self._truth = values[self._origins[:, None] + steps][..., self._columns]  # (n, H, O)

    def __call__(self, forecaster: Forecaster) -> float:
        levels = list(forecaster.core_.config.quantiles)
        quantiles = _core.forecast_origins(
            forecaster.core_, self._history, self._origins.tolist(), self._known, forecaster.threads, 0
        )
        losses = [
            [metrics.pinball(self._truth[..., o], quantiles[..., o, q], t) for q, t in enumerate(levels)]
            for o in range(len(self._columns))
        ]
        return float(np.nanmean(np.mean(losses, axis=1) / self._scale))  # NaN: never measured in these rows


def _short(value: Any) -> str:
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.4g}"
    return str(value)
