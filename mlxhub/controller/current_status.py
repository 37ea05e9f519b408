"""The hub's status as of now, from the facts at hand: instant, asks nobody."""

import time

from mlxhub.controller.hub_in_use import HubInUse
from mlxhub.controller.observer import Observer
from mlxhub.fleet.status import Clocks, hub_status
from mlxhub.protocol.hub import ControllerView, HubStatus


class CurrentStatus:
    def __init__(self, hub: HubInUse, observer: Observer, controller: ControllerView) -> None:
        self._hub = hub
        self._observer = observer
        self._controller = controller

    def __call__(self) -> HubStatus:
        now = Clocks(monotonic=time.monotonic(), unix=time.time())
        observer = self._observer
        status = hub_status(self._hub.value, observer.facts, self._controller, now, observer.holdings)
        return status.model_copy(update={"warnings": [*self._hub.warnings, *status.warnings]})
