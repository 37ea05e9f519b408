"""hub.yaml on disk, and the ports it was promised."""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, TypeAdapter

from mlxhub.core.agents import model_of
from mlxhub.core.config import HubConfig, Port, parse_config
from mlxhub.core.differences import port_of
from mlxhub.core.paths import Paths, model_location
from mlxhub.core.ports import assign_ports
from mlxhub.errors import ConfigError, Fault, HubYamlLeftAlone
from mlxhub.files.locks import hold_lock
from mlxhub.files.machine import is_testing
from mlxhub.files.manifest import installed_agents
from mlxhub.files.ports import is_free
from mlxhub.files.probes import are_directories
from mlxhub.files.rights import open_places
from mlxhub.files.state import read_state, remove_leftovers, write_atomically, write_state

DIRECTORY_SECONDS = 5.0


def _each_once(ports: dict[str, int]) -> dict[str, int]:
    if len(set(ports.values())) < len(ports):
        raise ValueError("two models with one port")
    return ports


_PORTS = TypeAdapter(Annotated[dict[str, Port], AfterValidator(_each_once)])


def read_hub_yaml(path: Path) -> HubConfig:
    """Raises ConfigError, also where there is no file."""
    return parse_hub_text(read_hub_text(path), path)


def parse_hub_text(text: str, path: Path) -> HubConfig:
    """What stands, or would stand, in this hub.yaml. Raises ConfigError."""
    return parse_config(text, source=str(path), testing=is_testing())


def read_hub_text(path: Path) -> str:
    """Every byte as it stands there, line ends too: what was applied is put back like that.

    Raises ConfigError, also where there is no file, and where others may change it: they would decide what
    runs as its user.
    """
    try:
        open_to_others = list(open_places(path))
        if open_to_others:
            raise ConfigError(
                tuple(
                    Fault(str(path), None, f"is not read. {place.text} Mend that with: {place.fix}")
                    for place in open_to_others
                )
            )
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError as error:
        raise ConfigError((Fault(str(path), None, "does not exist. Write one with: mlxhub init"),)) from error
    except UnicodeDecodeError as error:
        raise ConfigError((Fault(str(path), None, "is not UTF-8 text."),)) from error
    except OSError as error:
        raise ConfigError((Fault(str(path), None, f"cannot be read: {error.strerror}."),)) from error


def edit_hub_yaml(paths: Paths, change: Callable[[str], str]) -> bool:
    """Whether it changed anything; then what stood there is beside it, as hub.yaml.before-edit.

    What would have faults is not written. Raises ConfigError, StateUnwritable, LockTimeout, HubYamlLeftAlone
    where a person saved the file meanwhile, and what `change` does.
    """
    path = paths.config
    with hold_lock(paths.state / "hub_yaml.lock"):
        before = read_hub_text(path)
        after = change(before)
        if after == before:
            return False
        parse_hub_text(after, path)
        mode = stat.S_IMODE(path.stat().st_mode)
        write_atomically(path.with_name(f"{path.name}.before-edit"), before.encode(), mode=mode)
        if read_hub_text(path) != before:
            raise HubYamlLeftAlone(f"{path} was edited by somebody else meanwhile and stays so. Try again.")
        write_atomically(path, after.encode(), mode=mode)
    return True


def known_ports(config: HubConfig, paths: Paths) -> dict[str, int]:
    """The port of every model as far as promised, else the one it would get now."""
    return assign_ports(config, _remembered(paths), is_free)


def promised_ports(config: HubConfig, paths: Paths) -> dict[str, int]:
    """The port of every model. A new promise is written down before anybody relies on it."""
    with hold_lock(paths.ports.with_suffix(".lock")):
        remove_leftovers(paths.ports)
        remembered = _remembered(paths)
        ports = assign_ports(config, remembered, is_free)
        promises = {model.name: ports[model.name] for model in config.models if model.port is None}
        unwritten = promises and not paths.ports.exists()
        if unwritten or not promises.items() <= remembered.items():
            write_state(paths.ports, _PORTS, remembered | promises)
    return ports


def _remembered(paths: Paths) -> dict[str, int]:
    """Were the promises lost, the plists still say what they were."""
    remembered = read_state(paths.ports, _PORTS, {})
    if remembered or paths.ports.exists():
        return remembered
    ports: dict[str, int] = {}
    for label, plist in installed_agents(paths).items():
        name, port = model_of(label), _port_in(plist)
        if name is not None and port is not None and port not in ports.values():
            ports[name] = port
    return ports


def _port_in(plist: Path) -> int | None:
    try:
        return port_of(plist.read_bytes())
    except OSError:
        return None


def missing_models(config: HubConfig, paths: Paths, home: Path) -> list[str]:
    """A warning for each model directory that is not there. It may come: an external disk, a download."""
    named = {
        model.name: model_location(model.model_path, home=home, base=paths.config.parent)
        for model in config.models
        if model.model_path is not None
    }
    places = {name: place for name, place in named.items() if place.startswith("/")}
    there = are_directories(list(places.values()), DIRECTORY_SECONDS)
    return [_missing(name, place, there[place]) for name, place in places.items() if not there[place]]


def _missing(name: str, place: str, is_there: bool | None) -> str:
    if is_there is None:
        late = f"looking for {place} did not end within {DIRECTORY_SECONDS:g} s"
        return f'model "{name}": {late}. Is its disk attached?'
    return f'model "{name}": there is no directory {place}. It cannot be loaded until there is one.'
