"""From hub.yaml to the plists that launchd runs: what each agent is, and its bytes."""

import hashlib
import plistlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.parsers.expat import ExpatError

from mlxhub.core.config import WORKER_INFIX, HubConfig, LimitPlaces, ModelConfig, RunRecords, WorkerSettings
from mlxhub.core.engine_options import Reading
from mlxhub.core.lifecycle import STOP_SECONDS
from mlxhub.core.paths import Paths, expand_home, file_location, model_location

GENERATION_OPTION = "--generation"
# What stands for a generation where no plist started the program.
BY_HAND = "by-hand"
THROTTLE_SECONDS = 10
OPEN_FILES = 8192
UMASK = 0o077


@dataclass(frozen=True, slots=True)
class Runtime:
    """What starts our programs: the interpreter of our environment, and the variables an agent gets.

    `build` stands for the code that will run: another one must restart every agent, as another setting would.
    """

    python: str
    environment: Mapping[str, str]
    build: str


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """One LaunchAgent. `eager`: launchd starts it at login and again after every end but exit 0."""

    label: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    working_directory: str
    stdio: str
    eager: bool
    build: str


@dataclass(frozen=True, slots=True)
class RenderedAgent:
    """A plist and the hash in it that tells, from `launchctl print`, which plist is loaded."""

    label: str
    plist: bytes
    generation: str
    eager: bool


def controller_label(config: HubConfig) -> str:
    return f"{config.label_prefix}.controller"


def worker_label(config: HubConfig, name: str) -> str:
    return f"{config.label_prefix}{WORKER_INFIX}{name}"


def is_agent_label(label: str) -> bool:
    """Whether a hub, of whatever label_prefix, would name an agent so."""
    prefix, infix, name = label.partition(WORKER_INFIX)
    if infix:
        return bool(prefix and name)
    return label.endswith(".controller") and label != ".controller"


def model_of(label: str) -> str | None:
    """The name of the model this agent serves; None for a controller."""
    _, infix, name = label.partition(WORKER_INFIX)
    return name if infix else None


def controller_agent(config: HubConfig, paths: Paths, runtime: Runtime) -> AgentSpec:
    """In argv stands only what cannot change while it runs; the rest it reads from hub.yaml."""
    return AgentSpec(
        label=controller_label(config),
        arguments=(
            *_program(runtime, paths, "controller", name="controller"),
            *("--config", str(paths.config)),
            *("--host", config.host, "--port", str(config.port), "--log-level", config.log_level),
            *("--log-file", str(paths.log("controller")), "--label", controller_label(config)),
        ),
        environment=runtime.environment,
        working_directory=str(paths.working_directory),
        stdio=str(paths.last_words("controller")),
        eager=True,
        build=runtime.build,
    )


def worker_agent(
    config: HubConfig, model: ModelConfig, port: int, paths: Paths, runtime: Runtime
) -> AgentSpec:
    home = Path(runtime.environment["HOME"])
    settings = worker_settings(config, model, port, paths, home)
    return AgentSpec(
        label=worker_label(config, model.name),
        arguments=(
            *_program(runtime, paths, "worker", name=model.name),
            *("--settings", settings.model_dump_json(exclude_defaults=True)),
        ),
        environment=runtime.environment,
        working_directory=str(paths.working_directory),
        stdio=str(paths.last_words(model.name)),
        eager=model.default,
        build=runtime.build,
    )


def worker_settings(
    config: HubConfig, model: ModelConfig, port: int, paths: Paths, home: Path
) -> WorkerSettings:
    """Without its group and memory_limit, which a worker reads at each load: they restart nothing."""
    options = model.model_dump(exclude={"port", "default", "log_level", "group", "pinned", "memory_limit"})
    return WorkerSettings.model_validate(
        options
        | _locations(model, base=paths.config.parent, home=home)
        | {
            "port": port,
            "log_level": model.log_level or config.log_level,
            "log_file": str(paths.log(model.name)),
            "api_key": config.api_key,
            "keys": str(paths.keys),
            "stored_prompts": str(paths.stored_prompts(model.name)),
            "kept_images": str(paths.kept_images(model.name)),
            "limits": LimitPlaces(file=str(paths.limits), locks=str(paths.locks)),
            "records": RunRecords(
                label=worker_label(config, model.name),
                runs=str(paths.runs(model.name)),
                parked=str(paths.parked(model.name)),
            ),
        },
        # It was read before, and what it may name was decided there.
        context=Reading(testing=True),
    )


def _locations(model: ModelConfig, *, base: Path, home: Path) -> dict[str, str | list[str]]:
    """All places that it names, as absolute paths; of a command those that begin with ~."""
    models = {"model_path": model.model_path, "draft_model": model.draft_model}
    files = {"adapter_path": model.adapter_path, "chat_template_file": model.chat_template_file}
    found: dict[str, str | list[str]] = {
        key: model_location(named, home=home, base=base) for key, named in models.items() if named is not None
    }
    for key, named in files.items():
        if named is not None:
            found[key] = file_location(named, home=home, base=base)
    found["command"] = [
        str(expand_home(part, home)) if part.startswith("~/") else part for part in model.command
    ]
    return found


def render(spec: AgentSpec) -> RenderedAgent:
    """Equal bytes: nothing has to restart. The generation is a hash of everything else and of the build."""
    definition = plistlib.dumps(_properties(spec, spec.arguments)) + spec.build.encode()
    generation = hashlib.sha256(definition).hexdigest()[:16]
    arguments = (*spec.arguments, GENERATION_OPTION, generation)
    plist = plistlib.dumps(_properties(spec, arguments), sort_keys=False)
    return RenderedAgent(label=spec.label, plist=plist, generation=generation, eager=spec.eager)


def render_hub(
    config: HubConfig, ports: Mapping[str, int], paths: Paths, runtime: Runtime
) -> dict[str, RenderedAgent]:
    """Every agent of a hub by its label, the controller first."""
    specs = [controller_agent(config, paths, runtime)]
    specs += [worker_agent(config, model, ports[model.name], paths, runtime) for model in config.models]
    return {spec.label: render(spec) for spec in specs}


def is_eager(plist: bytes) -> bool:
    """Whether launchd runs it by itself; a plist that cannot be read is believed to be so."""
    try:
        properties = plistlib.loads(plist)
    except (plistlib.InvalidFileException, ExpatError, ValueError):
        return True
    return not isinstance(properties, dict) or properties.get("RunAtLoad") is True


def generation_of(plist: bytes) -> str | None:
    """The generation a plist of ours carries; None where these bytes are no plist of ours."""
    return find_option(_arguments_of(plist), GENERATION_OPTION)


def controller_address(plist: bytes) -> tuple[str, int] | None:
    """Host and port of the controller that this plist starts; None where it starts none."""
    arguments = _arguments_of(plist)
    host, port = find_option(arguments, "--host"), find_option(arguments, "--port")
    return None if host is None or port is None or not port.isdecimal() else (host, int(port))


def find_option(arguments: Sequence[str], option: str) -> str | None:
    """The argument that follows this one."""
    if option not in arguments[:-1]:
        return None
    return arguments[arguments.index(option) + 1]


def _arguments_of(plist: bytes) -> list[str]:
    try:
        properties = plistlib.loads(plist)
    except (plistlib.InvalidFileException, ExpatError, ValueError):
        return []
    arguments = properties.get("ProgramArguments") if isinstance(properties, dict) else None
    return arguments if isinstance(arguments, list) else []


def _program(runtime: Runtime, paths: Paths, role: str, *, name: str) -> tuple[str, ...]:
    """The launcher, where it leaves a note, and what it becomes.

    -I: neither PYTHONPATH, the user's site directory nor the working directory are imported from.
    """
    launcher, note = str(paths.launcher(role)), str(paths.parked(name))
    return (launcher, note, runtime.python, "-I", "-m", "mlxhub", role)


def _properties(spec: AgentSpec, arguments: tuple[str, ...]) -> dict[str, object]:
    """A lazy agent has neither RunAtLoad nor KeepAlive: SuccessfulExit alone would start it at load."""
    start: dict[str, object] = (
        {"RunAtLoad": True, "KeepAlive": {"SuccessfulExit": False}} if spec.eager else {}
    )
    return {
        "Label": spec.label,
        "ProgramArguments": list(arguments),
        "EnvironmentVariables": dict(spec.environment),
        "WorkingDirectory": spec.working_directory,
        **start,
        "ThrottleInterval": THROTTLE_SECONDS,
        "ExitTimeOut": int(STOP_SECONDS),
        "ProcessType": "Interactive",
        "Umask": UMASK,
        "SoftResourceLimits": {"NumberOfFiles": OPEN_FILES},
        "StandardOutPath": spec.stdio,
        "StandardErrorPath": spec.stdio,
    }
