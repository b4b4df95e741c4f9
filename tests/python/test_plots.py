"""Each picture shows what it is given: series, bands, limits, units; nothing global is touched."""

import doctest
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from emisopt import plots, report

INDEX = pd.date_range("2024-01-01", periods=48, freq="5min", tz="UTC")


def rolling(level: float) -> pd.DataFrame:
    return pd.DataFrame({"NOx 1 h": np.full(48, level), "CO 1 h": np.linspace(50, 90, 48)}, index=INDEX)


def test_limit_and_series_are_drawn():
    figure = plots.rolling_limits(
        {"a": rolling(60.0), "b": rolling(70.0)}, {"NOx 1 h": 75.0, "CO 1 h": 125.0}
    )
    first = figure.axes[0]
    assert [line.get_label() for line in first.lines] == ["a", "b", "limit"]
    assert first.get_ylim()[1] > 75.0


def test_panels_name_their_units_and_events_stand_in_each():
    figure = plots.rolling_limits(
        {"a": rolling(60.0)},
        {"NOx 1 h": 75.0, "CO 1 h": 125.0},
        {"NOx 1 h": "mg/Nm3", "CO 1 h": "mg/m3"},
        {INDEX[20]: "fuel A to C"},
    )
    assert [axis.get_ylabel() for axis in figure.axes] == ["NOx 1 h\nmg/Nm3", "CO 1 h\nmg/m3"]
    for axis in figure.axes:
        assert [line for line in axis.lines if line.get_label() == "_event"]
    assert [text.get_text() for text in figure.axes[0].texts] == ["fuel A to C"]
    figure.draw_without_rendering()
    name, legend = figure.axes[0].texts[0], figure.axes[0].get_legend()
    assert name.get_window_extent().y1 <= legend.get_texts()[0].get_window_extent().y0


def test_what_lies_above_a_limit_is_shown():
    frame = pd.concat([rolling(60.0)] * 10).set_axis(pd.date_range("2024-01-01", periods=480, freq="5min"))
    frame.iloc[7] = 95.0  # one row in 480: the outermost half percent
    assert plots.rolling_limits({"a": frame}, {"NOx 1 h": 75.0}).axes[0].get_ylim()[1] > 95.0


def test_savings_are_positive_when_cheaper():
    cost = {n: pd.Series(np.full(48, v), index=INDEX) for n, v in {"operator": 2.0, "MPC": 1.0}.items()}
    line = plots.cumulative_difference(cost, "operator").axes[0].lines[0]
    assert line.get_ydata()[-1] == pytest.approx(48.0)
    assert line.get_label() == "MPC: 48 EUR"


def fan(index: pd.Index) -> pd.DataFrame:
    return pd.DataFrame({q: 10.0 * q for q in (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)}, index=index)


def test_fan_nests_its_bands_around_the_median():
    past = pd.Series(np.arange(24.0), index=INDEX[:24])
    figure = plots.forecast_fan(
        past, fan(INDEX[24:]), label="NOx, mg/Nm3", limit=20.0, actual=past.set_axis(INDEX[24:])
    )
    (axis,) = figure.axes
    assert axis.get_ylabel() == "NOx, mg/Nm3"
    lines = {line.get_label(): line for line in axis.lines}
    assert set(lines) == {"measured", "forecast", "what came", "limit"}
    assert (lines["forecast"].get_ydata() == 5.0).all()
    heights = [np.ptp(band.get_paths()[0].vertices[:, 1]) for band in axis.collections]
    assert heights == pytest.approx([9.0, 8.0, 5.0])
    assert [band.get_label() for band in axis.collections] == ["90 %", "80 %", "50 %"]


def test_fan_takes_named_bands_and_rows_without_stamps():
    past = pd.Series([1.0, np.nan, 3.0])
    named = pd.DataFrame({"low": 1.0, "median": 2.0, "high": 4.0}, index=range(3, 6))
    (axis,) = plots.forecast_fan(past, named, label="CO, mg/Nm3").axes
    assert [band.get_label() for band in axis.collections] == ["back-off quantiles"]
    bare = plots.forecast_fan(past, named[["median"]], label="CO, mg/Nm3").axes[0]
    assert len(bare.collections) == 0


def test_moves_are_steps_between_their_bounds():
    series = {"MPC": pd.DataFrame({"o2_sp": np.linspace(3, 4, 48), "tilt_sp": 0.0}, index=INDEX)}
    figure = plots.moves(
        series, {"o2_sp": "%", "tilt_sp": "deg"}, {"o2_sp": (2.0, 6.5), "tilt_sp": (-20.0, np.nan)}
    )
    o2, tilt = figure.axes
    assert o2.lines[0].get_drawstyle() == "steps-post"
    assert [line.get_ydata()[0] for line in o2.lines[1:]] == [2.0, 6.5]
    assert [line.get_ydata()[0] for line in tilt.lines[1:]] == [-20.0]
    assert o2.get_ylabel() == "o2_sp\n%" and tilt.get_ylabel() == "tilt_sp\ndeg"
    assert o2.get_legend() is None  # one policy needs none
    two = plots.moves({**series, "other": series["MPC"]}, {"o2_sp": "%"}, names={"o2_sp": "excess O2"})
    assert [text.get_text() for text in two.axes[0].get_legend().get_texts()] == ["MPC", "other"]
    assert two.axes[0].get_ylabel() == "excess O2\n%"


def test_one_spike_does_not_flatten_the_rest():
    frame = pd.concat([rolling(60.0)] * 10).set_axis(pd.date_range("2024-01-01", periods=480, freq="5min"))
    frame.iloc[7] = 1e6
    low, high = plots.rolling_limits({"a": frame}, {"CO 1 h": 125.0}).axes[0].get_ylim()
    assert 0 < low < 50 and 125 < high < 200


def test_an_unmeasured_series_still_draws():
    frame = rolling(np.nan)
    assert plots.rolling_limits({"a": frame}, {"NOx 1 h": 75.0}).axes[0].lines


def test_no_legend_lies_on_the_data():
    figure = plots.forecast_fan(
        pd.Series(np.arange(24.0), index=INDEX[:24]), fan(INDEX[24:]), label="NOx", limit=30.0
    )
    figure.draw_without_rendering()
    (axis,) = figure.axes
    assert axis.get_legend().get_window_extent().y0 >= axis.get_window_extent().y1


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.1), 0 to 1."""
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def test_colours_are_distinct_also_in_grey_where_they_are_neighbours():
    assert len(set(plots.COLOURS)) == len(plots.COLOURS)
    four = [luminance(c) for c in plots.COLOURS[:4]]  # as many policies as the demo runs
    assert all(a != pytest.approx(b, abs=0.02) for a, b in pairwise(four))


def test_pyplot_is_never_imported():
    code = "import sys, emisopt.plots, emisopt.report; sys.exit('matplotlib.pyplot' in sys.modules)"
    path = str(plots.__file__).rsplit("emisopt", 1)[0]
    assert (
        subprocess.run([sys.executable, "-c", f"import sys; sys.path.insert(0, {path!r}); {code}"]).returncode
        == 0
    )


@pytest.mark.parametrize("module", [plots, report], ids=lambda m: m.__name__)
def test_docstring_examples_run(module):
    assert doctest.testmod(module).failed == 0


def test_a_finding_is_shown_beside_what_the_other_tags_say():
    reading = pd.Series(np.linspace(10, 12, 48), index=INDEX)
    reading.iloc[20] = 500.0
    expected = pd.Series(11.0, index=INDEX)
    figure = plots.expected_band(
        reading, expected, expected * 0.05, label="o2, %", first=INDEX[20], last=INDEX[20], alarm=INDEX[21]
    )
    (axis,) = figure.axes
    assert axis.get_ylabel() == "o2, %"
    assert axis.get_ylim()[1] > 500  # one row of 48, and what the picture is for
    assert [t.get_text() for t in axis.get_legend().get_texts()] == [
        "other tags say, ± 2 sd", "reading", "finding", "found",
    ]  # fmt: skip
    unknown = plots.expected_band(reading, expected * np.nan, expected, label="o2")
    assert "other tags say" not in str([t.get_text() for t in unknown.axes[0].get_legend().get_texts()])


def marks(axis, label: str = "_beyond"):
    return [line for line in axis.lines if line.get_label() == label]


def test_a_sentinel_does_not_stretch_the_axis_but_is_marked():
    reading = pd.Series(np.linspace(10, 12, 48), index=INDEX)
    reading.iloc[[20, 21]] = -9999.0
    expected = pd.Series(11.0, index=INDEX)
    (axis,) = plots.expected_band(
        reading, expected, expected * 0.05, label="o2, %", first=INDEX[20], last=INDEX[21]
    ).axes
    assert 8 < axis.get_ylim()[0] < 10 and 12 < axis.get_ylim()[1] < 14
    (mark,) = marks(axis)
    assert list(mark.get_xdata()) == list(INDEX[20:22]) and mark.get_marker() == "v"
    assert [text.get_text() for text in axis.texts] == ["beyond the axis: 2 below, to -9,999"]
    (limits,) = plots.rolling_limits({"a": reading.to_frame("o2")}, {"o2": 13.0}).axes
    assert limits.get_ylim()[0] > 8 and len(marks(limits)) == 1
    without = reading.where(reading > 0)
    assert not marks(plots.rolling_limits({"a": without.to_frame("o2")}, {"o2": 13.0}).axes[0])


def test_no_policy_is_cut_off_at_the_bottom():
    wave = 70 + 4 * np.sin(np.arange(480) / 30)
    wave[100:104] = 62.0  # less than half a percent of all rows
    index = pd.date_range("2024-01-01", periods=480, freq="5min", tz="UTC")
    runs = {n: pd.DataFrame({"NOx": v}, index=index) for n, v in {"operator": wave, "MPC": wave + 1}.items()}
    (axis,) = plots.rolling_limits(runs, {"NOx": 75.0}).axes
    assert axis.get_ylim()[0] < 62.0 and not marks(axis)


def test_a_limit_below_all_values_is_in_the_picture():
    (axis,) = plots.rolling_limits({"a": rolling(90.0)}, {"NOx 1 h": 75.0}).axes
    assert axis.get_ylim()[0] < 75.0


def test_the_time_axis_says_its_days_and_its_zone():
    index = pd.date_range("2024-02-10", periods=1400, freq="h", tz="Europe/Berlin")
    frame = pd.DataFrame({"NOx": np.arange(1400.0)}, index=index)
    figure = plots.rolling_limits({"a": frame}, {"NOx": 1500.0})
    (axis,) = figure.axes
    assert axis.get_xlabel() == "2024-02-10 to 2024-04-08, Europe/Berlin"
    figure.draw_without_rendering()
    assert axis.xaxis.get_offset_text().get_text() == ""
    ticks = [text.get_text() for text in axis.get_xticklabels() if text.get_text()]
    assert "15 Feb" in ticks  # midnight there, not in UTC
    one_day = frame.iloc[:20].tz_convert("UTC")
    label = plots.rolling_limits({"a": one_day}, {"NOx": 30.0}).axes[0].get_xlabel()
    assert label == "2024-02-09 to 2024-02-10, UTC"
    rows = frame.reset_index(drop=True)
    assert plots.rolling_limits({"a": rows}, {"NOx": 30.0}).axes[0].get_xlabel() == "row"


def test_equal_savings_are_two_lines_that_can_be_seen():
    cost = {n: pd.Series(np.full(48, v), index=INDEX) for n, v in {"rules": 2.0, "a": 1.0, "b": 1.0}.items()}
    a, b = plots.cumulative_difference(cost, "rules").axes[0].lines[:2]
    assert a.get_linestyle() == "-" and b.get_linestyle() == "--"


def test_a_drift_of_known_start_and_a_title_are_drawn():
    reading = pd.Series(np.linspace(10, 12, 48), index=INDEX)
    figure = plots.expected_band(
        reading, reading, reading * 0.01, label="o2", began=INDEX[3], title="A drift"
    )
    assert figure.get_suptitle() == "A drift"
    (line,) = marks(figure.axes[0], "truly began")
    assert line.get_xdata()[0] == INDEX[3]
