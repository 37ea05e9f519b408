"""`mlxhub` as a process of its own for every command, forked from one that has imported it already.

Half a second of a command is Python's imports, and the stories run a thousand commands.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from mlxhub.cli.main import _COMMANDS, main

_FORKSERVER = multiprocessing.get_context("forkserver")
_FORKSERVER.set_forkserver_preload(
    [
        "tests.warm_commands",
        "httpx",
        "rich.console",
        "mlxhub.cli.found_status",
        *sorted({f"mlxhub.cli.{module}" for module, _ in _COMMANDS.values()}),
    ]
)


def run_mlxhub(
    arguments: tuple[str, ...], environment: Mapping[str, str], stdin: str | None, seconds: float
) -> subprocess.CompletedProcess[str]:
    """As subprocess.run. Raises TimeoutExpired."""
    with tempfile.TemporaryDirectory() as directory:
        given, said, errors = (Path(directory) / name for name in ("stdin", "stdout", "stderr"))
        given.write_text(stdin or "")
        process = _FORKSERVER.Process(
            target=_run, args=(arguments, dict(environment), str(Path.cwd()), given, said, errors)
        )
        process.start()
        process.join(seconds)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(
                ["mlxhub", *arguments], seconds, said.read_bytes(), errors.read_bytes()
            )
        return subprocess.CompletedProcess(
            ["mlxhub", *arguments], process.exitcode, said.read_text(), errors.read_text()
        )


def _run(
    arguments: tuple[str, ...],
    environment: dict[str, str],
    directory: str,
    given: Path,
    said: Path,
    errors: Path,
) -> None:
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    for number, file, flags in (
        (0, given, os.O_RDONLY),
        (1, said, os.O_WRONLY | os.O_CREAT),
        (2, errors, os.O_WRONLY | os.O_CREAT),
    ):
        opened = os.open(file, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - multiprocessing has closed it
    sys.argv = ["mlxhub", *arguments]
    main()
