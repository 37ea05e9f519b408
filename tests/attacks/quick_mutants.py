"""The package with one defence removed, for tests that run none of its programs: tenths of a second each.

All files of the copy are links to the real ones but the one that is changed, so that their bytecode is used.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from tests.attacks.mutants import FAILED, ROOT, Mutation

SERVER = Path(__file__).parent / "fork_server.py"


@dataclass(frozen=True, slots=True)
class QuickMutants:
    """`copy`: where the package is, and the tests. `questions` and `answers` are those of a fork server."""

    copy: Path
    questions: TextIO
    answers: TextIO

    def survives(self, mutation: Mutation) -> bool:
        """Whether its test passes all the same. A test that is not found is an error."""
        real, changed = ROOT / mutation.file, self.copy / mutation.file
        whole = real.read_text()
        assert whole.count(mutation.old) == 1, f"stands in {mutation.file} {whole.count(mutation.old)} times"
        changed.unlink()
        changed.write_text(whole.replace(mutation.old, mutation.new))
        try:
            code, said = self._run(mutation.test)
        finally:
            changed.unlink()
            changed.symlink_to(real)
        assert code in (0, FAILED), f"pytest ended with {code}:\n{said[-2000:]}"
        return code == 0

    def _run(self, test: str) -> tuple[int, str]:
        self.questions.write(f"{self.copy}\t{test}\n")
        self.questions.flush()
        code, _, output = self.answers.readline().rstrip("\n").partition("\t")
        return int(code), Path(output).read_text()


@contextmanager
def quick_mutants(place: Path) -> Iterator[QuickMutants]:
    shutil.copytree(ROOT / "mlxhub", place / "mlxhub", copy_function=os.symlink)
    (place / "tests").symlink_to(ROOT / "tests")
    # Plugins that are installed beside would take longer to load than most tests take.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    with subprocess.Popen(
        [sys.executable, str(SERVER)],
        cwd=place,
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield QuickMutants(place, process.stdin, process.stdout)
        process.stdin.close()
