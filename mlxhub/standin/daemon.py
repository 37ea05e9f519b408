"""The stand-in's program: log in, serve launchctl, watch the jobs, log out."""

import argparse
import asyncio
import fcntl
import os
import random
import secrets
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from mlxhub.standin.domain import Clock, Domain
from mlxhub.standin.overrides import Overrides
from mlxhub.standin.plist import RefusedError
from mlxhub.standin.profile import PROFILES
from mlxhub.standin.server import serve
from mlxhub.standin.spawn import become_subreaper
from mlxhub.standin.variation import draw_variation

EXIT_STATE_IN_USE = 73


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parse(arguments)
    _leave_the_starter_behind()
    try:
        options.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        options.state.chmod(0o700)
        os.chdir(options.state)
        lock_fd = _lock()
    except BlockingIOError:
        sys.stderr.write(f"mlxhub-launchd: another mlxhub-launchd already serves {options.state}\n")
        sys.exit(EXIT_STATE_IN_USE)
    except OSError as error:
        sys.exit(f"mlxhub-launchd: cannot use the state directory {options.state}: {error}")
    asyncio.run(_run(options))
    os.close(lock_fd)


async def _run(options: argparse.Namespace) -> None:
    domain = _make_domain(options)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGCHLD, domain.reap)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, domain.log_out)
    become_subreaper()
    server = await serve(domain)
    if domain.profile.has_domain and options.agents:
        _log_in(domain, options.agents)
    await domain.empty.wait()
    Path("sock").unlink(missing_ok=True)  # noqa: ASYNC240 - takes no time
    server.close()
    _log("logged out")


def _make_domain(options: argparse.Namespace) -> Domain:
    profile = replace(PROFILES[options.profile], login_delay_seconds=options.login_delay)
    variation = profile.vary(draw_variation(secrets.randbits(31) if options.seed is None else options.seed))
    scale = options.clock_scale
    _log(f"started, pid {os.getpid()}, clock scale {scale:g}, profile {options.profile}, {variation}")
    disabled = options.state / f"disabled.{os.getuid()}.plist"  # its whole path is in complaints
    overrides = Overrides(disabled, disabled_at_first=profile.disabled_at_first)
    if (complaint := overrides.read()) is not None:
        _log(f"no service is disabled: {complaint}")
    return Domain(variation, profile, overrides, Clock(scale), _log, strict=options.strict)


def _log_in(domain: Domain, agents: Path) -> None:
    """Load every agent that can be, in no order, as launchd does."""
    try:
        paths = sorted(path for path in agents.iterdir() if path.suffix == ".plist")
    except OSError as error:
        _log(f"no agents at login: {error}")
        return
    random.Random(domain.variation.seed).shuffle(paths)  # noqa: S311 - repeatable on purpose
    for path in paths:
        try:
            domain.load(str(path), at_login=True)
        except RefusedError as refused:
            _log(f"skipped at login: {refused}")


def _log(text: str) -> None:
    """One line for each thing that happened; a full disk or a closed pipe loses lines, never the daemon."""
    line = f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {text}\n"
    with suppress(OSError):
        os.write(2, line.encode(errors="backslashreplace"))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="mlxhub-launchd",
        description="A launchd for Linux: runs LaunchAgents as a Mac would.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--state", type=_path, required=True, help="directory for the socket, the lock and disabled services")
    add("--agents", type=_path, help="LaunchAgents directory that is loaded at start, as at a login")
    add("--seed", type=int, help="choose the variation; 0 is the most usual one (default: random)")
    add("--profile", choices=PROFILES, default="none", help="misbehave in one way (default: %(default)s)")
    add("--clock-scale", type=_scale, default=1.0, metavar="K", help="launchd seconds in one real second")
    add("--login-delay", type=float, default=0.0, metavar="S", help="until then only demanded starts happen")
    add("--strict", action=argparse.BooleanOptionalAction, default=True, help="refuse keys it does not know")
    return parser.parse_args(arguments)


def _path(text: str) -> Path:
    return Path(text).absolute()


def _scale(text: str) -> float:
    scale = float(text)
    if not 0.01 <= scale <= 1000:  # outside, the loop would spin or sleep for ever
        raise argparse.ArgumentTypeError("must lie between 0.01 and 1000")
    return scale


def _leave_the_starter_behind() -> None:
    """Nothing the starter had open, blocked or ignored may reach a job."""
    while os.open(os.devnull, os.O_RDWR) <= 2:  # or the socket would take the place of a closed stdin
        pass
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.umask(0o077)
    for number in (signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _lock() -> int:
    fd = os.open("lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return fd


if __name__ == "__main__":
    main()
