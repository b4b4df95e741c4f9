"""Draws docs/pictures/demo_loop.png: the closed loop of `emisopt demo`, three policies and their limits.

    python tools/draw_demo.py [FOLDER OF THE DEMO]

FOLDER (default: demo) holds the model.safetensors that `emisopt demo` left; the loop is run again with it,
and comes to the same bits. Colours and names are those of the demo's report.html.
"""

from __future__ import annotations

import sys
from pathlib import Path

from matplotlib.figure import Figure

from emisopt import Forecaster
from emisopt.demo import COLOUR
from emisopt.loop import Run, Scenario
from emisopt.plots import LIMIT

ROOT = Path(__file__).resolve().parents[1]
SEED = 1001  # that of the demo's closed loop


def draw(runs: dict[str, Run], scenario: Scenario) -> Figure:
    figure = Figure(figsize=(9.0, 6.0), layout="constrained")
    axes = figure.subplots(3, 1, sharex=True, height_ratios=[3, 3, 2])
    units = {"NOx": "mg/Nm³", "CO": "mg/Nm³"}
    hours = [row / 12 for row in range(len(runs["operator rules"].frame))]
    base = runs["operator rules"].cost.to_numpy().cumsum()
    for axis, (name, unit) in zip(axes, units.items(), strict=False):
        limit = next(limit for limit in scenario.limits if limit.name.startswith(name))
        for policy, run in runs.items():
            axis.plot(hours, run.rolling[limit.name], color=COLOUR[policy], lw=1.3, label=policy)
        axis.axhline(limit.limit, color=LIMIT, lw=1.2, ls="--", label="permit")
        axis.set_ylabel(f"{name}, mean of\n1 h, {unit}")
    for policy, run in runs.items():
        axes[2].plot(hours, base - run.cost.to_numpy().cumsum(), color=COLOUR[policy], lw=1.5, label=policy)
    axes[2].set_ylabel("saved against\nthe rules, EUR")
    axes[2].set_xlabel("hours; the difficult fuel comes at hour 6")
    axes[0].legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False, fontsize=9)
    for axis in axes:
        axis.axvline(6, color="#888888", lw=0.8, ls=":")
        axis.grid(True, color="#dddddd", linewidth=0.6)
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(
        "Synthetic boiler, 48 h: the operator's tuned rules, emisopt's MPC, and perfect foresight",
        fontsize=11,
    )
    return figure


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo")
    forecaster, scenario = Forecaster.load(folder / "model.safetensors"), Scenario(seed=SEED)
    policies = {
        "operator rules": scenario.operator(),
        "MPC, bias corrected": scenario.mpc(forecaster, "MPC, bias corrected", bias="additive"),
        "oracle (true equations)": scenario.oracle(),
    }
    runs = {name: scenario.run(policy, lambda done, rows: True) for name, policy in policies.items()}
    draw(runs, scenario).savefig(ROOT / "docs/pictures/demo_loop.png", dpi=110)


if __name__ == "__main__":
    main()
