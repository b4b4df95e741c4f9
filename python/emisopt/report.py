"""One HTML file that needs nothing else: tables, pictures as SVG, where the numbers come from."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from emisopt.errors import DataError

__all__ = ["Report", "Section"]

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; }
body { max-width: 62rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.7rem; line-height: 1.2; } h2 { font-size: 1.25rem; margin-top: 2.2rem; }
nav a { margin-right: 1.2em; } a { color: #00568a; }
.synthetic { background: #fff4d6; border-left: 6px solid #e69f00; padding: .5rem 1rem; font-weight: 600; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }
th:first-child, tbody th { text-align: left; font-weight: 500; } thead th { border-bottom: 2px solid #888; }
figure { margin: 1rem 0; } figure svg { width: 100%; height: auto; }
figcaption { color: #444; font-size: .9rem; }
dl { display: grid; grid-template-columns: max-content auto; gap: .1rem 1rem; font-size: .88rem; }
dd { margin: 0; overflow-wrap: anywhere; }
@media print { nav { display: none; } figure, table { break-inside: avoid; } }
"""


@dataclass
class Section:
    """A heading with text, tables and pictures, in this order.

    Attributes
    ----------
    title : heading;   text : paragraphs, plain text
    tables : caption -> DataFrame;   figures : (caption, Figure)
    """

    title: str
    text: Sequence[str] = ()
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    figures: Sequence[tuple[str, Figure]] = ()


@dataclass
class Report:
    """A report to be written as one file.

    Attributes
    ----------
    title : of the page
    sections : in order
    provenance : what made it: versions, seeds, settings, dates
    synthetic : True puts a banner on top: no number in it comes from a real plant

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = Report("Two days", [Section("Result", ["All held."])], {"seed": "1"}, synthetic=True)
    ...     page.write(pathlib.Path(folder) / "report.html").stat().st_size > 500
    True
    """

    title: str
    sections: Sequence[Section]
    provenance: Mapping[str, str] = field(default_factory=dict)
    synthetic: bool = False

    def html(self) -> str:
        """The whole page; every text is escaped."""
        links = " ".join(f'<a href="#s{i}">{escape(s.title)}</a>' for i, s in enumerate(self.sections))
        banner = (
            '<p class="synthetic">Synthetic plant: simulated from published equations. No figure on this '
            "page was measured on a real unit.</p>"
        )
        parts = [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(self.title)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{escape(self.title)}</h1>",
            banner if self.synthetic else "",
            f"<nav>{links}</nav>",
            *(_section(i, s) for i, s in enumerate(self.sections)),
        ]
        if self.provenance:
            rows = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in self.provenance.items())
            parts.append(f"<h2>How this was made</h2><dl>{rows}</dl>")
        return "\n".join([*parts, "</body></html>\n"])

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Writes the page atomically: after a crash there is the old file or the new one, never half of it.

        Raises
        ------
        DataError : the folder does not exist or cannot be written to
        """
        target = Path(path)
        try:
            handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=target.name, suffix=".part")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(self.html())
                os.replace(temporary, target)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise DataError(
                f"Report.write: cannot write {str(target)!r}: {error.strerror or error}"
            ) from error
        return target


def _section(number: int, section: Section) -> str:
    parts = [f'<h2 id="s{number}">{escape(section.title)}</h2>']
    parts += [f"<p>{escape(text)}</p>" for text in section.text]
    for caption, table in section.tables.items():
        parts.append(f'<p>{escape(caption)}</p><div class="scroll">{_table(table)}</div>')
    parts += [
        f"<figure>{_svg(figure)}<figcaption>{escape(caption)}</figcaption></figure>"
        for caption, figure in section.figures
    ]
    return "\n".join(parts)


def _table(table: pd.DataFrame) -> str:
    return str(table.to_html(border=0, float_format=_number, na_rep="–", escape=True))


def _number(value: float) -> str:
    """Four significant digits, whole numbers as such."""
    if float(value).is_integer() and abs(value) < 1e9:
        return f"{value:,.0f}"
    return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"


def _svg(figure: Figure) -> str:
    """The picture as SVG text, without XML head; the same figure gives the same text."""
    out = io.StringIO()
    # A fixed salt and no date: ids inside the SVG would otherwise differ from run to run.
    with rc_context({"svg.hashsalt": "emisopt", "svg.fonttype": "path"}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    return text[text.index("<svg") :]
