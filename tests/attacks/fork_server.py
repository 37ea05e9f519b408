"""Runs tests against a copy of the package, each in a process that has the libraries loaded already.

A program: it reads `directory<TAB>test` from stdin, and for each writes pytest's exit code and where its
output lies. Nothing of mlxhub may be imported in it.
"""

import os
import signal
import sys
from pathlib import Path

import httptools
import loguru
import psutil
import pydantic
import pytest
import starlette.applications
import uvicorn
import uvicorn.protocols.http.httptools_impl
import uvloop

LOADED = (httptools, loguru, psutil, pydantic, starlette, uvicorn, uvloop)
# A test that hangs has failed: the alarm ends it.
SECONDS = 40
HUNG = 1
WRONG_PACKAGE = 99


def main() -> None:
    for line in sys.stdin:
        directory, _, test = line.rstrip("\n").partition("\t")
        output = Path(directory) / "output.txt"
        pid = os.fork()
        if pid == 0:
            os._exit(run(Path(directory), test, output))
        _, status = os.waitpid(pid, 0)
        code = HUNG if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)
        print(f"{code}\t{output}", flush=True)


def run(directory: Path, test: str, output: Path) -> int:
    with output.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    signal.alarm(SECONDS)
    os.chdir(directory)
    sys.path.insert(0, str(directory))
    sys.dont_write_bytecode = True
    import mlxhub

    if Path(mlxhub.__file__).parent != directory / "mlxhub":
        return WRONG_PACKAGE
    options = ["-x", "-q", "--noconftest", "--import-mode=importlib", "-p", "no:cacheprovider"]
    place = ["-c", os.devnull, "--rootdir", str(directory), "--basetemp", str(directory / "tmp")]
    code = pytest.main([*options, *place, test])
    sys.stdout.flush()
    return int(code)


if __name__ == "__main__":
    main()
