"""What launchctl prints about jobs and the domain, line by line as on a Mac."""

import random
from collections.abc import Iterable, Mapping

from mlxhub.standin import darwin
from mlxhub.standin.domain import Domain
from mlxhub.standin.job import ExitCode, Job, Phase, Signal, SpawnFailed
from mlxhub.standin.plist import DEFAULT_PATH, Conditions
from mlxhub.standin.variation import Variation


def print_job(job: Job, domain: Domain) -> str:
    variation = domain.variation
    target = f"gui/{domain.uid}/{job.definition.label}"
    sections = _sections(job, domain.uid, variation)
    if variation.shuffles_fields:
        random.Random(variation.seed).shuffle(sections)  # noqa: S311 - repeatable on purpose
    first = job.definition.label if variation.prints_label_only else target
    return f"{first} = {{\n" + "".join(sections) + "}\n"


def print_domain(domain: Domain) -> str:
    rows = "".join(
        f"\t\t{job.pid or 0:8} {_status(job):>8} \t{label}\n" for label, job in sorted(domain.jobs.items())
    )
    running = sum(job.pid is not None for job in domain.jobs.values())
    return (
        f"gui/{domain.uid} = {{\n\ttype = gui\n\thandle = {domain.uid}\n\tactive count = {running}\n"
        f"\ton-demand count = {int(domain.on_demand_only)}\n\tservice count = {len(domain.jobs)}\n"
        f"\tactive service count = {running}\n\tsession = Aqua\n\n"
        f"\tservices = {{\n{rows}\t}}\n\n{print_disabled(domain)}}}\n"
    )


def print_disabled(domain: Domain) -> str:
    words = ("false", "true") if domain.variation.prints_true_false else ("enabled", "disabled")
    rows = "".join(f'\t\t"{label}" => {words[off]}\n' for label, off in domain.overrides.entries())
    associations = "\tlogin item associations = {\n\t}\n" if domain.variation.prints_unknown_fields else ""
    return f"\tdisabled services = {{\n{rows}\t}}\n{associations}"


def print_list(domain: Domain) -> str:
    rows = (f"{job.pid or '-'}\t{_status(job)}\t{label}\n" for label, job in sorted(domain.jobs.items()))
    return "PID\tStatus\tLabel\n" + "".join(rows)


def print_list_entry(job: Job) -> str:
    definition = job.definition
    entries = {
        "StandardOutPath": definition.stdout_path,
        "LimitLoadToSessionType": "Aqua",
        "StandardErrorPath": definition.stderr_path,
        "Label": definition.label,
    }
    lines = [f'\t"{key}" = "{value}";\n' for key, value in entries.items() if value is not None]
    lines.append(f'\t"OnDemand" = {"false" if definition.keep_alive else "true"};\n')
    lines.append(f'\t"LastExitStatus" = {_wait_status(job)};\n')
    if job.pid is not None:
        lines.append(f'\t"PID" = {job.pid};\n')
    lines.append(f'\t"Program" = "{definition.program or definition.arguments[0]}";\n')
    arguments = "".join(f'\t\t"{argument}";\n' for argument in definition.arguments)
    return "{\n" + "".join(lines) + f'\t"ProgramArguments" = (\n{arguments}\t);\n}};\n'


def _sections(job: Job, uid: int, variation: Variation) -> list[str]:
    definition = job.definition
    sections = [
        _fields(
            {
                "active count": int(job.pid is not None) if variation.prints_optional_fields else None,
                "path": definition.path,
                "type": "LaunchAgent",
                "state": job.phase,
            }
        )
        + "\n",
        _fields({"program": definition.program or definition.arguments[0]}),
        _block("arguments", definition.arguments),
        _fields({"working directory": definition.working_directory}, blank_after=True),
        _fields({"stdout path": definition.stdout_path, "stderr path": definition.stderr_path}),
        _block("default environment", [f"PATH => {DEFAULT_PATH}"]),
        _block("environment", _environment_rows(job)),
        *(_fields({key: value}) for key, value in _facts(job, uid, variation).items()),
        _semaphores(job),
    ]
    if variation.prints_optional_fields:
        sections.append(_coalition(job))
    sections.append(_fields({"spawn type": definition.spawn_type, "jetsam priority": 40}))
    sections.append(_fields({"job state": _job_state(job)}))
    if variation.prints_unknown_fields:
        sections.append(
            _fields({"entropy budget": "0x1f (unlimited)"}) + _block("holds", ["state = none", "pid = 1"])
        )
    sections.append(f"\n\tproperties = {_properties(job)}\n")
    return [section for section in sections if section]


def _facts(job: Job, uid: int, variation: Variation) -> dict[str, object]:
    running = job.pid is not None
    facts: dict[str, object] = {
        "domain": f"gui/{uid} [100016]",
        "asid": 100016,
        "minimum runtime": job.throttle_seconds,
        "exit timeout": job.definition.exit_timeout_seconds,
        "runs": job.runs,
        "pid": job.pid,
        "immediate reason": job.reason if running else None,
        "pended nondemand spawn": job.pended,
    }
    if variation.prints_optional_fields:
        execs = 0 if isinstance(job.last_end, SpawnFailed) and not running else 2 * bool(job.runs)
        facts |= {
            "forks": job.runs,
            "execs": execs,
            "initialized": int(job.runs > 0),
            "trampolined": int(job.runs > 0),
        }
    return facts | _outcome(job)


def _outcome(job: Job) -> dict[str, object]:
    match job.last_end:
        case None:
            return {"last exit code": "(never exited)"}
        case ExitCode(code):
            return {"last exit code": darwin.exit_text(code)}
        case Signal(number):
            return {"last terminating signal": darwin.signal_text(number)}
        case SpawnFailed():
            return {"last exit code": darwin.exit_text(darwin.SPAWN_FAILED)}


def _job_state(job: Job) -> str | None:
    if job.pid is not None:
        return "running"
    if isinstance(job.last_end, SpawnFailed):
        return "spawn failed"
    return "exited" if job.last_end is not None or job.phase is Phase.IDLE else None


def _status(job: Job) -> int:
    match job.last_end:
        case None:
            return 0
        case ExitCode(code):
            return code
        case Signal(number):
            return -darwin.signal_number(number)
        case SpawnFailed():
            return darwin.SPAWN_FAILED


def _wait_status(job: Job) -> int:
    """Raw, as wait(2) gives it on a Mac."""
    status = _status(job)
    return -status if status < 0 else status << 8


def _environment_rows(job: Job) -> list[str]:
    shown = {"OSLogRateLimit": "64", **job.definition.environment, "XPC_SERVICE_NAME": job.definition.label}
    return [f"{name} => {value}" for name, value in shown.items()]


def _semaphores(job: Job) -> str:
    keep_alive = job.definition.keep_alive
    if not isinstance(keep_alive, Conditions):
        return ""
    named = {"successful exit": keep_alive.successful_exit, "crashed": keep_alive.crashed}
    rows = [f"{name} => {int(value)}" for name, value in named.items() if value is not None]
    return "\n" + _block("semaphores", rows)


def _coalition(job: Job) -> str:
    state = "active" if job.pid is not None else "inactive"
    return _block(
        "resource coalition",
        ["ID = 1432", "type = resource", f"state = {state}", f"name = {job.definition.label}"],
    )


def _properties(job: Job) -> str:
    definition = job.definition
    held = {
        "keepalive": bool(definition.keep_alive),
        "runatload": definition.run_at_load,
        "inferred program": definition.program is None,
    }
    return " | ".join(name for name, holds in held.items() if holds)


def _fields(values: Mapping[str, object], *, blank_after: bool = False) -> str:
    text = "".join(f"\t{key} = {value}\n" for key, value in values.items() if value is not None)
    return text + "\n" if text and blank_after else text


def _block(name: str, rows: Iterable[str]) -> str:
    return f"\t{name} = {{\n" + "".join(f"\t\t{row}\n" for row in rows) + "\t}\n\n"
