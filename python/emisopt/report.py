"""One HTML file that needs nothing else: tables, pictures as SVG inside the page, origin of the numbers."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from emisopt._format import number
from emisopt.errors import DataError

__all__ = ["Report", "Section"]

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; }
body { max-width: 62rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.7rem; line-height: 1.2; } h2 { font-size: 1.25rem; margin-top: 2.2rem; }
nav a { margin-right: 1.2em; line-height: 2; } a { color: #00568a; }
.synthetic { background: #fff4d6; border-left: 6px solid #e69f00; padding: .5rem 1rem; font-weight: 600; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }
th:first-child, tbody th, .counted td:first-child { text-align: left; font-weight: 500; }
thead th { border-bottom: 2px solid #888; }
figure { margin: 1rem 0; } figure svg { display: block; width: 100%; min-width: 38rem; height: auto; }
.note { font-size: .88rem; color: #444; } figcaption { color: #444; font-size: .9rem; }
dl { display: grid; grid-template-columns: max-content auto; gap: .1rem 1rem; font-size: .88rem; }
dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 40rem) {
  table { font-size: .8rem; } th, td { padding: .25rem .4rem; } thead th { white-space: normal; }
  tbody th { white-space: normal; min-width: 8.5em; }
  tbody th, thead th:first-child { position: sticky; left: 0; background: #fff; }
}
@media print {
  nav { display: none; } .scroll { overflow: visible; } body { max-width: none; padding: 0; font-size: 11pt; }
  figure svg { min-width: 0; } figure, table { break-inside: avoid; } h2 { break-after: avoid; }
}
"""


@dataclass
class Section:
    """A heading with text, tables and pictures, in this order.

    Attributes
    ----------
    title : heading;   text : paragraphs, plain text
    tables : caption -> DataFrame;   notes : small print below the tables;   figures : (caption, Figure)
    """

    title: str
    text: Sequence[str] = ()
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    figures: Sequence[tuple[str, Figure]] = ()
    notes: Sequence[str] = ()


@dataclass
class Report:
    """A report to be written as one file.

    Attributes
    ----------
    title : of the page
    sections : in order
    provenance : what made it: versions, seeds, settings, dates; values are shown as `str` shows them
    synthetic : True puts a banner on top: no number in it comes from a real plant

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = Report("Two days", [Section("Result", ["All limits held."])], {"seed": 1}, synthetic=True)
    ...     page.write(pathlib.Path(folder) / "report.html").stat().st_size > 500
    True
    """

    title: str
    sections: Sequence[Section]
    provenance: Mapping[str, object] = field(default_factory=dict)
    synthetic: bool = False

    def html(self) -> str:
        """The whole page; every text is escaped."""
        made = "How this was made"
        titles = [section.title for section in self.sections] + [made] * bool(self.provenance)
        links = " ".join(f'<a href="#s{i}">{escape(title)}</a>' for i, title in enumerate(titles))
        banner = (
            '<p class="synthetic">SYNTHETIC PLANT: simulated from published equations. No figure on this '
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
            rows = "".join(
                f"<dt>{escape(k)}</dt><dd>{escape(str(v))}</dd>" for k, v in self.provenance.items()
            )
            parts.append(f'<h2 id="s{len(self.sections)}">{made}</h2><dl>{rows}</dl>')
        return "\n".join([*parts, "</body></html>\n"])

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Writes the page atomically: after a crash there is the old file or the new one, never half of it.

        Raises
        ------
        DataError : the folder does not exist or cannot be written to
        """
        target = Path(path)
        text = self.html()  # before any file is there
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            # A plain open, unlike tempfile's, gives the page the permissions that the user's umask says.
            with open(part, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, target)
        except OSError as error:
            reason = error.strerror or error
            raise DataError(f"Report.write: cannot write {str(target)!r}: {reason}") from error
        finally:
            part.unlink(missing_ok=True)
        return target


def _section(place: int, section: Section) -> str:
    parts = [f'<h2 id="s{place}">{escape(section.title)}</h2>']
    parts += [f"<p>{escape(text)}</p>" for text in section.text]
    for caption, table in section.tables.items():
        parts.append(f'<p>{escape(caption)}</p><div class="scroll">{_table(table)}</div>')
    parts += [f'<p class="note">{escape(text)}</p>' for text in section.notes]
    parts += [
        f'<figure><div class="scroll">{_svg(figure, f"s{place}f{i}-", caption)}</div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for i, (caption, figure) in enumerate(section.figures)
    ]
    return "\n".join(parts)


def _table(table: pd.DataFrame) -> str:
    """Without the index where it only counts the rows; its name, where it has one, stands above it."""
    counted = isinstance(table.index, pd.RangeIndex) and table.index.name is None
    named = table.index.nlevels == 1 and table.index.name is not None
    shown = table.rename_axis(index=None, columns=table.index.name) if named else table
    return str(
        shown.to_html(
            border=0,
            float_format=number,
            na_rep="–",
            escape=True,
            index=not counted,
            index_names=named,
            classes="counted" if counted else None,
        )
    )


def _svg(figure: Figure, prefix: str, caption: str) -> str:
    """The picture as SVG text without XML head, each id after `prefix`; same figure, same text."""
    out = io.StringIO()
    # A fixed salt and no date: ids inside the SVG would otherwise differ from run to run.
    with rc_context({"svg.hashsalt": "emisopt", "svg.fonttype": "path"}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    # Every picture calls its parts figure_1, axes_1, ...: on one page they need names of their own.
    named = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}", text[text.index("<svg") :])
    return named.replace("<svg", f'<svg role="img" aria-label="{escape(caption)}"', 1)
