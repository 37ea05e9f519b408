"""`/hub/*` tells the truth and does what it is asked."""

import asyncio
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mlxhub.controller.collaborators import ReloadOutcome
from mlxhub.core.agents import BY_HAND
from mlxhub.core.config import HubConfig
from mlxhub.core.lifecycle import ModelState, ProcessState
from mlxhub.errors import ConfigError, Fault, PlanRefused
from mlxhub.fleet.hub import Hub
from mlxhub.protocol.hub import Failure
from tests.controller.hub import ALPHA, BETA, RunningHub, make_test_hub, running_hub
from tests.fakes.waiting import until
from tests.fakes.worker import FakeWorker

pytestmark = pytest.mark.anyio


async def test_running_models_are_adopted_without_touching_them(hub: RunningHub) -> None:
    view = await hub.view("alpha")
    assert (view.process, view.memory, view.pid) == (ProcessState.RUNNING, ModelState.UNLOADED, 50_001)
    assert (view.error, view.memory_bytes, view.restarts) == (None, 50_000_000, 0)
    assert view.started_at == pytest.approx(time.time() - 12.5, abs=3)
    assert view.unload_at == pytest.approx(time.time() + 60, abs=3)
    assert view.last_activity_at == pytest.approx(time.time() - 3, abs=3)
    assert hub.launchd.calls == []


async def test_counts_and_controller_are_part_of_the_status(hub: RunningHub) -> None:
    status = (await hub.client.get("/hub/status")).json()
    assert status["counts"] == {"models": 2, "running": 2, "loaded": 0}
    assert status["controller"]["process"] == "running"
    assert status["warnings"] == []
    assert status["groups"] == []


async def test_a_silent_worker_keeps_its_last_facts_and_says_it_is_silent(hub: RunningHub) -> None:
    hub.workers["alpha"].muted = True
    view = await hub.until("alpha", lambda view: view.memory is None)
    assert (view.process, view.memory_bytes) == (ProcessState.RUNNING, 50_000_000)
    assert view.facts_age_seconds is not None
    assert view.facts_age_seconds > 1.5
    assert view.error is not None
    assert "no answer on port" in view.error
    assert (await hub.view("beta")).memory is ModelState.UNLOADED


async def test_a_stranger_on_the_port_is_named_and_gone_when_it_is_gone(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA, stopped=("alpha",)) as hub:
        stranger = FakeWorker("stranger", hub.workers["alpha"].port)
        await stranger.open(pid=4242)
        refused = await hub.post("/hub/models/alpha/start")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "port_held")
        view = await hub.until("alpha", lambda view: view.process is ProcessState.FAILED)
        assert view.error is not None
        assert f"Port {view.port} is held by pid" in view.error
        assert f"held by pid {os.getpid()}" in view.error
        assert (await hub.chat("alpha")).status_code == 503
        assert stranger.received == []
        await stranger.die()
        assert (await hub.post("/hub/models/alpha/start")).status_code == 200


async def test_a_silent_launchd_leaves_what_workers_say_and_warns(hub: RunningHub) -> None:
    hub.launchd.silent = {hub.label("alpha"), hub.label("beta")}
    await hub.workers["beta"].die()
    view = await hub.until("beta", lambda view: view.process is ProcessState.UNKNOWN)
    assert view.error is not None
    status = (await hub.client.get("/hub/status")).json()
    assert [model["process"] for model in status["models"]] == ["running", "unknown"]
    assert "launchd does not answer" in status["warnings"][0]


async def test_a_worker_started_by_launchd_alone_is_seen(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA, stopped=("alpha",)) as hub:
        assert (await hub.view("alpha")).process is ProcessState.STOPPED
        await asyncio.to_thread(hub.launchd.kickstart, hub.label("alpha"))
        view = await hub.until("alpha", lambda view: view.process is ProcessState.RUNNING)
        assert view.pid == 50_001


async def test_each_action_answers_when_it_is_done(hub: RunningHub) -> None:
    for action, process, memory in [
        ("load", ProcessState.RUNNING, ModelState.READY),
        ("unload", ProcessState.RUNNING, ModelState.UNLOADED),
        ("stop", ProcessState.STOPPED, None),
        ("stop", ProcessState.STOPPED, None),
        ("load", ProcessState.RUNNING, ModelState.READY),
        ("restart", ProcessState.RUNNING, ModelState.READY),
        ("start", ProcessState.RUNNING, ModelState.READY),
    ]:
        result = (await hub.post(f"/hub/models/alpha/{action}")).json()
        view = await hub.view("alpha")
        assert (action, result["ok"], view.process, view.memory) == (action, True, process, memory)


async def test_a_stopped_model_stays_known_to_launchd(hub: RunningHub) -> None:
    await hub.post("/hub/models/alpha/stop")
    assert hub.launchd.jobs[hub.label("alpha")].last_exit == "exit 0"
    assert ("bootout", hub.label("alpha")) not in hub.launchd.calls


async def test_an_error_of_the_worker_passes_with_its_code(hub: RunningHub) -> None:
    hub.workers["alpha"].load_error = (503, "model_load_failed", "no such directory")
    response = await hub.post("/hub/models/alpha/load")
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "model_load_failed"
    assert response.json()["error"]["message"] == "no such directory"


async def test_all_who_ask_for_a_load_share_one_and_the_hub_goes_on(hub: RunningHub) -> None:
    worker = hub.workers["alpha"]
    worker.may_load.clear()
    asking = [asyncio.create_task(hub.post("/hub/models/alpha/load")) for _ in range(20)]
    await until(lambda: worker.loads == 1)
    await hub.controller.observer.look_at_all()
    assert (await hub.view("alpha")).process is ProcessState.RUNNING
    worker.may_load.set()
    assert [(await response).status_code for response in asking] == [200] * 20
    assert worker.loads == 1


async def test_only_a_start_that_a_person_asked_for_is_enabled(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA, BETA, stopped=("alpha", "beta")) as hub:
        hub.launchd.jobs.clear()
        assert (await hub.chat("alpha")).status_code == 200
        assert (await hub.post("/hub/models/beta/start")).status_code == 200
        assert [label for verb, label in hub.launchd.calls if verb == "enable"] == [hub.label("beta")]


async def test_an_unexpected_error_is_told_in_our_shape_without_details(hub: RunningHub) -> None:
    def break_down() -> Hub:
        raise RuntimeError("secret")

    hub.next_hub = break_down
    response = await hub.post("/hub/reload")
    assert (response.status_code, response.json()["error"]["code"]) == (500, "internal_error")
    assert "secret" not in response.text
    assert response.headers["x-request-id"]


async def test_an_unknown_name_is_404_and_an_alias_is_no_name(hub: RunningHub) -> None:
    for name in ("gamma", "gpt-4o-mini"):
        assert (await hub.post(f"/hub/models/{name}/stop")).status_code == 404
    assert (await hub.post("/hub/models/alpha/explode")).status_code == 400
    assert hub.launchd.calls == []


async def test_a_change_that_is_not_sent_as_json_is_415(hub: RunningHub) -> None:
    for path in ("/hub/reload", "/hub/models/alpha/stop", "/hub/start-all", "/hub/stop-all", "/hub/shutdown"):
        for headers in (
            {},
            {"content-type": "text/plain"},
            {"content-type": "application/x-www-form-urlencoded"},
        ):
            response = await hub.client.post(path, content=b"{}", headers=headers)
            assert (response.status_code, response.json()["error"]["code"]) == (415, "unsupported_media_type")
    assert hub.launchd.calls == []
    assert hub.reconciled == []


async def test_bulk_actions_report_each_failure_and_do_the_rest(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA, BETA, stopped=("alpha", "beta")) as hub:
        hub.launchd.throttle = True
        hub.programs["beta"].dies_at_start = "exit 1"
        result = (await hub.post("/hub/start-all")).json()
        assert (result["started"], result["total"]) == (1, 2)
        assert [(each["name"], each["ok"]) for each in result["results"]] == [
            ("alpha", True),
            ("beta", False),
        ]
        assert "exit 1" in result["results"][1]["message"]
        assert (await hub.view("alpha")).process is ProcessState.RUNNING
        assert (await hub.view("beta")).process is ProcessState.THROTTLED
        result = (await hub.post("/hub/stop-all")).json()
        assert [each["ok"] for each in result["results"]] == [True, True]
        assert (await hub.view("beta")).process is ProcessState.NOT_INSTALLED


async def test_a_reload_with_faults_changes_nothing_and_names_them_all(hub: RunningHub) -> None:
    def broken() -> Hub:
        raise ConfigError((Fault("hub.yaml", 3, "first."), Fault("hub.yaml", 9, "second.")))

    hub.next_hub = broken
    response = await hub.post("/hub/reload")
    assert response.status_code == 422
    assert response.json()["error"]["message"] == "hub.yaml:3: first.\nhub.yaml:9: second."
    assert hub.reconciled == []
    assert (await hub.chat("alpha")).status_code == 200


async def test_a_reload_takes_the_new_models_and_drops_the_old(hub: RunningHub, tmp_path: Path) -> None:
    renamed = hub.hub.models["alpha"].config.model_copy(update={"aliases": ("new",)})
    added = BETA.model_copy(update={"name": "gamma", "port": hub.port + 1})
    hub.next_hub = lambda: make_test_hub(tmp_path, renamed, added)
    result = (await hub.post("/hub/reload")).json()
    assert result["unchanged"] == ["alpha", "gamma"]
    assert "mlxhub install" in result["warnings"][0]
    status = (await hub.client.get("/hub/status")).json()
    assert [model["name"] for model in status["models"]] == ["alpha", "gamma"]
    assert (await hub.chat("new")).status_code == 200
    assert (await hub.chat("beta")).status_code == 404
    assert (await hub.chat("gpt-4o-mini")).status_code == 404


async def test_a_reload_says_what_failed_and_what_was_not_begun(hub: RunningHub) -> None:
    failure = Failure(name="alpha", message="it is not ready.", evidence=["its last words"])
    hub.outcome = ReloadOutcome(unchanged=("gamma",), failed=(failure,), not_begun=("beta",))
    result = (await hub.post("/hub/reload")).json()
    assert result["failed"] == [
        {"name": "alpha", "message": "it is not ready.", "evidence": ["its last words"]}
    ]
    assert (result["not_begun"], result["unchanged"]) == (["beta"], ["gamma"])


async def test_a_reload_that_is_refused_leaves_the_hub_as_it_was(hub: RunningHub, tmp_path: Path) -> None:
    alpha = hub.hub.models["alpha"].config
    hub.next_hub = lambda: make_test_hub(tmp_path, alpha)
    hub.outcome = PlanRefused({"io.mlxhub.worker.alpha": "/agents/a.plist was edited."})
    response = await hub.post("/hub/reload")
    assert (response.status_code, response.json()["error"]["code"]) == (409, "not_ours")
    assert "/agents/a.plist was edited." in response.json()["error"]["message"]
    assert "mlxhub apply --force" in response.json()["error"]["message"]
    assert (await hub.chat("beta")).status_code == 200


async def test_what_is_wrong_with_the_hub_it_began_with_is_a_warning_until_a_reload(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA, warnings=("hub.yaml:3: first.",)) as hub:
        assert (await hub.client.get("/hub/status")).json()["warnings"] == ["hub.yaml:3: first."]
        await hub.post("/hub/reload")
        assert (await hub.client.get("/hub/status")).json()["warnings"] == []


async def test_a_reload_with_another_label_prefix_is_refused_before_anything_changes(
    hub: RunningHub, tmp_path: Path
) -> None:
    alpha = hub.hub.models["alpha"].config
    hub.next_hub = lambda: make_test_hub(
        tmp_path, alpha, config=HubConfig(models=(alpha,), label_prefix="org.other")
    )
    response = await hub.post("/hub/reload")
    assert response.status_code == 422
    assert response.json()["error"]["message"] == (
        'hub.yaml: label_prefix changed from "io.mlxhub" to "org.other". Apply that with: mlxhub install'
    )
    assert hub.reconciled == []
    assert (await hub.chat("beta")).status_code == 200


async def test_a_reload_warns_where_the_controller_itself_would_change(hub: RunningHub) -> None:
    assert (await hub.post("/hub/reload")).json()["warnings"] == []
    moved = replace(hub.hub, config=hub.hub.config.model_copy(update={"port": hub.port + 1}))
    hub.next_hub = lambda: moved
    assert (await hub.post("/hub/reload")).json()["warnings"] == [
        "hub.yaml changes the controller itself (address, log level or log path). "
        "Apply that with: mlxhub install"
    ]


async def test_a_controller_that_was_started_by_hand_warns_of_no_agent(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA, generation=BY_HAND) as hub:
        assert (await hub.post("/hub/reload")).json()["warnings"] == []


async def test_an_older_definition_that_still_runs_is_a_warning(tmp_path: Path) -> None:
    async with running_hub(tmp_path, ALPHA) as hub:
        hub.launchd.jobs[hub.label("alpha")].generation = "g0"
        await hub.post("/hub/models/alpha/start")
        assert "mlxhub reload" in (await hub.client.get("/hub/status")).json()["warnings"][0]


async def test_health_answers(hub: RunningHub) -> None:
    for path in ("/health", "/livez", "/readyz"):
        assert (await hub.client.get(path)).json() == {"status": "ok"}


async def test_nobody_finds_documentation_routes(hub: RunningHub) -> None:
    for path in ("/docs", "/redoc", "/openapi.json"):
        assert (await hub.client.get(path)).status_code == 404
