"""Draws docs/pictures/plants_loop.png: the reactor under an average and under the same number in each row.

    python tools/draw_plants.py [SEED]

Fits the benchmark's forecaster when it is not there yet (build/benchmarks).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.mpc_cases import plants  # noqa: E402
from benchmarks.mpc_cases.plant_loop import run  # noqa: E402
from benchmarks.mpc_cases.plant_policies import Oracle, Ours  # noqa: E402
from emisopt import Forecaster  # noqa: E402
from emisopt.plots import COLOURS, LIMIT  # noqa: E402

# As in the pictures of the demo: blue is the operator, who is not in this one, and the oracle is pink.
COLOUR = {"average of 20 min": COLOURS[2], "limit on each row": COLOURS[1], "oracle": COLOURS[3]}

ROWS = 176  # with the warm-up whole blocks of 20


def main(seed: int) -> None:
    setting = plants.CASES["cstr"]
    problem, forecaster = setting.problem, Forecaster.load(plants.forecaster_file("cstr", quick=False))
    logs = {
        "average of 20 min": run(problem, Ours(forecaster, setting.margin), seed, ROWS),
        "limit on each row": run(problem, Ours(forecaster, setting.margin, each_row=True), seed, ROWS),
        "oracle": run(problem, Oracle(), seed, ROWS),
    }
    figure = Figure(figsize=(9.0, 8.2), layout="constrained")
    tariff, emission, feed, money = figure.subplots(4, 1, sharex=True, height_ratios=[1, 3, 2, 2])
    minutes = np.arange(ROWS)
    tariff.step(minutes, logs["oracle"].factors, where="post", color="#444444")
    tariff.set_ylabel("tariff,\nmoney/mol")
    column = problem.tags.outputs.index(problem.average.output)
    base = np.cumsum(logs["limit on each row"].cost)
    for name, log in logs.items():
        colour = COLOUR[name]
        emission.plot(minutes, log.truth[:, column], color=colour, lw=0.9, label=name)
        emission.step(minutes, log.blocks(), where="post", color=colour, lw=2.2, alpha=0.55)
        feed.step(minutes, log.setpoints[:, 0], where="post", color=colour, lw=1)
        money.plot(minutes, base - np.cumsum(log.cost), color=colour, label=name)
    emission.axhline(problem.average.limit, color=LIMIT, lw=1, ls="--", label="limit of the average, 8 kg/h")
    emission.set_ylabel("by-product D, kg/h")
    handles, _ = emission.get_legend_handles_labels()
    handles.append(
        Line2D([], [], color="#666666", lw=2.2, alpha=0.55, label="broad: mean of each 20 min block")
    )
    emission.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0, 1), frameon=False, ncols=3, fontsize=8
    )
    feed.set_ylabel("feed, 1/h")
    money.set_ylabel("profit above that of the\nlimit on each row, money")
    money.set_xlabel("minutes; money: 1 pays for one mol of product at tariff 1")
    for axis in (tariff, emission, feed, money):
        axis.grid(True, color="#dddddd", linewidth=0.6)
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"Klatt-Engell reactor, synthetic, seed {seed}: an average, and a limit on each row")
    figure.savefig(ROOT / "docs" / "pictures" / "plants_loop.png", dpi=110)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else plants.FIRST_SEED)
