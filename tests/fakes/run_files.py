"""Where the runs of a process under test are written down."""

from pathlib import Path

from mlxhub.core.paths import RunFiles


def run_files_in(directory: Path, name: str) -> RunFiles:
    return RunFiles(
        name=name,
        runs=directory / "runs" / f"{name}.json",
        parked=directory / "parked" / f"{name}.txt",
        log=directory / f"{name}.log",
    )
