"""Everything wrong gives one clear error, in the one shape, and nothing is lost."""

import json
import shutil
from typing import Any

import httpx
import openai
import pytest

from mlxhub.demo import model_directory
from tests.stories.conftest import LiveHub
from tests.stories.test_chat import says

CHAT = "/v1/chat/completions"
DEEP = '{"model": "demo", "messages": ' + "[" * 100_000


def chat(**changes: object) -> str:
    return json.dumps({"model": "demo", "messages": says("ping"), **changes})


BAD_REQUESTS = {
    "empty body": ("", 400, None),
    "no JSON": ("{nonsense", 400, None),
    "deep nesting": (DEEP, 400, None),
    "a list": ("[]", 400, None),
    "no model": (json.dumps({"messages": says("ping")}), 400, "model"),
    "model of wrong type": (chat(model=7), 400, "model"),
    "unknown model": (chat(model="nobody"), 404, "model"),
    "no messages": (json.dumps({"model": "demo"}), 400, "messages"),
    "empty messages": (chat(messages=[]), 400, "messages"),
    "messages of wrong type": (chat(messages="ping"), 400, "messages"),
    "temperature of wrong type": (chat(temperature="hot"), 400, "temperature"),
    "n: 0": (chat(n=0), 400, "n"),
    "NaN": (chat(temperature=float("nan")), 400, None),
    "Infinity": (chat(top_p=float("inf")), 400, None),
    "max_tokens: 0": (chat(max_tokens=0), 400, "max_tokens"),
    "too long for the context": (chat(messages=says("ping " * 5000)), 400, None),
}


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_a_bad_request_is_answered_in_the_envelope(hop_port: int, case: str) -> None:
    body, status, param = BAD_REQUESTS[case]
    response = httpx.post(
        f"http://127.0.0.1:{hop_port}{CHAT}",
        content=body,
        headers={"content-type": "application/json"},
        timeout=30,
    )
    error = response.json()["error"]
    assert response.status_code == status, error
    assert error.keys() == {"message", "type", "code", "param"}
    assert error["type"] == "invalid_request_error"
    assert param is None or error["param"] == param
    assert "Traceback" not in error["message"]
    assert response.headers["x-request-id"]


def test_an_unknown_model_is_answered_with_the_list(demo_hub: LiveHub) -> None:
    with demo_hub.client() as client, pytest.raises(openai.NotFoundError, match="Models: demo") as caught:
        client.chat.completions.create(model="nobody", messages=says("ping"))
    assert caught.value.code == "model_not_found"


def test_an_unknown_route_is_answered_in_the_envelope(hop_port: int) -> None:
    for method, path, status in (("GET", "/nowhere", 404), ("GET", CHAT, 405), ("DELETE", "/v1/models", 405)):
        response = httpx.request(method, f"http://127.0.0.1:{hop_port}{path}")
        assert response.status_code == status
        assert response.json()["error"]["message"]


def test_after_all_of_this_the_model_still_answers(demo_hub: LiveHub) -> None:
    assert demo_hub.ok("chat", "demo", "ping") == "pong\n"


def test_a_corrupt_model_says_so_and_the_others_are_unaffected(hub: LiveHub) -> None:
    corrupt = hub.home / "corrupt model"
    shutil.copytree(model_directory(), corrupt)
    weights = (corrupt / "model.safetensors").read_bytes()
    (corrupt / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    hub.write(
        "{name: demo, model_path: 'builtin:demo'}",
        f"{{name: corrupt, model_path: {json.dumps(str(corrupt))}}}",
        "{name: absent, model_path: /nowhere/at/all}",
        "{name: cloud, model_path: nobody/no-such-model}",
    )
    installed = hub.run("install")
    assert installed.returncode == 0, installed.stderr
    assert '[warn] model "absent": there is no directory /nowhere/at/all.' in installed.stderr

    for name in ("corrupt", "absent", "cloud"):
        with hub.client() as client, pytest.raises(openai.InternalServerError) as caught:
            client.chat.completions.create(model=name, messages=says("ping"))
        assert caught.value.status_code == 503
        assert caught.value.code == "model_load_failed"
        assert "Traceback" not in caught.value.message
        view = hub.model(name)
        assert (view["process"], view["memory"]) == ("running", "unloaded")
        assert view["error"]
    done = hub.run("load-model", "corrupt")
    assert done.returncode == 1
    assert done.stderr.startswith("[error] ")
    assert hub.ok("chat", "demo", "ping") == "pong\n"

    (corrupt / "model.safetensors").write_bytes(weights)
    hub.ok("load-model", "corrupt")
    assert hub.ok("chat", "corrupt", "ping") == "pong\n"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (None, "does not exist. Write one with: mlxhub init"),
        ("", "is empty."),
        ("models: [\n", "not valid YAML"),
        ("prot: 8000\n", ':1: unknown key "prot"'),
    ],
)
def test_a_hub_yaml_that_cannot_be_used_stops_before_the_first_step(
    hub: LiveHub, text: str | None, fault: str
) -> None:
    (hub.home / "hub.yaml").unlink()
    if text is not None:
        (hub.home / "hub.yaml").write_text(text)
    for command in ("install", "status", "start", "config validate"):
        done = hub.run(*command.split())
        assert done.returncode == 1
        assert fault in done.stderr
        assert "Traceback" not in done.stderr
    assert hub.processes() == []


def test_unknown_models_on_the_command_line_are_named(demo_hub: LiveHub) -> None:
    done = demo_hub.run("start-model", "demo", "nobody", "--json")
    assert done.returncode == 1
    results: list[dict[str, Any]] = json.loads(done.stdout)["results"]
    assert [(result["name"], result["ok"]) for result in results] == [("demo", True), ("nobody", False)]
    for command in (["chat", "nobody", "ping"], ["logs", "nobody"], ["status", "nobody"]):
        done = demo_hub.run(*command)
        assert done.returncode == 1
        assert 'There is no model "nobody" here' in done.stderr
    assert demo_hub.run("frobnicate").returncode == 2
