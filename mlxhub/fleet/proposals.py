"""A first hub.yaml for this machine: which of its models a new hub would have."""

from dataclasses import dataclass

from mlxhub.core.config import HubConfig
from mlxhub.core.described import TYPES
from mlxhub.core.engine_options import RESERVED_NAMES
from mlxhub.files.machine import Machine
from mlxhub.fleet.catalogue import about, free_name, loadable, look_for_models
from mlxhub.registry.extras import has_libraries

# A process that waits for its first request takes 55 MB.
MOST_ON = 8


@dataclass(frozen=True, slots=True)
class Proposal:
    """`is_on`: an entry, not only a comment."""

    name: str
    model_path: str
    comment: str
    is_on: bool


def propose_models(machine: Machine, config: HubConfig, limit_bytes: int | None) -> list[Proposal]:
    """Models that fit and can be loaded by what is installed; the smallest first. Blocks.

    Raises StateUnwritable.
    """
    fitting = [
        (found, found.described)
        for found in look_for_models(machine, config).models
        if found.described is not None
        and has_libraries(TYPES[found.described.kind])
        and (limit_bytes is None or found.described.needed_bytes <= limit_bytes)
    ]
    good = loadable([found for found, _ in fitting])
    taken = {*RESERVED_NAMES, *(model_id for model in config.models for model_id in model.ids)}
    proposals: list[Proposal] = []
    for found, described in sorted(fitting, key=lambda pair: pair[1].needed_bytes):
        if found in good:
            name = free_name(found.name, taken)
            taken.add(name)
            proposals.append(Proposal(name, found.name, about(described), len(proposals) < MOST_ON))
    return proposals
