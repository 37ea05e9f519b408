"""Do the weights of models fit into the memory of a machine?"""

from mlxhub.core.checks import Finding, fail, faults_or, ok, warn

# What Metal may hold of the memory where nobody set a limit; reports vary between 0.67 and 0.84.
WIRED_BY_DEFAULT = 0.75
_FEWER = "preload fewer models, or smaller quantisations"


def judge_fit(weights: dict[str, int], preloaded: set[str], eager: set[str], total: int) -> list[Finding]:
    """`weights`: bytes by model; `total`: bytes of memory. `eager` run from login on."""
    faults: list[Finding | None] = [
        fail(f'Model "{name}" alone has {_gb(size)} of weights; this machine has {_gb(total)}.', _FEWER)
        for name, size in weights.items()
        if size > total
    ]
    fitting = {name: size for name, size in weights.items() if size <= total}
    preload_bytes = sum(fitting.get(name, 0) for name in preloaded)
    eager_bytes = sum(fitting.get(name, 0) for name in eager | preloaded)
    if preload_bytes > total * WIRED_BY_DEFAULT:
        what = f"The preloaded models have {_gb(preload_bytes)} of weights"
        faults.append(warn(f"{what}; this machine has {_gb(total)} of memory for everything.", _FEWER))
    elif eager_bytes > total * WIRED_BY_DEFAULT:
        what = f"The models that run from login on have {_gb(eager_bytes)} of weights together"
        faults.append(
            warn(
                f"{what}; if all are asked at once, {_gb(total)} of memory are too little.",
                "shorten auto_unload_minutes, or set default: false for some",
            )
        )
    return faults_or(faults, f"{_gb(eager_bytes)} of weights fit into {_gb(total)} of memory.")


def judge_wired(limit_mb: int, needed: int, total: int) -> Finding:
    """`limit_mb`: iogpu.wired_limit_mb, 0 where nobody set it; the others in bytes."""
    limit = limit_mb * 1024 * 1024 or int(total * WIRED_BY_DEFAULT)
    says = f"{_gb(limit)} (iogpu.wired_limit_mb)" if limit_mb else f"about {_gb(limit)} (macOS's default)"
    if needed > limit:
        return warn(f"The preloaded models need {_gb(needed)}, the GPU may hold {says}.", _FEWER)
    return ok(f"The GPU may hold {says}.")


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
