"""The command line's clients against a real controller, and what they say when there is none."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mlxhub.clients.chat import ChatTarget, Said, Thought, Used, chat_stream
from mlxhub.clients.hub import HubAddress, HubClient
from mlxhub.clients.worker import WorkerClient
from mlxhub.controller.collaborators import ReloadOutcome
from mlxhub.core.lifecycle import ModelState, ProcessState
from mlxhub.errors import ControllerDown, StillUnderWay, WorkerSilent
from mlxhub.files.state import make_private_directory
from mlxhub.fleet.hub import Hub
from mlxhub.launchd.carry_out import During
from mlxhub.protocol.errors import RemoteError
from tests.controller.hub import ALPHA, BETA, RunningHub, controller_settings, running_hub
from tests.fakes.ports import free_ports
from tests.fakes.waiting import until
from tests.fakes.worker import Answer, FakeWorker, Received, Trusting

pytestmark = pytest.mark.anyio


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[RunningHub]:
    async with running_hub(tmp_path, ALPHA, BETA) as running:
        yield running


async def test_the_hub_client_asks_and_acts(hub: RunningHub) -> None:
    def act() -> None:
        client = HubClient(hub.address)
        assert [model.name for model in client.status().models] == ["alpha", "beta"]
        assert client.model_action("alpha", "load").ok
        assert client.status().models[0].memory is ModelState.READY
        assert client.bulk("stop-all").total == 2
        assert client.status().models[1].process is ProcessState.STOPPED
        assert client.reload().unchanged == ["alpha", "beta"]
        with pytest.raises(RemoteError, match='no model "gamma"') as caught:
            client.model_action("gamma", "start")
        assert (caught.value.status, caught.value.body.code) == (404, "model_not_found")

    await asyncio.to_thread(act)


async def test_where_nothing_answers_the_hub_client_says_how_to_start_it(tmp_path: Path) -> None:
    client = HubClient(HubAddress(tmp_path / "run" / "hub.sock", "http://127.0.0.1:1"))
    with pytest.raises(ControllerDown, match="mlxhub start"):
        client.status()


async def test_events_that_break_off_are_not_all_there_are(tmp_path: Path) -> None:
    event = b'data: {"id": "e", "sequence": 1, "at": 1, "kind": "some", "message": "It begins."}\n\n'

    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head + b"%x\r\n%s\r\n" % (len(event), event))
        writer.close()

    address = HubAddress(controller_settings(tmp_path).socket, "http://127.0.0.1:1")
    make_private_directory(address.socket.parent)
    async with await asyncio.start_unix_server(break_off, address.socket):
        events = HubClient(address).events(None, follow=False)
        assert (await asyncio.to_thread(next, events)).message == "It begins."
        with pytest.raises(ControllerDown):
            await asyncio.to_thread(next, events)


async def test_a_reload_that_takes_its_time_is_not_a_controller_that_is_down(hub: RunningHub) -> None:
    may_end = threading.Event()

    def slow(_: Hub, __: During) -> ReloadOutcome:
        assert may_end.wait(10)
        return ReloadOutcome()

    def reload() -> None:
        client = HubClient(hub.address, reload_seconds=0.2)
        with pytest.raises(StillUnderWay, match=r"reload is still under way, and goes on.*mlxhub status"):
            client.reload()
        assert client.answers()

    hub.carry_out = slow
    try:
        await asyncio.to_thread(reload)
    finally:
        may_end.set()


async def test_chat_gives_the_text_piece_by_piece(hub: RunningHub) -> None:
    async def chat(_: Received, answer: Answer) -> None:
        await answer.begin_chunks()
        await answer.chunk(b': keepalive\n\ndata: {"choices": [{"delta": {"role": "assistant"}}]}\n\n')
        await answer.chunk(b'data: {"choices": [{"delta": {"content": "po"}}]}\n\n')
        await answer.chunk(b'data: {"choices": [{"delta": {"content": "ng"}}]}\n\n')
        await answer.chunk(b'data: {"choices": [{"delta": {"reasoning_content": "hm"}}]}\n\n')
        await answer.chunk(
            b'data: {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3}}\n\n'
        )
        await answer.chunk(b'data: {"choices": [{"delta": {}}]}\n\ndata: [DONE]\n\n')
        await answer.end_chunks()

    hub.workers["alpha"].script = chat
    pieces = await asyncio.to_thread(
        lambda: list(chat_stream(ChatTarget(f"{hub.url}/v1"), "alpha", [{"role": "user", "content": "ping"}]))
    )
    assert pieces == [Said("po"), Said("ng"), Thought("hm"), Used(9, 3)]


async def test_chat_tells_errors_before_and_in_a_stream(hub: RunningHub) -> None:
    async def break_off(_: Received, answer: Answer) -> None:
        await answer.begin_chunks()
        await answer.chunk(b'data: {"error": {"message": "out of memory", "type": "server_error"}}\n\n')
        await answer.end_chunks()

    hub.workers["alpha"].script = break_off
    for model, message in [("alpha", "out of memory"), ("gamma", 'no model "gamma"')]:
        with pytest.raises(RemoteError, match=message):
            await asyncio.to_thread(
                lambda model=model: list(chat_stream(ChatTarget(f"{hub.url}/v1"), model, []))
            )


async def test_chat_says_where_nothing_answers() -> None:
    port = free_ports(1)[0]
    with pytest.raises(WorkerSilent, match=f"127.0.0.1:{port}"):
        list(chat_stream(ChatTarget(f"http://127.0.0.1:{port}/v1"), "alpha", []))


async def test_the_worker_client_asks_loads_and_unloads() -> None:
    worker = FakeWorker("alpha", free_ports(1)[0])
    await worker.open(pid=7)
    client = WorkerClient("alpha", worker.port, Trusting())
    assert (await client.status()).pid == 7
    await client.load()
    assert (await client.status()).model_status is ModelState.READY
    await client.unload()
    assert (await client.status()).model_status is ModelState.UNLOADED
    worker.load_error = (503, "model_load_failed", "no such directory")
    with pytest.raises(RemoteError, match="no such directory"):
        await client.load()
    client.close()
    await worker.die()
    with pytest.raises(WorkerSilent, match="takes no connection"):
        await client.status()


async def test_loads_that_hang_keep_nobody_from_asking_how_the_worker_is() -> None:
    worker = FakeWorker("alpha", free_ports(1)[0])
    worker.may_load.clear()
    await worker.open(pid=7)
    client = WorkerClient("alpha", worker.port, Trusting())
    loading = [asyncio.create_task(client.load()) for _ in range(16)]
    await until(lambda: worker.loads == 16)
    assert (await client.status()).pid == 7
    for task in loading:
        task.cancel()
    await asyncio.gather(*loading, return_exceptions=True)
    await worker.die()


async def test_what_is_no_worker_is_not_believed() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()

    port = free_ports(1)[0]
    server = await asyncio.start_server(answer, "127.0.0.1", port)
    with pytest.raises(WorkerSilent, match="no worker"):
        await WorkerClient("alpha", port, Trusting()).status()
    server.close()
