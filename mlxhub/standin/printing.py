"""What launchctl prints about jobs and the domain, line by line as on a Mac."""

import random
from collections.abc import Iterable, Mapping

from mlxhub.standin import darwin
from mlxhub.standin.domain import Domain
from mlxhub.standin.job import End, Job
from mlxhub.standin.plist import DEFAULT_PATH, Conditions
from mlxhub.standin.spawn import inherited_environment

_Entry = tuple[str, object]  # None is not shown, a list is a block
_OFTEN_MISSING = frozenset(
    {"active count", "forks", "execs", "initialized", "trampolined", "resource coalition"}
)


def print_job(job: Job, domain: Domain) -> str:
    variation, definition = domain.variation, job.definition
    entries = [*_definition_entries(job), *_state_entries(job, domain)]
    if variation.prints_unknown_fields:
        entries += [("entropy budget", "0x1f (unlimited)"), ("holds", ["state = none", "pid = 1"])]
    if not variation.prints_optional_fields:
        entries = [entry for entry in entries if entry[0] not in _OFTEN_MISSING]
    if variation.shuffles_fields:
        random.Random(variation.seed).shuffle(entries)  # noqa: S311 - repeatable on purpose
    name = definition.label if variation.prints_label_only else f"gui/{domain.uid}/{definition.label}"
    return _dictionary(name, entries)


def print_domain(domain: Domain) -> str:
    jobs = sorted(domain.jobs.items())
    running = sum(job.pid is not None for _, job in jobs)
    entries: list[_Entry] = [
        ("type", "gui"),
        ("handle", domain.uid),
        ("active count", running),
        ("on-demand count", int(domain.on_demand_only)),
        ("service count", len(jobs)),
        ("active service count", running),
        ("session", domain.profile.session),
        ("services", [f"{job.pid or 0:8} {_status(job):>8} \t{label}" for label, job in jobs]),
        *_disabled_entries(domain),
    ]
    return _dictionary(f"gui/{domain.uid}", entries)


def print_disabled(domain: Domain) -> str:
    return "".join(_text(*entry) for entry in _disabled_entries(domain))


def print_list(domain: Domain) -> str:
    rows = (f"{job.pid or '-'}\t{_status(job)}\t{label}\n" for label, job in sorted(domain.jobs.items()))
    return "PID\tStatus\tLabel\n" + "".join(rows)


def print_list_entry(job: Job) -> str:
    definition, status = job.definition, _status(job)
    quoted = {
        "StandardOutPath": definition.stdout_path,
        "LimitLoadToSessionType": "Aqua",
        "StandardErrorPath": definition.stderr_path,
        "Label": definition.label,
        "Program": definition.program or definition.arguments[0],
    }
    plain = {
        "OnDemand": "false" if definition.keep_alive else "true",
        "LastExitStatus": -status if status < 0 else status << 8,  # raw, as wait(2) gives it on a Mac
        "PID": job.pid,
    }
    lines = [f'\t"{key}" = "{value}";\n' for key, value in quoted.items() if value is not None]
    lines += [f'\t"{key}" = {value};\n' for key, value in plain.items() if value is not None]
    arguments = "".join(f'\t\t"{argument}";\n' for argument in definition.arguments)
    return "{\n" + "".join(lines) + f'\t"ProgramArguments" = (\n{arguments}\t);\n}};\n'


def _definition_entries(job: Job) -> list[_Entry]:
    definition = job.definition
    environment = {"OSLogRateLimit": "64", **definition.environment, "XPC_SERVICE_NAME": definition.label}
    return [
        ("active count", int(job.pid is not None)),
        ("path", definition.path),
        ("type", "LaunchAgent"),
        ("state", job.phase),
        ("program", definition.program or definition.arguments[0]),
        ("arguments", list(definition.arguments)),
        ("working directory", definition.working_directory),
        ("stdout path", definition.stdout_path),
        ("stderr path", definition.stderr_path),
        ("inherited environment", _assignments(inherited_environment()) or None),
        ("default environment", [f"PATH => {DEFAULT_PATH}"]),
        ("environment", _assignments(environment)),
    ]


def _assignments(environment: Mapping[str, str]) -> list[str]:
    return [f"{name} => {value}" for name, value in environment.items()]


def _state_entries(job: Job, domain: Domain) -> list[_Entry]:
    running, started = job.pid is not None, int(job.runs > 0)
    failed = job.last_end is not None and job.last_end.spawn_error != "" and not running
    label, crashes = job.definition.label, job.successive_crashes or None
    return [
        ("domain", f"gui/{domain.uid} [100016]"),
        ("asid", 100016),
        ("minimum runtime", job.throttle_seconds),
        ("base minimum runtime", crashes and job.base_throttle_seconds),
        ("exit timeout", job.definition.exit_timeout_seconds),
        ("runs", job.runs),
        ("successive crashes", crashes),
        ("pid", job.pid),
        ("immediate reason", job.reason if running else None),
        ("pended nondemand spawn", job.pended),
        ("forks", job.runs),
        ("execs", 0 if failed else 2 * started),
        ("initialized", started),
        ("trampolined", started),
        *_outcome_entries(job.last_end),
        ("semaphores", _semaphores(job)),
        ("resource coalition", ["ID = 1432", "type = resource", "state = active", "name = " + label]),
        ("spawn type", job.definition.spawn_type),
        ("jetsam priority", 40),
        ("job state", "running" if running else "spawn failed" if failed else "exited"),
        ("properties", _properties(job)),
    ]


def _outcome_entries(end: End | None) -> list[_Entry]:
    if end is None:
        return [("last exit code", "(never exited)")]
    if end.status < 0:
        return [
            ("last terminating signal", darwin.signal_text(-end.status)),
            ("last exit reason", end.reason),
        ]
    return [("last exit code", darwin.exit_text(end.status))]


def _status(job: Job) -> int:
    """The last exit code, or minus Darwin's number of the signal."""
    status = job.last_end.status if job.last_end is not None else 0
    return status if status >= 0 else -darwin.signal_number(-status)


def _semaphores(job: Job) -> list[str] | None:
    keep_alive = job.definition.keep_alive
    if not isinstance(keep_alive, Conditions):
        return None
    named = {"successful exit": keep_alive.successful_exit, "crashed": keep_alive.crashed}
    return [f"{name} => {int(value)}" for name, value in named.items() if value is not None]


def _properties(job: Job) -> str:
    held = {
        "keepalive": bool(job.definition.keep_alive),
        "runatload": job.definition.run_at_load,
        "inferred program": job.definition.program is None,
        "needs LWCR update": job.is_stale,
    }
    return " | ".join(name for name, holds in held.items() if holds)


def _disabled_entries(domain: Domain) -> list[_Entry]:
    words = ("false", "true") if domain.variation.prints_true_false else ("enabled", "disabled")
    rows = [f'"{label}" => {words[off]}' for label, off in domain.overrides.entries()]
    associations: list[_Entry] = [("login item associations", [])]
    return [("disabled services", rows)] + (associations if domain.variation.prints_unknown_fields else [])


def _dictionary(name: str, entries: Iterable[_Entry]) -> str:
    return f"{name} = {{\n" + "".join(_text(*entry) for entry in entries) + "}\n"


def _text(name: str, value: object) -> str:
    match value:
        case None:
            return ""
        case list():
            return f"\t{name} = {{\n" + "".join(f"\t\t{row}\n" for row in value) + "\t}\n"
        case _:
            return f"\t{name} = {value}\n"
