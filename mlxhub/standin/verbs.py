"""Each launchctl verb, carried out on the domain: arguments in, exit code and texts out."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mlxhub.standin import darwin, printing
from mlxhub.standin.domain import Domain
from mlxhub.standin.job import Happening, Job, Phase, Reason
from mlxhub.standin.plist import RefusedError

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


async def carry_out(request: Request, domain: Domain) -> Answer:
    """Only `kickstart` may take its time: while the old process dies and while it is throttled."""
    try:
        match request.argv:
            case ("kickstart", *flags, target) if set(flags) <= {"-k", "-p", "-kp", "-pk"}:
                return await _kickstart(domain, target, "".join(flags), is_tty=request.is_tty)
            case ("bootstrap", target, path):
                return _bootstrap(domain, target, str(Path(request.cwd, path)))
            case () | ("help", *_):
                return Answer(0, _help())
            case (verb, *arguments) if verb in _VERBS and len(arguments) in _VERBS[verb][1]:
                return _VERBS[verb][1][len(arguments)](domain, *arguments)
            case _:
                return _misused(request.argv[0])
    except RefusedError as refused:
        is_bad = (
            request.argv[0] == "print" and refused.code != darwin.USAGE and domain.variation.says_bad_request
        )
        return Answer(refused.code, "", "Bad request.\n" * is_bad + str(refused))


def _bootstrap(domain: Domain, target: str, path: str) -> Answer:
    if target != f"gui/{domain.uid}" or not domain.profile.has_domain:
        return _failed("Bootstrap failed", domain.variation.loaded_elsewhere)
    try:
        domain.load(path)
    except RefusedError as refused:
        return _failed("Bootstrap failed", refused.code, str(refused))
    return Answer(0)


def _bootout(domain: Domain, target: str) -> Answer:
    job = domain.jobs.get(_label(domain, target))
    if job is None or job.leaving:
        return _failed("Boot-out failed", darwin.EINPROGRESS if job else domain.variation.removed_unknown)
    domain.tell(job, Happening.REMOVED)
    return Answer(0)


async def _kickstart(domain: Domain, target: str, flags: str, *, is_tty: bool) -> Answer:
    job, answers = _job(domain, target), domain.variation
    label, pid, rc = job.definition.label, job.pid, answers.kickstarted_running
    if job.leaving:
        return _not_kickstarted(label, darwin.EALREADY)
    if answers.kickstarted_disabled and domain.overrides.is_disabled(label):
        return _not_kickstarted(label, answers.kickstarted_disabled)
    if job.phase is not Phase.RUNNING or "k" in flags:
        rc, spawned = 0, domain.next_spawn(job)  # before the telling, in which it may come about already
        domain.tell(job, Happening.RESTARTED if "k" in flags else Reason.KICKSTART)
        if "k" in flags:
            await domain.pause(domain.profile.restart_seconds)
        if spawned.done() or flags or answers.kickstart_blocks_in_throttle:
            pid = await spawned
            if pid is None:
                return _not_kickstarted(label, darwin.EIO if label in domain.jobs else darwin.NO_SERVICE)
    if "p" not in flags:
        return Answer(rc)
    return Answer(rc, f"service spawned with pid: {pid}\n" if is_tty else f"{pid}\n")


def _kill(domain: Domain, name: str, target: str) -> Answer:
    number = darwin.parse_signal(name)
    if number is None:
        return Answer(darwin.USAGE, "", "Invalid signal.\n" + _usage("kill"))
    return Answer(0) if domain.send(_job(domain, target), number) else _no_process()


def _override(verb: str, domain: Domain, target: str) -> Answer:
    try:
        domain.overrides.set_disabled(_label(domain, target), disabled=verb == "disable")
    except (OSError, ValueError) as error:
        return Answer(darwin.EIO, "", f"Could not {verb} service: {darwin.error_text(darwin.EIO)}: {error}\n")
    return Answer(0)


def _print(domain: Domain, target: str) -> Answer:
    if target.count("/") > 1:
        return Answer(0, printing.print_job(_job(domain, target), domain))
    _require_domain(domain, target)
    return Answer(0, printing.print_domain(domain))


def _print_disabled(domain: Domain, target: str) -> Answer:
    _require_domain(domain, target)
    return Answer(0, printing.print_disabled(domain))


def _list_one(domain: Domain, label: str) -> Answer:
    if (job := domain.jobs.get(label)) is not None:
        return Answer(0, printing.print_list_entry(job))
    return Answer(darwin.NO_SERVICE, "", f'Could not find service "{label}" in domain for port\n')


def _blame(domain: Domain, target: str) -> Answer:
    job = _job(domain, target)
    return Answer(0, f"{job.reason}\n") if job.pid is not None else _no_process()


def _error(_domain: Domain, code: str) -> Answer:
    is_number = re.fullmatch("[0-9]{1,9}", code) is not None
    return Answer(0, darwin.error_text(int(code)) + "\n") if is_number else _misused("error")


_Actions = dict[int, Callable[..., Answer]]  # by the number of their arguments
_VERBS: dict[str, tuple[str, _Actions]] = {
    "bootstrap": ("<domain-target> <path>", {}),  # this one, kickstart and help need the whole request
    "bootout": ("<service-target>", {1: _bootout}),
    "kickstart": ("[-k] [-p] <service-target>", {}),
    "kill": ("<signal-name|signal-number> <service-target>", {2: _kill}),
    "print": ("<domain-target> | <service-target>", {1: _print}),
    "print-disabled": ("<domain-target>", {1: _print_disabled}),
    "list": ("[service-name]", {0: lambda domain: Answer(0, printing.print_list(domain)), 1: _list_one}),
    "enable": ("<service-target>", {1: partial(_override, "enable")}),
    "disable": ("<service-target>", {1: partial(_override, "disable")}),
    "blame": ("<service-target>", {1: _blame}),
    "managername": ("", {0: lambda domain: Answer(0, f"{domain.profile.session}\n")}),
    "error": ("<code>", {1: _error}),
    "help": ("", {}),
}


def _job(domain: Domain, target: str) -> Job:
    label = _label(domain, target)
    job = domain.jobs.get(label)
    if job is None:
        text = f'Could not find service "{label}" in domain for user gui: {domain.uid}\n'
        raise RefusedError(darwin.NO_SERVICE, text)
    return job


def _label(domain: Domain, target: str) -> str:
    parts = target.split("/", 2)
    if len(parts) < 3 or not parts[2]:
        raise RefusedError(darwin.USAGE, _FORM)
    _require_domain(domain, "/".join(parts[:2]))
    return parts[2]


def _require_domain(domain: Domain, target: str) -> None:
    kind, _, owner = target.partition("/")
    if kind not in {"gui", "user", "login", "session", "pid", "system"}:
        raise RefusedError(darwin.USAGE, _FORM)
    if kind != "gui" or not owner.isdecimal():
        raise RefusedError(darwin.UNSUPPORTED_DOMAIN, "Domain does not support specified action\n")
    if owner != str(domain.uid) or not domain.profile.has_domain:
        text = f"Could not find domain for user gui: {owner}\n"
        raise RefusedError(domain.variation.unknown_domain, text)


def _failed(what: str, code: int, detail: str = "") -> Answer:
    richer = "Try re-running the command as root for richer errors.\n" if code == darwin.EIO else ""
    # A refusal of the stand-in's own explains itself; Apple's says no more than its number.
    text = f"{code}: {detail}" if code == darwin.USAGE else darwin.error_text(code)
    return Answer(code, "", f"{what}: {text}\n{richer}")


def _not_kickstarted(label: str, code: int) -> Answer:
    return Answer(code, "", f'Could not kickstart service "{label}": {darwin.error_text(code)}\n')


def _no_process() -> Answer:
    return Answer(darwin.ESRCH, "", "No process to signal.\n")


def _misused(verb: str) -> Answer:
    if verb in _VERBS:
        return Answer(darwin.USAGE, "", _usage(verb))
    if verb in NOT_IMITATED:
        return Answer(darwin.USAGE, "", f"{verb}: not imitated by the stand-in; see docs/stand-in.md\n")
    return Answer(1, "", f"Unrecognized subcommand: {verb}\n{_help()}")


def _usage(verb: str) -> str:
    return f"Usage: launchctl {verb} {_VERBS[verb][0]}\n"


def _help() -> str:
    rows = "".join(f"\t{verb} {form}\n" for verb, (form, _) in _VERBS.items())
    return f"Usage: launchctl <subcommand> ...\n{rows}"
