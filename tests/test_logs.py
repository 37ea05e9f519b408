"""loguru as both programs set it up."""

import logging
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from loguru import logger

from mlxhub.logs import configure_logs

ENTRY = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d (ERROR|INFO|WARNING) +- .*")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "logs" / "a.log"
    configure_logs("INFO", path)
    yield path
    logger.remove()
    logger.configure(patcher=None)
    logging.basicConfig(handlers=[], force=True)


def test_a_log_is_private(log: Path) -> None:
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert stat.S_IMODE(log.parent.stat().st_mode) == 0o700


def test_no_value_forges_an_entry(log: Path) -> None:
    value = "x\r\n2026-11-20T10:00:00.000+0000 ERROR   - forged {0.__class__} \x1b[2J\u2028"
    logger.info("Asked for {}", f"{value} \ud800")
    logging.getLogger("library").warning(value)
    logger.info(value)
    logger.opt(exception=ValueError(value)).error("It broke.")
    lines = log.read_text().splitlines()
    entries = [line for line in lines if ENTRY.fullmatch(line)]
    assert len(entries) == 4
    assert all(line.startswith("    | ") for line in lines if line not in entries)
    assert lines[-1].startswith("    | ")
    assert "\x1b" not in log.read_text()


def test_the_terminal_gets_the_same_entries(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("INFO", None)
    logger.info("one\ntwo")
    logger.remove()
    logger.configure(patcher=None)
    logging.basicConfig(handlers=[], force=True)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(r"one\ntwo")
