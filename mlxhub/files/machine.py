"""The one place that knows which system this is, and where its directories and its launchctl are."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import platformdirs

from mlxhub.core.agents import Runtime
from mlxhub.core.paths import Paths
from mlxhub.files.build import build_id

HOME_VARIABLE = "MLXHUB_HOME"
CONFIG_VARIABLE = "MLXHUB_CONFIG"
LAUNCHCTL_VARIABLE = "MLXHUB_LAUNCHCTL"
SUPERVISOR_STATE_VARIABLE = "MLXHUB_LAUNCHD_STATE"
# Draws, for tests, what nobody knows of launchd for sure; 0 is the most reported behaviour.
SUPERVISOR_SEED_VARIABLE = "MLXHUB_LAUNCHD_SEED"
# How many of its seconds pass in one of ours, so that tests need not wait for its throttle.
SUPERVISOR_SCALE_VARIABLE = "MLXHUB_LAUNCHD_CLOCK_SCALE"
# 1: hub.yaml may name the engine of tests. An install hands it on to the agents, as it does HOME_VARIABLE.
TESTING_VARIABLE = "MLXHUB_TESTING"

# An agent sees nothing of the shell that installed it, but these, if they were set.
_INHERITED = (
    HOME_VARIABLE,
    LAUNCHCTL_VARIABLE,
    TESTING_VARIABLE,
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_ENDPOINT",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
)
_AGENT_PATH = "/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
_STANDIN = Path(__file__).parents[1] / "standin"
_LOG_IN = "Log in at this Mac's screen once (or turn on automatic login), then try again."
_SHOW_LOG = (
    "/usr/bin/log show --last 10m --style compact --info "
    """--predicate 'process == "launchd" OR process == "xpcproxy"'"""
)
_START_SUPERVISOR = "Start the supervisor with: mlxhub start (the first time: mlxhub install)"


@dataclass(frozen=True, slots=True)
class Machine:
    """`supervisor`: the argv that starts the stand-in, None where the system has a launchd.

    `session_hint` tells a person how to get a session where there is none, `launchd_log` how to read what
    launchd itself logs.
    """

    uid: int
    home: Path
    paths: Paths
    runtime: Runtime
    launchctl: tuple[str, ...]
    launchctl_environment: Mapping[str, str]
    supervisor: tuple[str, ...] | None
    session_hint: str
    launchd_log: str
    refuses_root: bool
    is_mac: bool


def this_machine(config: Path | None = None) -> Machine:
    """`config` is what `--config` said; else $MLXHUB_CONFIG, else the hub's own place."""
    environ = os.environ
    is_mac = sys.platform == "darwin"
    home = Path(environ.get("HOME") or Path.home())
    paths = _paths(is_mac, home, environ)
    chosen = config or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    if chosen is not None:
        paths = replace(paths, config=chosen.absolute())
    own_launchctl = environ.get(LAUNCHCTL_VARIABLE)
    has_launchd = is_mac or own_launchctl is not None
    client = (sys.executable, "-I", "-S", str(_STANDIN / "launchctl.py"))
    return Machine(
        uid=os.getuid(),
        home=home,
        paths=paths,
        runtime=_runtime(home, environ),
        launchctl=(own_launchctl or "/bin/launchctl",) if has_launchd else client,
        launchctl_environment=dict(environ) | {SUPERVISOR_STATE_VARIABLE: str(paths.supervisor)},
        supervisor=None if has_launchd else _supervisor(paths, environ),
        session_hint=_LOG_IN if is_mac else _START_SUPERVISOR,
        launchd_log=_SHOW_LOG if has_launchd else str(paths.supervisor_log),
        refuses_root=is_mac,
        is_mac=is_mac,
    )


def is_testing() -> bool:
    """Whether whoever started this process said so."""
    return os.environ.get(TESTING_VARIABLE) == "1"


def _paths(is_mac: bool, home: Path, environ: Mapping[str, str]) -> Paths:
    """Everything under $MLXHUB_HOME if it is set: so tests and demos run beside a real hub."""
    if own := environ.get(HOME_VARIABLE):
        root = Path(own).absolute()
        return Paths(
            config=root / "hub.yaml",
            state=root / "state",
            logs=root / "logs",
            agents=root / "LaunchAgents",
            programs=root / "bin",
            supervisor=root / "launchd",
        )
    config = Path(platformdirs.user_config_dir("mlxhub"))
    state = Path(platformdirs.user_state_dir("mlxhub"))
    return Paths(
        config=config / "hub.yaml",
        state=state / "state" if is_mac else state,
        logs=Path(platformdirs.user_log_dir("mlxhub")),
        agents=home / "Library/LaunchAgents" if is_mac else state / "LaunchAgents",
        programs=Path(platformdirs.user_data_dir("mlxhub")) / "bin",
        supervisor=state / "launchd",
    )


def _runtime(home: Path, environ: Mapping[str, str]) -> Runtime:
    inherited = {name: environ[name] for name in _INHERITED if environ.get(name)}
    environment = {
        "HOME": str(home),
        "PATH": _AGENT_PATH,
        "LANG": "en_US.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
    }
    return Runtime(python=_interpreter(), environment=environment | inherited, build=build_id())


def _interpreter() -> str:
    """One spelling, however this process was started: another one would make every plist differ."""
    own = Path(sys.prefix) / "bin" / "python"
    return str(own) if own.exists() else sys.executable


def _supervisor(paths: Paths, environ: Mapping[str, str]) -> tuple[str, ...]:
    program = (_interpreter(), "-I", "-m", "mlxhub.standin.daemon")
    seed, scale = environ.get(SUPERVISOR_SEED_VARIABLE, "0"), environ.get(SUPERVISOR_SCALE_VARIABLE, "1")
    directories = ("--state", str(paths.supervisor), "--agents", str(paths.agents))
    return (*program, *directories, "--seed", seed, "--clock-scale", scale)
