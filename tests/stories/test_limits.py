"""Groups and memory_limit are kept by the workers themselves, also without a controller."""

from typing import Any

import httpx
import openai
import psutil
import pytest

from tests.eventually import eventually
from tests.stories.conftest import LiveHub

MODELS = (
    "{name: one, model_path: 'builtin:demo', group: tier}",
    "{name: two, model_path: 'builtin:demo', group: tier}",
)


def facts(hub: LiveHub, key: str) -> dict[str, Any]:
    return {model["name"]: model[key] for model in hub.json("status")["models"]}


def ask(hub: LiveHub, port: int, model: str) -> str:
    """The model itself, past the controller."""
    answer = hub.client(port).chat.completions.create(
        model=model, messages=[{"role": "user", "content": "ping"}]
    )
    return str(answer.choices[0].message.content)


def refusal(hub: LiveHub, port: int, model: str) -> tuple[int, str | None, str]:
    with pytest.raises(openai.APIStatusError) as refused:
        ask(hub, port, model)
    assert refused.value.response.headers["retry-after"] == "2"
    return refused.value.status_code, refused.value.code, refused.value.message


def unload(hub: LiveHub, port: int) -> None:
    response = httpx.post(f"http://127.0.0.1:{port}/unload", headers=hub.bearer("api"), json={}, timeout=60)
    response.raise_for_status()


def end_controller(hub: LiveHub) -> None:
    controller = psutil.Process(hub.json("status")["controller"]["pid"])
    httpx.post(f"{hub.url}/hub/shutdown", headers=hub.bearer("admin"), json={}).raise_for_status()
    controller.wait(30)


def test_workers_keep_the_limits_by_themselves_and_a_reload_changes_them_without_a_restart(
    hub: LiveHub,
) -> None:
    hub.write(*MODELS, groups="[{name: tier, max_loaded: 1}]")
    hub.ok("install")
    pids, ports = facts(hub, "pid"), facts(hub, "port")
    end_controller(hub)
    assert ask(hub, ports["one"], "one") == "pong"
    status, code, message = refusal(hub, ports["two"], "two")
    assert (status, code) == (429, "group_capacity_exceeded")
    assert 'of its group "tier" at most 1 may be in memory, and there is: one.' in message
    unload(hub, ports["one"])
    assert ask(hub, ports["two"], "two") == "pong"

    seen = hub.json("status")
    assert seen["groups"] == [{"name": "tier", "max_loaded": 1, "loaded": ["two"]}]
    held = seen["memory"]["reserved_bytes"]
    assert seen["memory"]["holders"] == [{"name": "two", "reserved_bytes": held}]
    assert [model["error"] for model in seen["models"]] == [None, None], "a refused load is no fault"
    assert "group tier  1 of 1 loaded: two" in hub.ok("status")

    hub.ok("start")
    pinned = (MODELS[0], MODELS[1].replace("tier", "tier, pinned: true"))
    hub.write(*pinned, groups="[{name: tier, max_loaded: 2}]", memory_limit=f"{held // 10**6 + 1}MB")
    assert "~ limits  (memory_limit and groups, no restart)" in hub.ok("plan")
    hub.ok("reload")
    for port in (ports["one"], hub.port):
        status, code, message = refusal(hub, port, "one")
        assert (status, code) == (503, "insufficient_memory")
        assert "(held by: two " in message
    asked = hub.run("load-model", "one")
    assert (asked.returncode, "(held by: two " in asked.stdout + asked.stderr) == (1, True)
    hub.write(*MODELS, groups="[{name: tier, max_loaded: 2}]", memory_limit="4GB")
    hub.ok("reload")
    assert ask(hub, ports["one"], "one") == "pong"
    assert facts(hub, "pid") == pids
    killed = psutil.Process(pids["two"])
    killed.kill()
    killed.wait(30)
    eventually(lambda: hub.json("status")["groups"][0]["loaded"] == ["one"], seconds=30)
    hub.ok("uninstall")
    left = {path.name for path in (hub.home / "state").iterdir()}
    assert not left & {"limits.json", "locks"}
