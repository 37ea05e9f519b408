"""Ports: does whoever listens on them belong to us, and does anybody else's server answer our clients?"""

import time

import psutil

from mlxhub.core.access import is_loopback
from mlxhub.core.agents import controller_address, model_of
from mlxhub.core.checks import Finding, fail, faults_or, skip, warn
from mlxhub.core.observed import PortHolder
from mlxhub.core.restarts import logs_command, title
from mlxhub.errors import PortHeld
from mlxhub.files.ports import port_holder
from mlxhub.fleet.doctor.found import Found, unknown_without_hub, unknown_without_launchd

_WHY_NOT = "see launchd.session and agents.answer"
_AGAIN = "try again; if it stays so, report it"
_FREE_IT = "end that process, or give hub.yaml another port for this"
_KNOWN = {
    1234: "LM Studio",
    5000: "macOS's AirPlay Receiver",
    7000: "macOS's AirPlay Receiver",
    8080: "many a development server, and llama-server",
    11434: "Ollama",
}
# A process that has said nothing for this long after its start is more than starting.
_START_SECONDS = 30.0


def held(found: Found) -> list[Finding]:
    if found.hub is None or found.config is None:
        return unknown_without_hub("ports there should be")
    host, port = found.config.host, found.config.port
    holder = port_holder(port, host)
    faults = [_held("The controller", port, None if holder and _is_our_controller(holder, found) else holder)]
    models = [model for model in found.hub.models.values() if model.name in found.answers.facts]
    faults += [
        _held(title(model.name), model.port, found.answers.facts[model.name].holder) for model in models
    ]
    findings = faults_or(faults, f"The {len(faults)} port(s) of this hub are free or ours.")
    unseen = [name for name in found.hub.models if name not in found.answers.facts]
    if unseen:
        findings.append(skip(f"Nobody could look at those of {', '.join(unseen)}: {_WHY_NOT}."))
    return findings


def _is_our_controller(holder: PortHolder, found: Found) -> bool:
    """Where launchd says nothing, its command line has to do: it names our hub.yaml."""
    if found.answers.controller_pid is not None:
        return True
    if holder.pid is not None and holder.pid == found.controller_pid:
        return True
    try:
        return holder.pid is not None and str(found.paths.config) in psutil.Process(holder.pid).cmdline()
    except psutil.Error:
        return False


def _held(who: str, port: int, holder: PortHolder | None) -> Finding | None:
    if holder is None:
        return None
    return fail(f"{who}: {str(PortHeld(port, holder.pid, holder.command)).split('. ')[0]}.", _FREE_IT)


def known(found: Found) -> list[Finding]:
    if found.hub is None or found.config is None:
        return unknown_without_hub("ports there should be")
    ports = {"the controller": found.config.port}
    ports |= {f'model "{model.name}"': model.port for model in found.hub.models.values()}
    faults = (
        warn(f"Port {port} of {who} is also that of {_KNOWN[port]}.", "give hub.yaml another port for this")
        for who, port in ports.items()
        if port in _KNOWN
    )
    return faults_or(faults, "No port is one that another well-known program uses.")


def answering(found: Found) -> list[Finding]:
    if found.launchd_fault is not None:
        return unknown_without_launchd()
    faults: list[Finding | None] = [fail(fault, _AGAIN) for fault in found.answers.faults]
    if not found.own_pids and not faults:
        return [skip("Nothing runs.")]
    for agent in found.agents:
        pid = agent.state.pid if agent.state else None
        model = model_of(agent.label)
        if pid is None or (model is not None and model not in found.answers.facts):
            continue
        answers = found.answers.controller_pid if model is None else _answering_pid(found, model)
        if answers != pid:
            faults.append(_silent(agent.title, pid, _age_seconds(pid), logs_command(agent.program)))
    return faults_or(faults, f"All {len(found.own_pids)} running process(es) answer on their ports.")


def _silent(who: str, pid: int, age_seconds: float, fix: str) -> Finding | None:
    if age_seconds < _START_SECONDS:
        return warn(f"{who} was started {age_seconds:.0f} s ago and does not answer yet.", "wait a little")
    return fail(f"{who} runs (pid {pid}) and does not answer on its port.", fix)


def _answering_pid(found: Found, model: str) -> int | None:
    facts = found.answers.facts[model]
    return None if facts.silent or facts.worker is None else facts.worker.pid


def _age_seconds(pid: int) -> float:
    """Nothing where it ended just now: launchd is about to notice."""
    try:
        return time.time() - psutil.Process(pid).create_time()
    except psutil.Error:
        return 0.0


def bind(found: Found) -> list[Finding]:
    """The controller may, where it asks for a key; a worker never listens for others on the network."""
    with_key = found.config is not None and found.config.api_key == "required"
    own = None if found.hub is None else found.hub.controller_label
    fix = "set host: 127.0.0.1 in hub.yaml, then: mlxhub apply"
    wide = []
    for agent in found.agents:
        address = controller_address(agent.file.content) if agent.file and agent.file.content else None
        if address is not None and not is_loopback(address[0]) and not with_key:
            wide.append(fail(f"{agent.label} is installed to listen on {address[0]}, without a key.", fix))
    for label, pid in found.own_pids.items():
        if label == own and with_key:
            continue
        wide += [
            fail(f"{label} (pid {pid}) listens on {address}, where others on the network reach it.", fix)
            for address in _listens_on(pid)
            if not is_loopback(address)
        ]
    said = "Everything listens on this machine's own address only" + (
        ", or asks for a key." if with_key else "."
    )
    return faults_or(wide, said)


def _listens_on(pid: int) -> list[str]:
    try:
        connections = psutil.Process(pid).net_connections("tcp")
    except psutil.Error:
        return []
    return [c.laddr[0] for c in connections if c.status == psutil.CONN_LISTEN]
