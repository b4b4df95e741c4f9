"""An ensemble in one sealed file, and back."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emisopt import _core
from emisopt._ensemble_cover import Cover
from emisopt._ensemble_fit import EnsembleChoice
from emisopt._ensemble_members import forecaster_from, load_member
from emisopt._ensemble_rows import StreamRows
from emisopt._ensemble_rules import NETWORK, members_of
from emisopt.forecaster import Forecaster
from emisopt.history import future_plan
from emisopt.tags import TagMap

if TYPE_CHECKING:
    from emisopt.ensemble import EnsembleForecaster

FORMAT, VERSION = "emisopt.ensemble", 1


def write(ensemble: EnsembleForecaster, path: str) -> None:
    """Raises FileError; InputError: a setting that JSON cannot hold."""
    about = {
        "version": VERSION, "parameters": ensemble._parameters, "tags": ensemble.tags_.to_json(),
        "members": list(ensemble.members_), "weights": ensemble._weights.tolist(), "steps": ensemble.steps_,
        "fit_rows": ensemble._fit_rows,
        "asked": None if ensemble._asked is None else ensemble._asked.tolist(),
    }  # fmt: skip
    try:
        text = json.dumps(about, default=_plain)
    except TypeError as error:
        raise _core.InputError(
            f"EnsembleForecaster.save: expected settings of plain numbers: {error}"
        ) from None
    parts = ensemble._rows.to_parts()
    parts |= {f"member/{n}": m.to_bytes() for n, m in ensemble.members_.items() if n != NETWORK}
    if ensemble.network_ is not None:
        parts["network"] = bytes_of(ensemble.network_)
    for name, cover in (("cover", ensemble._cover), ("live", ensemble._live)):
        if cover is not None:
            parts |= cover.to_parts(name)
    _core.write_archive(path, FORMAT, text, parts)


def read(kind: type[EnsembleForecaster], path: str) -> EnsembleForecaster:
    """Raises FileError: missing, truncated, changed, foreign, of a newer format, or made up."""
    text, parts = _core.read_archive(path, FORMAT)
    try:  # the file is sealed, but who sealed it?
        about = json.loads(text)
        if about["version"] != VERSION:
            raise ValueError(
                f"expected version {VERSION}, got {about['version']}; load it with a newer emisopt"
            )
        ensemble = kind(**about["parameters"])
        _restore(ensemble, about, parts)
    except (_core.Error, KeyError, ValueError, TypeError, IndexError) as error:
        raise _core.FileError(f"{path}: no ensemble of this version: {error}") from None
    return ensemble


def _restore(ensemble: EnsembleForecaster, about: dict[str, Any], parts: dict[str, bytes]) -> None:
    question, recipe = ensemble._question(TagMap.from_json(about["tags"])), ensemble._recipe()
    names = members_of(question, about["members"])
    weights = np.array(about["weights"], dtype=np.float64)
    if weights.shape != (len(names), *question.shape()[:2]) or not (weights >= 0).all():
        raise ValueError("its weights do not fit its members")
    network = forecaster_from(parts["network"], recipe.threads) if "network" in parts else None
    fit_rows = int(about["fit_rows"])
    made = {
        n: load_member(
            n, question, parts.get(f"member/{n}", b""), network, fit_rows,
            {"seed": recipe.seed, **recipe.updates}, recipe.corrector,
        )
        for n in names
    }  # fmt: skip
    covers = [
        Cover.from_parts(question, parts, name) if f"{name}/about" in parts else None
        for name in ("cover", "live")
    ]
    ensemble._parameters = dict(about["parameters"])
    ensemble.choice_ = EnsembleChoice(names, weights, int(about["steps"]))
    ensemble._adopt(question, names, weights, made, network, covers[0])
    rows = StreamRows.from_parts(question.tags, parts)
    ensemble._begin(fit_rows, rows, covers[1])
    for member in made.values():
        member.resume(rows)
    history = rows.history()
    coming = future_plan(history, question.tags, None, None, question.furthest)
    for member in made.values():  # one that does not fit says so here, not at the plant
        member.predict(history, rows.first, *coming)
    if about["asked"] is not None:
        ensemble._asked = np.array(about["asked"], dtype=np.float64).reshape(question.shape())


def _plain(value: Any) -> Any:
    """NumPy's numbers and arrays for JSON. Raises TypeError."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"got a {type(value).__name__}")


def bytes_of(model: Forecaster | EnsembleForecaster) -> bytes:
    """What its `save` writes."""
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "part.safetensors")
        return (Path(folder) / "part.safetensors").read_bytes()
