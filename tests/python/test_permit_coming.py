"""A permit's limits as rows over the coming steps: in tables, in the controller, as probabilities."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from emisopt import BreakRisk, Controller, DataError, Forecaster, InputError, Limit, Objective, economic
from emisopt.errors import ConfigError
from emisopt.permit import Permit, PermitStream, Signal

BASE = {"length": "1 h", "validity": {"need": "quadrants"}}


def permit(*rules: dict[str, object], **defaults: object) -> Permit:
    common = {"pollutant": "NOx", "unit": "mg/Nm3", "base": BASE, "verified": True, **defaults}
    return Permit.from_dict({"name": "p", "source": "a test", "defaults": common, "rules": list(rules)})


HOURS = {"name": "NOx 1 h", "limit": 75}
ROLLING = {"name": "NOx 3 h", "limit": 70, "average": {"over": "rolling", "length": "3 h", "min_share": 0.6}}


def stream_of(
    document: Permit, history: pd.DataFrame, signal: object = None, **options: object
) -> PermitStream:
    signals = {"nox": signal or Signal("NOx", "mg/Nm3")}
    return PermitStream(document, signals, period=300, negative="missing").push(history)


@pytest.fixture
def stream(now) -> PermitStream:
    return stream_of(permit(HOURS, ROLLING), now[0])


def test_rows_say_what_each_window_still_bears(stream, now) -> None:
    first = now[0].index[-1] + pd.Timedelta("5min")
    coming = stream.coming(first, seconds=300, steps=24, outputs=["co", "nox"])
    table = coming.table()
    assert list(dict.fromkeys(table["limit"])) == ["NOx 1 h", "NOx 3 h"]
    hours = table[table["limit"] == "NOx 1 h"].reset_index(drop=True)
    assert (hours["end"].diff().dropna() == pd.Timedelta("1h")).all()
    assert hours["closes"].tolist() == [True] * (len(hours) - 1) + [
        hours["end"].iloc[-1] <= first + pd.Timedelta("2h")
    ]
    assert coming.coefficients().shape == (len(table), 24)
    # The open hour: what it holds, and the samples that are still to come.
    begin = hours["begin"].iloc[0]
    held = now[0].loc[now[0].index >= begin, "nox"].dropna()
    left = round((hours["end"].iloc[0] - first) / pd.Timedelta("5min"))
    count = len(held) + left
    assert hours["weight"].iloc[0] == pytest.approx(left / count)
    assert hours["room"].iloc[0] == pytest.approx(75 - held.sum() / count)
    assert repr(coming) == f"Coming({len(table)} rows over 24 steps)" and "room" in coming._repr_html_()


def test_rows_hold_exactly_when_the_evaluation_says_so(now) -> None:
    history, document = now[0], permit(HOURS, ROLLING)
    rng = np.random.default_rng(3)
    first = history.index[-1] + pd.Timedelta("5min")
    index = pd.date_range(first, periods=36, freq="5min")
    future = pd.DataFrame({"nox": rng.uniform(50, 100, 36)}, index=index)
    rows = stream_of(document, history).coming(first, seconds=300, steps=36, outputs=["nox"], to_date=False)
    table, left = rows.table(), rows.table()["room"] - rows.coefficients() @ future["nox"].to_numpy()
    judged = stream_of(document, history).push(future).finish()
    for name in ("NOx 1 h", "NOx 3 h"):
        averages = judged[name].averages
        for end, room in zip(table["end"][table["limit"] == name], left[table["limit"] == name], strict=True):
            assert averages.loc[end, "limit"] - averages.loc[end, "value"] == pytest.approx(room, abs=1e-9)


def test_the_controller_holds_the_permit_and_names_it(small_forecaster, now) -> None:
    history, _, known = now
    kwargs = {"deadline_s": 5.0, "max_iterations": 8}
    free = Controller(small_forecaster, economic(), [], **kwargs).step(history, known)
    foreseen = free.trajectories["nox", "median"].to_numpy()
    tight = permit({**HOURS, "limit": 0.9 * float(foreseen.mean())})
    options = {"quantile": 0.5, "rank": {"NOx 1 h": 1}}
    held = Controller(
        small_forecaster, economic(), [], permit=stream_of(tight, history), permit_options=options, **kwargs
    ).step(history, known)
    first = history.index[-1] + pd.Timedelta("5min")
    rows = stream_of(tight, history).coming(
        first, seconds=300, steps=12, outputs=small_forecaster.outputs_, quantile=0.5
    )
    room = rows.table()["room"].to_numpy()
    before, after = (
        rows.coefficients() @ d.trajectories["nox", "median"].to_numpy() - room for d in (free, held)
    )
    assert before.max() > 0.5
    assert after.max() < 0.3 * before.max()
    impossible = stream_of(permit({**HOURS, "limit": 1}), history)
    named = Controller(small_forecaster, economic(), [], permit=impossible, **kwargs).step(history, known)
    assert named.status == "LIMIT_SLACKED" and set(named.slacks["limit"]) == {"NOx 1 h"}


def test_own_limits_and_the_permits_are_held_together(small_forecaster, now) -> None:
    history, _, known = now
    both = Controller(
        small_forecaster, economic(), [Limit("co", 1.0, name="CO")], deadline_s=5.0,
        permit=stream_of(permit({**HOURS, "limit": 1}), history),
    ).step(history, known)  # fmt: skip
    assert set(both.slacks["limit"]) == {"CO", "NOx 1 h"}


@pytest.fixture(scope="module")
def with_oxygen(boiler_history):
    """A forecaster of nox and o2, so that a permit's reference oxygen can be applied to the forecast."""
    history, tags = boiler_history
    forecaster = Forecaster(context=24, horizon=12, width=16, heads=2, layers=1, steps=150, seed=1)
    roles = {name: "disturbance" for name in tags.outputs if name != "nox"} | {"o2": "quality"}
    own = tags._replace({name: replace(tags[name], role=role) for name, role in roles.items()})
    return forecaster.fit(history, tags=own, train_rows=2000, progress=False)


def test_a_reference_oxygen_is_applied_to_the_forecast(with_oxygen, now) -> None:
    history, plan, known = now
    six = permit({**HOURS, "basis": {"oxygen": 6, "constant": 21}})
    stream = stream_of(six, history, Signal("NOx", "mg/Nm3", oxygen="o2"))
    options = {"permit": stream, "permit_options": {"quantile": 0.5}, "deadline_s": 5.0}
    decision = Controller(with_oxygen, Objective({"nox": 0.01}), [], **options).step(history, known)
    assert decision.ok
    names = list(decision.trajectories.columns.get_level_values(0).unique())
    assert names == ["o2", "nox", "nox [mg/Nm3, 6 % O2 of 21]"]
    median = decision.trajectories.xs("median", axis=1, level="forecast")
    np.testing.assert_allclose(median[names[2]], median["nox"] * 15 / (21 - median["o2"]), rtol=1e-12)
    with pytest.raises(InputError, match=r"Controller\(bias\): expected none with a permit that corrects"):
        Controller(with_oxygen, Objective({"nox": 0.01}), [], bias="additive", **options)

    risk = BreakRisk(with_oxygen, stream).fit(history.iloc[2000:], stride=2)
    table = risk.predict(history, plan, known, flow={"nox": 1e6})
    forecast = with_oxygen.predict(history, plan, known)
    assert table["probability"].between(0, 1).all()
    assert list(table.columns) == [
        "limit", "probability", "median", "high", "headroom", "closes", "spare", "headroom_ppm",
        "headroom_kg",
    ]  # fmt: skip
    mean = (forecast["nox", 0.5] * 15 / (21 - forecast["o2", 0.5])).mean()
    assert abs(table["median"].mean() - mean) < 0.25 * mean
    assert set(risk.any_) == {"nox [mg/Nm3, 6 % O2 of 21]"}


def test_the_permits_probabilities_are_those_of_its_rows(small_forecaster, boiler_history, now) -> None:
    history, plan, known = now
    risk = BreakRisk(small_forecaster, stream_of(permit(HOURS, ROLLING), history)).fit(
        boiler_history[0].iloc[2000:], stride=4
    )
    table = risk.predict(history, plan, known)
    assert set(table["limit"]) == {"NOx 1 h", "NOx 3 h"}
    last = 1.0
    for limit in (40, 60, 75, 90, 200):
        higher = BreakRisk(small_forecaster, stream_of(permit({**HOURS, "limit": limit}), history))
        higher.models_ = risk.models_
        p = higher.predict(history, plan, known)["probability"].max()
        assert p <= last
        last = p
    np.testing.assert_allclose(table["headroom_ppm"], table["headroom"] / 2.0525, rtol=1e-4)


def test_headroom_as_ppm_and_kg_by_the_tags_unit(small_forecaster, boiler_history, now) -> None:
    history, plan, known = now
    risk = BreakRisk(small_forecaster, [Limit("nox", 90, window=12)]).fit(boiler_history[0], stride=4)
    table = risk.predict(history, plan, known, flow={"nox": 2e6}, pollutant={"nox": "NOx"})
    np.testing.assert_allclose(table["headroom_ppm"], table["headroom"] / 2.0525, rtol=1e-4)
    with pytest.raises(InputError, match="the headroom of 'co2' in t/h as mg/Nm3: say which pollutant"):
        BreakRisk(small_forecaster, [Limit("co2", 15)]).fit(boiler_history[0], stride=4).predict(
            history, plan, known, flow={"co2": 1e6}
        )


def test_what_does_not_fit_is_said(stream, small_forecaster, now) -> None:
    history, _, known = now
    first = history.index[-1] + pd.Timedelta("5min")
    with pytest.raises(InputError, match="tag 'nox' is no output of the forecast; did you mean 'nox_dry'"):
        stream.coming(first, seconds=300, steps=3, outputs=["nox_dry"])
    with pytest.raises(InputError, match=r"the steps begin at .*, expected them after the data"):
        stream.coming(history.index[-1], seconds=300, steps=3, outputs=["nox"])
    with pytest.raises(DataError, match=r"coming\(first\): expected a time, got NaT"):
        stream.coming(pd.NaT, seconds=300, steps=3, outputs=["nox"])
    with pytest.raises(InputError, match=r"quantile: expected above 0, below 1, got 1"):
        stream.coming(first, seconds=300, steps=3, outputs=["nox"], quantile=1)
    with pytest.raises(InputError, match=r"spared_rank: expected 1 or more, got 0"):
        stream.coming(first, seconds=300, steps=3, outputs=["nox"], spared_rank=0)
    with pytest.raises(InputError, match=r"rank of rule 'NOx 1 h': expected 1 or more, got -1"):
        stream.coming(first, seconds=300, steps=3, outputs=["nox"], rank={"NOx 1 h": -1})
    with pytest.raises(ConfigError, match=r"rank: no rule 'NOx 1 hour'; did you mean 'NOx 1 h'"):
        stream.coming(first, seconds=300, steps=3, outputs=["nox"], rank={"NOx 1 hour": 1})
    empty = PermitStream(permit(HOURS), {"nox": Signal("NOx", "mg/Nm3")})
    with pytest.raises(DataError, match="no rows yet"):
        empty.coming(first, seconds=300, steps=3, outputs=["nox"])
    with pytest.raises(DataError, match="expected a stream with rows"):
        Controller(small_forecaster, economic(), [], permit=empty)
    stale = stream_of(permit(HOURS), history.iloc[:-30])
    late = Controller(small_forecaster, economic(), [], permit=stale)
    with pytest.raises(DataError, match="expected rows pushed up to"):
        late.step(history, known)
    with pytest.raises(InputError, match="the permit judges none of the forecaster's outputs"):
        other = PermitStream(permit(HOURS), {"stack": Signal("NOx", "mg/Nm3")}).push(
            history[["nox"]].rename(columns={"nox": "stack"})
        )
        BreakRisk(small_forecaster, other).fit(history)
    either = permit({**HOURS, "either": "a"}, {**ROLLING, "either": "a"})
    with pytest.raises(InputError, match="permit rule 'NOx 1 h': one of the rules with either: 'a'"):
        stream_of(either, history).coming(first, seconds=300, steps=3, outputs=["nox"])
    left = stream_of(either, history).coming(first, seconds=300, steps=3, outputs=["nox"], skip=True)
    assert set(left.left_out) == {"NOx 1 h", "NOx 3 h"} and len(left) == 0
