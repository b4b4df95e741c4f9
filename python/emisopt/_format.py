"""How numbers look in tables for people."""

from __future__ import annotations

import pandas as pd

__all__ = ["html_table", "short"]


def short(x: float) -> str:
    """Four significant digits."""
    return f"{x:.4g}"


def html_table(table: pd.DataFrame | pd.Series, *, index: bool = True) -> str:
    """A table for a notebook."""
    frame = table.to_frame() if isinstance(table, pd.Series) else table
    return str(frame.to_html(float_format=short, index=index))
