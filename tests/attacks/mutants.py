"""The package with one defence removed, in an environment of its own: its tests must fail there."""

import contextlib
import os
import shutil
import signal
import subprocess
import sysconfig
import tomllib
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import SEED

ROOT = Path(__file__).parents[2]
LISTS = Path(__file__).parent / "mutations"
# A defence against what has no end may show its absence in that.
SECONDS = 45
FAILED = 1


@dataclass(frozen=True, slots=True)
class Mutation:
    """`old`, which stands in `file` once, becomes `new`; then `test` must fail."""

    file: str
    old: str
    new: str
    test: str

    def __str__(self) -> str:
        return f"{self.file}: {' '.join(self.old.split())[:60]}"


def read_mutations(name: str) -> list[Mutation]:
    return [Mutation(**entry) for entry in tomllib.loads((LISTS / f"{name}.toml").read_text())["mutation"]]


def chosen_of(listed: list[Mutation], every: int, config: pytest.Config) -> list[Mutation]:
    """Those of this run: all with --all-mutations, else one of so many, other ones with another seed."""
    return listed if config.getoption("--all-mutations") else listed[int(SEED) % every :: every]


class Mutant:
    """A copy of the package that every Python of its environment imports, also with -I."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._copy = place / "copy"
        shutil.copytree(ROOT / "mlxhub", self._copy / "mlxhub", ignore=shutil.ignore_patterns("__pycache__"))
        venv.create(place / "env", with_pip=False, symlinks=True)
        self._python = place / "env" / "bin" / "python"
        found = sysconfig.get_path("purelib", vars={"base": str(place / "env")})
        own = sysconfig.get_path("purelib")
        (Path(found) / "mutant.pth").write_text(f"{self._copy}\n{own}\n")

    def survives(self, mutation: Mutation) -> bool:
        """Whether its test passes all the same. One that hangs fails; one that is not found is an error."""
        path = self._copy / mutation.file
        whole = path.read_text()
        assert whole.count(mutation.old) == 1, f"stands there {whole.count(mutation.old)} times"
        path.write_text(whole.replace(mutation.old, mutation.new))
        try:
            code, said = self._run(mutation.test)
        finally:
            path.write_text(whole)
        assert code in (0, FAILED), f"pytest ended with {code}:\n{said[-2000:]}"
        return code == 0

    def _run(self, test: str) -> tuple[int, str]:
        pytest = [self._python, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
        place = ["-c", ROOT / "pyproject.toml", "--rootdir", ROOT, "--timeout", str(SECONDS - 5)]
        process = subprocess.Popen(
            [*pytest, *place, "--basetemp", self._place / "tmp", ROOT / test],
            cwd=self._place,
            env=os.environ | {"PYTHONPATH": f"{self._copy}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            said, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return FAILED, "it hung"
        else:
            return process.returncode, said
        finally:
            # Whatever a mutant's programs left behind ends with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
