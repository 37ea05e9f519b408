"""Tables fit the terminal, and what stands in them is text."""

import io

from rich.console import Console
from rich.text import Text

from mlxhub.cli.sheet import Column, Sheet

COLUMNS = (Column("NAME"), Column("SIZE", right=True, spared=1), Column("WHY", spared=2))


def shown(sheet: Sheet, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(sheet)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_all_columns_where_there_is_room() -> None:
    assert shown(Sheet(COLUMNS, [("alpha", "1", "because")]), 40) == [
        "NAME   SIZE  WHY",
        "alpha     1  because",
    ]


def test_the_least_columns_go_first() -> None:
    sheet = Sheet(COLUMNS, [("alpha", "1", "because")])
    assert shown(sheet, 19) == ["NAME   SIZE", "alpha     1"]
    assert shown(sheet, 10) == ["NAME", "alpha"]


def test_what_cannot_go_is_cut() -> None:
    assert shown(Sheet(COLUMNS, [("alphabet", "1", "-")]), 6) == ["NAME", "alpha…"]


def test_cells_are_no_markup_and_command_no_terminal() -> None:
    sheet = Sheet((Column("NAME"),), [("[red]a[/red]",), ("\x1b[31mb\n",), (Text("c", "green"),)])
    assert shown(sheet, 40) == ["NAME", "[red]a[/red]", "\\x1b[31mb\\n", "c"]
