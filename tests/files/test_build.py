"""Which code is installed, whatever Python writes beside it."""

from pathlib import Path

import pytest

from mlxhub.files.build import build_id, hash_of_files


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for name in ("__init__.py", "web/server.py", "web/page.css"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(name)
    return tmp_path


def test_any_file_makes_another_build(package: Path) -> None:
    before = hash_of_files(package)
    (package / "web/page.css").write_text("body {}")
    changed = hash_of_files(package)
    (package / "web/page.css").rename(package / "web/hub.css")
    assert len({before, changed, hash_of_files(package)}) == 3


def test_what_python_writes_is_no_part_of_it(package: Path) -> None:
    before = hash_of_files(package)
    for cache in (package / "__pycache__", package / "web/__pycache__"):
        cache.mkdir()
        (cache / "server.cpython-311.pyc").write_bytes(b"compiled")
        # The one that another process has begun is gone before anybody can read it.
        (cache / "server.cpython-311.pyc.139779661228592").symlink_to("gone")
    assert hash_of_files(package) == before


def test_it_stays_while_programs_run() -> None:
    assert build_id() == build_id()
