"""Settings in YAML: what comes back is what went in; one test per bad file."""

import pytest

from emisopt import Forecaster
from emisopt._settings import check_setting, read_settings, setting_names, write_settings
from emisopt.errors import ConfigError


def test_settings_come_back_in_the_types_of_the_parameters(tmp_path):
    settings = {
        "width": 32,
        "rate": 1e-3,
        "tail": "upper",
        "quantiles": (0.1, 0.5, 0.9),
        "exceed_limits": {"nox": 90.0},
        "clip": 1,
    }
    write_settings(tmp_path / "s.yaml", settings, "two\nlines")
    text = (tmp_path / "s.yaml").read_text()
    assert text.startswith("# two\n# lines\n")
    read = read_settings(tmp_path / "s.yaml")
    assert read == settings and isinstance(read["clip"], float)
    Forecaster(**read)
    assert [p.name for p in tmp_path.iterdir()] == ["s.yaml"]


def test_every_parameter_that_can_stand_in_a_file_is_known():
    assert set(Forecaster().get_params()) - set(setting_names()) == {"prior", "threads"}
    for name, value in Forecaster().get_params().items():
        if name in setting_names():
            assert check_setting(name, value, "x") == (tuple(value) if name == "quantiles" else value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("widht: 32", "unknown setting 'widht'; did you mean 'width'"),
        ("width: many", "width: expected a number, got 'many'"),
        ("width: 32.5", "width: expected a whole number"),
        ("width: true", "width: expected a number, got True"),
        ("rate: .nan", "rate: expected a number, got nan"),
        ("tail: 3", "tail: expected a word, got 3"),
        ("quantiles: [a]", "quantiles: expected a list of numbers"),
        ("exceed_limits: 90", "exceed_limits: expected fields with limits"),
        ("threads: 2", "unknown setting 'threads'"),
        ("- 1", "expected settings, a name and a value each"),
        ("width: [", "line 1"),
    ],
)
def test_files_that_are_no_settings_are_refused(tmp_path, text, message):
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_settings(tmp_path / "s.yaml")


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="not a readable file of settings"):
        read_settings(tmp_path / "absent.yaml")
