"""How numbers look in tables for people."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

__all__ = ["html_table", "number", "short", "text_table"]


def short(x: float) -> str:
    """Four significant digits."""
    return f"{x:.4g}"


def number(x: float) -> str:
    """Four significant digits; whole numbers and those from 1000 on as such, in groups of three digits."""
    if float(x).is_integer() or abs(x) >= 1000:
        return f"{x:,.0f}"
    return short(x)


def html_table(table: pd.DataFrame | pd.Series, *, index: bool = True) -> str:
    """A table for a notebook."""
    frame = table.to_frame() if isinstance(table, pd.Series) else table
    return str(frame.to_html(float_format=short, index=index))


def text_table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Lines of text: `left` columns to the left, the others to the right, two spaces between them."""
    columns = list(zip(head, *rows, strict=True))
    wide = [max(len(cell) for cell in column) for column in columns]

    def line(cells: Sequence[str]) -> str:
        parts = [
            c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(cells, wide, strict=True))
        ]
        return "  ".join(parts).rstrip()

    return "\n".join(line(cells) for cells in (head, *rows))
