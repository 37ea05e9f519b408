"""docs/security.md publishes who may call what, and says what the programs do."""

import re
from pathlib import Path

import pytest

from mlxhub.controller import access as controller
from mlxhub.core.access import RouteTable
from mlxhub.worker import access as worker

SECURITY = Path(__file__).parents[2] / "docs" / "security.md"


@pytest.mark.parametrize(("program", "table"), [("controller", controller.TABLE), ("worker", worker.TABLE)])
def test_the_published_table_is_the_programs_own(program: str, table: RouteTable) -> None:
    _, _, rest = SECURITY.read_text().partition(f"| {program} | needs |\n")
    rows = rest.partition("\n\n")[0].splitlines()[1:]
    published = [re.fullmatch(r"\| `(\w+) (\S+)` \| (.+) \|", row) for row in rows]
    assert [found.groups() if found else None for found in published] == [
        (route.method, route.path, route.need.value) for route in table.routes
    ]
