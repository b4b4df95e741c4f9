"""One transfer, step by step; :func:`emisopt.transfer` is its face."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from emisopt import _core, _training
from emisopt._transfer_members import (
    CORRECTOR,
    LAST,
    NETWORK,
    SCRATCH,
    SCRATCH_CORRECTOR,
    LastValue,
    Member,
    believed_shares,
    mean_errors,
    padded,
)
from emisopt.combination import combine, drawn_weights
from emisopt.corrector import Corrector
from emisopt.forecaster import Forecaster
from emisopt.history import to_history
from emisopt.progress import StageLine
from emisopt.tags import TagMap
from emisopt.transfer_report import TransferReport

Floats = NDArray[np.float64]
STEPS = ("domains", "data", "features", "source", "copy", "fine-tuning", "test")
FEW_WINDOWS = 5000  # below them nothing is fine-tuned where all was copied


@dataclass(frozen=True)
class Tuning:
    """Of the fine-tuning; None: not decided yet."""

    steps: int | None
    rate: float | None
    l2sp: float | None
    trainable: tuple[str, ...]

    def __post_init__(self) -> None:
        for name, value in (("steps", self.steps), ("rate", self.rate), ("l2sp", self.l2sp)):
            if value is not None and not (np.isfinite(value) and value >= 0):
                raise _core.InputError(f"transfer({name}): expected 0 or a positive number, got {value}")

    def settled(self, alike: float, windows: int) -> Tuning:
        """With the share of columns that were copied, and the windows to learn from."""
        wanted = self.rate is not None or self.l2sp is not None or self.trainable
        stays = alike == 1 and windows < FEW_WINDOWS and not wanted
        steps = 0 if stays else round(100 + 300 * (1 - alike))
        return Tuning(
            steps if self.steps is None else int(self.steps),
            1e-3 * 2 ** (1 - alike) if self.rate is None else self.rate,
            alike**4 if self.l2sp is None else self.l2sp,
            self.trainable,
        )


class TransferRun:
    """One transfer: what it was given, and what its steps found."""

    def __init__(
        self,
        source: Forecaster | Sequence[Forecaster],
        history: pd.DataFrame,
        tags: TagMap,
        source_history: pd.DataFrame | None,
        match: Mapping[str, str | None] | None,
        train_rows: int | None,
        validation_rows: int | None,
        tuning: Tuning,
        scratch_steps: int,
        pull: float,
        lags: tuple[int, ...],
        doubt: float,
        seed: int,
        threads: int,
        settings: dict[str, Any],
    ) -> None:
        self.sources = _as_sources(source)
        if not tags.outputs:
            raise _core.InputError(
                f"transfer(tags): expected a tag with role emission or quality, {tags.plant!r} has none"
            )
        if not (np.isfinite(doubt) and doubt >= 0):
            raise _core.InputError(f"transfer(doubt): expected 0 or a positive number, got {doubt}")
        self.source, self.tags, self.source_history = self.sources[0], tags, source_history
        self.match = [(t, s or "") for t, s in (match or {}).items()]
        self.tuning, self.pull, self.lags, self.doubt = tuning, pull, lags, doubt
        self.scratch_steps = scratch_steps
        self.seed = seed
        self.estimators = [self._estimator(each, settings, threads) for each in self.sources]
        self.configs = [_training.network_config(each) for each in self.estimators]
        self.config = self.configs[0]
        full = to_history(history, tags, where="transfer(target_history)")
        self.rows = full.rows if train_rows is None else train_rows
        if not (0 < self.rows <= full.rows):
            raise _core.InputError(
                f"transfer(train_rows): expected 1..{full.rows} rows of the history, got {train_rows}"
            )
        if self.rows < self.config.horizon:
            raise _core.InputError(
                f"transfer(target_history): expected at least the horizon of {self.config.horizon} rows, got "
                f"{self.rows}"
            )
        # As many rows without values stand before the first one, so that even the first windows teach.
        self.pad = max(config.context for config in self.configs)
        self.frame = padded(history.iloc[: self.rows], tags, self.pad)
        self.core_history = to_history(self.frame, tags, live=True, where="transfer(target_history)")
        self.validation = self._validation_rows(validation_rows)
        self.too_few = validation_rows is None and self.validation == 0
        self.best_steps: dict[str, int] = {}
        self._source: Corrector | None = None
        self.table: dict[str, pd.DataFrame] = {}
        self.notes: dict[str, str] = {}

    def _estimator(self, source: Forecaster, settings: dict[str, Any], threads: int) -> Forecaster:
        """A forecaster with a source's parameters, unfitted, and those that the caller changes."""
        known = source.get_params()
        unknown = [n for n in settings if n not in known]
        if unknown:
            raise _core.InputError(f"transfer({unknown[0]}): expected a parameter of Forecaster")
        c = source.core_.config
        sizes = {n: getattr(c, n) for n in ("context", "horizon", "patch", "width", "heads", "kv_heads")}
        sizes |= {n: getattr(c, n) for n in ("layers", "feedforward", "anchor_tau", "season")}
        estimator: Forecaster = clone(source)
        estimator.set_params(**sizes, quantiles=tuple(c.quantiles), prior=None)
        settings = {"seed": self.seed, "threads": threads, "min_horizon": 1, **settings}
        estimator.set_params(**settings)
        for name in ("horizon", "patch", "width", "heads", "layers"):
            if getattr(estimator, name) != sizes[name]:
                raise _core.InputError(
                    f"transfer({name}): expected the source's {sizes[name]}, got {getattr(estimator, name)}"
                )
        return estimator

    def _validation_rows(self, rows: int | None) -> int:
        horizon = self.config.horizon
        if rows is None:
            rows = self.rows // 5
            rows = rows if rows >= horizon and self.rows - rows >= 2 * horizon else 0
        if not (0 <= rows <= self.rows - 2) or 0 < rows < horizon:
            raise _core.InputError(
                f"transfer(validation_rows): expected 0, or {horizon} (the horizon) to {self.rows - 2} of "
                f"the {self.rows} rows, got {rows}"
            )
        return rows

    # ---- the seven steps --------------------------------------------------------------------------------

    def go(self, say: StageLine, progress: bool) -> tuple[Forecaster, tuple[Member, ...], TransferReport]:
        begun = time.perf_counter()
        learn = self.pad + self.rows - self.validation
        say("transfer 1 to 3 of 7, domains, data, features")
        self.all_planted = [self._planted(place, learn) for place in range(len(self.sources))]
        self.planted = self.all_planted[0]
        parts = {name: copied / max(total, 1) for name, copied, total in self.planted[2]}
        self.alike = parts["embed_future.weight"]
        self.tuning = self.tuning.settled(self.alike, self._windows(learn))
        self._domains()
        self._data()
        self._features()
        say("transfer 4, 5 of 7, the source as it is; copying what fits")
        self._copied()
        say("transfer 6 of 7, fine-tuning")
        candidates = self._candidates(learn, progress) if self.validation else {}
        say("transfer 7 of 7, test")
        shares = self._choose(candidates)
        self.table["fine-tuning"] = pd.DataFrame(
            list(self.best_steps.items()), columns=["network", "steps kept"]
        ).set_index("network")
        members, forecaster = self._final(shares, progress)
        self.notes["seconds"] = f"{time.perf_counter() - begun:.1f}"
        report = TransferReport(
            self.source.tags_.plant, self.tags.plant, {n: self.table[n] for n in STEPS}, self.notes
        )
        return forecaster, members, report

    def _domains(self) -> None:
        _, _, _, matches, adopted = self.planted
        rows = []
        for tag, (name, by), scale in zip(self.tags, matches, adopted, strict=True):
            other = self.source.tags_[name] if name is not None else None
            rows.append(
                (tag.name, tag.role, tag.unit, name or "", other.unit if other else "", by,
                 "source" if scale else "own" if tag.role != "cost" else "")
            )  # fmt: skip
        columns = ["tag", "role", "unit", "source tag", "source unit", "matched by", "scale"]
        self.table["domains"] = pd.DataFrame(rows, columns=columns).set_index("tag")

    def _data(self) -> None:
        core = self.planted[0]
        outputs = np.asarray(self.core_history.values)[
            self.pad :, [self.tags.names.index(n) for n in self.tags.outputs]
        ]
        windows = core.training_origins(self.core_history, 0, self.core_history.rows - self.validation)
        values = {
            "rows": self.rows,
            "of them to choose by": self.validation,
            "unbroken runs": 1 + int(np.asarray(self.core_history.gap)[self.pad + 1 :].sum()),
            "outputs missing, %": round(100 * float(np.isnan(outputs).mean()), 2),
            "windows to learn from": len(windows),
            "rows of the source": int(dict(self.source.core_.notes).get("train_rows", "0")),
            "networks of the source": len(self.sources),
        }
        self.table["data"] = pd.DataFrame({"value": pd.Series(values, dtype=object)})

    def _features(self) -> None:
        parts = {name: (copied, total) for name, copied, total in self.planted[2]}
        width, answers = self.config.width, len(self.tags.outputs) * len(self.config.quantiles)
        rows = []
        for title, name, per in (
            ("columns of a history token", "embed_history.weight", width),
            ("columns of a future row", "embed_future.weight", width),
        ):
            copied, total = parts[name]
            rows.append((title, total // per, copied // per))
        if len(self.sources) > 1:
            self.notes["features"] = "of the first network; the others read the same tags"
        copied, total = parts["head.bias"]
        rows.append(("quantiles of outputs", answers, copied))
        self.table["features"] = pd.DataFrame(
            rows, columns=["what", "target", "also of the source"]
        ).set_index("what")

    def _copied(self) -> None:
        several = len(self.all_planted) > 1
        rows = [
            (f"network {place}: {n}" if several else n, copied, total, copied / max(total, 1))
            for place, planted in enumerate(self.all_planted, 1)
            for n, copied, total in planted[2]
        ]
        frame = pd.DataFrame(rows, columns=["parameter", "copied", "weights", "share"]).set_index("parameter")
        self.table["copy"] = frame

    def _candidates(self, learn: int, progress: bool) -> dict[str, Floats]:
        """Forecasts (n, H, O) of the validation rows by all candidates fitted on the rows before."""
        models: dict[str, list[Member]] = {"source as it is": self._transferred(learn, 0, 0, progress)}
        if self.tuning.steps:
            models[NETWORK] = self._transferred(learn, self.validation, self.tuning.steps, progress)
        if self.scratch_steps > 0 and self._windows(learn) >= 64:
            models[SCRATCH] = [self._scratch(learn, self.validation, self.scratch_steps, progress)]
        for name in (CORRECTOR, SCRATCH_CORRECTOR):
            if (member := self._corrector(name, learn)) is not None:
                models[name] = [member]
        models[LAST] = [self._last_value(learn)]
        begin, end = self.rows - self.validation, self.rows - self.config.horizon + 1
        self.stride = max(1, (end - begin) // 400)
        own = self.frame.iloc[self.pad :]
        return {
            name: np.mean([m.replay(own, begin, end, self.stride, (0.5,))[..., 0] for m in group], axis=0)
            for name, group in models.items()
        }

    def _choose(self, candidates: dict[str, Floats]) -> dict[str, Floats]:
        horizon = self.config.horizon
        names = [n for n in (NETWORK, SCRATCH, CORRECTOR, SCRATCH_CORRECTOR, LAST) if n in candidates]
        self.table["source"] = pd.DataFrame(columns=[LAST, "source as it is"])
        self.table["test"] = pd.DataFrame(columns=["share"])
        if not candidates:
            self.notes["test"] = "no validation rows: shares as believed beforehand"
            if self.too_few:
                self._leave_as_it_is("too few rows to see whether it would help: the source's weights stay")
            beside = [n for n in (CORRECTOR, SCRATCH_CORRECTOR) if self._corrector(n, self.core_history.rows)]
            return self._believed(beside)
        truth = self._truth(next(iter(candidates.values())).shape[0])
        scale = np.array([self._spread(n) for n in self.tags.outputs])
        errors = {n: mean_errors(truth, f, scale) for n, f in candidates.items()}
        table = pd.DataFrame(errors, index=list(self.tags.outputs))
        self.table["source"] = table[[LAST, "source as it is"]]
        if NETWORK not in candidates:
            self._leave_as_it_is("none: what was copied stays as it is")
            candidates = {**candidates, NETWORK: candidates["source as it is"]}
            names = [NETWORK, *names]
        elif table["source as it is"].mean() < table[NETWORK].mean():
            self._leave_as_it_is("the validation rows are forecast best without it")
            candidates = {**candidates, NETWORK: candidates["source as it is"]}
        windows = self.validation / horizon
        beside = [n for n in (CORRECTOR, SCRATCH_CORRECTOR) if n in names]
        prior = self._believed(beside)
        shares = drawn_weights(truth, {n: candidates[n] for n in names}, scale, prior, windows, self.doubt)
        blend = combine([candidates[n][..., None] for n in names], [shares[n] for n in names])[..., 0]
        table["blend"] = mean_errors(truth, blend, scale)
        self.table["test"] = table.T.rename_axis("mean absolute error, in standard deviations")
        return shares

    def _leave_as_it_is(self, why: str) -> None:
        self.notes["fine-tuning"] = why
        for place in range(len(self.sources)):
            self.best_steps[_numbered(place)] = 0

    def _believed(self, beside: list[str]) -> dict[str, Floats]:
        """Shares (H, O) before anything was seen."""
        network, last = (
            np.repeat(share[:, None], len(self.tags.outputs), axis=1)
            for share in believed_shares(self.config.horizon, self.alike)
        )
        if not beside:
            return {NETWORK: 1 - last, LAST: last}
        own = SCRATCH_CORRECTOR if SCRATCH_CORRECTOR in beside else CORRECTOR
        return {NETWORK: network, own: 1 - network - last, LAST: last}

    def _final(self, shares: dict[str, Floats], progress: bool) -> tuple[tuple[Member, ...], Forecaster]:
        """The models of the blend, fitted on all target rows."""
        everything = self.core_history.rows
        kept = {n: s for n, s in shares.items() if n == NETWORK or s.max() > 0.02}
        members: list[tuple[Member, Floats]] = []
        for name, share in kept.items():
            if name == NETWORK:
                networks = self._transferred(everything, 0, self.tuning.steps or 0, progress)
                members += [(network, share / len(networks)) for network in networks]
            elif name == SCRATCH:
                steps = self.best_steps.get(name, self.scratch_steps)
                members.append((self._scratch(everything, 0, steps, progress), share))
            elif name == LAST:
                members.append((self._last_value(everything), share))
            elif (member := self._corrector(name, everything)) is not None:
                members.append((member, share))
        total = np.sum([s for _, s in members], axis=0)
        total[total == 0] = 1
        out = [m.with_shares(s / total) for m, s in members]
        if not np.allclose(np.sum([m.shares for m in out], axis=0), 1):
            out[0] = out[0].with_shares(1 - np.sum([m.shares for m in out[1:]], axis=0))
        best = max((m for m in out if isinstance(m.model, Forecaster)), key=lambda m: float(m.shares.mean()))
        assert isinstance(best.model, Forecaster)
        return tuple(m for m in out if m.shares.max() > 0), best.model

    # ---- models -----------------------------------------------------------------------------------------

    def _nothing(self) -> Floats:
        return np.zeros((self.config.horizon, len(self.tags.outputs)))

    def _windows(self, end: int) -> int:
        return len(self.planted[0].training_origins(self.core_history, 0, end))

    def _planted(self, place: int, train: int) -> Any:
        config = self.configs[place]
        return _core.transplant(self.sources[place].core_, self.core_history, train, config, self.match)

    def _transferred(self, train: int, validation: int, steps: int, progress: bool) -> list[Member]:
        """A network from each of the source's, with the steps that were found best, else `steps`; 0: as it
        is."""
        out = []
        for place, estimator in enumerate(self.estimators):
            core, held, *_ = self._planted(place, train)
            own: Forecaster = clone(estimator).set_params(rate=self.tuning.rate, warmup=10)
            name = _numbered(place)
            count = steps if validation else min(steps, self.best_steps.get(name, steps))
            self._train(name, own, core, train, validation, count, progress, held)
            out.append(Member(name, own, self._nothing()))
        return out

    def _scratch(self, train: int, validation: int, steps: int, progress: bool) -> Member:
        core, own = _core.with_fresh_weights(self.planted[0]), clone(self.estimators[0])
        self._train(SCRATCH, own, core, train, validation, steps, progress, None)
        return Member(SCRATCH, own, self._nothing())

    def _train(
        self,
        name: str,
        estimator: Forecaster,
        core: _core.Forecaster,
        train: int,
        validation: int,
        steps: int,
        progress: bool,
        held: Any,
    ) -> None:
        """`held`: per weight 1 where it is drawn to what it was; None: from scratch."""
        if steps == 0:
            return estimator._adopt(core)
        estimator.set_params(steps=steps, validate_every=max(1, min(25, steps // 4)))
        settings = _training.train_config(
            estimator, train, validation,
            l2sp=(self.tuning.l2sp or 0.0) if held is not None else 0.0,
            trainable=list(self.tuning.trainable) if held is not None else [],
        )  # fmt: skip
        _training.run(estimator, core, self.core_history, settings, progress, None, 60.0, held=held)
        if validation:
            self.best_steps[name] = int(estimator.training_["best_step"])
        return None

    def _corrector(self, name: str, train: int) -> Member | None:
        """None where nothing can be learnt: no source rows, other columns, outputs that stand still."""
        corrector = Corrector(lags=self.lags, seed=self.seed)
        rows, tags = train - self.pad, self.tags
        frame = self.frame.iloc[self.pad :]
        try:
            if name == CORRECTOR:
                if (source := self._source_corrector()) is None:
                    return None
                history, settings = to_history(frame, tags, live=True), corrector._config()
                core = _core.Corrector.transfer(source.core_, history, rows, settings, self.pull, self.match)
            else:  # what stands still has no scale of its own
                moves = [t for t in tags if t.name in tags.outputs or frame[t.name].iloc[:rows].nunique() > 1]
                tags = TagMap(tuple(moves), plant=tags.plant, source=tags.source, period=tags.period)
                core = _core.Corrector.fit(to_history(frame, tags, live=True), rows, corrector._config())
        except _core.InputError:
            return None
        corrector._adopt(core)
        return Member(name, corrector, self._nothing(), self.tags)

    def _last_value(self, train: int) -> Member:
        frame = self.frame.iloc[self.pad : train]
        levels = self.config.quantiles
        return Member(LAST, LastValue.fit(frame, self.tags, self.config.horizon, levels), self._nothing())

    def _source_corrector(self) -> Corrector | None:
        """Of the source's rows; None without them."""
        if self._source is None and self.source_history is not None:
            rows = len(self.source_history)
            seen = int(dict(self.source.core_.notes).get("train_rows", "0"))
            self._source = Corrector(lags=self.lags, seed=self.seed).fit(
                self.source_history, tags=self.source.tags_, train_rows=min(rows, seen) or rows
            )
        return self._source

    # ---- rows -------------------------------------------------------------------------------------------

    def _truth(self, count: int) -> Floats:
        """(n, H, O) of the validation origins."""
        values = np.asarray(self.core_history.values)[
            :, [self.tags.names.index(n) for n in self.tags.outputs]
        ]
        begin = self.core_history.rows - self.validation
        origins = begin + self.stride * np.arange(count)
        return np.stack([values[origins + h] for h in range(self.config.horizon)], axis=1)

    def _spread(self, output: str) -> float:
        values = self.frame[output].to_numpy(dtype=float)
        spread = float(np.nanstd(values))
        return spread if spread > 0 else 1.0


def _numbered(place: int) -> str:
    return NETWORK if place == 0 else f"{NETWORK} {place + 1}"


def _as_sources(source: Forecaster | Sequence[Forecaster]) -> tuple[Forecaster, ...]:
    """One or several fitted forecasters of one plant."""
    sources = tuple(source) if isinstance(source, Sequence) else (source,)
    if not sources:
        raise _core.InputError("transfer(source): expected at least one Forecaster, got none")
    for each in sources:
        if not isinstance(each, Forecaster):
            raise _core.InputError(f"transfer(source): expected a Forecaster, got {type(each).__name__}")
        check_is_fitted(each, "core_")
    first = sources[0]
    for each in sources[1:]:
        for what, a, b in (
            ("tags", first.tags_.names, each.tags_.names),
            ("horizon", first.core_.config.horizon, each.core_.config.horizon),
            ("quantiles", list(first.core_.config.quantiles), list(each.core_.config.quantiles)),
        ):
            if a != b:
                raise _core.InputError(
                    f"transfer(source): expected forecasters with the same {what}, got {a} and {b}"
                )
    return sources
