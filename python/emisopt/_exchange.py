"""Arrays of other libraries into a program and out of it: the part of `engine.Program` that they meet."""

from __future__ import annotations

from typing import Any

from emisopt._architecture import Floats32
from emisopt._core import Isa, Program, ProgramBuffer

__all__ = ["Exchange", "is_exchanged"]


def is_exchanged(array: object) -> bool:
    """Whether another library can hand it over."""
    return hasattr(array, "__dlpack__") or hasattr(array, "__cuda_array_interface__")


class Exchange:
    """`put()`, `buffer()` and `device` of a program."""

    _core: Program
    _views: dict[str, Floats32]

    def put(self, name: str, array: Any) -> None:
        """Copies an array of another library into an input, from where it lies to where it is read.

        Parameters
        ----------
        name : of an input: "history", "future", "seed", "direction", "target", "weight", ...
        array : float32 of the input's shape, any strides: NumPy's, or with `__dlpack__` (PyTorch, JAX, CuPy,
            ...), or with `__cuda_array_interface__` where the program is on a GPU. Of a GPU: the program's

        Raises
        ------
        ShapeError : another shape or dtype.
        InputError : memory of another device, a capsule that is torn or was taken before, no such input.
        StateError : the program has no such input, or a second thread is in it.

        Notes
        -----
        On a GPU the copy is made on the program's stream, behind what the array's own stream does; the host
        does not wait. From then on `run()` takes the input from the GPU and its NumPy view is read-only,
        until an array of the host is put there. A change between the two captures the program's graph anew.

        Examples
        --------
        >>> import numpy as np
        >>> from emisopt.engine import Architecture, Program
        >>> program = Program(Architecture.S, threads=1)
        >>> program.put("future", np.ones(program.future.shape, np.float32)[:, ::-1])
        >>> float(program.future.sum()) == program.future.size
        True
        """
        on_gpu = self._core.put(name, array)
        self._views.pop(name, None)
        if on_gpu:
            view = getattr(self._core, name)
            view.setflags(write=False)
            self._views[name] = view

    def buffer(self, name: str) -> ProgramBuffer:
        """A buffer where the program has it, for other libraries: `torch.from_dlpack(program.buffer(...))`.

        Parameters
        ----------
        name : of an input or answer; "gradient"; on a GPU also "weights", those loaded, canonical layout

        Returns
        -------
        ProgramBuffer with `shape`, `device` ("cpu", "cuda:0"), `read_only`, `__dlpack__` (versions 0 and 1)
        and, on a GPU, `__cuda_array_interface__` (version 3)

        Raises
        ------
        InputError : an unknown name.
        StateError : the program has no such buffer.
        BufferError : from `__dlpack__`: a read-only buffer for a consumer of before DLPack 1.0, which could
            not be told; another device; a stream on the CPU.

        Notes
        -----
        No copy: what a consumer holds is the program's memory, stays alive with it, and changes with the next
        `run()`; copy=True gives him one of his own. Answers are read-only, and inputs on a GPU, where `put()`
        is the way in; `gradient` may be reduced in place.

        Examples
        --------
        >>> import numpy as np
        >>> from emisopt.engine import Architecture, Program
        >>> program = Program(Architecture.S, mode="train", threads=1)
        >>> gradient = np.from_dlpack(program.buffer("gradient"))
        >>> np.shares_memory(gradient, program.gradient)
        True
        """
        return self._core.buffer(name)

    @property
    def device(self) -> str:
        """ "cpu", or "cuda:" and the number of the GPU."""
        return "cpu" if self._core.isa != Isa.cuda else self.buffer("future").device
