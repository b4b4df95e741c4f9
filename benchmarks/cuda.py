"""CUDA: what the host executor finds; times against PyTorch wherever a GPU is found."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
from pathlib import Path

from benchmarks.harness import Row

BINARY = Path(os.environ.get("EMISOPT_BUILD", "build/dev")) / "tests/cuda_host/test_cuda_checked"


def run(quick: bool) -> list[Row]:
    count = gpus()
    if count == 0:
        print("cuda: no GPU was found (libcuda.so.1); only the host executor is measured")
    else:
        print(f"cuda: {count} GPU found; this suite has no timings on the device yet (docs/cuda.md)")
    return executor_rows(BINARY)


def gpus() -> int:
    """What the driver counts; 0 without a driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def executor_rows(binary: Path) -> list[Row]:
    """Sown defects that the executor finds (tests/cuda_host/defects.cu), and how many there are."""
    if not binary.is_file():
        print(f"cuda: no {binary}; build the C++ tests with `make build` where a CUDA toolkit's headers are")
        return []
    done = subprocess.run(
        [str(binary), "--gtest_filter=Defects.*"], capture_output=True, text=True, check=False, timeout=300
    )
    found = re.search(r"DEFECTS found=(\d+) total=(\d+)", done.stdout)
    if not found:
        raise RuntimeError(
            f"{binary}: expected a line 'DEFECTS found=', got rc {done.returncode}:\n{done.stdout}"
        )
    note = "every load and store watched" if done.returncode == 0 else "the test failed"
    return [
        Row("executor", "seeded_caught", float(found[1]), better="higher", note=note),
        Row("executor", "seeded_total", float(found[2]), better="higher"),
    ]
