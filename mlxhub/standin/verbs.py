"""Each launchctl verb, carried out on the domain: arguments in, exit code and texts out."""

from dataclasses import dataclass

from mlxhub.standin import darwin, printing
from mlxhub.standin.domain import Domain
from mlxhub.standin.job import Demanded, Happening, Job, Phase, Reason
from mlxhub.standin.plist import RefusedError

USAGE = {
    "bootstrap": "<domain-target> <path>",
    "bootout": "<service-target>",
    "kickstart": "[-k] [-p] <service-target>",
    "kill": "<signal-name|signal-number> <service-target>",
    "print": "<domain-target> | <service-target>",
    "print-disabled": "<domain-target>",
    "list": "[service-name]",
    "enable": "<service-target>",
    "disable": "<service-target>",
    "blame": "<service-target>",
    "managername": "",
    "error": "<code>",
    "help": "",
}
NOT_IMITATED = frozenset(
    {"asuser", "getenv", "load", "remove", "setenv", "start", "stop", "submit", "unload", "unsetenv"}
)
_FORM = (
    "Unrecognized target specifier. <service-target> takes a form of <domain-target>/<service-id>.\n"
    "Please refer to `man launchctl` for explanation of the <domain-target> specifiers.\n"
)


@dataclass(frozen=True, slots=True)
class Request:
    argv: tuple[str, ...]
    cwd: str
    is_tty: bool


@dataclass(frozen=True, slots=True)
class Answer:
    rc: int
    stdout: str = ""
    stderr: str = ""


class _RejectedError(Exception):
    def __init__(self, rc: int, stderr: str) -> None:
        super().__init__(stderr)
        self.answer = Answer(rc, "", stderr)


async def carry_out(request: Request, domain: Domain) -> Answer:
    """Only `kickstart` may take its time: while the old process dies and while it is throttled."""
    try:
        match request.argv:
            case ("kickstart", *flags, target) if set(flags) <= {"-k", "-p", "-kp", "-pk"}:
                return await _kickstart(domain, target, "".join(flags), is_tty=request.is_tty)
            case ("bootstrap", target, path):
                return _bootstrap(domain, target, f"{request.cwd}/{path}" if path[:1] != "/" else path)
            case ("bootout" | "kill" | "enable" | "disable", *_):
                return _change(domain, request.argv)
            case _:
                return _show(domain, request.argv)
    except _RejectedError as rejected:
        return rejected.answer


def _change(domain: Domain, argv: tuple[str, ...]) -> Answer:
    match argv:
        case ("bootout", target):
            return _bootout(domain, target)
        case ("kill", name, target):
            return _kill(domain, name, target)
        case ("enable" | "disable" as verb, target):
            return _override(domain, verb, target)
        case _:
            return Answer(darwin.USAGE, "", _usage(argv[0]))


def _show(domain: Domain, argv: tuple[str, ...]) -> Answer:
    match argv:
        case ("print", target):
            return _print(domain, target)
        case ("print-disabled", target):
            _require_domain(domain, target)
            return Answer(0, printing.print_disabled(domain))
        case ("list",):
            return Answer(0, printing.print_list(domain))
        case ("list", label):
            return _list_one(domain, label)
        case ("blame", target):
            job = _job(domain, target)
            return Answer(0, f"{job.reason}\n") if job.pid is not None else _no_process()
        case ("managername",):
            return Answer(0, "Aqua\n")
        case ("error", code) if code.isdecimal():
            return Answer(0, darwin.error_text(int(code)) + "\n")
        case () | ("help", *_):
            return Answer(0, _help())
        case _:
            return _misused(argv[0])


def _bootstrap(domain: Domain, target: str, path: str) -> Answer:
    if target != f"gui/{domain.uid}":
        return _failed("Bootstrap failed", darwin.UNSUPPORTED_DOMAIN)
    try:
        domain.load(path)
    except RefusedError as refused:
        return _failed("Bootstrap failed", refused.code, refused.detail)
    return Answer(0)


def _bootout(domain: Domain, target: str) -> Answer:
    job = domain.jobs.get(_label(domain, target))
    if job is None:
        return _failed("Boot-out failed", domain.variation.removed_unknown)
    if job.leaving:
        return _failed("Boot-out failed", darwin.EINPROGRESS)
    domain.tell(job, Happening.REMOVED)
    return Answer(0)


async def _kickstart(domain: Domain, target: str, flags: str, *, is_tty: bool) -> Answer:
    job = _job(domain, target)
    if job.leaving:
        return _not_kickstarted(job, darwin.EALREADY)
    rc, pid = 0, job.pid
    if job.phase is Phase.RUNNING and "k" not in flags:
        rc = domain.variation.kickstarted_running
    else:
        spawned = domain.next_spawn(job)  # before the telling, in which it may come about already
        domain.tell(job, Happening.RESTARTED if "k" in flags else Demanded(Reason.KICKSTART))
        if spawned.done() or flags or domain.variation.kickstart_blocks_in_throttle:
            pid = await spawned
            if pid is None:
                return _not_kickstarted(job, darwin.EIO if job in domain.jobs.values() else darwin.NO_SERVICE)
    if "p" not in flags:
        return Answer(rc)
    return Answer(rc, f"service spawned with pid: {pid}\n" if is_tty else f"{pid}\n")


def _kill(domain: Domain, name: str, target: str) -> Answer:
    number = darwin.parse_signal(name)
    if number is None:
        return Answer(darwin.USAGE, "", "Invalid signal.\n" + _usage("kill"))
    return Answer(0) if domain.send(_job(domain, target), number) else _no_process()


def _override(domain: Domain, verb: str, target: str) -> Answer:
    try:
        domain.overrides.set_disabled(_label(domain, target), disabled=verb == "disable")
    except OSError as error:
        return Answer(darwin.EIO, "", f"Could not {verb} service: {darwin.error_text(darwin.EIO)}: {error}\n")
    return Answer(0)


def _print(domain: Domain, target: str) -> Answer:
    try:
        if target.count("/") > 1:
            return Answer(0, printing.print_job(_job(domain, target), domain))
        _require_domain(domain, target)
        return Answer(0, printing.print_domain(domain))
    except _RejectedError as rejected:
        answer = rejected.answer
        bad_request = domain.variation.says_bad_request and answer.rc != darwin.USAGE
        return Answer(answer.rc, "", ("Bad request.\n" if bad_request else "") + answer.stderr)


def _list_one(domain: Domain, label: str) -> Answer:
    job = domain.jobs.get(label)
    if job is None:
        return Answer(darwin.NO_SERVICE, "", f'Could not find service "{label}" in domain for port\n')
    return Answer(0, printing.print_list_entry(job))


def _job(domain: Domain, target: str) -> Job:
    label = _label(domain, target)
    job = domain.jobs.get(label)
    if job is None:
        text = f'Could not find service "{label}" in domain for user gui: {domain.uid}\n'
        raise _RejectedError(darwin.NO_SERVICE, text)
    return job


def _label(domain: Domain, target: str) -> str:
    parts = target.split("/", 2)
    if len(parts) < 3 or not parts[2]:
        raise _RejectedError(darwin.USAGE, _FORM)
    _require_domain(domain, "/".join(parts[:2]))
    return parts[2]


def _require_domain(domain: Domain, target: str) -> None:
    kind, _, owner = target.partition("/")
    if kind not in {"gui", "user", "login", "session", "pid", "system"}:
        raise _RejectedError(darwin.USAGE, _FORM)
    if kind != "gui" or not owner.isdecimal():
        raise _RejectedError(darwin.UNSUPPORTED_DOMAIN, "Domain does not support specified action\n")
    if int(owner) != domain.uid:
        raise _RejectedError(
            domain.variation.unknown_domain, f"Could not find domain for user gui: {owner}\n"
        )


def _failed(what: str, code: int, detail: str = "") -> Answer:
    richer = "Try re-running the command as root for richer errors.\n" if code == darwin.EIO else ""
    # A refusal of the stand-in's own explains itself; Apple's says no more than its number.
    text = detail if code == darwin.USAGE else darwin.error_text(code).partition(": ")[2]
    return Answer(code, "", f"{what}: {code}: {text}\n{richer}")


def _not_kickstarted(job: Job, code: int) -> Answer:
    text = f'Could not kickstart service "{job.definition.label}": {darwin.error_text(code)}\n'
    return Answer(code, "", text)


def _no_process() -> Answer:
    return Answer(darwin.ESRCH, "", "No process to signal.\n")


def _misused(verb: str) -> Answer:
    if verb in USAGE:
        return Answer(darwin.USAGE, "", _usage(verb))
    if verb in NOT_IMITATED:
        return Answer(darwin.USAGE, "", f"{verb}: not imitated by the stand-in; see docs/stand-in.md\n")
    return Answer(1, "", f"Unrecognized subcommand: {verb}\n{_help()}")


def _usage(verb: str) -> str:
    return f"Usage: launchctl {verb} {USAGE[verb]}\n"


def _help() -> str:
    return "Usage: launchctl <subcommand> ...\n" + "".join(
        f"\t{verb} {form}\n" for verb, form in USAGE.items()
    )
