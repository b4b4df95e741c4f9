"""A tag map beside a model's own: another unit, role or category is refused by name."""

from __future__ import annotations

import dataclasses

import pytest

from emisopt import Tag, TagMap
from emisopt._agreement import require_agreement
from emisopt.errors import ConfigError

OWN = TagMap(
    (
        Tag("o2_sp", "%", "setpoint"),
        Tag("load", "MW", "disturbance"),
        Tag("fuel", "", "disturbance", "categorical", categories=("wood", "bark")),
        Tag("nox", "mg/Nm3", "emission"),
    )
)


def changed(name: str, **fields: object) -> TagMap:
    tags = [dataclasses.replace(t, **fields) if t.name == name else t for t in OWN]  # type: ignore[arg-type]
    return TagMap(tuple(tags))


@pytest.mark.parametrize(
    ("name", "fields", "told"),
    [
        (
            "nox",
            {"unit": "ppm"},
            "tag 'nox': expected the unit of the model, 'mg/Nm3', got 'ppm'; correct the",
        ),
        ("nox", {"unit": "mg/m3"}, "got 'mg/m3'"),
        ("load", {"unit": "kW"}, "expected the unit of the model, 'MW', got 'kW'"),
        ("load", {"role": "setpoint"}, "expected the role of the model, 'disturbance', got 'setpoint'"),
        ("nox", {"role": "disturbance"}, "expected the role of the model, 'emission', got 'disturbance'"),
        ("fuel", {"categories": ("bark", "wood")}, "expected the categories of the model, 'wood, bark'"),
        ("fuel", {"kind": "continuous", "categories": ()}, "expected the kind of the model, 'categorical'"),
    ],
)
def test_what_differs_is_named_with_both(name: str, fields: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError) as error:
        require_agreement(changed(name, **fields), OWN, "tags.yaml", "the model")
    assert str(error.value).startswith("tags.yaml: ")
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("o2_sp", {"role": "disturbance"}),  # declared a setpoint by `fit --setpoint`
        ("o2_sp", {"unit": "vol%"}),
        ("nox", {"unit": "mg/Nm³"}),
        ("nox", {"low": 0.0, "high": 900.0}),
        ("load", {"known_ahead": True}),
    ],
)
def test_what_says_the_same_passes(name: str, fields: dict[str, object]) -> None:
    require_agreement(changed(name, **fields), OWN, "tags.yaml", "the model")


def test_tags_of_one_map_alone_are_no_difference() -> None:
    require_agreement(TagMap((*OWN.tags, Tag("co", "ppm", "emission"))), OWN, "a", "b")
    require_agreement(TagMap(OWN.tags[:2]), OWN, "a", "b")
