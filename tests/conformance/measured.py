"""Write docs/launchctl-measured.md: what is uncertain about launchd, and what a Mac answered.

python -m tests.conformance.measured [--recorded FILE --macos VERSION] [--output FILE]
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

from tests.conformance.answers import Recorded, load
from tests.conformance.catalogue import SCENARIOS
from tests.conformance.uncertain import UNCERTAIN

DOCUMENT = Path(__file__).parents[2] / "docs" / "launchctl-measured.md"
NOT_MEASURED = "not measured"
_PREFACE = """\
# launchctl, measured

Where reports about launchd disagree, mlxhub relies on none of the answers below. The first of the possible
answers is the one most often reported; the stand-in draws one of them for each seed, or gives the first.

`pytest tests/conformance --real-launchctl --record FILE` asks the launchd of a Mac, and
`python -m tests.conformance.measured --recorded FILE --macos VERSION` writes this file. `asked by` is the
number of the scenario; `hand` stands for what no script can bring about.

A run removes every job and file of its own. But launchd keeps an entry in `print-disabled` for each label
that was ever disabled, and no command removes it: the first run leaves `io.mlxhub.conformance.34`, `.35`,
`.41.off` and `.44` there, as enabled, and later runs use the same four.

| id | what is uncertain | possible answers | asked by | macOS | measured |
| --- | --- | --- | --- | --- | --- |
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recorded", type=Path, help="what --record wrote; without it nothing is measured")
    parser.add_argument("--macos", default="", help="the version that it was recorded on")
    parser.add_argument("--output", type=Path, default=DOCUMENT)
    options = parser.parse_args()
    if options.recorded is not None and not options.macos:
        parser.error("say with --macos which version the answers were recorded on: sw_vers -productVersion")
    options.output.write_text(render(load(options.recorded) if options.recorded else {}, options.macos))


def render(recorded: Mapping[str, Recorded], macos: str) -> str:
    asked_by = {name: str(each.number) for each in SCENARIOS for name in each.measures}
    rows = []
    for name, uncertain in sorted(UNCERTAIN.items()):
        row = recorded.get(name)
        measured = (macos, row.answer) if row else ("", NOT_MEASURED)
        answers = ", ".join(uncertain.answers)
        rows.append([f"`{name}`", uncertain.question, answers, asked_by.get(name, "hand"), *measured])
    return _PREFACE + "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def rows_of(document: str) -> dict[str, list[str]]:
    """The cells behind each id."""
    lines = [line for line in document.splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0].strip("`"): row[1:] for row in cells}


if __name__ == "__main__":
    main()
