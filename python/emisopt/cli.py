"""The command `emisopt`: fit, forecast, backtest, optimise, permit, demo, show-config.

Bad input ends with one line on stderr and exit code 2, and leaves no half-written file.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import numpy as np
import pandas as pd
import typer

from emisopt import _core, cli_permit
from emisopt._format import short
from emisopt.errors import EmisoptError
from emisopt.io import read_history
from emisopt.objective import Limit, Objective, Setpoint
from emisopt.tags import TagMap, load_tagmap

app = typer.Typer(
    name="emisopt",
    help="Forecast a plant's stack emissions and choose setpoints by model-predictive control.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.add_typer(cli_permit.app, name="permit")

Data = Annotated[list[Path], typer.Argument(help="CSV or Parquet files of the historian, in order of time.")]
Tags = Annotated[str, typer.Option(help="Tag map: a YAML file, or the name of a shipped one (gas_turbine).")]
Model = Annotated[Path, typer.Option("--model", "-m", help="Checkpoint written by `emisopt fit`.")]
Validate = Annotated[
    list[Path] | None, typer.Option(help="Files of later rows that choose the best weights.")
]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Also write it here: .csv or .parquet.")]


# ---- commands -------------------------------------------------------------------------------------------


@app.command()
def fit(
    data: Data,
    tags: Tags,
    output: Annotated[Path, typer.Option("--output", "-o", help="Checkpoint to write (safetensors).")],
    validate: Validate = None,
    validation_rows: Annotated[
        int, typer.Option(help="Or: so many last rows of DATA choose the weights.")
    ] = 0,
    setpoint: Annotated[list[str] | None, typer.Option(help="Declare this disturbance a setpoint.")] = None,
    known_ahead: Annotated[
        str | None, typer.Option(help="Disturbances known ahead: names with commas, `all` or `none`.")
    ] = None,
    context: Annotated[int, typer.Option(help="Rows of history.")] = 96,
    horizon: Annotated[int, typer.Option(help="Rows ahead.")] = 24,
    width: Annotated[int, typer.Option(help="Model width.")] = 64,
    heads: Annotated[int, typer.Option(help="Attention heads.")] = 4,
    layers: Annotated[int, typer.Option(help="Layers.")] = 1,
    steps: Annotated[int, typer.Option(help="Training steps.")] = 1000,
    unknown_plan: Annotated[float, typer.Option(help="Share of windows without future operation.")] = 0.2,
    seed: Annotated[int, typer.Option(help="Same seed, same weights.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Train a forecaster on a history and write it to one file."""
    from emisopt.forecaster import Forecaster

    _require_folder(output)
    tag_map = _declare(load_tagmap(tags), setpoint or [], known_ahead)
    history, train_rows, held_rows = _read_parts(tag_map, data, validate or [], validation_rows)
    forecaster = Forecaster(
        context=context,
        horizon=horizon,
        width=width,
        heads=heads,
        layers=layers,
        steps=steps,
        unknown_plan=unknown_plan,
        seed=seed,
    )
    forecaster.fit(
        history, tags=tag_map, train_rows=train_rows, validation_rows=held_rows, progress=not quiet
    )
    forecaster.save(output)
    summary = forecaster.training_
    typer.echo(f"{tag_map.plant}: {train_rows} training rows, {held_rows} validation rows")
    typer.echo(
        f"{forecaster.core_.parameter_count} weights, {summary['steps']} steps, {summary['seconds']:.1f} s, "
        f"loss {summary['loss']:.4f}, validation {summary['validation']:.4f} at step {summary['best_step']}"
    )
    typer.echo(f"written: {output}")


@app.command()
def forecast(
    data: Data,
    tags: Tags,
    model: Model,
    plan: Annotated[Path | None, typer.Option(help="CSV with a column per setpoint, a row per step.")] = None,
    known: Annotated[Path | None, typer.Option(help="CSV with coming disturbances, a row per step.")] = None,
    output: Output = None,
) -> None:
    """Forecast the rows after the end of DATA: 10 %, 50 % and 90 % of each output."""
    from emisopt.forecaster import Forecaster

    write = _writer(output)
    forecaster = Forecaster.load(model)
    history = read_history(data, load_tagmap(tags), use="live")
    quantiles = forecaster.predict(
        history, None if plan is None else _read_csv(plan), None if known is None else _read_csv(known)
    )
    shown = quantiles.loc[:, quantiles.columns.get_level_values("quantile").isin([0.1, 0.5, 0.9])]
    typer.echo(shown.to_string(float_format=short))
    if write:
        flat = quantiles.copy()
        flat.columns = pd.Index([f"{c[0]} q{c[1]:g}" for c in flat.columns.to_list()])
        write(flat)


@app.command()
def backtest(
    data: Data,
    tags: Tags,
    model: Model,
    test: Annotated[list[Path] | None, typer.Option(help="Files of the rows to score.")] = None,
    validate: Validate = None,
    validation_rows: Annotated[int, typer.Option(help="As given to `fit`.")] = 0,
    test_rows: Annotated[int, typer.Option(help="Or: score so many last rows of DATA.")] = 0,
    horizons: Annotated[str | None, typer.Option(help="Rows ahead, with commas; else 1, 6, 24.")] = None,
    operation: Annotated[str, typer.Option(help="Future operation: known, unknown or both.")] = "both",
    stride: Annotated[int, typer.Option(help="Score every so many rows.")] = 1,
    metric: Annotated[str, typer.Option(help="mae, rmse, r2, bias, coverage or width.")] = "mae",
    output: Output = None,
) -> None:
    """Score the forecaster on later rows beside last value, seasonal naive, ridge and boosting."""
    from emisopt.backtest import backtest as run_backtest
    from emisopt.forecaster import Forecaster

    write = _writer(output)
    forecaster = Forecaster.load(model)
    tag_map = load_tagmap(tags)
    history, train_rows, held_rows = _read_parts(
        tag_map, [*data], validate or [], validation_rows, test or [], test_rows
    )
    operations = ("known", "unknown") if operation == "both" else (operation,)
    result = run_backtest(
        forecaster,
        history,
        train_rows=train_rows,
        validation_rows=held_rows,
        horizons=_horizons(horizons, int(forecaster.core_.config.horizon)),
        operations=operations,
        stride=stride,
        progress=lambda text: typer.echo(f"... {text}", err=True),
    )
    for name in operations:
        typer.echo(f"{metric}, future operation {name}, {len(result.origins)} forecasts")
        typer.echo(result.table(metric, name).to_string(float_format=short))
        if metric != "coverage":
            typer.echo(f"coverage of the 80 % interval, future operation {name}")
            typer.echo(result.table("coverage", name).to_string(float_format=lambda x: f"{x:.3f}"))
    if write:
        write(result.scores.reset_index())


@app.command()
def optimise(
    data: Data,
    tags: Tags,
    model: Model,
    price: Annotated[
        list[str] | None,
        typer.Option(help="NAME=COST per unit and row, output or setpoint; negative rewards."),
    ] = None,
    limit: Annotated[
        list[str] | None, typer.Option(help="NAME<=VALUE[,window=12][,quantile=0.9][,rank=2], repeatable.")
    ] = None,
    bound: Annotated[list[str] | None, typer.Option(help="NAME=LOW:HIGH for a setpoint, repeatable.")] = None,
    output: Output = None,
) -> None:
    """Advise setpoints for the rows after DATA, inside the training data, beside the nearest real rows."""
    from emisopt.advise import advise
    from emisopt.forecaster import Forecaster

    write = _writer(output)
    forecaster = Forecaster.load(model)
    own = forecaster.tags_
    prices = dict(_assignment(text, "--price") for text in price or [])
    bounds = {n: _range(v, n) for n, v in (_split(text, "=", "--bound") for text in bound or [])}
    for name in (*prices, *bounds):
        own[name]  # an unknown name is refused here, with near ones
    setpoints = {}
    for name in own.setpoints:
        low, high = bounds.get(name, (None, None))
        setpoints[name] = Setpoint(low, high, price=prices.pop(name, 0.0))
    history = read_history(data, load_tagmap(tags), use="live")
    advice = advise(
        forecaster, history, Objective(prices, currency="cost"), [_limit(t) for t in limit or []], setpoints
    )
    typer.echo(str(advice))
    if write:
        write(pd.concat([advice.decision.plan, _flat(advice.decision.trajectories)], axis=1))


@app.command()
def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for report.html and run.parquet.")
    ] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Of the plant, the forecaster and the closed loop.")] = 1,
    quick: Annotated[
        bool, typer.Option("--quick", help="A few rows and steps only: to try the command.")
    ] = False,
) -> None:
    """Simulate a boiler, fit, compare with baselines, close the loop for 48 h, write a report."""
    from emisopt.demo import run

    run(output, seed=seed, quick=quick)


@app.command("show-config")
def show_config() -> None:
    """Versions, instruction set, threads, device, and why not more."""
    from emisopt.config import show_config as configuration

    typer.echo(str(configuration()))


# ---- reading arguments ----------------------------------------------------------------------------------


def _declare(tags: TagMap, setpoints: list[str], known_ahead: str | None) -> TagMap:
    if setpoints:
        tags = tags.with_setpoints(setpoints)
    if known_ahead is None:
        return tags
    if known_ahead in ("all", "none"):
        return tags.with_known_ahead(None if known_ahead == "all" else [])
    return tags.with_known_ahead([n.strip() for n in known_ahead.split(",")])


def _read_parts(
    tags: TagMap,
    data: list[Path],
    validate: list[Path],
    validation_rows: int,
    test: list[Path] | None = None,
    test_rows: int = 0,
) -> tuple[pd.DataFrame, int, int]:
    """All files as one table, rows for training, rows for validation; the rest is the test."""
    if (validate and validation_rows) or (test and test_rows):
        raise _core.InputError("expected files or a number of rows for validation and test, got both")
    tail = validation_rows + test_rows
    history = read_history([*data, *validate, *(test or [])], tags)
    train = len(read_history(data, tags)) if validate or test else len(history)
    held = len(read_history(validate, tags)) if validate else validation_rows
    train -= tail
    if train <= 0 or min(validation_rows, test_rows) < 0:
        raise _core.InputError(
            f"expected rows to be left for training, got {len(history)} rows, {held} for validation, "
            f"{test_rows} for the test"
        )
    return history, train, held


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except (ValueError, OSError) as error:
        raise _core.InputError(f"{path}: not a readable CSV file: {_one_line(error)}") from None


def _split(text: str, mark: str, option: str) -> tuple[str, str]:
    name, found, value = text.partition(mark)
    if not found or not name.strip() or not value.strip():
        raise _core.InputError(f"{option}: expected NAME{mark}VALUE, got {text!r}")
    return name.strip(), value.strip()


def _number(text: str, option: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise _core.InputError(f"{option}: expected a number, got {text!r}")
    return value


def _assignment(text: str, option: str) -> tuple[str, float]:
    name, value = _split(text, "=", option)
    return name, _number(value, option)


def _range(text: str, name: str) -> tuple[float, float]:
    low, high = _split(text, ":", f"--bound {name}")
    return _number(low, "--bound"), _number(high, "--bound")


def _horizons(text: str | None, longest: int) -> list[int]:
    if text is None:
        return [h for h in (1, 6, 24) if h <= longest]
    try:
        return [int(t) for t in text.split(",")]
    except ValueError:
        raise _core.InputError(f"--horizons: expected whole numbers with commas, got {text!r}") from None


def _limit(text: str) -> Limit:
    first, *rest = text.split(",")
    name, value = _split(first, "<=", "--limit")
    extra = dict(_assignment(part, "--limit") for part in rest)
    unknown = set(extra) - {"window", "quantile", "rank"}
    if unknown:
        raise _core.InputError(f"--limit: expected window, quantile or rank, got {sorted(unknown)[0]!r}")
    return Limit(
        name,
        _number(value, "--limit"),
        window=int(extra.get("window", 1)),
        quantile=extra.get("quantile", 0.9),
        rank=int(extra.get("rank", 1)),
    )


# ---- writing results ------------------------------------------------------------------------------------


def _require_folder(path: Path) -> None:
    """Refused before the work is done, not after."""
    folder = path.resolve().parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise _core.FileError(f"{path}: expected a file name in a folder that exists and can be written to")


def _writer(path: Path | None) -> Callable[[pd.DataFrame], None] | None:
    """Writes a table in one go: a torn write leaves the old file. None: nothing to write."""
    if path is None:
        return None
    if path.suffix not in (".csv", ".parquet"):
        raise _core.InputError(f"--output: expected a name that ends in .csv or .parquet, got {path.name!r}")
    _require_folder(path)

    def write(table: pd.DataFrame) -> None:
        handle, name = tempfile.mkstemp(dir=path.resolve().parent, suffix=path.suffix)
        os.close(handle)
        try:
            if path.suffix == ".csv":
                table.to_csv(name, index=not isinstance(table.index, pd.RangeIndex))
            else:
                table.to_parquet(name)
            Path(name).chmod(0o666 & ~_umask())
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        typer.echo(f"written: {path}")

    return write


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _flat(table: pd.DataFrame) -> pd.DataFrame:
    flat = table.copy()
    flat.columns = pd.Index([" ".join(map(str, column)) for column in flat.columns])
    return flat


# ---- errors ---------------------------------------------------------------------------------------------


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _refuse(text: str) -> NoReturn:
    sys.stderr.write(f"emisopt: {text}\n")
    sys.exit(2)


def main(arguments: list[str] | None = None) -> None:
    """Runs the command; bad input is one line on stderr and exit code 2, Ctrl-C exit code 130."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        code = app(args=given or ["--help"], standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except (EmisoptError, _core.Error, OSError, UnicodeError) as error:
        _refuse(_one_line(error))
    except Exception as error:
        # Usage errors of the command-line library have no public class; this method marks them.
        if not hasattr(error, "format_message"):
            raise
        _refuse(_one_line(ValueError(error.format_message())))
    if code == 130:
        sys.stderr.write("emisopt: interrupted\n")
    sys.exit(code or 0)
