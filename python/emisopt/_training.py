"""From an estimator's parameters to the core's settings, and from the core's result to words."""

from __future__ import annotations

import inspect
import numbers
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from emisopt import _core
from emisopt._precision import precision_of
from emisopt.parallel import Processes
from emisopt.progress import TrainBar

if TYPE_CHECKING:
    from emisopt.forecaster import Forecaster
    from emisopt.tags import TagMap

__all__ = ["fresh_core", "network_config", "rows_of", "run", "train_config"]


def rows_of(rows: int, train_rows: int | None, validation_rows: int) -> int:
    """The training rows; refuses what the history does not hold."""
    if train_rows is None:
        train_rows = rows - validation_rows
    if not (0 < train_rows <= rows and 0 <= validation_rows <= rows - train_rows):
        raise _core.InputError(
            f"Forecaster.fit(train_rows, validation_rows): expected rows within the history's {rows}, "
            f"got {train_rows} and {validation_rows}"
        )
    return train_rows


def check_numbers(f: Forecaster) -> None:
    """Refuses a parameter that is no number, or no whole number, where its default is one."""
    for name, parameter in inspect.signature(type(f)).parameters.items():
        value, default = getattr(f, name), parameter.default
        kind = numbers.Integral if type(default) is int else numbers.Real
        if type(default) in (int, float) and (isinstance(value, bool) or not isinstance(value, kind)):
            what = "a whole number" if kind is numbers.Integral else "a number"
            raise _core.InputError(f"Forecaster({name}): expected {what}, got {value!r}")


def network_config(f: Forecaster) -> _core.ForecasterConfig:
    check_numbers(f)
    return _core.ForecasterConfig(
        context=f.context,
        horizon=f.horizon,
        patch=f.patch,
        width=f.width,
        heads=f.heads,
        kv_heads=f.kv_heads,
        layers=f.layers,
        feedforward=f.feedforward,
        anchor_tau=f.anchor_tau,
        season=f.season,
        quantiles=[float(q) for q in f.quantiles],
        seed=f.seed,
    )


def train_config(
    f: Forecaster,
    train_rows: int,
    validation_rows: int,
    *,
    l2sp: float = 0.0,
    trainable: Sequence[str] = (),
    device: str = "cpu",
    precision: str = "float32",
    deterministic: bool = False,
) -> _core.TrainConfig:
    if device not in _core.Device.__members__:
        raise _core.InputError(f'Forecaster.fit(device): expected "cpu", "cuda" or "auto", got {device!r}')
    if f.loss not in _core.Loss.__members__:
        names = ", ".join(_core.Loss.__members__)
        raise _core.InputError(f"Forecaster(loss): expected one of {names}, got {f.loss!r}")
    check_numbers(f)
    return _core.TrainConfig(
        steps=f.steps,
        batch=f.batch,
        rate=f.rate,
        warmup=f.warmup,
        decay=f.decay,
        clip=f.clip,
        average=f.average,
        level_shift=f.level_shift,
        input_shift=f.input_shift,
        gain_shift=f.gain_shift,
        slope_shift=f.slope_shift,
        unknown_plan=f.unknown_plan,
        max_delay=f.max_delay,
        min_horizon=f.min_horizon,
        loss=_core.Loss.__members__[f.loss],
        level_weights=_core.tail_weights(f.tail, [float(q) for q in f.quantiles]),
        multiscale=f.multiscale,
        exceed_weight=f.exceed_weight,
        exceed_quantile=f.exceed_quantile,
        exceed_limits=_limits(f.exceed_limits),
        l2sp=l2sp,
        trainable=list(trainable),
        train_rows=train_rows,
        validation_rows=validation_rows,
        validate_every=f.validate_every,
        patience=f.patience,
        threads=f.threads,
        seed=f.seed,
        device=_core.Device.__members__[device],
        precision=precision_of("Forecaster.fit(precision)", precision),
        deterministic=deterministic,
    )


def fresh_core(f: Forecaster, history: _core.History, tags: TagMap, train_rows: int) -> _core.Forecaster:
    """Scales of the training rows and initial weights."""
    prior = None if f.prior is None else f.prior.core(tags)
    return _core.Forecaster.make(history, network_config(f), train_rows, prior)


def run(
    f: Forecaster,
    core: _core.Forecaster,
    history: _core.History,
    settings: _core.TrainConfig,
    progress: bool,
    resume: str | os.PathLike[str] | None,
    save_every: float,
    processes: Processes | None = None,
    **distillation: Any,
) -> None:
    """Trains `core` and makes it what `f` has learned; the caller of `fit` or `distill` is warned."""
    if processes is not None:
        if not isinstance(processes, Processes):
            raise _core.InputError(
                "Forecaster.fit(processes): expected emisopt.parallel.Processes, "
                f"got {type(processes).__name__}"
            )
        distillation.update(rank=processes.rank, size=processes.size, reduce=processes.reduce)
        distillation.update(group=getattr(processes, "group", None))
        progress = progress and processes.rank == 0
    with TrainBar("training", show=progress) as bar:
        result, interrupted = _core.train(
            core,
            history,
            settings,
            bar.update,
            state="" if resume is None else os.fspath(resume),
            save_seconds=save_every,
            **distillation,
        )
    if interrupted:
        warnings.warn(
            f"Forecaster.fit was interrupted at step {result.steps} of {f.steps}; the best weights so far "
            f"(step {result.best_step}) are kept",
            stacklevel=3,
        )
    if result.diverged:
        warnings.warn(
            f"Forecaster.fit stopped at {result.trouble}. The weights of step {result.best_step} are kept",
            stacklevel=3,
        )
    f._adopt(core)
    f.interrupted_ = bool(interrupted)
    f.training_ = {
        "loss": result.loss,
        "validation": result.validation,
        "steps": result.steps,
        "best_step": result.best_step,
        "seconds": result.seconds,
        "rows": settings.train_rows,
        "device": result.device.name,
    }


def _limits(limits: object) -> list[tuple[str, float]]:
    if limits is None:
        return []
    if not isinstance(limits, Mapping):
        raise _core.InputError(
            f"Forecaster(exceed_limits): expected a mapping of output to limit, got {type(limits).__name__}"
        )
    return [(str(name), float(value)) for name, value in limits.items()]
