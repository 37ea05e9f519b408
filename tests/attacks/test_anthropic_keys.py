"""Where a key is required, Anthropic's client shows it as everyone does."""

from typing import Any

import anthropic
import pytest

from tests.attacks.conftest import Target

ASKED: Any = {"model": "demo", "max_tokens": 5, "messages": [{"role": "user", "content": "ping"}]}


@pytest.mark.parametrize("option", ["auth_token", "api_key"])
def test_the_key_opens_messages_and_another_does_not(locked_target: Target, option: str) -> None:
    place = locked_target.place
    for key in (place.api, "another"):
        shown: Any = {option: key}
        with anthropic.Anthropic(base_url=f"http://{place.host}", max_retries=0, **shown) as client:
            if key == place.api:
                answer: Any = client.messages.create(**ASKED)
                assert answer.content[0].text == "pong"
                continue
            with pytest.raises(anthropic.AuthenticationError, match="Authorization: Bearer"):
                client.messages.create(**ASKED)
            with pytest.raises(anthropic.AuthenticationError):
                client.messages.count_tokens(model="demo", messages=ASKED["messages"])
