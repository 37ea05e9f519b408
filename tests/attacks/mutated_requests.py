"""Good requests, and what becomes of them by accident or on purpose; all of it drawn from one seed."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.attacks import oddities
from tests.attacks.place import CHAT, COMPLETIONS, JSON, MESSAGES, RESPONSES, Place, Program

_RAW = "@raw@"
# Of eighteen requests for tokens one gets some: it is not the model that is tried here.
_OWN: list[dict[str, object]] = [{"model": "demo"}]
_OWN += [{"model": "demo", "temperature": 99}] * 9
_OWN += [{"model": "nobody"}] * 8


@dataclass(frozen=True, slots=True)
class Good:
    """A request that is as it should be. `body` is JSON."""

    method: bytes
    target: bytes
    headers: tuple[bytes, ...]
    body: bytes = b""

    def render(self, body: bytes | None = None) -> bytes:
        sent = self.body if body is None else body
        length = (b"Content-Length: %d" % len(sent),) if self.method == b"POST" else ()
        return self.head(*length) + sent

    def head(self, *more: bytes) -> bytes:
        line = b"%s %s HTTP/1.1" % (self.method, self.target)
        return b"\r\n".join((line, *self.headers, *more, b"\r\n"))


def good_requests(place: Place) -> list[Good]:
    """Well-formed, quick, and without effect on what the hub runs."""
    host, auth, kind = (each.encode() for each in (f"Host: {place.host}", place.auth, JSON))
    paths = [path for method, path in place.routes() if method == "GET"]
    asked = [Good(b"GET", path.encode(), (host, auth)) for path in paths]
    asked += [Good(b"GET", path.encode(), (host,)) for path in paths]
    said = {"role": "user", "content": "ping"}
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    bodies: list[tuple[str, dict[str, object]]] = [
        (CHAT, {"messages": [said], "stream": False, "temperature": 0.5, "stop": ["x"]}),
        (CHAT, {"messages": [said, said], "tools": [tool], "seed": 1, "logit_bias": {"5": 1}}),
        (RESPONSES, {"input": [said], "instructions": "x", "max_output_tokens": 1}),
        (MESSAGES, {"messages": [said], "system": [{"type": "text", "text": "x"}], "stop_sequences": ["x"]}),
        (COMPLETIONS, {"prompt": "ping", "top_p": 0.9, "top_k": 5, "n": 1}),
        (COMPLETIONS, {"prompt": [[5, 6], [7]], "stream": True, "stream_options": {"include_usage": True}}),
    ]
    limits = {"max_tokens": 1}
    for path, body in bodies:
        for own in _OWN:
            sent = json.dumps(body | limits | own).encode()
            asked.append(Good(b"POST", path.encode(), (host, kind), sent))
    others = (
        ("/hub/session", "/hub/models/nobody/load") if place.program is Program.CONTROLLER else ("/load",)
    )
    for path in others:
        asked.append(Good(b"POST", path.encode(), (host, kind, auth), b'{"token": "x"}'))
    return asked


@dataclass(frozen=True, slots=True)
class Mutations:
    """An endless stream of requests for one place, the same for the same seed."""

    goods: list[Good]
    draw: random.Random
    kinds: list[Callable[[Good], bytes]] = field(init=False)

    def __post_init__(self) -> None:
        weighted: list[tuple[int, Callable[[Good], bytes]]] = [
            (30, self._other_json),
            (14, self._other_bytes_of_the_body),
            (16, self._other_bytes_of_the_head),
            (8, self._other_headers),
            (5, self._other_method),
            (12, self._other_target),
            (9, self._other_framing),
            (6, self._several),
        ]
        object.__setattr__(self, "kinds", [kind for weight, kind in weighted for _ in range(weight)])

    def next(self) -> bytes:
        return self.draw.choice(self.kinds)(self.draw.choice(self.goods))

    def _other_json(self, good: Good) -> bytes:
        if not good.body:
            return self._other_target(good)
        body = json.loads(good.body)
        raws = [self._change(body) for _ in range(self.draw.choice((1, 1, 1, 2, 3)))]
        text = json.dumps(body, ensure_ascii=self.draw.random() < 0.5)
        for raw in raws:
            text = text.replace(f'"{_RAW}"', raw, 1)
        if self.draw.random() < 0.1:
            key = json.dumps(self.draw.choice([*body]) if body else "model")
            text = f"{text[:-1]},{key}:{self.draw.choice(oddities.JSON)}}}"
        if self.draw.random() < 0.03:
            text = self.draw.choice(oddities.WRAPPED).replace("@", text)
        return good.render(text.encode(errors="surrogatepass"))

    def _change(self, body: dict[str, Any]) -> str:
        """One place of it; the text that is to stand there, if any is."""
        draw = self.draw
        if not body:
            return ""
        at, key = self._place(body)
        match draw.randrange(10):
            case 0:
                del at[key]
            case 1 if isinstance(at, dict):
                at[draw.choice(oddities.NAMES)] = at[key]
            case 2:
                at[key] = [at[key]] * draw.choice((1, 2, 200))
            case 3:
                at[key] = "demo"
            case _:
                at[key] = _RAW
        return self._odd_json()

    def _place(self, at: Any) -> tuple[Any, Any]:
        """A list or an object somewhere in `at`, and an index or a key of it."""
        while True:
            key = self.draw.choice([*at]) if isinstance(at, dict) else self.draw.randrange(len(at))
            below = at[key]
            if not isinstance(below, (dict, list)) or not below or self.draw.random() < 0.4:
                return at, key
            at = below

    def _odd_json(self) -> str:
        if self.draw.random() < 0.001:
            return self.draw.choice(oddities.LARGE_JSON)()
        return self.draw.choice(oddities.JSON)

    def _other_bytes_of_the_body(self, good: Good) -> bytes:
        if not good.body:
            return self._other_headers(good)
        if self.draw.random() < 0.05:
            return good.render(self.draw.choice(oddities.ENCODED)(good.body))
        return good.render(self._scramble(good.body))

    def _other_bytes_of_the_head(self, good: Good) -> bytes:
        whole = good.render()
        head = len(whole) - len(good.body)
        return self._scramble(whole[:head]) + good.body

    def _scramble(self, data: bytes) -> bytes:
        draw = self.draw
        changed = bytearray(data)
        for _ in range(draw.choice((1, 1, 2, 4))):
            at = draw.randrange(len(changed) + 1)
            length = draw.choice((1, 1, 2, 8, 40))
            match draw.randrange(6):
                case 0 if at < len(changed):
                    changed[at] ^= 1 << draw.randrange(8)
                case 1 if at < len(changed):
                    changed[at] = draw.randrange(256)
                case 2:
                    del changed[at : at + length]
                case 3:
                    changed[at:at] = changed[at : at + length]
                case 4:
                    changed[at:at] = draw.randbytes(length)
                case _:
                    changed[at:at] = draw.choice(oddities.BYTES)
        return bytes(changed)

    def _other_headers(self, good: Good) -> bytes:
        draw = self.draw
        headers = [*good.headers]
        for _ in range(draw.choice((1, 1, 2, 3))):
            header = draw.choice(oddities.HEADERS) if draw.random() < 0.97 else oddities.large_header(draw)
            at = draw.randrange(len(headers) + 1)
            # In the place of one, or beside those there are.
            headers[at : at + draw.randrange(2)] = [header]
        if draw.random() < 0.02:
            headers += [b"X-%d: 1" % number for number in range(draw.choice((50, 64, 100)))]
        return Good(good.method, good.target, tuple(headers), good.body).render()

    def _other_method(self, good: Good) -> bytes:
        whole = good.render()
        return self.draw.choice(oddities.METHODS) + whole[len(good.method) :]

    def _other_target(self, good: Good) -> bytes:
        draw = self.draw
        target = draw.choice((good.target, draw.choice(oddities.TARGETS), draw.choice(oddities.TARGETS)))
        match draw.randrange(4):
            case 0:
                target += draw.choice(oddities.TARGET_ENDS)
            case 1:
                at = draw.randrange(len(target) + 1)
                target = target[:at] + draw.choice(oddities.TARGET_PARTS) + target[at:]
            case 2:
                target = self._scramble(target)
        return Good(good.method, target, good.headers, good.body).render()

    def _other_framing(self, good: Good) -> bytes:
        frame = self.draw.choice(oddities.FRAMES)
        post = good if good.body else Good(b"POST", b"/v1/completions", (*good.headers, JSON.encode()), b"{}")
        headers, body = frame(post.body, self.draw)
        return post.head(*headers) + body

    def _several(self, good: Good) -> bytes:
        draw = self.draw
        requests = [good.render(), *(draw.choice(self.goods).render() for _ in range(draw.randrange(1, 5)))]
        if draw.random() < 0.5:
            requests[draw.randrange(len(requests))] = self._other_bytes_of_the_head(good)
        return b"".join(requests)
