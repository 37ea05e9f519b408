"""hub.yaml and our own records: can they be read, and by nobody else written?"""

from mlxhub.core.checks import Finding, fail, faults_or, ok, skip
from mlxhub.files.rights import open_places
from mlxhub.fleet.doctor.found import Found


def valid(found: Found) -> list[Finding]:
    path = found.machine.paths.config
    if not path.exists():
        return [fail(f"{path} does not exist.", "mlxhub init writes one")]
    fix = "correct it, then: mlxhub apply"
    models = "" if found.config is None else f": {len(found.config.models)} model(s)"
    return faults_or((fail(str(fault), fix) for fault in found.faults), f"{path} is valid{models}.")


def rights(found: Found) -> list[Finding]:
    path = found.machine.paths.config
    if not path.exists():
        return [skip("There is no hub.yaml.")]
    faults = (fail(place.text, place.fix) for place in open_places(path))
    return faults_or(faults, "Nobody but you can change hub.yaml.")


def state(found: Found) -> list[Finding]:
    if found.state_fault is not None:
        return [fail(found.state_fault, "move the file away, or attach its disk; then: mlxhub install")]
    return [ok(f"What mlxhub wrote down in {found.paths.state} can be read.")]
