"""ONNX Runtime's side: the forward pass in fp32 and with int8 weights, inputs and outputs bound."""

from __future__ import annotations

import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic

from benchmarks.engine_peers.problem import Problem
from benchmarks.engine_peers.protocol import CannotDo, Prepared
from benchmarks.engine_peers.torch_model import Full


def prepare(problem: Problem, kind: str, threads: int) -> Prepared:
    if problem.workload not in ("forward", "tick", "int8"):
        raise CannotDo("a runtime of forward passes")
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        _export(problem, path)
        if kind == "int8":
            path, full = Path(folder) / "int8.onnx", path
            quantize_dynamic(full, path, per_channel=True, weight_type=QuantType.QInt8)
        session = _session(path, threads)
    binding = session.io_binding()
    for name, array in (("history", problem.history), ("future", problem.future)):
        binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
    a = problem.architecture
    out = np.empty((1, a.horizon, a.outputs, len(a.quantiles)), np.float32)
    value = onnxruntime.OrtValue.ortvalue_from_numpy(out)
    binding.bind_ortvalue_output("quantiles", value)

    def call() -> None:
        session.run_with_iobinding(binding)

    def answer() -> dict[str, np.ndarray]:
        call()
        return {"quantiles": value.numpy().reshape(a.horizon, -1)}

    return Prepared(call, answer, compile_seconds=time.perf_counter() - begin)


def forget() -> None:
    """Sessions go with their calls."""


def _export(problem: Problem, path: Path) -> None:
    net = Full(problem.architecture, problem.theta).frozen()
    inputs = (torch.from_numpy(problem.history), torch.from_numpy(problem.future))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net,
            inputs,
            str(path),
            input_names=["history", "future"],
            output_names=["quantiles"],
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
