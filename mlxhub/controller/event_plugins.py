"""Event sinks that other packages bring: entry points of the group `mlxhub.event_sinks`."""

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeAlias

from loguru import logger

from mlxhub.protocol.hub import HubEvent

GROUP = "mlxhub.event_sinks"
WAITING_EVENTS = 1000

# It gets what docs/api.md says of an event.
Plugin: TypeAlias = Callable[[Mapping[str, Any]], None]


class PluginSink:
    """Calls it on a thread of its own: one that hangs or raises holds up nobody."""

    def __init__(self, name: str, load: Callable[[], Plugin]) -> None:
        self.name = name
        self._load = load
        self._waiting: queue.Queue[HubEvent] = queue.Queue(WAITING_EVENTS)
        self._falls_behind = False
        # The process may end at any time: what a plugin has not done by then is its own loss.
        threading.Thread(target=self._run, name=f"event sink {name}", daemon=True).start()

    def __call__(self, event: HubEvent) -> None:
        try:
            self._waiting.put_nowait(event)
            self._falls_behind = False
        except queue.Full:
            if not self._falls_behind:
                logger.error(
                    "Event sink {} has not taken the last {} events: it misses those that come now.",
                    self.name,
                    WAITING_EVENTS,
                )
            self._falls_behind = True

    def _run(self) -> None:
        try:
            plugin = self._load()
        except Exception:  # noqa: BLE001 - the top of this thread, and code of others
            logger.exception("Event sink {} cannot be loaded", self.name)
            return
        while True:
            event = self._waiting.get()
            try:
                plugin(event.model_dump(mode="json"))
            except Exception:  # noqa: BLE001 - likewise
                logger.exception("Event sink {} failed at event {}", self.name, event.id)


def plugin_sinks() -> Iterator[PluginSink]:
    """Of the packages that are installed beside mlxhub."""
    for point in entry_points(group=GROUP):
        logger.info("Event sink {}: {}", point.name, point.value)
        yield PluginSink(point.name, _loader(point))


def _loader(point: EntryPoint) -> Callable[[], Plugin]:
    def load() -> Plugin:
        plugin: Plugin = point.load()
        if not callable(plugin):
            raise TypeError(f"{point.value} is not callable")
        return plugin

    return load
