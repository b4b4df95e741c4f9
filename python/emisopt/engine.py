"""The engine by itself: a network compiled for fixed shapes, its buffers as NumPy views, no copies.

Estimators, controllers and learners use it underneath. It is open for work that wants the network in units of
its own: planners with another optimiser, training over several processes, timing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from emisopt import _core
from emisopt._adamw import AdamW
from emisopt._architecture import Architecture, Floats32, Parameter, check_array
from emisopt._device_training import DeviceTraining, StepOutcome
from emisopt._exchange import Exchange, is_exchanged
from emisopt._precision import precision_of
from emisopt._predict import Setting, predict
from emisopt.forecaster import Forecaster

__all__ = ["AdamW", "Architecture", "Cost", "DeviceTraining", "Parameter", "Program", "StepOutcome"]

MODES = ("infer", "vjp", "jacobian", "tangent", "train")


class Cost(NamedTuple):
    """What one `run()` costs."""

    flop: float  # floating-point operations, causal ones only
    bytes: int  # of the arena, all buffers included
    seconds: float  # predicted for a warm, undisturbed run


class Program(Exchange):
    """A network compiled for fixed shapes; fill its input views, `run()`, read its answers.

    Parameters
    ----------
    model : a fitted :class:`emisopt.Forecaster` or an :class:`Architecture`
    batch : candidate plans over ONE history (infer, vjp), windows of their own histories (train), else 1
    history, horizon : rows, None: the model's; at most those
    mode : "infer"; "vjp": also the gradient of a cost by the future; "jacobian": also that of every seed;
        "tangent": also how every quantile changes along directions of the future, by one pass forward;
        "train": loss over a batch and its gradient by the weights
    threads : 0: EMISOPT_THREADS, else the machine's; the bits do not depend on it
    precision : "float32", or "int8" (infer only): products inside the layers on weights rounded per channel
        and activations rounded per row, 1.4 (small) to 3 times as fast; for screening, never for gradients.
        "bf16" (`isa` "cuda"; infer, vjp, train): docs/cuda.md
    isa : "ref", "avx2", "avx512", "vnni", or "cuda" where :func:`emisopt.show_config` names a GPU; None: the
        best of this machine's CPU, lowered by EMISOPT_ISA; "auto": that or "cuda", whichever is the
        quicker for this program, measured once and stored (:mod:`emisopt.choices`)
    seeds : jacobian: (output, level) pairs by index; None: the median of every output
    directions : tangent: (first, last) future rows that each direction moves; None: one that moves all.
        Fewer directions than seeds times rows: the cheaper way to a Jacobian
    loss, level_weights, distill, trainable : train: see `kernels/backend.hpp`; `trainable` are beginnings of
        parameter names, empty: all of them
    deterministic : cuda: nothing is measured, only stored choices count (:mod:`emisopt.choices`)

    Attributes
    ----------
    parameters : read-only mapping name -> :class:`Parameter`, in canonical order
    theta : (P,) float32, the weights that `load()` takes: the forecaster's own, or the architecture's draw

    Raises
    ------
    InputError : batch 0, rows beyond the model's, an unknown mode or level, weights that are not finite.
    StateError : a buffer of another mode; `run()` before `load()` and `run_context()`, from two threads at
        once, or after the forecaster was fitted anew with other sizes; `deterministic` and no stored choice.

    Notes
    -----
    Inputs are (history, future) tokens in the network's own normalised units; for a forecaster
    `history_names` and `future_names` say what the columns are. `run()` neither allocates nor touches
    Python: the GIL is free meanwhile. Give each thread a program of its own.

    Examples
    --------
    >>> import numpy as np
    >>> from emisopt.engine import Architecture, Program
    >>> program = Program(Architecture.S, mode="vjp", threads=1)
    >>> program.load()
    >>> program.history[:] = 0.1; program.future[:] = 0.2; program.seed[:] = 1.0
    >>> program.run_context(); program.run()
    >>> program.quantiles.shape, program.future_gradient.shape
    ((1, 24, 12), (1, 24, 16))
    """

    def __init__(
        self,
        model: Forecaster | Architecture,
        batch: int = 1,
        history: int | None = None,
        horizon: int | None = None,
        mode: str = "infer",
        threads: int = 0,
        isa: str | None = None,
        *,
        seeds: Sequence[tuple[int, int]] | None = None,
        directions: Sequence[tuple[int, int]] | None = None,
        loss: str = "pinball",
        level_weights: Sequence[float] = (),
        distill: float = 0.0,
        trainable: Sequence[str] = (),
        precision: str = "float32",
        deterministic: bool = False,
    ) -> None:
        self._model = model
        self._made_of: _core.Forecaster | None = None
        if isinstance(model, Architecture):
            config, network, theta = model._config(), model.network(), model.weights()
        elif isinstance(model, Forecaster):
            if not hasattr(model, "core_"):
                raise _core.StateError("Program(model): expected a fitted forecaster, got one before fit()")
            self._made_of = model.core_
            config, network, theta = model.core_.config, model.core_.network, model.core_.theta
        else:
            raise _core.InputError(
                f"Program(model): expected a Forecaster or an Architecture, got {type(model).__name__}"
            )
        self._take_shapes(config, batch, history, horizon, threads)
        self._level = _isa_of(None if isa == "auto" else isa)
        self.mode = _one_of("mode", mode, MODES)
        if seeds is None:
            seeds = [(output, network.middle) for output in range(network.outputs)]
        self._seeds = tuple((int(o), int(q)) for o, q in seeds) if mode == "jacobian" else ()
        moved = [(0, self.horizon - 1)] if directions is None else directions
        self._directions = tuple((int(a), int(b)) for a, b in moved) if mode == "tangent" else ()
        kind = precision_of("Program(precision)", precision)
        self._network, self._config = network, config
        self._core = _core.Program(
            network,
            batch=self.batch,
            history_tokens=self.history_tokens,
            future_tokens=self.horizon,
            mode=_core.Mode.__members__[mode],
            loss=_core.Loss.__members__[_one_of("loss", loss, tuple(_core.Loss.__members__))],
            levels=[float(q) for q in config.quantiles],
            threads=threads,
            isa=self._level,
            level_weights=[float(w) for w in level_weights],
            distill=distill,
            trainable=_core.trainable_by_name(network, list(trainable)) if trainable else [],
            seeds=list(self._seeds),
            directions=list(self._directions),
            precision=kind,
            deterministic=deterministic,
            automatic=isa == "auto",
        )
        self._level = self._core.isa if isa == "auto" else self._level
        self._precision = kind
        self._run, self._run_context = self._core.run, self._core.run_context
        self._views: dict[str, Floats32] = {}
        self.theta: Floats32 = theta
        self.parameters: Mapping[str, Parameter] = MappingProxyType(
            {n: Parameter(tuple(shape), offset, decay) for n, shape, offset, decay in network.parameters}
        )

    def _take_shapes(
        self,
        config: _core.ForecasterConfig,
        batch: int,
        history: int | None,
        horizon: int | None,
        threads: int,
    ) -> None:
        rows = config.context if history is None else history
        steps = config.horizon if horizon is None else horizon
        if batch < 1:
            raise _core.InputError(f"Program(batch): expected at least 1, got {batch}")
        if not 1 <= steps <= config.horizon:
            raise _core.InputError(
                f"Program(horizon): expected 1..{config.horizon} rows, the model's horizon, got {steps}"
            )
        if not 0 <= rows <= config.context or rows % config.patch:
            whole = f" in whole tokens of {config.patch}" if config.patch > 1 else ""
            raise _core.InputError(
                f"Program(history): expected 0..{config.context} rows{whole}, the model's context, got {rows}"
            )
        if threads < 0:
            raise _core.InputError(f"Program(threads): expected 0 or a number of threads, got {threads}")
        self.batch, self.horizon, self.history_tokens = batch, steps, rows // config.patch
        self.threads = threads or _core.default_threads()

    # ---- weights ----------------------------------------------------------------------------------------

    def load(self, theta: Any = None) -> None:
        """Copies weights into the program and forgets the cached context.

        Parameters
        ----------
        theta : (P,) float32, contiguous; None: the model's, as they are now. Or an array of another library,
            as :meth:`put` takes it: from a GPU to the same GPU without a way over the host

        Raises
        ------
        ShapeError : another length, dtype or layout.
        InputError : a weight is not finite. What was loaded before stays in both cases.
        StateError : the model was fitted anew with other sizes.
        """
        if theta is None:
            theta = self._weights_of_model()
        if not isinstance(theta, np.ndarray) and is_exchanged(theta):
            self._core.load_from(theta)
            return
        check_array("Program.load(theta)", theta, self._network.parameter_count)
        if not np.isfinite(_core.squared_norm(theta)):
            raise _core.InputError(f"Program.load(theta): {self._not_finite(theta)}")
        self._core.load(theta)

    def named(self, buffer: Floats32) -> dict[str, Floats32]:
        """Views of a buffer in canonical layout (theta, gradient, moments) by parameter name, no copies."""
        check_array("Program.named(buffer)", buffer, self._network.parameter_count)
        return {
            name: buffer[p.offset : p.offset + int(np.prod(p.shape))].reshape(p.shape)
            for name, p in self.parameters.items()
        }

    def _weights_of_model(self) -> Floats32:
        if isinstance(self._model, Architecture):
            return self.theta
        self._check_model()
        core = self._model.core_
        if core is not self._made_of:  # fitted anew, same sizes: the weights of now
            self._made_of, self.theta = core, core.theta
        return self.theta

    def _check_model(self) -> None:
        assert isinstance(self._model, Forecaster)
        new = self._model.core_.network
        if new.parameters != self._network.parameters or new.ops != self._network.ops:
            raise _core.StateError(
                f"Program: expected a model of {self._network.parameter_count} weights as when compiled, "
                f"got one fitted anew with other sizes ({new.parameter_count}); compile a new program"
            )

    def _not_finite(self, theta: Floats32) -> str:
        at = int(np.flatnonzero(~np.isfinite(theta))[0])
        for name, p in self.parameters.items():
            if at < p.offset + np.prod(p.shape):
                index = ", ".join(str(i) for i in np.unravel_index(at - p.offset, p.shape))
                return f"expected finite weights, got {theta[at]} at {name}[{index}]"
        raise AssertionError("an index within theta belongs to a parameter")

    # ---- running ----------------------------------------------------------------------------------------

    def run_context(self) -> None:
        """Runs the history rows and caches their keys and values: once per control tick, not in training.

        Raises
        ------
        StateError : before `load()`, from a second thread at once, or the model has other sizes by now.
        """
        if self._made_of is not None and self._made_of is not self._model.core_:  # type: ignore[union-attr]
            self._check_model()
        self._run_context()

    def run(self) -> None:
        """Runs the future rows (train: all rows) on what the input views hold, then what the mode asks for.

        Raises
        ------
        StateError : before `load()` or `run_context()`, from a second thread at once, or the model has other
            sizes by now. Answers stay as they were.
        """
        if self._made_of is not None and self._made_of is not self._model.core_:  # type: ignore[union-attr]
            self._check_model()
        self._run()

    def training(
        self,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        decay: float = 0.0,
        clip: float = np.inf,
        l2sp: float = 0.0,
        anchor: Floats32 | None = None,
        ewc: float = 0.0,
        fisher: Floats32 | None = None,
    ) -> DeviceTraining | None:
        """Train, isa "cuda": a run whose weights and optimiser stay on the GPU (see `DeviceTraining`).

        Parameters are those of :class:`AdamW`, whose pass it does there. None on the CPU: use `AdamW`. The
        run begins with the weights that the model has.

        Raises
        ------
        StateError : another mode, or a second training of this program.
        InputError, ShapeError : as of :class:`AdamW`.
        """
        options = AdamW(
            self,
            self.theta.copy(),
            betas=betas,
            eps=eps,
            decay=decay,
            clip=clip,
            l2sp=l2sp,
            anchor=anchor,
            ewc=ewc,
            fisher=fisher,
        )
        made = self._core.training(
            decay=decay,
            clip=clip if np.isfinite(clip) else 0.0,
            l2sp=l2sp,
            ewc=ewc,
            anchor=options.anchor,
            fisher=fisher,
            beta1=betas[0],
            beta2=betas[1],
            eps=eps,
        )
        return None if made is None else DeviceTraining(made, options.theta, self._views)

    def cost(self) -> Cost:
        """What one `run()` costs; the time is predicted from this machine's timings of the op kinds.

        The first call for a mode and size times them, some tenths of a second, on a machine that should have
        nothing else to do meanwhile.

        Examples
        --------
        >>> from emisopt.engine import Architecture, Program
        >>> cost = Program(Architecture.S, threads=1).cost()
        >>> round(cost.flop / 1e6, 1), cost.seconds > 0
        (9.8, True)
        """
        network, config = self._network, self._config
        seconds = predict(
            network,
            Setting(
                mode=_core.Mode.__members__[self.mode],
                batch=self.batch,
                history_tokens=self.history_tokens,
                horizon=self.horizon,
                threads=self.threads,
                isa=self._level,
                precision=self._precision,
                levels=tuple(config.quantiles),
                seeds=self._seeds,
                directions=self._directions,
                history_width=network.history_width,
                future_width=network.future_width,
                outputs=network.outputs,
                width=config.width,
                heads=config.heads,
                kv_heads=config.kv_heads or config.heads,
            ),
        )
        return Cost(self._core.flop, self._core.bytes, seconds)

    @property
    def isa(self) -> str:
        """The level whose instructions run: may lie below the one asked for."""
        return str(self._core.isa.name)

    # ---- buffers: views of the program's own memory, valid for its life ----------------------------------

    def _view(self, name: str) -> Floats32:
        found = self._views.get(name)
        if found is None:
            found = self._views[name] = getattr(self._core, name)
        return found

    @property
    def history(self) -> Floats32:
        """Input (1, history_tokens, width); train: (batch, history_tokens, width)."""
        return self._view("history")

    @property
    def future(self) -> Floats32:
        """Input (batch, horizon, width)."""
        return self._view("future")

    @property
    def quantiles(self) -> Floats32:
        """Answer (batch, horizon, outputs * levels), level fastest; read-only."""
        return self._view("quantiles")

    @property
    def seed(self) -> Floats32:
        """Vjp, input: d cost / d quantiles (batch, horizon, outputs * levels)."""
        return self._view("seed")

    @property
    def future_gradient(self) -> Floats32:
        """Vjp, answer: d cost / d future (batch, horizon, width); read-only."""
        return self._view("future_gradient")

    @property
    def jacobian(self) -> Floats32:
        """Jacobian, answer (seeds, step of the output, step of the input, width); read-only."""
        return self._view("jacobian")

    @property
    def direction(self) -> Floats32:
        """Tangent, input (directions, horizon, width); rows outside of a direction's own are not read."""
        return self._view("direction")

    @property
    def tangent(self) -> Floats32:
        """Tangent, answer (directions, horizon, outputs * levels): d quantiles along each; read-only."""
        return self._view("tangent")

    @property
    def target(self) -> Floats32:
        """Train, input (batch, horizon, outputs)."""
        return self._view("target")

    @property
    def weight(self) -> Floats32:
        """Train, input: weights of the targets, as `target`; 0 leaves an entry out."""
        return self._view("weight")

    @property
    def teacher(self) -> Floats32:
        """Train with `distill`, input: stored teacher quantiles (batch, horizon, outputs * levels)."""
        return self._view("teacher")

    @property
    def teacher_weight(self) -> Floats32:
        """Train with `distill`, input: weights of the teacher's entries."""
        return self._view("teacher_weight")

    @property
    def gradient(self) -> Floats32:
        """Train, answer (P,): of the mean loss; writable, so that processes may average it in place."""
        return self._view("gradient")

    @property
    def loss(self) -> float:
        """Train: of the last run."""
        return float(self._core.loss)

    @property
    def loss_parts(self) -> dict[str, float]:
        """Train: the parts of that loss by name, each before its coefficient."""
        return dict(self._core.loss_parts)


def _isa_of(name: str | None) -> _core.Isa:
    if name is None:
        return _core.isa_level()
    return _core.Isa.__members__[_one_of("isa", name, tuple(_core.Isa.__members__))]


def _one_of(argument: str, got: str, known: Sequence[str]) -> str:
    if got not in known:
        raise _core.InputError(f"Program({argument}): expected one of {', '.join(known)}, got {got!r}")
    return got
