"""The tree's own rules: sizes, names and words."""

import subprocess
from pathlib import Path

import pytest

from mlxhub.demo import MODEL_REFERENCE, THINKING_REFERENCE, model_directory

ROOT = Path(__file__).parent.parent
VAGUE_NAMES = {"utils", "helpers", "manager", "common", "base", "misc"}


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def source_files() -> list[Path]:
    return [
        path
        for path in tracked_files()
        if path.suffix in {".py", ".js", ".css", ".jinja"} or path.parent.name == "scripts"
    ]


def test_no_file_has_more_than_400_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in source_files()
        if (lines := len(path.read_text().splitlines())) > 400
    }
    assert long == {}


def test_no_file_is_named_for_nothing() -> None:
    assert [path for path in source_files() if path.stem in VAGUE_NAMES] == []


@pytest.mark.parametrize("reference", [MODEL_REFERENCE, THINKING_REFERENCE])
def test_built_in_models_are_in_the_wheel(reference: str) -> None:
    """Which has what lies in the package, unless git ignores it."""
    model = model_directory(reference)
    assert set(model.iterdir()) <= set(tracked_files())


@pytest.mark.parametrize("package", ["mlxhub", "tests"])
def test_source_is_found_at_all(package: str) -> None:
    assert [path for path in source_files() if path.is_relative_to(ROOT / package)]
