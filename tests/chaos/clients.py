"""Clients that ask for answers all the time, through the controller and straight at workers."""

import asyncio
import itertools
import json
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import httpx

from tests.chaos.exchanges import ANSWER_SECONDS, Exchange, Way

# Beyond the limit of the judge, so that it is the judge who says so.
PATIENCE_SECONDS = ANSWER_SECONDS + 5
_LONGEST_PAUSE_SECONDS = 0.4
_COME_AGAIN_SECONDS = 0.5
_END = "[DONE]"


@dataclass(frozen=True, slots=True)
class Client:
    """One that asks again and again, for the same model in the same way."""

    model: str
    way: Way
    stream: bool
    port: int


class Clients:
    """In both ways, streams and whole answers, for each model. `history`: what they saw so far."""

    def __init__(self, controller_port: int, worker_ports: Mapping[str, int], seed: int) -> None:
        self.history: list[Exchange] = []
        self._clients = [
            Client(model, way, stream, controller_port if way is Way.CONTROLLER else worker_port)
            for model, worker_port in worker_ports.items()
            for way in Way
            for stream in (True, False)
        ]
        self._random = random.Random(seed)
        self._numbers = itertools.count()

    def ask_until(self, over: threading.Event) -> None:
        asyncio.run(self._run(over))

    async def _run(self, over: threading.Event) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
        async with (
            httpx.AsyncClient(timeout=None, limits=limits, trust_env=False, verify=False) as http,
            asyncio.TaskGroup() as tasks,
        ):
            for client in self._clients:
                tasks.create_task(self._ask_all_the_time(http, client, over))

    async def _ask_all_the_time(self, http: httpx.AsyncClient, client: Client, over: threading.Event) -> None:
        while not over.is_set():
            # No two ask the same: a worker refuses what it died of twice.
            words = [
                f"{client.model}-{next(self._numbers)}",
                *("again" for _ in range(self._random.randrange(50))),
            ]
            exchange = await ask(http, client, " ".join(words))
            self.history.append(exchange)
            pause = self._random.uniform(0, _LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(pause if exchange.is_right else pause + _COME_AGAIN_SECONDS)


async def ask(http: httpx.AsyncClient, client: Client, words: str) -> Exchange:
    began = time.monotonic()
    answer = Answer()
    body = {
        "model": client.model,
        "stream": client.stream,
        "messages": [{"role": "user", "content": words}],
    }
    url = f"http://127.0.0.1:{client.port}/v1/chat/completions"
    try:
        async with asyncio.timeout(PATIENCE_SECONDS), http.stream("POST", url, json=body) as response:
            answer.begin(response)
            if response.headers["content-type"].startswith("text/event-stream"):
                async for line in response.aiter_lines():
                    answer.take_line(line)
            else:
                answer.take_whole(await response.aread())
    except (httpx.TransportError, TimeoutError) as error:
        answer.lost = f"{type(error).__name__}: {error}"
    return Exchange(client.model, client.way, client.stream, words, began, time.monotonic(), **asdict(answer))


@dataclass(slots=True)
class Answer:
    """What has come so far of one; as of Exchange."""

    status: int | None = None
    said: str = ""
    done: bool = False
    error: str | None = None
    retry_after: str | None = None
    lost: str | None = None
    after_end: list[str] = field(default_factory=list)

    def begin(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.retry_after = response.headers.get("retry-after")

    def take_whole(self, body: bytes) -> None:
        content = json.loads(body)
        if self.status == 200:
            self.said = content["choices"][0]["message"]["content"]
        else:
            self.error = content["error"]["code"]

    def take_line(self, line: str) -> None:
        if not line.startswith("data: "):
            return
        data = line.removeprefix("data: ")
        if self.done or self.error is not None:
            self.after_end.append(data)
        elif data == _END:
            self.done = True
        else:
            event = json.loads(data)
            if "error" in event:
                self.error = event["error"]["code"]
            else:
                self.said += "".join(choice["delta"].get("content") or "" for choice in event["choices"])
