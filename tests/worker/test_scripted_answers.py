"""What a model may say, as each API's clients get it: thoughts, calls that are none, failures in streams."""

import asyncio
import json
from typing import Any

import anthropic
import httpx
import httpx2
import pytest
from openai.types.responses import Response

from mlxhub.worker.engines.engine import ChatPrompt, FinishReason
from tests.events import kinds, typed_events
from tests.worker.scripted_engine import ScriptedEngine, play

MESSAGES, RESPONSES, CHAT = "/v1/messages", "/v1/responses", "/v1/chat/completions"
DONE = "data: [DONE]\n\n"
ASKED: Any = [{"role": "user", "content": "x"}]
TOOL = {"name": "f", "input_schema": {"type": "object"}}
FUNCTION = {"type": "function", "name": "f"}
CHAT_TOOL = {"type": "function", "function": {"name": "f"}}
THOUGHT = ("<think>h", "m", "</think>\n\nHel", "lo", ".")
CALLS = (
    "Well.<tool_call>", '{"name": "f", "arguments": {"a": "é"}}', "</tool_call>",
    '<tool_call>{"name": "g", "arguments": [1]}', "</tool_call>",
)  # fmt: skip


def message(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 50, "messages": ASKED, "tools": [TOOL], **fields}


def response(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "input": "x", "tools": [FUNCTION], **fields}


def test_thoughts_are_a_block_of_their_own() -> None:
    async def story(client: httpx.AsyncClient, _engine: ScriptedEngine) -> None:
        whole = (await client.post(MESSAGES, json=message())).json()
        assert whole["content"] == [
            {"type": "thinking", "thinking": "hm", "signature": ""},
            {"type": "text", "text": "Hello."},
        ]
        events = typed_events((await client.post(MESSAGES, json=message(stream=True))).text)
        said = [
            (event.get("index"), event.get("delta", event.get("content_block", {})).get("type"))
            for event in events[1:-2]
        ]
        assert said == [
            (0, "thinking"), (0, "thinking_delta"), (0, "thinking_delta"), (0, "signature_delta"), (0, None),
            (1, "text"), (1, "text_delta"), (1, "text_delta"), (1, "text_delta"), (1, None),
        ]  # fmt: skip

    play(THOUGHT, story)


def test_anthropics_client_puts_a_stream_of_thoughts_and_calls_together() -> None:
    async def story(client: httpx.AsyncClient, _engine: ScriptedEngine) -> None:
        said = await client.post(MESSAGES, json=message(stream=True))
        http = httpx2.Client(
            transport=httpx2.MockTransport(
                lambda _: httpx2.Response(200, headers=dict(said.headers), content=said.content)
            )
        )
        asking = anthropic.Anthropic(base_url="http://127.0.0.1:1", api_key="x", http_client=http)
        with asking.messages.stream(model="m", max_tokens=9, messages=ASKED) as stream:
            answer = stream.get_final_message()
        thought, text, call = (block.model_dump() for block in answer.content)
        assert (thought["thinking"], thought["signature"], text["text"]) == ("hm", "", "Hello.")
        assert (call["name"], call["input"], answer.stop_reason) == ("f", {"a": 1}, "tool_use")

    play((*THOUGHT, '<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>'), story)


def test_a_call_whose_arguments_are_no_object_is_told_as_text() -> None:
    async def story(client: httpx.AsyncClient, _engine: ScriptedEngine) -> None:
        whole = (await client.post(MESSAGES, json=message())).json()
        first, call, text = whole["content"]
        assert (first, call["input"]) == ({"type": "text", "text": "Well."}, {"a": "é"})
        assert text == {"type": "text", "text": '{"name":"g","arguments":[1]}'}
        assert whole["stop_reason"] == "tool_use"
        events = typed_events((await client.post(MESSAGES, json=message(stream=True))).text)
        assert [event["delta"] for event in events if event["type"] == "content_block_delta"] == [
            {"type": "text_delta", "text": "Well."},
            {"type": "input_json_delta", "partial_json": '{"a":"é"}'},
            {"type": "text_delta", "text": '{"name":"g","arguments":[1]}'},
        ]
        assert events[-2]["delta"]["stop_reason"] == "tool_use"

    play(CALLS, story)


@pytest.mark.parametrize("stream", [False, True])
def test_where_no_call_is_left_the_turn_has_ended(stream: bool) -> None:
    async def story(client: httpx.AsyncClient, _engine: ScriptedEngine) -> None:
        said = await client.post(MESSAGES, json=message(stream=stream))
        ended = typed_events(said.text)[-2]["delta"] if stream else said.json()
        assert ended["stop_reason"] == "end_turn"

    play(('<tool_call>{"name": "g", "arguments": 5}</tool_call>',), story)


def test_who_wants_no_parallel_calls_gets_one() -> None:
    async def story(client: httpx.AsyncClient, _engine: ScriptedEngine) -> None:
        choice = {"type": "auto", "disable_parallel_tool_use": True}
        whole = (await client.post(MESSAGES, json=message(tool_choice=choice))).json()
        assert [block["type"] for block in whole["content"]] == ["text", "tool_use"]
        said = (await client.post(RESPONSES, json=response(parallel_tool_calls=False))).json()
        assert [item["type"] for item in said["output"]] == ["message", "function_call"]
        assert said["parallel_tool_calls"] is False

    play(CALLS, story)


def test_a_response_has_an_item_for_each_part() -> None:
    async def story(client: httpx.AsyncClient, _engine: ScriptedEngine) -> None:
        said = (await client.post(RESPONSES, json=response())).json()
        Response.model_validate(said, strict=True)
        events = typed_events((await client.post(RESPONSES, json=response(stream=True))).text)
        for output in (said["output"], events[-1]["response"]["output"]):
            thought, text, first, second = output
            assert thought["content"] == [{"type": "reasoning_text", "text": "hm"}]
            assert (thought["summary"], text["content"][0]["text"]) == ([], "Hello. Well.")
            assert (first["name"], first["arguments"]) == ("f", '{"a": "\\u00e9"}')
            assert (second["name"], second["arguments"]) == ("g", "[1]")
        assert [event["sequence_number"] for event in events] == [*range(len(events))]
        indexes = [event["output_index"] for event in events if "output_index" in event]
        assert indexes == sorted(indexes)
        assert kinds(events[2:9]) == [
            "response.output_item.added", "response.content_part.added", "response.reasoning_text.delta",
            "response.reasoning_text.delta", "response.reasoning_text.done", "response.content_part.done",
            "response.output_item.done",
        ]  # fmt: skip

    play((*THOUGHT, " ", *CALLS), story)


def test_whether_it_thinks_is_said_to_the_template() -> None:
    async def story(client: httpx.AsyncClient, engine: ScriptedEngine) -> None:
        for sent in (
            message(),
            message(thinking={"type": "enabled", "budget_tokens": 1024}),
            message(thinking={"type": "adaptive"}),
            message(thinking={"type": "disabled"}),
        ):
            await client.post(MESSAGES, json=sent)
        for effort in ("none", "high"):
            await client.post(RESPONSES, json=response(reasoning={"effort": effort}))
        prompts = [asked.prompt for asked in engine.asked]
        assert [prompt.template_options for prompt in prompts if isinstance(prompt, ChatPrompt)] == [
            {},
            {"enable_thinking": True},
            {"enable_thinking": True},
            {"enable_thinking": False},
            {"enable_thinking": False},
            {},
        ]

    play(("x",), story)


@pytest.mark.parametrize("path", [MESSAGES, RESPONSES])
def test_a_failure_within_a_stream_is_an_error_event_and_the_end(path: str) -> None:
    async def story(client: httpx.AsyncClient, engine: ScriptedEngine) -> None:
        engine.may_speak.clear()
        body = message(stream=True) if path == MESSAGES else response(stream=True)
        asking = asyncio.ensure_future(client.post(path, json=body))
        async with asyncio.timeout(5):
            while not engine.measured.rows:  # noqa: ASYNC110 - a fact of another thread
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)
        engine.break_step = ValueError("secret")
        answer = await asking
        events = typed_events(answer.text)
        assert "secret" not in answer.text
        if path == MESSAGES:
            assert events[-1]["error"]["type"] == "api_error"
            assert events[-1]["request_id"] == answer.headers["x-request-id"]
        else:
            error, failed = events[-2:]
            assert (error["type"], error["code"]) == ("error", "generation_failed")
            assert (failed["type"], failed["response"]["status"]) == ("response.failed", "failed")
            assert Response.model_validate(failed["response"], strict=True).error is not None

    play(("x", "y"), story)


def test_a_cut_answer_says_so_also_after_a_call() -> None:
    async def story(client: httpx.AsyncClient, _engine: ScriptedEngine) -> None:
        assert (await client.post(MESSAGES, json=message())).json()["stop_reason"] == "max_tokens"
        said = (await client.post(RESPONSES, json=response())).json()
        assert said["incomplete_details"] == {"reason": "max_output_tokens"}

    play((*CALLS, "and"), story, reason=FinishReason.LENGTH)


TOLD = (
    "<think>",
    "hm",
    "</",
    "think>",
    "\n\n",
    "Hel",
    "lo",
    "<tool_call>",
    '{"name": "f", "arguments": {}}',
    "</tool_call>",
)


def test_only_tokens_of_a_thought_are_counted_as_such() -> None:
    async def story(client: httpx.AsyncClient, _engine: ScriptedEngine) -> None:
        for body in (response(), {"model": "m", "messages": ASKED, "tools": [CHAT_TOOL]}):
            path = RESPONSES if "input" in body else CHAT
            options = {"include_usage": True} if path == CHAT else None
            whole = (await client.post(path, json=body)).json()["usage"]
            said = await client.post(path, json={**body, "stream": True, "stream_options": options})
            event = json.loads(said.text.removesuffix(DONE).strip().rpartition("data: ")[2])
            streamed = event["usage"] if path == CHAT else event["response"]["usage"]
            assert whole == streamed
            details = whole.get("output_tokens_details") or whole.get("completion_tokens_details")
            assert details == {"reasoning_tokens": 3}
        said = (await client.post(MESSAGES, json=message())).json()
        assert said["usage"]["output_tokens"] == len(TOLD)

    play(TOLD, story)


def test_a_response_tells_the_logprobs_of_its_text_alone() -> None:
    async def story(client: httpx.AsyncClient, _engine: ScriptedEngine) -> None:
        asked = response(top_logprobs=2, include=["message.output_text.logprobs"])
        said = await client.post(RESPONSES, json=asked)
        assert "x-mlxhub-ignored" not in said.headers
        streamed = typed_events((await client.post(RESPONSES, json={**asked, "stream": True})).text)
        told = [event for event in streamed if event["type"] == "response.output_text.delta"]
        assert [event["delta"] for event in told] == ["Hel", "lo"]
        expected = ["\n\n", "Hel", "lo"]
        assert [each["token"] for event in told for each in event["logprobs"]] == expected
        for answer in (said.json(), streamed[-1]["response"]):
            Response.model_validate(answer, strict=True)
            assert [item["type"] for item in answer["output"]] == ["reasoning", "message", "function_call"]
            logprobs = answer["output"][1]["content"][0]["logprobs"]
            assert [each["token"] for each in logprobs] == expected
            assert [len(each["top_logprobs"]) for each in logprobs] == [2, 2, 2]
            assert logprobs[1]["bytes"] == list(b"Hel")

    play(TOLD, story)


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_tells_those_of_every_token(stream: bool) -> None:
    async def story(client: httpx.AsyncClient, _engine: ScriptedEngine) -> None:
        asked = {"model": "m", "messages": ASKED, "tools": [CHAT_TOOL], "logprobs": True, "stream": stream}
        said = (await client.post(CHAT, json=asked)).text
        answers = [
            json.loads(event.removeprefix("data: "))
            for event in said.removesuffix(DONE).split("\n\n")
            if event
        ]
        choices = [choice for answer in answers for choice in answer["choices"] if choice["logprobs"]]
        assert [each["token"] for choice in choices for each in choice["logprobs"]["content"]] == [*TOLD]

    play(TOLD, story)


def test_without_text_nothing_is_told_of_it() -> None:
    async def story(client: httpx.AsyncClient, _engine: ScriptedEngine) -> None:
        for stream in (False, True):
            said = await client.post(RESPONSES, json=response(top_logprobs=1, stream=stream))
            answer = typed_events(said.text)[-1]["response"] if stream else said.json()
            assert [item["type"] for item in answer["output"]] == ["reasoning", "function_call"]

    play((*TOLD[:5], *TOLD[7:]), story)
