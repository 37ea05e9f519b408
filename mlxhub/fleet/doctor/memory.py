"""Memory: do the weights fit that may be in it together?"""

import psutil

from mlxhub.core.checks import Finding, fail, faults_or, ok, skip, warn
from mlxhub.files.probes import ask_program
from mlxhub.fleet.doctor.found import Found
from mlxhub.fleet.doctor.models import NO_MODELS

_SYSCTL_SECONDS = 5.0
# What Metal may hold of the memory where nobody set a limit; reports vary between 0.67 and 0.84.
_WIRED_BY_DEFAULT = 0.75
_FEWER = "preload fewer models, or smaller quantisations"


def fits(found: Found) -> list[Finding]:
    if found.config is None:
        return [skip(NO_MODELS)]
    return _fits(_weights(found), _preloaded(found), _eager(found), int(psutil.virtual_memory().total))


def _fits(weights: dict[str, int], preloaded: set[str], eager: set[str], total: int) -> list[Finding]:
    faults: list[Finding | None] = [
        fail(f'Model "{name}" alone has {_gb(size)} of weights; this machine has {_gb(total)}.', _FEWER)
        for name, size in weights.items()
        if size > total
    ]
    fitting = {name: size for name, size in weights.items() if size <= total}
    preload_bytes = sum(fitting.get(name, 0) for name in preloaded)
    eager_bytes = sum(fitting.get(name, 0) for name in eager | preloaded)
    if preload_bytes > total * _WIRED_BY_DEFAULT:
        what = f"The preloaded models have {_gb(preload_bytes)} of weights"
        faults.append(warn(f"{what}; this machine has {_gb(total)} of memory for everything.", _FEWER))
    elif eager_bytes > total * _WIRED_BY_DEFAULT:
        what = f"The models that run from login on have {_gb(eager_bytes)} of weights together"
        faults.append(
            warn(
                f"{what}; if all are asked at once, {_gb(total)} of memory are too little.",
                "shorten auto_unload_minutes, or set default: false for some",
            )
        )
    return faults_or(faults, f"{_gb(eager_bytes)} of weights fit into {_gb(total)} of memory.")


def wired(found: Found) -> list[Finding]:
    if not found.machine.is_mac:
        return [skip("Only a Mac limits what the GPU may hold of the memory.")]
    answer = ask_program(("/usr/sbin/sysctl", "-n", "iogpu.wired_limit_mb"), _SYSCTL_SECONDS)
    if answer.code != 0 or not answer.output.isdecimal():
        return [skip(f"sysctl does not tell iogpu.wired_limit_mb: {answer.output}.")]
    weights = _weights(found)
    needed = sum(weights.get(name, 0) for name in _preloaded(found))
    return [_wired(int(answer.output), needed, int(psutil.virtual_memory().total))]


def _wired(limit_mb: int, needed: int, total: int) -> Finding:
    limit = limit_mb * 1024 * 1024 or int(total * _WIRED_BY_DEFAULT)
    says = f"{_gb(limit)} (iogpu.wired_limit_mb)" if limit_mb else f"about {_gb(limit)} (macOS's default)"
    if needed > limit:
        return warn(f"The preloaded models need {_gb(needed)}, the GPU may hold {says}.", _FEWER)
    return ok(f"The GPU may hold {says}.")


def _weights(found: Found) -> dict[str, int]:
    return {name: seen.weights_bytes for name, seen in found.checkpoints.items()}


def _preloaded(found: Found) -> set[str]:
    models = found.config.models if found.config else ()
    return {model.name for model in models if model.preload and model.default}


def _eager(found: Found) -> set[str]:
    return {model.name for model in found.config.models if model.default} if found.config else set()


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
