"""The programs that plists name: do they start, are they these, and does the system let them?"""

import platform
import sys
from pathlib import Path

from mlxhub.core.checks import Finding, fail, faults_or, ok, skip, warn
from mlxhub.files.launcher import START_CHECK, damaged_launchers
from mlxhub.files.probes import ask_program
from mlxhub.fleet.doctor.found import Found

_START_SECONDS = 10.0
_XATTR_SECONDS = 5.0
_REPAIR = "run scripts/install again, or mlxhub install from an environment that works"
NOT_INSTALLED = "Nothing is installed."


def python(found: Found) -> list[Finding]:
    programs = _pythons(found)
    if not programs:
        return [skip(NOT_INSTALLED)]
    return faults_or(map(_starts, programs), f"{', '.join(programs)} starts and has mlxhub.")


def _starts(program: str) -> Finding | None:
    answer = ask_program((program, "-I", "-c", START_CHECK), _START_SECONDS)
    if answer.code == 0:
        return None
    said = answer.output.splitlines()[-1] if answer.output else f"exit {answer.code}"
    return fail(f"The Python that plists name does not work: {program}: {said}.", _REPAIR)


def same_python(found: Found) -> list[Finding]:
    programs = _pythons(found)
    if not programs:
        return [skip(NOT_INSTALLED)]
    own = found.machine.runtime.python
    faults = (
        warn(f"Agents run with {program}, this command with {own}.", "mlxhub install moves the agents here")
        for program in programs
        if program != own
    )
    return faults_or(faults, f"Agents run with the Python of this command ({own}).")


def launcher(found: Found) -> list[Finding]:
    if not _pythons(found):
        return [skip(NOT_INSTALLED)]
    faults = (
        fail(f"{path} is missing, or is not as mlxhub wrote it.", "mlxhub install writes it anew")
        for path in damaged_launchers(found.paths)
    )
    return faults_or(faults, f"The launchers in {found.paths.programs} are as mlxhub wrote them.")


def quarantine(found: Found) -> list[Finding]:
    if not found.machine.is_mac:
        return [skip("Only macOS puts programs into quarantine.")]
    named = {argument for agent in found.agents if agent.file for argument in agent.file.arguments[:1]}
    programs = [path for path in sorted({*named, *_pythons(found)}) if Path(path).exists()]
    faults = (
        fail(f"macOS holds {path} in quarantine and will not start it.", f"xattr -d {_QUARANTINE} '{path}'")
        for path in programs
        if ask_program(("/usr/bin/xattr", "-p", _QUARANTINE, path), _XATTR_SECONDS).code == 0
    )
    return faults_or(faults, "No program of ours is in quarantine.")


_QUARANTINE = "com.apple.quarantine"


def architecture(found: Found) -> list[Finding]:
    if not found.machine.is_mac:
        return [skip("Only a Mac has Rosetta.")]
    if platform.machine() != "arm64":
        return [
            fail(
                f"{sys.executable} runs as {platform.machine()}; MLX needs arm64.",
                "install mlxhub with a Python for Apple silicon",
            )
        ]
    return [ok("Python runs as arm64.")]


def _pythons(found: Found) -> list[str]:
    named = (agent.file.python for agent in found.agents if agent.file)
    return list(dict.fromkeys(program for program in named if program))
