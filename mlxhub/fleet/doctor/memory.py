"""Memory: does what models need fit into what they may take?"""

import psutil

from mlxhub.core.checks import Finding, skip
from mlxhub.core.limits import HubLimits, make_limits
from mlxhub.core.memory import PROCESS_BYTES
from mlxhub.core.memory_fit import judge_fit, judge_wired
from mlxhub.files.probes import ask_program
from mlxhub.fleet.doctor.found import Found, unknown_without_hub

_SYSCTL_SECONDS = 5.0


def fits(found: Found) -> list[Finding]:
    if found.config is None:
        return unknown_without_hub("models there should be")
    limits = make_limits(found.config, int(psutil.virtual_memory().total))
    return judge_fit(_needs(found, limits), _preloaded(found), limits)


def wired(found: Found) -> list[Finding]:
    if not found.machine.is_mac:
        return [skip("Only a Mac limits what the GPU may hold of the memory.")]
    answer = ask_program(("/usr/sbin/sysctl", "-n", "iogpu.wired_limit_mb"), _SYSCTL_SECONDS)
    if answer.code != 0 or not answer.output.isdecimal():
        return [skip(f"sysctl does not tell iogpu.wired_limit_mb: {answer.output}.")]
    total = int(psutil.virtual_memory().total)
    needs = {} if found.config is None else _needs(found, make_limits(found.config, total))
    return [judge_wired(int(answer.output), sum(needs.get(name, 0) for name in _preloaded(found)), total)]


def _needs(found: Found, limits: HubLimits) -> dict[str, int]:
    """What hub.yaml says, or its worker found at a load, or else at least: the weights and a process."""
    return {
        name: limits.of(name).reserved_bytes
        or _found_by_worker(found, name)
        or seen.weights_bytes + PROCESS_BYTES
        for name, seen in found.checkpoints.items()
    }


def _found_by_worker(found: Found, name: str) -> int:
    facts = found.answers.facts.get(name)
    return 0 if facts is None or facts.worker is None else facts.worker.reservation.needed_bytes


def _preloaded(found: Found) -> set[str]:
    models = found.config.models if found.config else ()
    return {model.name for model in models if model.preload and model.default}
