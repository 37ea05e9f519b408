"""A request for a model whose process is down starts it: once, and only where it may."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from mlxhub.core.lifecycle import ProcessState
from mlxhub.files.runs import park
from tests.controller.hub import ALPHA, BETA, running_hub
from tests.fakes.launchd import FakeLaunchd
from tests.fakes.waiting import until
from tests.fakes.worker import Answer, Received

pytestmark = pytest.mark.anyio


def kickstarts(launchd: FakeLaunchd) -> int:
    return sum(verb == "kickstart" for verb, _ in launchd.calls)


async def test_a_stopped_model_is_started_once_for_all_who_wait(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA, stopped=("alpha",)) as hub:
        responses = await asyncio.gather(*(hub.chat("alpha", n=number) for number in range(20)))
        assert [response.json()["n"] for response in responses] == list(range(20))
        assert hub.programs["alpha"].starts == 1
        assert kickstarts(hub.launchd) == 1


async def test_a_model_with_jit_off_is_not_started(tmp_path: Path) -> None:
    lazy = BETA.model_copy(update={"jit": False})
    async with running_hub(tmp_path, lazy, stopped=("beta",)) as hub:
        response = await hub.chat("beta")
        assert (response.status_code, response.json()["error"]["code"]) == (503, "model_not_running")
        assert "mlxhub start-model beta" in response.json()["error"]["message"]
        assert hub.programs["beta"].starts == 0


async def test_a_model_that_is_kept_down_is_refused_until_a_person_starts_it(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA, stopped=("alpha",)) as hub:
        park(hub.hub.models["alpha"].run_files, "It died 5 times.", None)
        response = await hub.chat("alpha")
        assert response.status_code == 503
        assert response.json()["error"]["code"] == "model_failed"
        assert "mlxhub status" in response.json()["error"]["message"]
        assert hub.programs["alpha"].starts == 0
        view = await hub.until("alpha", lambda view: view.error is not None)
        assert (view.process, view.error) == ("failed", "It died 5 times.")

        assert (await hub.post("/hub/models/alpha/start")).status_code == 200
        assert (await hub.chat("alpha")).status_code == 200
        assert (await hub.view("alpha")).error is None


async def test_a_start_that_fails_says_how_it_ended_and_how_to_see_the_log(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA, stopped=("alpha",)) as hub:
        hub.launchd.throttle = True
        hub.programs["alpha"].dies_at_start = "exit 1"
        responses = await asyncio.gather(*(hub.chat("alpha") for _ in range(5)))
        assert {response.status_code for response in responses} == {503}
        message = responses[0].json()["error"]["message"]
        assert "exit 1" in message
        assert "mlxhub logs alpha" in message
        assert str(tmp_path) not in message
        assert responses[0].headers["retry-after"]
        assert hub.programs["alpha"].starts == 1


async def test_a_model_that_is_not_installed_says_how_to_install_it(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA, stopped=("alpha",)) as hub:
        del hub.launchd.jobs[hub.label("alpha")]
        hub.hub.models["alpha"].plist.unlink()
        response = await hub.chat("alpha")
        assert response.status_code == 503
        assert "mlxhub install" in response.json()["error"]["message"]


async def test_a_client_that_leaves_while_its_model_starts_sends_nothing_to_it(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA, stopped=("alpha",)) as hub:
        program = hub.programs["alpha"]
        program.may_listen.clear()
        waiting = asyncio.create_task(hub.chat("alpha"))
        await until(lambda: program.starts == 1)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        await until(lambda: hub.controller.dispatcher.is_idle)
        program.may_listen.set()
        await hub.until("alpha", lambda view: view.process == "running")
        assert hub.workers["alpha"].received == []


async def test_a_worker_that_died_since_the_last_look_is_back_before_the_answer(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA) as hub:
        await hub.chat("alpha")
        await hub.kill_worker("alpha")
        response = await hub.chat("alpha", n=7)
        assert (response.status_code, response.json()["n"]) == (200, 7)


async def test_a_process_that_ended_is_started_for_the_next_request(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA) as hub:
        await hub.workers["alpha"].die()
        await asyncio.to_thread(hub.launchd.end, hub.label("alpha"), "exit 0")
        assert (await hub.chat("alpha")).status_code == 200
        assert kickstarts(hub.launchd) == 1


async def test_requests_to_one_model_pass_while_another_starts(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA, BETA, stopped=("beta",)) as hub:
        hub.programs["beta"].may_listen.clear()
        waiting = asyncio.create_task(hub.chat("beta"))
        assert (await hub.chat("alpha")).status_code == 200
        assert not waiting.done()
        hub.programs["beta"].may_listen.set()
        assert (await waiting).status_code == 200


async def test_what_is_not_answered_when_draining_ends_is_broken_off_with_an_error_event(
    tmp_path: Path,
) -> None:
    async def begin_only(_: Received, answer: Answer) -> None:
        await answer.begin_chunks()
        await answer.chunk(b"data: 1\n\n")
        await asyncio.sleep(3600)

    async with running_hub(tmp_path, ALPHA) as hub:
        hub.workers["alpha"].script = begin_only
        body = {"model": "alpha"}
        async with hub.client.stream("POST", "/v1/chat/completions", json=body) as response:
            pieces = response.aiter_text()
            assert await anext(pieces) == "data: 1\n\n"
            hub.controller.dispatcher.end_leases()
            assert (await anext(pieces)).startswith('data: {"error":')


async def test_a_draining_controller_ends_what_runs_and_takes_nothing_new(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA) as hub:
        may_answer = asyncio.Event()

        async def answer_when_told(request: Received, answer: Answer) -> None:
            await may_answer.wait()
            await answer.whole(request.body)

        hub.workers["alpha"].script = answer_when_told
        running = asyncio.create_task(hub.chat("alpha"))
        await hub.workers["alpha"].asked.wait()
        hub.controller.dispatcher.begin_drain()
        refused = await hub.chat("alpha")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "shutting_down")
        assert not hub.controller.dispatcher.is_idle
        may_answer.set()
        assert (await running).status_code == 200


async def test_who_has_waited_for_a_process_as_long_as_hub_yaml_says_is_told_so(tmp_path: Path) -> None:
    hasty = ALPHA.model_copy(update={"queue_timeout": 0.3})
    async with running_hub(tmp_path, hasty, stopped=("alpha",)) as hub:
        hub.programs["alpha"].may_listen.clear()
        refused = await hub.chat("alpha")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "queue_timeout")
        assert "within 0.3 s (queue_timeout)" in refused.json()["error"]["message"]
        hub.programs["alpha"].may_listen.set()
        await hub.until("alpha", lambda view: view.process is ProcessState.RUNNING)
        assert (await hub.chat("alpha")).status_code == 200


async def test_a_process_that_died_at_its_load_fails_those_who_wait_and_not_the_next(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA) as hub:
        hub.workers["alpha"].may_load.clear()
        waiting = asyncio.create_task(hub.chat("alpha"))
        await until(lambda: hub.workers["alpha"].loads == 1)
        await hub.kill_worker("alpha")
        failed = await waiting
        assert (failed.status_code, failed.json()["error"]["code"]) == (502, "worker_silent")
        hub.workers["alpha"].may_load.set()
        await hub.until("alpha", lambda view: view.process is ProcessState.RUNNING)
        assert (await hub.chat("alpha")).status_code == 200
