"""What a process was doing when it was last seen, told after its death."""

from dataclasses import dataclass

from mlxhub.errors import size_text


@dataclass(frozen=True, slots=True)
class FlownRequest:
    """`digest` in hex, `size` in characters of its prompts: of the content nothing else is kept."""

    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Flight:
    """`reserved_bytes` of memory, 0: nothing."""

    requests: tuple[FlownRequest, ...] = ()
    footprint_bytes: int = 0
    reserved_bytes: int = 0

    @property
    def description(self) -> str | None:
        """`it held 3.9 GB of the 4.0 GB it had reserved, and answered 1 request of 900 characters`.

        None: nothing is known.
        """
        said = []
        if self.footprint_bytes:
            reserved = (
                f" of the {size_text(self.reserved_bytes)} it had reserved" if self.reserved_bytes else ""
            )
            said.append(f"it held {size_text(self.footprint_bytes)}{reserved}")
        if self.requests:
            largest = max(request.size for request in self.requests)
            which = (
                "1 request of"
                if len(self.requests) == 1
                else f"{len(self.requests)} requests, the largest of"
            )
            said.append(f"answered {which} {largest} characters")
        return ", and ".join(said) or None
