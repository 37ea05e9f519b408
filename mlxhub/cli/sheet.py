"""Tables for people: aligned, coloured only on a terminal, without the least columns where that is narrow."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions
from rich.table import Table
from rich.text import Text

from mlxhub.core.plain_text import one_line

_FILE_WIDTH = 10_000
_GAP = 2


@dataclass(frozen=True, slots=True)
class Column:
    """`spared`: where there is no room, those with the highest number go first; 0 stays."""

    title: str
    right: bool = False
    spared: int = 0


@dataclass(frozen=True, slots=True)
class Sheet:
    """Cells are text: what looks like markup or a command to the terminal is neither."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[str | Text]]

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[Table]:
        shown = fitting(self.columns, self._widths(), options.max_width)
        table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
        for index in shown:
            column = self.columns[index]
            table.add_column(
                column.title, no_wrap=True, overflow="ellipsis", justify="right" if column.right else "left"
            )
        for row in self.rows:
            table.add_row(*(_text(row[index]) for index in shown))
        yield table

    def _widths(self) -> list[int]:
        return [
            max(len(column.title), *(_text(row[index]).cell_len for row in self.rows), 0)
            for index, column in enumerate(self.columns)
        ]


def fitting(columns: Sequence[Column], widths: Sequence[int], room: int) -> list[int]:
    """The columns to show, in their order."""
    shown = list(range(len(columns)))
    while sum(widths[index] + _GAP for index in shown) - _GAP > room:
        last = max(shown, key=lambda index: columns[index].spared)
        if not columns[last].spared:
            break
        shown.remove(last)
    return shown


def print_sheet(sheet: Sheet) -> None:
    """As wide as the terminal, and never cut where the output goes to a file."""
    width = None if sys.stdout is not None and sys.stdout.isatty() else _FILE_WIDTH
    Console(width=width, highlight=False).print(sheet)


def _text(cell: str | Text) -> Text:
    return cell if isinstance(cell, Text) else Text(one_line(cell))
