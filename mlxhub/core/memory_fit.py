"""Does what models need fit into what they may take together?"""

from collections.abc import Collection, Mapping

from mlxhub.core.checks import Finding, fail, faults_or, ok, warn
from mlxhub.core.limits import HubLimits
from mlxhub.core.sizes import WIRED_BY_DEFAULT
from mlxhub.errors import size_text

_FEWER = "preload fewer models, or smaller quantisations"


def judge_fit(needs: Mapping[str, int], preloaded: Collection[str], limits: HubLimits) -> list[Finding]:
    """`needs`: bytes by model, as far as they are known. `preloaded`: those that are loaded at login."""
    limit = limits.memory_bytes
    if limit is None:
        return [ok("Nothing limits what models take.")]
    faults: list[Finding | None] = [
        fail(
            f'Model "{name}" needs {size_text(size)}, and memory_limit gives all models {size_text(limit)}: '
            "it is never loaded.",
            "use a smaller quantisation or context_length, or raise memory_limit",
        )
        for name, size in needs.items()
        if size > limit
    ]
    together = sum(needs.get(name, 0) for name in preloaded if needs.get(name, 0) <= limit)
    if together > limit:
        faults.append(
            warn(
                f"The preloaded models need {size_text(together)} together, and memory_limit gives all "
                f"models {size_text(limit)}: some are not loaded at login.",
                _FEWER,
            )
        )
    for group in limits.groups:
        members = limits.members(group, sorted(preloaded))
        if len(members) > group.max_loaded:
            faults.append(
                warn(
                    f"Of group {group.name} {len(members)} models are preloaded ({', '.join(members)}), and "
                    f"max_loaded is {group.max_loaded}: the others are not loaded at login.",
                    "preload fewer of them, or raise max_loaded",
                )
            )
    all_needs = sum(needs.values())
    turns = "" if all_needs <= limit else ", by turns"
    return faults_or(faults, f"{size_text(all_needs)} of models fit into {size_text(limit)}{turns}.")


def judge_wired(limit_mb: int, needed: int, total: int) -> Finding:
    """`limit_mb`: iogpu.wired_limit_mb, 0 where nobody set it; the others in bytes."""
    limit = limit_mb * 1024 * 1024 or int(total * WIRED_BY_DEFAULT)
    says = (
        f"{size_text(limit)} (iogpu.wired_limit_mb)"
        if limit_mb
        else f"about {size_text(limit)} (macOS's default)"
    )
    if needed > limit:
        return warn(f"The preloaded models need {size_text(needed)}, the GPU may hold {says}.", _FEWER)
    return ok(f"The GPU may hold {says}.")
