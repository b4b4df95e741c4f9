"""Fit a forecaster, see how good it is, save it.

    python examples/train.py                                          a simulated boiler, 60 days
    python examples/train.py 2011.csv 2012.csv --tags gas_turbine     your own files and tag map
    python examples/train.py --quick                                  a few seconds, to see that it runs

The rows are used in the order of time: the first four fifths train, the next tenth chooses the best weights,
the last tenth is scored and has been seen by nobody. The forecaster and the models it is compared with are
told the setpoints and the schedule of the coming rows, as an operator who plans would tell them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd

import emisopt
from emisopt.backtest import backtest
from emisopt.plants import Boiler


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("data", nargs="*", type=Path, help="CSV or Parquet files; none: simulate a boiler")
    parser.add_argument("--tags", help="tag map: a file, or the name of one that ships with the package")
    parser.add_argument("--days", type=int, default=60, help="of the simulation (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=800, help="of training (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of simulation and training")
    parser.add_argument("-o", "--output", type=Path, default=Path("model.safetensors"), help="the checkpoint")
    parser.add_argument("--quick", action="store_true", help="12 days, 150 steps: the errors mean little")
    chosen = parser.parse_args(argv)
    if bool(chosen.data) != bool(chosen.tags):
        parser.error("DATA and --tags go together: a table needs to be told what its columns are")
    if chosen.quick:
        chosen.days, chosen.steps = 12, 150
    return chosen


def read(chosen: argparse.Namespace) -> tuple[pd.DataFrame, emisopt.TagMap]:
    """The history, one row per period, and what its columns are."""
    if not chosen.data:
        return Boiler(seed=chosen.seed).simulate_history(days=chosen.days)
    tags = emisopt.load_tagmap(chosen.tags)
    return emisopt.read_history(chosen.data, tags), tags


def main(argv: list[str] | None = None) -> int:
    chosen = arguments(argv)
    try:
        history, tags = read(chosen)
        held = len(history) // 10
        train_rows = len(history) - 2 * held
        forecaster = emisopt.Forecaster(
            context=48, horizon=24, patch=4, width=48, layers=2, steps=chosen.steps, seed=chosen.seed
        )
        forecaster.fit(history, tags=tags, train_rows=train_rows, validation_rows=held)
        result = backtest(
            forecaster,
            history,
            train_rows=train_rows,
            validation_rows=held,
            operations=("known",),
            stride=2,
            fit_stride=8 if chosen.quick else 2,
            boosting={"iterations": 5 if chosen.quick else 100, "interval": "residual"},
        )
        forecaster.save(chosen.output)
    except (emisopt.EmisoptError, emisopt.Error) as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 2

    print(forecaster.summary().to_string())
    print(f"\nMean absolute error on the last {held} rows" + (", SYNTHETIC plant" if tags.synthetic else ""))
    print(result.table("mae").to_string(float_format="%.4g"))
    cover = result.table("coverage")["emisopt"].groupby(level="output", sort=False).mean()
    print("\nShare of values inside the 80 % interval, all horizons")
    print(cover.to_string(float_format="%.3f"))
    print(f"\nsaved {chosen.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
