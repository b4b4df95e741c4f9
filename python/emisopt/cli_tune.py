"""The command `emisopt tune`: settings tried on the past, scored on later rows, every cost logged."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from emisopt import _yaml
from emisopt._arguments import declare, read_parts
from emisopt.energy import WATTS_PER_CORE
from emisopt.errors import ConfigError
from emisopt.tags import load_tagmap


def tune(
    data: Annotated[
        list[Path], typer.Argument(metavar="DATA", help="CSV or Parquet files of the historian.")
    ],
    tags: Annotated[str, typer.Option(metavar="MAP", help="Tag map, as for `fit`.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Best settings in YAML, for `fit`.")
    ],
    score_rows: Annotated[
        int, typer.Option(help="Last rows of DATA (before --test-rows) by which settings are judged.")
    ],
    validation_rows: Annotated[
        int, typer.Option(help="Rows before those that choose each trial's weights.")
    ] = 0,
    test_rows: Annotated[int, typer.Option(help="Leave so many last rows of DATA out.")] = 0,
    trials: Annotated[int, typer.Option(help="In all, those of earlier runs included.")] = 20,
    storage: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="SQLite file of the trials; a stopped tuning goes on from it."),
    ] = None,
    space: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="YAML: per setting a list, {low, high, log} or one value."),
    ] = None,
    settings: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML with settings of every trial.")
    ] = None,
    setpoint: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Declare a disturbance a setpoint, repeatable.")
    ] = None,
    known_ahead: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Disturbances known ahead, as for `fit`.")
    ] = None,
    operation: Annotated[
        str, typer.Option(metavar="WORD", help="Future operation in the score: known or unknown.")
    ] = "known",
    timeout: Annotated[float, typer.Option(help="Seconds after which no further trial begins.")] = math.inf,
    watts: Annotated[
        float, typer.Option(help="Per busy core, where the processor's energy counters cannot be read.")
    ] = WATTS_PER_CORE,
    seed: Annotated[int, typer.Option(help="Of the trials' choices.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Search for settings with Optuna; log each trial's score, seconds and energy, failed ones too."""
    from emisopt._settings import read_settings
    from emisopt.tune import tune as run

    folder = output.resolve().parent
    if output.is_dir() or not folder.is_dir():
        raise ConfigError(f"{output}: expected a file name in a folder that exists")
    tag_map = declare(load_tagmap(tags), setpoint or [], known_ahead)
    history, rows, _ = read_parts(tag_map, data, [], 0, test_rows=test_rows)
    found = run(
        history.iloc[:rows],
        tags=tag_map,
        score_rows=score_rows,
        validation_rows=validation_rows,
        trials=trials,
        space=None if space is None else _space(space),
        settings=None if settings is None else read_settings(settings),
        operation=operation,
        storage=storage,
        timeout=timeout,
        watts_per_core=watts,
        seed=seed,
        progress=None if quiet else _say,
    )
    typer.echo(found.text())
    found.save(output)
    typer.echo(f"written: {output}")


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _space(path: Path) -> Any:
    try:
        return _yaml.load(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"{path}: not a readable file: {error}") from None
