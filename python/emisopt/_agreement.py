"""Whether two tag maps of one plant agree, say a saved model's and the one that files are read with."""

from __future__ import annotations

from emisopt.errors import ConfigError
from emisopt.tags import Tag, TagMap
from emisopt.units import conversion

__all__ = ["require_agreement"]


def require_agreement(given: TagMap, own: TagMap, where: str, whose: str) -> None:
    """Refuses a tag that both know with another unit, role, kind or list of categories: a table's numbers
    carry none of these, so they would be taken for what they are not.

    A disturbance of `given` may be a setpoint of `own`: `fit --setpoint` declares it so after reading.

    Parameters
    ----------
    given : that the rows are read with
    own : of the model
    where, whose : what either is, for the message

    Raises
    ------
    ConfigError : naming the tag and what either says.

    Examples
    --------
    >>> a, b = TagMap((Tag("nox", "ppm", "emission"),)), TagMap((Tag("nox", "mg/Nm3", "emission"),))
    >>> require_agreement(a, b, "tags.yaml", "the model")
    Traceback (most recent call last):
    ...
    emisopt.errors.ConfigError: tags.yaml: tag 'nox': expected the unit of the model, 'mg/Nm3', got 'ppm'; ...
    """
    for tag in given:
        if tag.name not in own:
            continue
        mine = own[tag.name]
        for what, asked, got in _differences(mine, tag):
            raise ConfigError(
                f"{where}: tag {tag.name!r}: expected the {what} of {whose}, {asked!r}, got {got!r}; correct "
                "the tag map, or fit a model with it"
            )


def _differences(mine: Tag, given: Tag) -> list[tuple[str, str, str]]:
    """What, as the model says, as given."""
    found = []
    if not _same_unit(mine.unit, given.unit):
        found.append(("unit", mine.unit, given.unit))
    if mine.role != given.role and (mine.role, given.role) != ("setpoint", "disturbance"):
        found.append(("role", mine.role, given.role))
    if mine.kind != given.kind and "categorical" in (mine.kind, given.kind):
        found.append(("kind", mine.kind, given.kind))
    if mine.categories != given.categories:  # tables hold their places: another order is another category
        found.append(("categories", ", ".join(mine.categories), ", ".join(given.categories)))
    return found


def _same_unit(a: str, b: str) -> bool:
    try:
        return conversion(a, b, "unit") == (1.0, 0.0)
    except ConfigError:
        return False
