"""Ports are promises: a model without `port` gets one once, and keeps it."""

from collections.abc import Callable, Mapping

from mlxhub.core.config import HubConfig
from mlxhub.errors import ConfigError, Fault

LAST_PORT = 65_535


def assign_ports(
    config: HubConfig, remembered: Mapping[str, int], is_free: Callable[[int], bool]
) -> dict[str, int]:
    """The port of every model: its own, the remembered one, or the first free one.

    Raises ConfigError where a port given in hub.yaml was promised to another model.
    """
    ports: dict[str, int] = {}
    faults: list[Fault] = []
    given = {model.port: model.name for model in config.models if model.port is not None}
    taken = {config.port, *given, *remembered.values()}
    for model in config.models:
        if model.port is not None:
            ports[model.name] = model.port
        elif (promised := remembered.get(model.name)) is None:
            ports[model.name] = _first_free(config.model_starting_port, taken, is_free)
            taken.add(ports[model.name])
        else:
            ports[model.name] = promised
            rival = "the controller" if promised == config.port else given.get(promised)
            if rival is not None:
                message = (
                    f'port {promised} was assigned to model "{model.name}" earlier and is now also given to '
                    f"{rival}. Give {rival} another port, or give {model.name} a port of its own."
                )
                faults.append(Fault("hub.yaml", None, message))
    if faults:
        raise ConfigError(tuple(faults))
    return ports


def _first_free(start: int, taken: set[int], is_free: Callable[[int], bool]) -> int:
    for port in range(start, LAST_PORT + 1):
        if port not in taken and is_free(port):
            return port
    raise ConfigError(
        (Fault("hub.yaml", None, f"no port from {start} upwards (model_starting_port) is free."),)
    )
