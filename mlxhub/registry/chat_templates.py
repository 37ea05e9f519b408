"""A model's chat templates, which are programs of its authors, tried out where they can do no harm."""

import json
import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from signal import SIGKILL, SIGXCPU

from mlxhub.files.bare_environment import bare_environment
from mlxhub.files.watched_run import Limit, Limits, Watched, run_watched
from mlxhub.registry.model_files import ModelFile
from mlxhub.registry.model_json import Json, read_text
from mlxhub.registry.refused import DOWNLOAD_AGAIN, IntakeRefused

START_SECONDS = 15.0
# Of computing, which the program is held to by the kernel; a machine with other work takes longer for it.
SECONDS = 2
WAIT_SECONDS = 15.0
MEMORY_BYTES = 64_000_000
MAX_CHARACTERS = 1_000_000
MAX_TEMPLATE_BYTES = 1_000_000
_VERDICT_BYTES = 100_000
_PROGRAM = (sys.executable, "-I", "-m", "mlxhub.registry.template_trial")


def templates_in(files: Sequence[ModelFile], settings: Mapping[str, Mapping[str, Json]]) -> dict[str, str]:
    """Every template that a loader may take, by where it stands. `settings` by the name of their file."""
    found: dict[str, str] = {}
    for file in files:
        extra = file.key.startswith("additional_chat_templates/") and file.key.endswith(".jinja")
        if file.key == "chat_template.jinja" or extra:
            found[file.name] = read_text(file, MAX_TEMPLATE_BYTES)
    for name, said in settings.items():
        found |= _within(name, said.get("chat_template"))
    return found


# By digest: a model that unloads when idle is loaded again and again, and its templates do not get worse.
_passed: set[bytes] = set()
_MOST_PASSED = 1000


def check_templates(templates: Mapping[str, str]) -> None:
    """Raises IntakeRefused. What passed once in this process is not tried again."""
    digests = {place: sha256(text.encode(errors="replace")).digest() for place, text in templates.items()}
    untried = {place: text for place, text in templates.items() if digests[place] not in _passed}
    if untried:
        _try(untried)
    if len(_passed) + len(digests) > _MOST_PASSED:
        _passed.clear()
    _passed.update(digests.values())


def _try(templates: Mapping[str, str]) -> None:
    given = json.dumps([list(templates.values()), MAX_CHARACTERS, MEMORY_BYTES, SECONDS]).encode()
    limits = Limits(START_SECONDS, WAIT_SECONDS, MEMORY_BYTES, _VERDICT_BYTES)
    try:
        done = run_watched(_PROGRAM, given, limits, environment=bare_environment())
    except OSError as error:
        raise _untested(error.strerror or str(error)) from None
    if done.beyond is Limit.START:
        raise _untested(f"the program for it did not start within {START_SECONDS:g} s")
    verdicts = _verdicts(done)
    for place, verdict in zip(templates, verdicts, strict=False):
        if verdict is not None:
            raise _refused(place, verdict)
    if done.code != 0 or len(verdicts) < len(templates):
        raise _refused(list(templates)[min(len(verdicts), len(templates) - 1)], _why_ended(done))


def _within(name: str, said: Json) -> dict[str, str]:
    match said:
        case None:
            return {}
        case str():
            return {name: said}
        case list() if all(isinstance(each, dict) and isinstance(each.get("template"), str) for each in said):
            return {
                f"{name} no. {number}": str(each["template"])
                for number, each in enumerate(said, 1)
                if isinstance(each, dict)
            }
        case dict() if all(isinstance(each, str) for each in said.values()):
            return {f"{name} no. {number}": str(each) for number, each in enumerate(said.values(), 1)}
    raise _refused(name, "it is neither a text nor a list of named texts")


def _verdicts(done: Watched) -> list[str | None]:
    """Of the templates that it came to. A line that is not finished was cut short."""
    verdicts = []
    for line in done.output.decode(errors="replace").split("\n")[1:-1]:
        try:
            verdict = json.loads(line)
        except ValueError:
            break
        verdicts.append(None if verdict is None else str(verdict)[:300])
    return verdicts


def _why_ended(done: Watched) -> str:
    if done.beyond is Limit.MEMORY:
        return "it takes too much memory"
    if done.beyond is Limit.TIME or done.code in (-SIGXCPU, -SIGKILL):
        return f"it does not end within {SECONDS} s of computing"
    return "it broke the program that tested it"


def _refused(place: str, why: str) -> IntakeRefused:
    return IntakeRefused(f"chat template: {place}: {why}", f"Correct it, or: {DOWNLOAD_AGAIN.lower()}")


def _untested(why: str) -> IntakeRefused:
    return IntakeRefused(f"chat template: it could not be tested: {why}", "Try again")
