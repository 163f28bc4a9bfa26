"""Tables without lines. An id or an amount is never cut off: on a narrow terminal other columns give way."""

from __future__ import annotations

from dataclasses import dataclass, field

from rich.text import Text

from orderway.cli.output import console, safe

__all__ = ["Table"]

_GAP = 2
_LEAST = 6


@dataclass(slots=True)
class Table:
    """A table to be filled by ``add`` and shown by ``print``.

    Args:
        columns: their headings.
        right: aligned to the right.
        cut: the one column whose texts may be cut off on a narrow terminal, down to a few characters.
        spare: left out on a narrow terminal, one after the other.
        headed: print the headings.
    """

    columns: tuple[str, ...]
    right: tuple[str, ...] = ()
    cut: str = ""
    spare: tuple[str, ...] = ()
    headed: bool = True
    rows: list[dict[str, Text]] = field(default_factory=list)

    def add(self, *cells: str | Text) -> None:
        """Add a row. Plain strings are made harmless."""
        texts = (cell if isinstance(cell, Text) else Text(safe(cell)) for cell in cells)
        self.rows.append(dict(zip(self.columns, texts, strict=True)))

    def print(self) -> None:
        """Print it: cut to the terminal's width, or whole where the output is no terminal."""
        out = console()
        widths = self._widths(out.width)
        headings = {name: Text(name, "bold" if self.headed else "") for name in self.columns}
        for row in [headings, *self.rows] if self.headed else self.rows:
            out.print(self._line(row, widths), soft_wrap=True)

    def _widths(self, room: int) -> dict[str, int]:
        heads = len if self.headed else lambda name: 0
        widths = {name: max([heads(name), *(row[name].cell_len for row in self.rows)]) for name in self.columns}
        wanted = widths.get(self.cut, 0)
        if self.cut:
            widths[self.cut] = min(wanted, _LEAST)
        for name in self.spare:
            if _total(widths) > room:
                del widths[name]
        if self.cut in widths:
            widths[self.cut] = min(wanted, max(widths[self.cut], widths[self.cut] + room - _total(widths)))
        return widths

    def _line(self, row: dict[str, Text], widths: dict[str, int]) -> Text:
        cells = []
        for name, width in widths.items():
            cell = row[name].copy()
            cell.truncate(width, overflow="ellipsis")
            cell.align("right" if name in self.right else "left", width)
            cells.append(cell)
        line = Text(" " * _GAP).join(cells)
        line.rstrip()
        return line


def _total(widths: dict[str, int]) -> int:
    return sum(widths.values()) + _GAP * (len(widths) - 1)
