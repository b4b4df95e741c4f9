"""Draws docs/pictures/boiler_steady.png and boiler_steps.png from the equations themselves.

    python tools/draw_boiler.py build/dev/tests/cpp/test_plant docs/pictures

The first argument is the test program of the room `plant`: its disabled test PrintCurves writes the numbers.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from emisopt.plots import COLOURS

# Chemical formulae of the series' names, as the axes write them.
FORMULAE = {"O2": "O$_2$", "NH3": "NH$_3$", "-": "−", "OFA": "overfire air"}
STEADY = {
    "NOx before SCR over O2": ("excess O$_2$ [%, dry]", "NO$_{\\mathsf{x}}$ before SCR [mg/Nm³]", "linear"),
    "CO over O2": ("excess O$_2$ [%, dry]", "CO [mg/Nm³]", "log"),
    "net efficiency over O2": ("excess O$_2$ [%, dry]", "net efficiency [%]", "linear"),
    "NOx before SCR over OFA": (
        "overfire air [% of air]",
        "NO$_{\\mathsf{x}}$ before SCR [mg/Nm³]",
        "linear",
    ),
    "net efficiency over tilt": ("burner tilt [deg]", "net efficiency [%]", "linear"),
    "slip over NH3 ratio": ("NH$_3$/NO$_{\\mathsf{x}}$ [mol/mol]", "NH$_3$ slip [ppm]", "log"),
}
STEADY_STYLES: list[tuple[str, Any, float]] = [
    ("#9ecbe8", "-", 4.5), (COLOURS[0], (0, (4, 2)), 1.8), (COLOURS[4], "-", 2.2),
    (COLOURS[1], (0, (5, 2)), 1.4),
]  # fmt: skip
STEP_STYLES: list[tuple[str, Any, float]] = [
    (COLOURS[0], "-", 1.6), (COLOURS[4], "-", 1.6), (COLOURS[2], "-", 3.0), (COLOURS[1], (0, (4, 2)), 1.6)
]  # fmt: skip
STEPS = {
    "step: NOx": "change of stack NO$_{\\mathsf{x}}$ [mg/Nm³]",
    "step: CO": "change of CO [mg/Nm³]",
    "step: slip": "change of NH$_3$ slip [ppm]",
    "step: net efficiency": "change of net efficiency [% points]",
}


def curves(program: str) -> pd.DataFrame:
    command = [program, "--gtest_also_run_disabled_tests", "--gtest_filter=*PrintCurves"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    # A series name may hold a comma: the value is what follows the last one.
    rows = []
    for line in text.splitlines():
        if line.startswith("CSV,"):
            _, curve, x, rest = line.split(",", 3)
            series, value = rest.rsplit(",", 1)
            rows.append((curve, float(x), series, float(value)))
    return pd.DataFrame(rows, columns=["curve", "x", "series", "value"])


def panel(axis: Axes, table: pd.DataFrame, styles: list[tuple[str, Any, float]]) -> None:
    """A line per series; styles: colour, dashes, width. Lower ones are wide and show under the others."""
    for (name, part), (colour, dashes, width) in zip(
        table.groupby("series", sort=False), styles, strict=False
    ):
        for plain, formula in FORMULAE.items():
            name = str(name).replace(plain, formula)
        axis.plot(part["x"], part["value"], color=colour, linestyle=dashes, linewidth=width, label=name)
    axis.grid(True, color="0.9")


def main(program: str, folder: str) -> None:
    table = curves(program)
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})

    figure, axes = plt.subplots(2, 3, figsize=(11, 6.4), layout="constrained")
    for axis, (curve, (x, y, scale)) in zip(axes.flat, STEADY.items(), strict=True):
        panel(axis, table[table["curve"] == curve], STEADY_STYLES)
        axis.set(xlabel=x, ylabel=y, yscale=scale)
    axes.flat[1].axhline(125, color="0.4", linewidth=0.8)
    axes.flat[1].text(6, 135, "limit 125", ha="right", fontsize=8, color="0.3")
    axes.flat[5].axhline(2.5, color="0.4", linewidth=0.8)
    axes.flat[5].text(0.5, 2.9, "limit 2.5", fontsize=8, color="0.3")
    axes.flat[5].set_ylim(2e-4, 60)
    axes.flat[0].legend(fontsize=8, frameon=False)
    figure.suptitle(
        "Synthetic boiler, steady state "
        "(O$_2$ 3.3 %, overfire air 20 %, NH$_3$/NO$_{\\mathsf{x}}$ 0.8, tilt 0 unless varied)"
    )
    figure.savefig(out / "boiler_steady.png", dpi=110)

    figure, axes = plt.subplots(2, 2, figsize=(9, 6), layout="constrained")
    for axis, (curve, y) in zip(axes.flat, STEPS.items(), strict=True):
        panel(axis, table[table["curve"] == curve], STEP_STYLES)
        axis.axhline(0, color="0.4", linewidth=0.8)
        axis.set(xlabel="time after the move [min]", ylabel=y)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle("Synthetic boiler: answers to one setpoint moved at minute 0 (morning, fuel A, no noise)")
    figure.savefig(out / "boiler_steps.png", dpi=110)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
