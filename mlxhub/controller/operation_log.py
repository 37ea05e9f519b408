"""What the hub was asked to do, under way and done: by an id, so that nobody has to wait for it."""

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from loguru import logger

from mlxhub.errors import MlxhubError, UnknownOperation
from mlxhub.fleet.happenings import Happening
from mlxhub.protocol.hub import ActionResult, BulkResult, OperationState, OperationView

KEPT_OPERATIONS = 200

Result = TypeVar("Result", ActionResult, BulkResult)


class OperationLog:
    """On the event loop. What is under way goes on when whoever asked for it leaves."""

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        emit: Callable[[Happening], None],
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._tasks = tasks
        self._emit = emit
        self._wall_clock = wall_clock
        self._views: OrderedDict[str, OperationView] = OrderedDict()
        self._running: set[asyncio.Task[None]] = set()
        self._under_way: dict[tuple[str, str | None], tuple[OperationView, asyncio.Future[Any]]] = {}

    @property
    def views(self) -> list[OperationView]:
        """The newest first."""
        return list(reversed(self._views.values()))

    def find(self, operation_id: str) -> OperationView:
        """Raises UnknownOperation."""
        try:
            return self._views[operation_id]
        except KeyError:
            raise UnknownOperation(operation_id) from None

    def begin(
        self, action: str, model: str | None, work: Callable[[], Awaitable[Result]]
    ) -> tuple[OperationView, "asyncio.Future[Result]"]:
        """What it is called, and what will come of it: its result, or the MlxhubError that ended it.

        The same that is under way already is not begun again.
        """
        if (known := self._under_way.get((action, model))) is not None:
            return known
        view = OperationView(
            id=f"op-{secrets.token_hex(8)}",
            action=action,
            model=model,
            state=OperationState.RUNNING,
            started_at=round(self._wall_clock(), 3),
        )
        self._keep(view)
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        task = self._tasks.create_task(self._carry_out(view, work, result))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        self._under_way[action, model] = view, result
        result.add_done_callback(lambda _: self._under_way.pop((action, model)))
        self._tell(view, f"{_named(view)} began.")
        return view, result

    def cancel(self) -> None:
        """The process ends: nobody is waited for any more."""
        for task in self._running:
            task.cancel()

    async def _carry_out(
        self, begun: OperationView, work: Callable[[], Awaitable[Result]], result: "asyncio.Future[Result]"
    ) -> None:
        try:
            value = await work()
        except Exception as error:  # noqa: BLE001  the top of a background task
            if not isinstance(error, MlxhubError):
                logger.exception("Unexpected error in operation {}", begun.id)
            self._end(begun, OperationState.FAILED, str(error))
            if not result.done():
                result.set_exception(error)
                # Nobody may have waited; asyncio would log the error as one that nobody saw.
                result.exception()
        except BaseException:
            result.cancel()
            raise
        else:
            self._end(begun, *_outcome(value))
            if not result.done():
                result.set_result(value)

    def _end(
        self,
        begun: OperationView,
        state: OperationState,
        message: str,
        results: list[ActionResult] | None = None,
    ) -> None:
        ended = begun.model_copy(
            update={
                "state": state,
                "message": message,
                "results": results or [],
                "ended_at": round(self._wall_clock(), 3),
            }
        )
        self._keep(ended)
        self._tell(ended, f"{_named(ended)}: {message}")

    def _keep(self, view: OperationView) -> None:
        self._views[view.id] = view
        over = [each.id for each in self._views.values() if each.state is not OperationState.RUNNING]
        for oldest in over[: max(0, len(self._views) - KEPT_OPERATIONS)]:
            del self._views[oldest]

    def _tell(self, view: OperationView, message: str) -> None:
        self._emit(Happening(f"operation.{view.state}", message, view.model, operation=view.id))


def _outcome(value: ActionResult | BulkResult) -> tuple[OperationState, str, list[ActionResult]]:
    match value:
        case ActionResult(ok=ok, message=message):
            results = [value]
        case BulkResult(results=results):
            failed = [each for each in results if not each.ok]
            ok, message = not failed, "; ".join(each.message for each in failed) or "done."
    return OperationState.DONE if ok else OperationState.FAILED, message, results


def _named(view: OperationView) -> str:
    return f"{view.action} of every model" if view.model is None else f'{view.action} of model "{view.model}"'
