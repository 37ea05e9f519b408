"""Intake in a program of its own, which must not hang: for whoever wants to know before a worker loads.

As a program: each argument is JSON, [directory, model_type, trust_remote_code]; for each one line of
JSON, null or [what is wrong, what to do].
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlxhub.core.model_type import ModelType
from mlxhub.files.probes import line_of_each
from mlxhub.registry.inference import infer_type
from mlxhub.registry.intake import check_model
from mlxhub.registry.refused import IntakeRefused

_PROGRAM = (sys.executable, "-I", "-m", "mlxhub.registry.intake_probe")


@dataclass(frozen=True, slots=True)
class Candidate:
    """`model_type` None: as its files tell."""

    directory: str
    model_type: ModelType | None = None
    trust_remote_code: bool = False

    @property
    def argument(self) -> str:
        return json.dumps([self.directory, self.model_type, self.trust_remote_code])


@dataclass(frozen=True, slots=True)
class Refusal:
    what: str
    remedy: str


def refusals(candidates: Sequence[Candidate], seconds: float) -> dict[Candidate, Refusal | None]:
    """None: it would be loaded. All are looked at within twice the seconds."""
    lines = line_of_each(_PROGRAM, [candidate.argument for candidate in candidates], seconds)
    return {candidate: _refusal(lines[candidate.argument], seconds) for candidate in candidates}


def _refusal(line: str | None, seconds: float) -> Refusal | None:
    if line is None:
        return Refusal(f"checking its files did not end within {seconds:g} s", "Try again")
    said = json.loads(line)
    return None if said is None else Refusal(*said)


def _look(argument: str) -> tuple[str, str] | None:
    directory, model_type, trust_remote_code = json.loads(argument)
    try:
        named = infer_type(directory) if model_type is None else ModelType(model_type)
        check_model(Path(directory), named or ModelType.LM, trust_remote_code=trust_remote_code)
    except IntakeRefused as refused:
        return refused.what, refused.remedy
    return None


if __name__ == "__main__":
    for each in sys.argv[1:]:
        sys.stdout.write(json.dumps(_look(each)) + "\n")
        sys.stdout.flush()
