"""
The C++ core of emisopt; the public names are in `emisopt`.
"""
from __future__ import annotations
import collections.abc
import numpy
import numpy.typing
import typing
__all__: list[str] = ['Error', 'FileError', 'InputError', 'Isa', 'Loss', 'Mode', 'OpKind', 'OpList', 'Program', 'Rows', 'ShapeError', 'StateError', 'adamw', 'default_threads', 'isa_available', 'isa_level', 'squared_norm']
class Error(Exception):
    """
    Base of every error that emisopt raises itself.
    """
class InputError(Error, ValueError):
    """
    A value handed in is unusable: range, unit, text, stamp.
    """
class ShapeError(InputError):
    """
    An array has the wrong shape or type.
    """
class StateError(Error, RuntimeError):
    """
    A call came in the wrong state, e.g. predict before fit.
    """
class FileError(Error, OSError):
    """
    A file is missing, truncated, corrupt, foreign or newer than this library.
    """
class Isa:
    """
    Instruction-set levels of the engine.

    Members:

      ref

      avx2

      avx512

      vnni
    """
    __members__: typing.ClassVar[dict[str, Isa]]
    avx2: typing.ClassVar[Isa]
    avx512: typing.ClassVar[Isa]
    ref: typing.ClassVar[Isa]
    vnni: typing.ClassVar[Isa]
    @typing.overload
    def __eq__(self, other: Isa) -> bool:
        ...
    @typing.overload
    def __eq__(self, other: typing.Any) -> bool:
        ...
    def __getstate__(self) -> int:
        ...
    def __hash__(self) -> int:
        ...
    def __index__(self) -> int:
        ...
    def __init__(self, value: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def __int__(self) -> int:
        ...
    @typing.overload
    def __ne__(self, other: Isa) -> bool:
        ...
    @typing.overload
    def __ne__(self, other: typing.Any) -> bool:
        ...
    def __repr__(self) -> str:
        ...
    def __setstate__(self, state: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def __str__(self) -> str:
        ...
    @property
    def name(self) -> str:
        ...
    @property
    def value(self) -> int:
        ...
class Rows:
    """
    Which token rows an op works on.

    Members:

      history

      future

      all
    """
    __members__: typing.ClassVar[dict[str, Rows]]
    all: typing.ClassVar[Rows]
    future: typing.ClassVar[Rows]
    history: typing.ClassVar[Rows]
    @typing.overload
    def __eq__(self, other: Rows) -> bool:
        ...
    @typing.overload
    def __eq__(self, other: typing.Any) -> bool:
        ...
    def __getstate__(self) -> int:
        ...
    def __hash__(self) -> int:
        ...
    def __index__(self) -> int:
        ...
    def __init__(self, value: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def __int__(self) -> int:
        ...
    @typing.overload
    def __ne__(self, other: Rows) -> bool:
        ...
    @typing.overload
    def __ne__(self, other: typing.Any) -> bool:
        ...
    def __repr__(self) -> str:
        ...
    def __setstate__(self, state: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def __str__(self) -> str:
        ...
    @property
    def name(self) -> str:
        ...
    @property
    def value(self) -> int:
        ...
class OpKind:
    """
    Operations of a network; kernels/backend.hpp has their formulas.

    Members:

      linear

      rmsnorm

      swiglu

      add

      quantiles
    """
    __members__: typing.ClassVar[dict[str, OpKind]]
    add: typing.ClassVar[OpKind]
    linear: typing.ClassVar[OpKind]
    quantiles: typing.ClassVar[OpKind]
    rmsnorm: typing.ClassVar[OpKind]
    swiglu: typing.ClassVar[OpKind]
    @typing.overload
    def __eq__(self, other: OpKind) -> bool:
        ...
    @typing.overload
    def __eq__(self, other: typing.Any) -> bool:
        ...
    def __getstate__(self) -> int:
        ...
    def __hash__(self) -> int:
        ...
    def __index__(self) -> int:
        ...
    def __init__(self, value: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def __int__(self) -> int:
        ...
    @typing.overload
    def __ne__(self, other: OpKind) -> bool:
        ...
    @typing.overload
    def __ne__(self, other: typing.Any) -> bool:
        ...
    def __repr__(self) -> str:
        ...
    def __setstate__(self, state: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def __str__(self) -> str:
        ...
    @property
    def name(self) -> str:
        ...
    @property
    def value(self) -> int:
        ...
class OpList:
    """
    A network as data: values, parameters and ops in order of execution.
    """
    def __init__(self) -> None:
        ...
    def add_op(self, kind: OpKind, rows: Rows, x: typing.SupportsInt | typing.SupportsIndex, y: typing.SupportsInt | typing.SupportsIndex, x2: typing.SupportsInt | typing.SupportsIndex = -1, w: typing.SupportsInt | typing.SupportsIndex = -1, b: typing.SupportsInt | typing.SupportsIndex = -1, outputs: typing.SupportsInt | typing.SupportsIndex = 0, levels: typing.SupportsInt | typing.SupportsIndex = 0, middle: typing.SupportsInt | typing.SupportsIndex = 0) -> None:
        """
        Appends an op that reads the values x (and x2) and writes y.
        """
    def add_parameter(self, name: str, shape: collections.abc.Sequence[typing.SupportsInt | typing.SupportsIndex], decay: bool) -> int:
        """
        Adds a weight to the contiguous buffer; returns its id.
        """
    def add_value(self, name: str, width: typing.SupportsInt | typing.SupportsIndex, rows: Rows) -> int:
        """
        Adds an activation of `width` numbers per token row; returns its id.
        """
    def set_io(self, future: typing.SupportsInt | typing.SupportsIndex, quantiles: typing.SupportsInt | typing.SupportsIndex, outputs: typing.SupportsInt | typing.SupportsIndex, levels: typing.SupportsInt | typing.SupportsIndex, middle: typing.SupportsInt | typing.SupportsIndex, history: typing.SupportsInt | typing.SupportsIndex = -1) -> None:
        """
        Names the input and output values.
        """
    @property
    def parameter_count(self) -> int:
        """
        Numbers in the contiguous buffer.
        """
    @property
    def parameters(self) -> list:
        """
        List of (name, shape, offset, decay) in canonical order.
        """
class Mode:
    """
    What a program computes.

    Members:

      infer

      vjp

      train
    """
    __members__: typing.ClassVar[dict[str, Mode]]
    infer: typing.ClassVar[Mode]
    train: typing.ClassVar[Mode]
    vjp: typing.ClassVar[Mode]
    @typing.overload
    def __eq__(self, other: Mode) -> bool:
        ...
    @typing.overload
    def __eq__(self, other: typing.Any) -> bool:
        ...
    def __getstate__(self) -> int:
        ...
    def __hash__(self) -> int:
        ...
    def __index__(self) -> int:
        ...
    def __init__(self, value: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def __int__(self) -> int:
        ...
    @typing.overload
    def __ne__(self, other: Mode) -> bool:
        ...
    @typing.overload
    def __ne__(self, other: typing.Any) -> bool:
        ...
    def __repr__(self) -> str:
        ...
    def __setstate__(self, state: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def __str__(self) -> str:
        ...
    @property
    def name(self) -> str:
        ...
    @property
    def value(self) -> int:
        ...
class Loss:
    """
    Training loss.

    Members:

      pinball

      squared

      huber
    """
    __members__: typing.ClassVar[dict[str, Loss]]
    huber: typing.ClassVar[Loss]
    pinball: typing.ClassVar[Loss]
    squared: typing.ClassVar[Loss]
    @typing.overload
    def __eq__(self, other: Loss) -> bool:
        ...
    @typing.overload
    def __eq__(self, other: typing.Any) -> bool:
        ...
    def __getstate__(self) -> int:
        ...
    def __hash__(self) -> int:
        ...
    def __index__(self) -> int:
        ...
    def __init__(self, value: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def __int__(self) -> int:
        ...
    @typing.overload
    def __ne__(self, other: Loss) -> bool:
        ...
    @typing.overload
    def __ne__(self, other: typing.Any) -> bool:
        ...
    def __repr__(self) -> str:
        ...
    def __setstate__(self, state: typing.SupportsInt | typing.SupportsIndex) -> None:
        ...
    def __str__(self) -> str:
        ...
    @property
    def name(self) -> str:
        ...
    @property
    def value(self) -> int:
        ...
class Program:
    """
    A compiled network; its buffers are float32 arrays on one arena.
    """
    def __init__(self, ops: OpList, *, batch: typing.SupportsInt | typing.SupportsIndex, history_tokens: typing.SupportsInt | typing.SupportsIndex, future_tokens: typing.SupportsInt | typing.SupportsIndex, mode: Mode, loss: Loss, levels: collections.abc.Sequence[typing.SupportsFloat | typing.SupportsIndex], threads: typing.SupportsInt | typing.SupportsIndex, isa: Isa) -> None:
        ...
    def load(self, theta: numpy.typing.NDArray[numpy.float32]) -> None:
        """
        Copies the weights (parameter_count) and refreshes the packed forms.
        """
    def run(self) -> None:
        """
        Runs the future rows (train: all rows) on what the input buffers hold.
        """
    def run_context(self) -> None:
        """
        Runs the history rows and caches their keys and values.
        """
    @property
    def bytes(self) -> int:
        """
        Size of the arena.
        """
    @property
    def future(self) -> numpy.typing.NDArray[numpy.float32]:
        """
        Input buffer (batch, future_tokens, width).
        """
    @property
    def gradient(self) -> numpy.typing.NDArray[numpy.float32]:
        """
        Train: gradient of the mean loss (parameter_count), overwritten by each run.
        """
    @property
    def history(self) -> numpy.typing.NDArray[numpy.float32]:
        """
        Input buffer (1, history_tokens, width); train mode: (batch, ...).
        """
    @property
    def loss(self) -> float:
        """
        Train: loss of the last run.
        """
    @property
    def quantiles(self) -> numpy.typing.NDArray[numpy.float32]:
        """
        Output buffer (batch, future_tokens, outputs * levels).
        """
    @property
    def target(self) -> numpy.typing.NDArray[numpy.float32]:
        """
        Train: (batch, future_tokens, outputs).
        """
    @property
    def weight(self) -> numpy.typing.NDArray[numpy.float32]:
        """
        Train: weights of the targets (batch, future_tokens, outputs); 0 leaves an entry out.
        """
def adamw(theta: numpy.typing.NDArray[numpy.float32], first: numpy.typing.NDArray[numpy.float32], second: numpy.typing.NDArray[numpy.float32], gradient: numpy.typing.NDArray[numpy.float32], decay_mask: numpy.typing.NDArray[numpy.float32], *, rate: typing.SupportsFloat | typing.SupportsIndex, decay: typing.SupportsFloat | typing.SupportsIndex, clip_scale: typing.SupportsFloat | typing.SupportsIndex, step: typing.SupportsInt | typing.SupportsIndex, isa: Isa) -> None:
    """
    One AdamW step in place on contiguous float32 buffers (parameter_count).
    """
def default_threads() -> int:
    """
    EMISOPT_THREADS, else the hardware's, at least 1.
    """
def isa_available() -> list[Isa]:
    """
    Levels that this build and this CPU can run, lowest first.
    """
def isa_level() -> Isa:
    """
    The level in use: the best of this CPU, lowered by EMISOPT_ISA.
    """
def squared_norm(x: numpy.typing.NDArray[numpy.float32]) -> float:
    """
    Sum of squares in double; the same bits for any number of threads.
    """
__version__: str = '0.1.0'
