"""Memory: do the weights fit that may be in it together?"""

import psutil

from mlxhub.core.checks import Finding, skip
from mlxhub.core.memory_fit import judge_fit, judge_wired
from mlxhub.files.probes import ask_program
from mlxhub.fleet.doctor.found import Found, unknown_without_hub

_SYSCTL_SECONDS = 5.0


def fits(found: Found) -> list[Finding]:
    if found.config is None:
        return unknown_without_hub("models there should be")
    return judge_fit(_weights(found), _preloaded(found), _eager(found), int(psutil.virtual_memory().total))


def wired(found: Found) -> list[Finding]:
    if not found.machine.is_mac:
        return [skip("Only a Mac limits what the GPU may hold of the memory.")]
    answer = ask_program(("/usr/sbin/sysctl", "-n", "iogpu.wired_limit_mb"), _SYSCTL_SECONDS)
    if answer.code != 0 or not answer.output.isdecimal():
        return [skip(f"sysctl does not tell iogpu.wired_limit_mb: {answer.output}.")]
    weights = _weights(found)
    needed = sum(weights.get(name, 0) for name in _preloaded(found))
    return [judge_wired(int(answer.output), needed, int(psutil.virtual_memory().total))]


def _weights(found: Found) -> dict[str, int]:
    return {name: seen.weights_bytes for name, seen in found.checkpoints.items()}


def _preloaded(found: Found) -> set[str]:
    models = found.config.models if found.config else ()
    return {model.name for model in models if model.preload and model.default}


def _eager(found: Found) -> set[str]:
    return {model.name for model in found.config.models if model.default} if found.config else set()
