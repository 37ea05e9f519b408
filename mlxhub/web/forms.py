"""Bodies that are forms, with files in them: in memory, within the limit that the body has passed already."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from mlxhub.refusals import InvalidRequest

_SMALL_BYTES = 50_000
_MOST_FILES = 16
_MOST_FIELDS = 64
_LONGEST_FIELD = 1_000_000
_BOOL = TypeAdapter(bool)


@dataclass(frozen=True, slots=True)
class Form:
    """Each field as often as it came. A name may end with [], which is no part of it."""

    fields: Mapping[str, Sequence[str]]
    files: Mapping[str, Sequence[bytes]]

    def first(self, name: str) -> str | None:
        return next(iter(self.fields.get(name, ())), None)

    def says(self, name: str) -> bool:
        """Whether it is true, as whoever reads the field takes it."""
        try:
            return _BOOL.validate_python(self.first(name))
        except ValidationError:
            return False


class _InMemory(MultiPartParser):
    """Files over a megabyte would go to disk."""

    spool_max_size = 2**31


async def read_form(headers: Headers, body: bytes) -> Form:
    """Raises InvalidRequest. Large ones are read beside the event loop, which they would hold a second."""
    if len(body) <= _SMALL_BYTES:
        return await _read(headers, body)
    # The parser is written for a loop, but waits for nothing.
    return await asyncio.to_thread(lambda: asyncio.run(_read(headers, body)))


async def _read(headers: Headers, body: bytes) -> Form:
    parser = _InMemory(
        headers, _once(body), max_files=_MOST_FILES, max_fields=_MOST_FIELDS, max_part_size=_LONGEST_FIELD
    )
    try:
        parsed = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        said = str(error)[:200] if isinstance(error, MultiPartException) else "it cannot be read."
        raise InvalidRequest(f"The body is not a valid form: {said}") from None
    fields: dict[str, list[str]] = {}
    files: dict[str, list[bytes]] = {}
    try:
        for name, value in parsed.multi_items():
            key = name.removesuffix("[]")
            if isinstance(value, UploadFile):
                files.setdefault(key, []).append(await value.read())
            else:
                fields.setdefault(key, []).append(value)
    finally:
        await parsed.close()
    if both := fields.keys() & files.keys():
        name = min(both)
        raise InvalidRequest(f"{name[:60]}: it comes as a field and as a file.", name)
    return Form(fields, files)


async def _once(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body
