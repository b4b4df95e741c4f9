"""The command `emisopt`: fit, tune, forecast, backtest, optimise, permit, monitor, demo, show-config.

Bad input ends with one line on stderr and exit code 2, and leaves no half-written file.
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import pandas as pd
import typer

from emisopt import _core, cli_monitor, cli_permit, cli_tune
from emisopt._agreement import require_agreement
from emisopt._arguments import (
    assignment,
    bounds_of,
    declare,
    horizon_list,
    limit_of,
    one_line,
    only_disturbances,
    read_parts,
    require_scored,
    split,
)
from emisopt._coming_file import forecast_text, read_coming, what_is_known
from emisopt.errors import EmisoptError
from emisopt.history import future_index
from emisopt.io import read_history
from emisopt.objective import Objective, Setpoint
from emisopt.progress import StageLine
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
app.add_typer(cli_monitor.app, name="monitor")
app.command()(cli_tune.tune)

Data = Annotated[list[Path], typer.Argument(metavar="DATA", help="CSV or Parquet files of the historian.")]
Tags = Annotated[
    str, typer.Option(metavar="MAP", help="Tag map: a YAML file, or the name of a shipped one (gas_turbine).")
]
Model = Annotated[
    Path, typer.Option("--model", "-m", metavar="FILE", help="Checkpoint written by `emisopt fit`.")
]
Validate = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="File of later rows that choose the best weights, repeatable."),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Also write it here: .csv or .parquet."),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress.")]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"emisopt {_core.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    pass


# ---- commands -------------------------------------------------------------------------------------------


@app.command()
def fit(
    given: typer.Context,
    data: Data,
    tags: Tags,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Checkpoint to write (safetensors).")
    ],
    validate: Validate = None,
    validation_rows: Annotated[
        int, typer.Option(help="Or: so many last rows of DATA (before --test-rows) choose the weights.")
    ] = 0,
    test_rows: Annotated[
        int, typer.Option(help="Leave so many last rows of DATA out, for `backtest --test-rows`.")
    ] = 0,
    setpoint: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Declare a disturbance a setpoint, repeatable.")
    ] = None,
    known_ahead: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Disturbances known ahead: names with commas, `all` or `none`."),
    ] = None,
    context: Annotated[int, typer.Option(help="Rows of history.")] = 96,
    horizon: Annotated[int, typer.Option(help="Rows ahead.")] = 24,
    width: Annotated[int, typer.Option(help="Model width.")] = 64,
    heads: Annotated[int, typer.Option(help="Attention heads.")] = 4,
    layers: Annotated[int, typer.Option(help="Layers.")] = 1,
    steps: Annotated[int, typer.Option(help="Training steps.")] = 1000,
    unknown_plan: Annotated[float, typer.Option(help="Share of windows without future operation.")] = 0.2,
    seed: Annotated[int, typer.Option(help="Same seed, same weights.")] = 0,
    settings: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="YAML of `tune` or your own; options given here go before it."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep the run's state here; go on from it when it is there."),
    ] = None,
    device: Annotated[
        str,
        typer.Option(help="cpu, cuda where `show-config` names a GPU, or auto: the quicker, measured once."),
    ] = "cpu",
    precision: Annotated[str, typer.Option(help="float32, or bf16 with --device cuda.")] = "float32",
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Stored choices only, nothing is measured.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Train a forecaster on a history and write it to one file."""
    from emisopt._settings import read_settings
    from emisopt.forecaster import Forecaster

    _require_folder(output)
    if resume is not None:
        _require_folder(resume)
    tag_map = declare(load_tagmap(tags), setpoint or [], known_ahead)
    history, train_rows, held_rows = read_parts(
        tag_map, data, validate or [], validation_rows, test_rows=test_rows
    )
    chosen: dict[str, Any] = {
        "context": context,
        "horizon": horizon,
        "width": width,
        "heads": heads,
        "layers": layers,
        "steps": steps,
        "unknown_plan": unknown_plan,
        "seed": seed,
    }
    for name, value in ({} if settings is None else read_settings(settings)).items():
        source = given.get_parameter_source(name)
        if source is None or source.name != "COMMANDLINE":
            chosen[name] = value
    forecaster = Forecaster(**chosen)
    forecaster.fit(
        history,
        tags=tag_map,
        train_rows=train_rows,
        validation_rows=held_rows,
        progress=not quiet,
        resume=resume,
        device=device,
        precision=precision,
        deterministic=deterministic,
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
    plan: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV with a column per setpoint, a row per coming row; may have a time column.",
        ),
    ] = None,
    known: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CSV with disturbances known ahead, likewise.")
    ] = None,
    horizons: Annotated[
        str | None, typer.Option(metavar="ROWS", help="Print these rows ahead only, e.g. 1,6,24.")
    ] = None,
    output: Output = None,
) -> None:
    """Forecast the rows after DATA, with quantiles."""
    from emisopt.forecaster import Forecaster

    write = _writer(output)
    forecaster = Forecaster.load(model)
    reading, own = _reading(tags, forecaster.tags_, model), forecaster.tags_
    history = read_history(data, reading, use="live")
    labels = future_index(history, own.period, int(forecaster.core_.config.horizon))
    planned, coming = (
        None if path is None else read_coming(path, own, reading.file, labels, own.period)
        for path in (plan, known)
    )
    coming = None if coming is None else only_disturbances(coming, own, reading.file)
    quantiles = forecaster.predict(history, planned, coming)
    steps = range(1, len(quantiles) + 1) if horizons is None else horizon_list(horizons, len(quantiles))
    typer.echo(f"{own.plant}: {len(quantiles)} rows after the end of {data[-1].name}")
    typer.echo(what_is_known(own, planned, coming))
    typer.echo(forecast_text(quantiles, own, steps))
    if write:
        flat = quantiles.copy()
        flat.columns = pd.Index([f"{c[0]} q{c[1]:g}" for c in flat.columns.to_list()])
        write(flat)


@app.command()
def backtest(
    data: Data,
    tags: Tags,
    model: Model,
    test: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="File of the rows to score, repeatable.")
    ] = None,
    validate: Validate = None,
    validation_rows: Annotated[int, typer.Option(help="As given to `fit`.")] = 0,
    test_rows: Annotated[
        int, typer.Option(help="Or: score so many last rows of DATA, as left out by `fit`.")
    ] = 0,
    horizons: Annotated[
        str | None, typer.Option(metavar="ROWS", help="Rows ahead, with commas; else 1,6,24.")
    ] = None,
    operation: Annotated[
        str, typer.Option(metavar="WORD", help="Future operation: known, unknown or both.")
    ] = "both",
    stride: Annotated[int, typer.Option(help="Score every so many rows.")] = 1,
    metric: Annotated[
        str,
        typer.Option(
            metavar="WORD", help="mae, rmse, r2, bias, coverage, width, least_coverage or greatest_coverage."
        ),
    ] = "mae",
    correct: Annotated[
        bool, typer.Option("--correct", help="Also score intervals after adaptive conformal correction.")
    ] = False,
    delay: Annotated[int, typer.Option(help="Rows by which measured outputs come late.")] = 0,
    quiet: Quiet = False,
    output: Output = None,
) -> None:
    """Score the forecaster beside simple models.

    They are last value, seasonal naive, ridge, boosting, and boosting with error tracking. Give the rows as
    they were given to `fit`; every model is scored on the rows after them.
    """
    from emisopt.backtest import backtest as run_backtest
    from emisopt.forecaster import Forecaster

    write = _writer(output)
    forecaster = Forecaster.load(model)
    tag_map = _reading(tags, forecaster.tags_, model)
    require_scored(metric, operation, test, test_rows)
    history, train_rows, held_rows = read_parts(
        tag_map, [*data], validate or [], validation_rows, test or [], test_rows
    )
    operations = ("known", "unknown") if operation == "both" else (operation,)
    trained = dict(forecaster.core_.notes).get("train_rows", str(train_rows))
    if trained != str(train_rows):
        _say(
            f"warning: the model was trained on {trained} rows, here the first {train_rows} count as such: "
            "give the rows as they were given to fit, else rows may be scored that were trained on"
        )
    with StageLine(show=not quiet) as stage:
        result = run_backtest(
            forecaster,
            history,
            train_rows=train_rows,
            validation_rows=held_rows,
            horizons=horizon_list(horizons, int(forecaster.core_.config.horizon)),
            operations=operations,
            stride=stride,
            delay=delay,
            corrector=correct,
            progress=stage,
        )
    typer.echo(result.text(metric))
    if write:
        write(result.scores.reset_index())


@app.command()
def optimise(
    data: Data,
    tags: Tags,
    model: Model,
    price: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=COST",
            help="Cost per unit and row of an output or setpoint, repeatable; < 0 rewards.",
        ),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME<=VALUE",
            help="Repeatable; may end in ,window=12 (rows of a mean), ,quantile=0.95 (else 0.9), ,rank=2.",
        ),
    ] = None,
    bound: Annotated[
        list[str] | None, typer.Option(metavar="NAME=LOW:HIGH", help="Bounds of a setpoint, repeatable.")
    ] = None,
    output: Output = None,
) -> None:
    """Advise setpoints for the rows after DATA.

    The advice stays inside the training data; its forecast stands beside the mean of the nearest real rows.
    """
    from emisopt.advise import advise
    from emisopt.forecaster import Forecaster

    write = _writer(output)
    forecaster = Forecaster.load(model)
    own = forecaster.tags_
    if not own.setpoints:
        raise _core.InputError(
            f"{model}: expected a model with setpoints, got none; fit with --setpoint NAME, e.g. one of "
            + ", ".join(own.disturbances)
        )
    if not price and not limit:
        raise _core.InputError("expected something to optimise: at least one --price or --limit")
    prices = dict(assignment(text, "--price") for text in price or [])
    bounds = {n: bounds_of(v, n) for n, v in (split(text, "=", "--bound") for text in bound or [])}
    for name in (*prices, *bounds):
        own[name]  # an unknown name is refused here, with near ones
    setpoints = {}
    for name in own.setpoints:
        low, high = bounds.get(name, (None, None))
        setpoints[name] = Setpoint(low, high, price=prices.pop(name, 0.0))
    history = read_history(data, _reading(tags, own, model), use="live")
    advice = advise(
        forecaster, history, Objective(prices, currency="cost"), [limit_of(t) for t in limit or []], setpoints
    )
    typer.echo(str(advice))
    if write:
        write(pd.concat([advice.decision.plan, _flat(advice.decision.trajectories)], axis=1))


@app.command()
def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the files written.")
    ] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Of the plant, the forecaster and the closed loop.")] = 1,
    quick: Annotated[
        bool, typer.Option("--quick", help="A few rows and steps only: to try the command.")
    ] = False,
) -> None:
    """Simulate a boiler, fit, close the loop, report.

    The closed loop runs 48 h for the operator's rules, two controllers and an oracle; DIR then holds
    report.html, run.parquet and model.safetensors.
    """
    from emisopt.demo import run

    run(output, seed=seed, quick=quick)


@app.command("show-config")
def show_config() -> None:
    """Versions, instruction set, threads, device, and why not more."""
    from emisopt.config import show_config as configuration

    typer.echo(str(configuration()))


def _reading(tags: str, own: TagMap, model: Path) -> TagMap:
    """The tag map that the files are read with; refused where it is not that of the model."""
    given = load_tagmap(tags)
    require_agreement(given, own, tags, f"the model {model.name}")
    return given


# ---- showing and writing results ------------------------------------------------------------------------


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


def _say(text: str) -> None:
    sys.stderr.write(f"emisopt: {text}\n")


@contextmanager
def _own_warnings_only() -> Iterator[None]:
    """What emisopt warns of is one line; what libraries warn of is for us, not for who runs the command."""

    def show(message: Warning | str, category: type[Warning], filename: str, *_: Any, **__: Any) -> None:
        if category is UserWarning and Path(filename).parent == Path(__file__).parent:
            _say(f"warning: {one_line(ValueError(message))}")

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = show
        yield


def _refuse(text: str) -> NoReturn:
    sys.stderr.write(f"emisopt: {text}\n")
    sys.exit(2)


def main(arguments: list[str] | None = None) -> None:
    """Runs the command; bad input is one line on stderr and exit code 2, Ctrl-C exit code 130."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        with _own_warnings_only():
            code = app(args=given or ["--help"], standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except (EmisoptError, _core.Error, OSError, UnicodeError) as error:
        _refuse(one_line(error))
    except Exception as error:
        # Usage errors of the command-line library have no public class; this method marks them.
        if not hasattr(error, "format_message"):
            raise
        _refuse(one_line(ValueError(error.format_message())))
    if code == 130:
        sys.stderr.write("emisopt: interrupted\n")
    sys.exit(code or 0)
