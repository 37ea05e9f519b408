"""The Scheduler's hands: carries out what it decides, and tells it what was seen and how things ended."""

import asyncio
import time
from collections.abc import Callable
from itertools import count

from loguru import logger

from mlxhub.clients.upstream import WorkerUnreachable
from mlxhub.controller.hub_in_use import HubInUse
from mlxhub.controller.observer import Observer
from mlxhub.controller.operations import Operations
from mlxhub.controller.scheduling_terms import error_of, outcome_of, slot_facts
from mlxhub.core.commands import (
    Command,
    Done,
    Failed,
    Grant,
    Load,
    Outcome,
    Reject,
    Start,
    Ticket,
    Unload,
    Work,
)
from mlxhub.core.limits import HubLimits
from mlxhub.core.rules import Rules, make_rules
from mlxhub.core.scheduler import Scheduler
from mlxhub.errors import MlxhubError
from mlxhub.fleet.facts import ModelFacts
from mlxhub.fleet.hub import Hub
from mlxhub.refusals import Draining


class Place:
    """The right to use a model that is in memory."""

    def __init__(self, scheduling: "Scheduling", name: str) -> None:
        self.name = name
        self._scheduling = scheduling
        self._ticket: Ticket | None = None

    async def take(self) -> None:
        """Waits. Raises what keeps it from coming. One that was held before is given back first."""
        self.give_back()
        self._ticket = await self._scheduling.take(self.name)

    def give_back(self) -> None:
        ticket, self._ticket = self._ticket, None
        if ticket is not None:
            self._scheduling.give_back(ticket)


class Scheduling:
    """On the event loop. Its work goes on when whoever it was for leaves."""

    def __init__(
        self,
        hub: HubInUse,
        observer: Observer,
        operations: Operations,
        tasks: asyncio.TaskGroup,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hub = hub
        self._observer = observer
        self._operations = operations
        self._tasks = tasks
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._ruled_by = self._said_now()
        self._rules = self._rules_by(*self._ruled_by)
        self._scheduler = Scheduler(self._rules)
        self._numbers = count(1)
        self._waiting: dict[Ticket, asyncio.Future[MlxhubError | None]] = {}
        self._working: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        observer.add_listener(self._on_look)

    async def take(self, name: str) -> Ticket:
        seconds = self._hub.value.named(name).config.queue_timeout
        ticket = Ticket(next(self._numbers), self._clock() + seconds)
        await self._observer.look_at_first(name)
        self._follow_rules()
        answer = self._waiting[ticket] = self._loop.create_future()
        try:
            self._carry_out(self._scheduler.on_request(ticket, name, self._clock()))
            refusal = await answer
        except BaseException:
            # Its client left, maybe just when it was granted.
            self._carry_out(self._scheduler.on_cancelled(ticket, self._clock()))
            raise
        finally:
            self._waiting.pop(ticket, None)
        if refusal is not None:
            # The same may be told to many: it must not keep what each of them asked.
            raise refusal.with_traceback(None)
        return ticket

    def give_back(self, ticket: Ticket) -> None:
        self._carry_out(self._scheduler.on_released(ticket, self._clock()))

    def end_waiting(self) -> None:
        """The process is about to end: whoever has no place yet gets none."""
        for ticket, answer in list(self._waiting.items()):
            if not answer.done():
                answer.set_result(Draining())
                self._carry_out(self._scheduler.on_cancelled(ticket, self._clock()))

    def cancel(self) -> None:
        """The process ends: what was begun, launchd and workers bring to its end."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._working:
            task.cancel()

    def _on_look(self, name: str, _last: ModelFacts | None, facts: ModelFacts, began: float) -> None:
        self._follow_rules()
        if (seen := slot_facts(name, facts, began)) is not None:
            self._carry_out(self._scheduler.on_observed(name, seen, self._clock()))

    def _follow_rules(self) -> None:
        """Of hub.yaml as it is in use: a reload changes them one model after the other."""
        said = self._said_now()
        if all(now is before for now, before in zip(said, self._ruled_by, strict=True)):
            # As at nearly every request, and to compare what they say takes time.
            return
        self._ruled_by = said
        rules = self._rules_by(*said)
        if rules != self._rules:
            self._rules = rules
            self._carry_out(self._scheduler.on_config(rules, self._clock()))

    def _said_now(self) -> tuple[Hub, HubLimits]:
        return self._hub.value, self._observer.holdings.limits

    def _rules_by(self, hub: Hub, limits: HubLimits) -> Rules:
        """Of the models as they run, of which hub.yaml may say otherwise already."""
        return make_rules((model.config for model in hub.models.values()), limits)

    def _carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Grant(ticket):
                    self._answer(ticket, None)
                case Reject(ticket, name):
                    self._answer(ticket, error_of(command, self._hub.value, self._rules))
                case Start(name) | Load(name) | Unload(name):
                    logger.debug("{} of model {}", type(command).__name__, name)
                    task = self._tasks.create_task(self._work(command))
                    self._working.add(task)
                    task.add_done_callback(self._working.discard)
        self._set_timer()

    def _answer(self, ticket: Ticket, error: MlxhubError | None) -> None:
        answer = self._waiting.get(ticket)
        if answer is not None and not answer.done():
            answer.set_result(error)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (look_at := self._scheduler.look_at) is not None:
            self._timer = self._loop.call_later(max(0.0, look_at - self._clock()), self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self._carry_out(self._scheduler.on_time(self._clock()))

    async def _work(self, work: Work) -> None:
        try:
            outcome = await self._outcome(work)
        except Exception as error:  # noqa: BLE001  the top of a background task
            logger.exception("Unexpected error in {}", work)
            outcome = Failed(MlxhubError(f"{type(error).__name__}. The controller's log says more."))
        self._carry_out(self._scheduler.on_finished(work, outcome, self._clock()))

    async def _outcome(self, work: Work) -> Outcome:
        try:
            match work:
                case Start(name):
                    await self._operations.start(name, enable=False)
                case Load(name):
                    await self._load(name)
                case Unload(name):
                    await self._operations.make_room(name)
        except MlxhubError as error:
            facts = self._observer.facts.get(work.model)
            return outcome_of(error, None if facts is None else facts.worker)
        return Done()

    async def _load(self, name: str) -> None:
        try:
            await self._operations.load(name)
        except WorkerUnreachable:
            # Its process ended since the last look at it.
            await self._operations.start(name, enable=False)
            await self._operations.load(name)
