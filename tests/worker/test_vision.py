"""Pictures in chats, over HTTP: a small real model that names colours."""

import base64
import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import pytest
from PIL import Image

from tests.worker.processes import Worker

COLOUR = {"type": "text", "text": "Which colour is this?"}


def file_of(colour: str, size: tuple[int, int] = (80, 60), form: str = "PNG", mode: str = "RGB") -> bytes:
    target = io.BytesIO()
    Image.new("RGB", size, colour).convert(mode).save(target, form)
    return target.getvalue()


def uri(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def image(data: bytes) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": uri(data)}}


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def said(worker: Worker, *messages: dict[str, Any], **options: Any) -> str:
    options = {"temperature": 0, **options}
    answer = worker.openai.chat.completions.create(model="m", messages=list(messages), **options)  # type: ignore[call-overload]
    content: str = answer.choices[0].message.content
    return content


@pytest.mark.parametrize("colour", ["red", "green", "blue"])
def test_pictures_get_their_names(seer: Worker, colour: str) -> None:
    assert said(seer, user(image(file_of(colour)), COLOUR)) == colour


@pytest.mark.parametrize(
    ("form", "mode"), [("JPEG", "RGB"), ("JPEG", "CMYK"), ("WEBP", "RGBA"), ("GIF", "P"), ("PNG", "LA")]
)
def test_the_usual_formats(seer: Worker, form: str, mode: str) -> None:
    expected = "white" if mode == "LA" else "blue"
    assert said(seer, user(image(file_of(expected, form=form, mode=mode)), COLOUR)) == expected


def test_several_pictures_in_their_order(seer: Worker) -> None:
    asked = {"type": "text", "text": "Which colours are these?"}
    assert said(seer, user(image(file_of("red")), image(file_of("blue")), asked)) == "red and blue"
    assert said(seer, user(image(file_of("blue")), image(file_of("red")), asked)) == "blue and red"


def test_a_picture_of_an_earlier_turn(seer: Worker) -> None:
    turns = [user(image(file_of("green")), COLOUR), {"role": "assistant", "content": "green"}, user(COLOUR)]
    assert said(seer, *turns) == "green"


def test_text_alone_is_answered_as_ever(seer: Worker) -> None:
    assert said(seer, {"role": "user", "content": "ping"}) == "pong"


def test_eight_mixed_requests_in_one_batch_get_their_own_answers(seer: Worker) -> None:
    """Each as alone: greedy ones the right word, and sampled ones what their seed says."""
    hot = {"temperature": 1.9, "max_tokens": 12}
    asked: list[tuple[dict[str, Any], dict[str, Any]]] = [
        (user(image(file_of("red")), COLOUR), {}),
        ({"role": "user", "content": "ping"}, {}),
        (user(image(file_of("blue")), COLOUR), {**hot, "seed": 1}),
        (user(image(file_of("green")), COLOUR), {}),
        ({"role": "user", "content": "ping"}, {**hot, "seed": 2}),
        (user(image(file_of("yellow")), COLOUR), {}),
        (user(image(file_of("blue")), COLOUR), {**hot, "seed": 3}),
        (user(image(file_of("black")), image(file_of("white")), COLOUR), {**hot, "seed": 4}),
    ]
    alone = [said(seer, message, **options) for message, options in asked]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda each: said(seer, each[0], **each[1]), asked))
    assert together == alone
    assert [together[place] for place in (0, 1, 3, 5)] == ["red", "pong", "green", "yellow"]
    assert seer.status().batch.peak_rows > 1


def test_a_prompt_that_was_read_is_known_by_its_picture(seer: Worker) -> None:
    """The same words with another picture have nothing in common beyond it."""
    words = {"type": "text", "text": "Look at this for a while, and then for a while longer, please. " * 3}

    def cached(colour: str) -> int:
        message = [user(image(file_of(colour, (90, 90))), words)]
        answer = seer.openai.chat.completions.create(model="m", messages=message, temperature=0, max_tokens=4)  # type: ignore[call-overload]
        tokens: int = answer.usage.prompt_tokens_details.cached_tokens
        return tokens

    assert cached("red") == 0
    assert cached("red") > 32
    assert cached("blue") == 0


def test_stops_limits_and_streams_are_those_of_text(seer: Worker) -> None:
    message = user(image(file_of("yellow")), COLOUR)
    assert said(seer, message, stop=["low"]) == "yel"
    stream = seer.openai.chat.completions.create(model="m", messages=[message], temperature=0, stream=True)  # type: ignore[call-overload]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "yellow"


def test_anthropics_and_the_responses_api(seer: Worker) -> None:
    data = base64.b64encode(file_of("green")).decode()
    claude = anthropic.Anthropic(base_url=seer.url, api_key="none", max_retries=0)
    message = claude.messages.create(
        model="m",
        max_tokens=20,
        extra_body={"temperature": 0},
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}},
                    {"type": "text", "text": "Which colour is this?"},
                ],
            }
        ],
    )
    assert message.content[0].text == "green"  # type: ignore[union-attr]
    response = seer.openai.responses.create(
        model="m",
        temperature=0,
        input=[
            {
                "role": "user",
                "content": [
                    {"type": "input_image", "image_url": uri(file_of("blue")), "detail": "auto"},
                    {"type": "input_text", "text": "Which colour is this?"},
                ],
            }
        ],
    )
    assert response.output_text == "blue"
    counted = claude.messages.count_tokens(
        model="m",
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
                ],
            }
        ],
    )
    assert counted.input_tokens > 10


def test_a_client_that_leaves_takes_its_row_along(seer: Worker) -> None:
    stream = seer.openai.chat.completions.create(
        model="m",
        messages=[user(image(file_of("red")), COLOUR)],  # type: ignore[list-item]
        stream=True,
        logit_bias={"2": -100},
        max_tokens=400,
    )
    next(iter(stream))
    stream.close()
    assert said(seer, user(image(file_of("red")), COLOUR)) == "red"
    assert seer.status().in_flight == 0


def test_pictures_for_a_model_that_reads_text_only(worker: Worker) -> None:
    answer = worker.post("/v1/chat/completions", {"model": "m", "messages": [user(image(file_of("red")))]})
    assert answer.status_code == 400
    assert 'reads text only, not "image_url"' in answer.json()["error"]["message"]
