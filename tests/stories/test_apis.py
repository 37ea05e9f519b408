"""Each API's own client asks the real demo model, through the controller and at its own port; and others."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from tests.sdk.node_client import run_node
from tests.stories.conftest import LiveHub

PING: Any = [{"role": "user", "content": "ping"}]


@pytest.fixture
def claude(hop_port: int) -> Iterator[anthropic.Anthropic]:
    url = f"http://127.0.0.1:{hop_port}"
    with anthropic.Anthropic(base_url=url, auth_token="none", max_retries=0, timeout=60) as client:
        yield client


def test_anthropics_client_gets_messages(demo_hub: LiveHub, claude: anthropic.Anthropic) -> None:
    demo_hub.ok("unload-model", "demo")
    counted = claude.messages.count_tokens(model="demo", messages=PING)
    assert demo_hub.model("demo")["memory"] == "ready"
    whole: Any = claude.messages.create(model="demo", max_tokens=20, messages=PING)
    assert (whole.content[0].text, whole.usage.input_tokens) == ("pong", counted.input_tokens)
    with claude.messages.stream(model="demo", max_tokens=20, messages=PING) as stream:
        assert stream.get_final_text() == "pong"
    with pytest.raises(anthropic.NotFoundError, match="Models: demo"):
        claude.messages.create(model="nobody", max_tokens=20, messages=PING)


def test_openais_client_gets_responses(demo_hub: LiveHub, hop_port: int) -> None:
    with demo_hub.client(hop_port) as client:
        assert client.responses.create(model="demo", input="ping").output_text == "pong"
        with client.responses.stream(model="demo", input=PING) as stream:
            assert stream.get_final_response().output_text == "pong"
        with pytest.raises(openai.NotFoundError, match="Models: demo"):
            client.responses.create(model="nobody", input="ping")


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_ignored_is_told_on_every_way(demo_hub: LiveHub, hop_port: int, stream: bool) -> None:
    with demo_hub.client(hop_port) as client:
        asked = client.responses.with_raw_response
        raw = asked.create(model="demo", input="ping", user="me", stream=stream)
        assert raw.headers["x-mlxhub-ignored"] == "user"


def test_openais_client_for_node_gets_an_answer(demo_hub: LiveHub, tmp_path: Path) -> None:
    assert run_node(tmp_path, demo_hub.url, "ping.mjs") == (0, "pong\n")


def test_langchain_gets_an_answer(demo_hub: LiveHub) -> None:
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model="gpt-4o-mini", base_url=f"{demo_hub.url}/v1", api_key="none", timeout=60)
    assert model.invoke("ping").text == "pong"
    with pytest.raises(openai.NotFoundError, match="Models: demo"):
        model.invoke("ping", model="nobody")


def test_litellm_gets_an_answer(demo_hub: LiveHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm

    for model, url in (("openai/demo", f"{demo_hub.url}/v1"), ("anthropic/demo", demo_hub.url)):
        answer: Any = litellm.completion(model=model, messages=PING, api_base=url, api_key="none", timeout=60)
        assert answer.choices[0].message.content == "pong"
