"""In which order agents change ports, so that each finds its new one free."""

from collections.abc import Mapping


def port_batches(before: Mapping[str, int | None], after: Mapping[str, int | None]) -> list[tuple[str, ...]]:
    """One label each, as in `before`; who takes another's port comes after it, and a circle is one batch."""
    holders = {port: label for label, port in before.items() if port is not None}
    waits_for = {
        label: holders[port]
        for label, port in after.items()
        if port is not None and holders.get(port, label) != label
    }
    batches: list[tuple[str, ...]] = []
    placed: set[str] = set()
    for label in before:
        chain: list[str] = []
        current: str | None = label
        while current is not None and current not in placed and current not in chain:
            chain.append(current)
            current = waits_for.get(current)
        if current is not None and current in chain:
            begin = chain.index(current)
            batches.append(tuple(chain[begin:]))
            placed.update(chain[begin:])
            chain = chain[:begin]
        batches += [(each,) for each in reversed(chain)]
        placed.update(chain)
    return batches
