"""Whether schemas can be compiled, found out where a hostile one does no harm."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from mlxhub.files.bare_environment import bare_environment
from mlxhub.files.watched_run import Limit, Limits, Watched, run_watched
from mlxhub.refusals import GenerationFailed, InvalidRequest
from mlxhub.worker.engines.grammar import Schema
from mlxhub.worker.engines.schema_trial import fault_of

# llguidance bounds most of what it does, but neither the intersection of patterns nor a `multipleOf`, and the
# time of an object is quadratic in its optional properties: these take from seconds to for ever.
_COSTLY = frozenset({"pattern", "patternProperties", "allOf", "multipleOf", "format"})
_MOST_PARTS = 1500
# What compiles there within this time takes as long here once more: five seconds at most, with the start.
SECONDS = 2.0
START_SECONDS = 15.0
MEMORY_BYTES = 256_000_000
_VERDICT_BYTES = 1_000_000
_PROGRAM = (sys.executable, "-I", "-m", "mlxhub.worker.engines.schema_trial")


def check_schemas(schemas: Sequence[Schema]) -> None:
    """Raises InvalidRequest that names one that cannot be compiled, or not within SECONDS."""
    costly: list[Schema] = []
    for schema in schemas:
        if is_costly(schema.content):
            costly.append(schema)
        elif fault := fault_of(schema.content):
            raise _refused(schema, fault)
    if costly:
        _try_in_child(costly)


def is_costly(schema: Any) -> bool:
    """Whether it might take more than half a second."""
    parts = 0
    level: list[Any] = [schema]
    while level:
        parts += len(level)
        if parts > _MOST_PARTS or any(_COSTLY & each.keys() for each in level if isinstance(each, dict)):
            return True
        level = [part for each in level for part in _parts(each)]
    return False


def _parts(value: Any) -> Sequence[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else ()


def _try_in_child(schemas: Sequence[Schema]) -> None:
    given = json.dumps([schema.content for schema in schemas]).encode()
    limits = Limits(START_SECONDS, SECONDS, MEMORY_BYTES, _VERDICT_BYTES)
    try:
        done = run_watched(_PROGRAM, given, limits, environment=bare_environment())
    except OSError as error:
        raise GenerationFailed("the program that tries schemas could not be started.") from error
    if done.beyond is Limit.START:
        raise GenerationFailed("the program that tries schemas did not start in time.")
    verdicts = _verdicts(done)
    for schema, verdict in zip(schemas, verdicts, strict=False):
        if verdict is not None:
            raise _refused(schema, verdict)
    if len(verdicts) < len(schemas):
        raise _refused(schemas[len(verdicts)], _why_ended(done))


def _verdicts(done: Watched) -> list[str | None]:
    """Of the schemas that it came to. A line that is not finished was cut short."""
    return [json.loads(line) for line in done.output.decode().split("\n")[1:-1]]


def _why_ended(done: Watched) -> str:
    match done.beyond:
        case Limit.TIME:
            return f"it takes more than {SECONDS:g} s to compile"
        case Limit.MEMORY:
            return "it takes too much memory"
        case _:
            return "it broke the program that tried it"


def _refused(schema: Schema, why: str) -> InvalidRequest:
    return InvalidRequest(f"{schema.param}: this schema cannot be enforced: {why}.", schema.param)
