"""Attention by itself, forward and backward in bf16: ours (benchmarks/cuda_attention.cpp, a library opened by
ctypes) and PyTorch's flash path, each as one graph of many passes, so that the device's work is timed."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.cuda_peers import torch_calls
from benchmarks.cuda_peers.contest import Absent, Contestant
from benchmarks.cuda_peers.core import ATTENTION as LIBRARY

PASSES = 20  # in a graph
Shape = tuple[int, int, int, int]  # windows, rows, heads, head_dim


def inputs(shape: Shape) -> tuple[Tensor, Tensor]:
    """x (windows, rows, [q | k | v], heads, head_dim) and the gradient of y, bf16, on the host."""
    windows, rows, heads, head_dim = shape
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(windows, rows, 3, heads, head_dim, generator=generator)
    dy = torch.randn(windows, rows, heads, head_dim, generator=generator)
    return x.bfloat16(), dy.bfloat16()


def bits(tensor: Tensor) -> np.ndarray:
    return tensor.contiguous().view(torch.int16).numpy().view(np.uint16).ravel()


def values(array: np.ndarray) -> np.ndarray:
    """bf16 by its bits as float32."""
    return (array.astype(np.uint32) << 16).view(np.float32)


class Ours:
    def __init__(self, shape: Shape, passes: int) -> None:
        path = Path(os.environ.get(LIBRARY, ""))
        if not path.is_file():
            raise Absent(f"{LIBRARY}: expected the library of benchmarks/cuda_attention.cpp, got '{path}'")
        self.library, self.passes = ctypes.CDLL(str(path)), passes
        self.library.emisopt_attention_make.restype = ctypes.c_void_p
        self.library.emisopt_attention_error.restype = ctypes.c_char_p
        windows, rows, heads, head_dim = shape
        x, dy = (bits(t) for t in inputs(shape))
        pointer = ctypes.POINTER(ctypes.c_uint16)
        made = self.library.emisopt_attention_make(
            windows, rows, heads, head_dim, passes, x.ctypes.data_as(pointer), dy.ctypes.data_as(pointer)
        )
        self.y, self.dx = np.empty_like(dy), np.empty_like(x)
        if not made:
            raise RuntimeError(f"emisopt attention: {self._error()}")
        self.work = ctypes.c_void_p(made)

    def _error(self) -> str:
        return str(self.library.emisopt_attention_error().decode())

    def run(self, graphs: int) -> None:
        for _ in range(graphs):
            if self.library.emisopt_attention_run(self.work):
                raise RuntimeError(f"emisopt attention: {self._error()}")

    def answer(self) -> dict[str, np.ndarray]:
        self.run(1)
        pointer = ctypes.POINTER(ctypes.c_uint16)
        if self.library.emisopt_attention_read(
            self.work, self.y.ctypes.data_as(pointer), self.dx.ctypes.data_as(pointer)
        ):
            raise RuntimeError(f"emisopt attention: {self._error()}")
        return {"y": values(self.y), "dx": values(self.dx)}


class Flash:
    """scaled_dot_product_attention, on a GPU held to its flash kernels; q, k, v as they lie in memory."""

    def __init__(self, shape: Shape, passes: int, device: str) -> None:
        x, dy = (t.to(device) for t in inputs(shape))
        self.device = device
        q, k, v = (x[:, :, i].transpose(1, 2).detach().requires_grad_() for i in range(3))
        self.leaves, self.dy = (q, k, v), dy.transpose(1, 2)
        self.made: tuple[Tensor, ...] = ()
        backends = [SDPBackend.FLASH_ATTENTION] if device == "cuda" else [SDPBackend.MATH]

        def compute() -> None:
            with sdpa_kernel(backends):
                for _ in range(passes):
                    y = F.scaled_dot_product_attention(*self.leaves, is_causal=True)
                    self.made = (y, *torch.autograd.grad(y, self.leaves, self.dy))

        self.compute = torch_calls.graphed(compute, device) if device == "cuda" else compute

    def run(self, graphs: int) -> None:
        for _ in range(graphs):
            self.compute()
            torch_calls.wait(self.device)

    def answer(self) -> dict[str, np.ndarray]:
        self.run(1)
        y, *gradients = (t.detach().transpose(1, 2).float().cpu() for t in self.made)
        return {"y": y.numpy(), "dx": torch.stack(gradients, dim=2).numpy()}


def contestants(shape: Shape, device: str, passes: int = PASSES) -> list[Contestant]:
    torch_calls.settle(device)
    ours, flash = Ours(shape, passes), Flash(shape, passes, device)
    return [
        Contestant("emisopt", ours.run, ours.answer, per_call=True),
        Contestant("torch-flash", flash.run, flash.answer, per_call=True),
    ]
