"""Whatever a server does, the hub waits and reads for so long and no further, and goes nowhere else."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from mlxhub.clients.outbound import Outbound, OutboundLimits, OutboundRules
from mlxhub.refusals import OutboundFailed, OutboundRefused
from tests.fakes.hostile import (
    CERTIFICATE,
    HOME,
    HOST,
    Listener,
    Names,
    Script,
    client_tls,
    drip,
    drip_a_head,
    listening,
    outbound_to,
    promise_for_ever,
    reset,
    say_nothing,
    say_what_is_no_tls,
    say_without_end,
    saying,
    server_tls,
)
from tests.fakes.waiting import until

pytestmark = pytest.mark.anyio

HASTY = OutboundLimits(total_seconds=0.3)
# Should a limit fail, its test fails and does not hang.
WAIT_SECONDS = 4
OK = b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: 3\r\n\r\npng"


@pytest.fixture
async def canary() -> AsyncIterator[Listener]:
    async with listening(None) as listener:
        yield listener


# A43: redirects.
@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
@pytest.mark.parametrize(
    "where", ["http://127.0.0.1:{port}/", "/", "file:///etc/passwd", f"http://{HOST}:{{port}}/"]
)
async def test_a43_redirects_are_not_followed(canary: Listener, status: int, where: str) -> None:
    location = where.format(port=canary.port)
    answer = f"HTTP/1.1 {status} X\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n".encode()
    async with listening(saying(answer)) as server:
        outbound = outbound_to(server)
        for ask in (outbound.get(server.url), outbound.post(server.url, {}, b"{}")):
            with pytest.raises(OutboundRefused, match=f"redirects \\({status}\\)"):
                await ask
        assert (server.connections, canary.connections) == (2, 0)


# A46: what servers do.
@pytest.mark.parametrize("script", [say_nothing, drip, drip_a_head, promise_for_ever])
async def test_a46_what_does_not_end_in_time_is_cut(script: Script) -> None:
    async with listening(script) as server:
        outbound = outbound_to(server, limits=HASTY)
        for ask in (outbound.get(server.url), outbound.post(server.url, {}, b"{}")):
            with pytest.raises(OutboundFailed, match=r"not complete within 0\.3 s"):
                async with asyncio.timeout(WAIT_SECONDS):
                    await ask
        await until(lambda: server.open == 0)


async def test_a46_a_server_that_does_not_begin_to_speak_tls_is_cut(canary: Listener) -> None:
    outbound = outbound_to(canary, limits=HASTY)
    with pytest.raises(OutboundFailed, match=r"not complete within 0\.3 s"):
        async with asyncio.timeout(WAIT_SECONDS):
            await outbound.get(f"https://{HOST}:{canary.port}/")
    await until(lambda: canary.open == 0)


async def test_a46_a_body_without_end_is_cut_at_the_limit() -> None:
    async with listening(say_without_end) as server:
        outbound = outbound_to(server, limits=OutboundLimits(fetched_bytes=2_500_000))
        with pytest.raises(OutboundRefused, match=r"more than 2\.5 MB"):
            await outbound.get(server.url)
        await until(lambda: server.open == 0)


async def test_a46_a_body_of_just_the_limit_is_taken() -> None:
    async with listening(saying(OK)) as server:
        roomy = outbound_to(server, limits=OutboundLimits(fetched_bytes=3))
        assert (await roomy.get(server.url)).body == b"png"
        tight = outbound_to(server, limits=OutboundLimits(fetched_bytes=2))
        with pytest.raises(OutboundRefused):
            await tight.get(server.url)


def test_the_limits_of_a_hub() -> None:
    assert OutboundLimits() == OutboundLimits(10.0, 2.0, 3.0, 20_000_000, 4096, 4)


async def test_of_the_answer_to_a_post_only_the_beginning_is_read() -> None:
    async with listening(say_without_end) as server:
        answer = await outbound_to(server).post(server.url + "hook", {"webhook-id": "7"}, b'{"a": 1}')
        assert (answer.status, answer.body) == (200, b"x" * 4096)
        await until(lambda: server.open == 0)
    assert server.bodies == [b'{"a": 1}']
    assert "webhook-id: 7\r\n" in server.heads[0]


@pytest.mark.parametrize(
    "headers",
    [
        "content-encoding: gzip",
        "Content-Encoding: br",
        "content-encoding: gzip\r\ncontent-encoding: identity",
    ],
)
async def test_a46_compressed_content_is_refused_and_none_was_asked_for(headers: str) -> None:
    async def lie(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\n{headers}\r\n\r\n".encode() + b"not gzip")

    async with listening(lie) as server:
        with pytest.raises(OutboundRefused, match="compressed"):
            await outbound_to(server).get(server.url)
    assert "\r\naccept-encoding: identity\r\n" in server.heads[0]


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 100_000 + b"\r\n", b"HTTP/1.1 200 OK\r\na: " + b"b" * 1_000_000,
     b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort", b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
     b"HTTP/1.1 200 OK\r\ncontent-length: " + b"9" * 5000 + b"\r\n\r\n", b"", b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
     b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\npng", b"HTTP/1.1 999999 OK\r\n\r\n",
     b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n", b"HTTP/1.1 101 Switch\r\n\r\n",
     b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"f" * 5000],
)  # fmt: skip
async def test_a46_what_is_not_sound_http_is_a_failure_of_that_server(answer: bytes) -> None:
    async with listening(saying(answer)) as server:
        with pytest.raises(OutboundFailed, match="not HTTP"):
            await outbound_to(server).get(server.url)


async def test_a_connection_that_is_reset_is_a_failure_of_that_server() -> None:
    async with listening(reset) as server:
        with pytest.raises(OutboundFailed, match="the connection broke"):
            await outbound_to(server).get(server.url)


async def test_a46_the_head_of_an_answer_has_a_limit_before_its_end_is_known() -> None:
    for head_bytes, failure in ((60_000, "not complete within"), (80_000, "not HTTP")):
        head = b"HTTP/1.1 200 OK\r\na: " + b"b" * head_bytes

        async def begin(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes = head
        ) -> None:
            writer.write(head)
            await reader.read()

        async with listening(begin) as server:
            with pytest.raises(OutboundFailed, match=failure):
                async with asyncio.timeout(WAIT_SECONDS):
                    await outbound_to(server, limits=HASTY).get(server.url)


async def test_a46_an_answer_in_tiny_pieces_holds_nobody_up() -> None:
    turns = 0
    sent = False

    async def chop(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        pieces = b"1\r\nx\r\n" * 16_000
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + pieces + b"0\r\n\r\n")
        sent = True

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += sent
            await asyncio.sleep(0)

    async with listening(chop) as server:
        others = asyncio.create_task(take_turns())
        assert len((await outbound_to(server).get(server.url)).body) == 16_000
        others.cancel()
    assert turns >= 12


async def test_a46_cookies_and_credentials_are_neither_kept_nor_sent(
    canary: Listener, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text(f"machine {HOST} login user password secret")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(variable, f"http://127.0.0.1:{canary.port}")
    answer = (
        b"HTTP/1.1 401 Unauthorized\r\nset-cookie: a=b\r\nwww-authenticate: Basic realm=x\r\n"
        b"content-length: 0\r\n\r\n"
    )
    async with listening(saying(answer)) as server:
        outbound = outbound_to(server)
        for _ in range(2):
            assert (await outbound.get(server.url)).status == 401
    assert (server.connections, len(server.heads), canary.connections) == (2, 2, 0)
    assert [head for head in server.heads if "cookie" in head or "authorization" in head] == []


async def test_at_most_four_are_asked_at_a_time_and_the_others_wait() -> None:
    may_answer = asyncio.Event()

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await may_answer.wait()
        writer.write(OK)

    async with listening(answer) as server:
        outbound = outbound_to(server)
        async with asyncio.TaskGroup() as group:
            asking = [group.create_task(outbound.get(server.url)) for _ in range(9)]
            await until(lambda: len(server.heads) == 4)
            may_answer.set()
        assert [task.result().status for task in asking] == [200] * 9
    assert (server.most_open, server.connections) == (4, 9)


async def test_who_waits_for_a_place_waits_no_longer_than_for_an_answer() -> None:
    async with listening(say_nothing) as server:
        outbound = outbound_to(server, limits=HASTY)
        asking = [outbound.get(server.url) for _ in range(40)]
        async with asyncio.timeout(2):
            answers = await asyncio.gather(*asking, return_exceptions=True)
        assert [type(answer) for answer in answers] == [OutboundFailed] * 40


async def test_a_name_that_is_not_resolved_in_time_or_at_all_is_a_failure() -> None:
    async def hang(_: str) -> tuple[IPv4Address, ...]:
        await asyncio.sleep(3600)
        return ()

    async def fail(_: str) -> tuple[IPv4Address, ...]:
        raise OSError

    for resolve in (hang, fail):
        limits = OutboundLimits(resolve_seconds=0.05)
        outbound = Outbound(
            OutboundRules(), limits=limits, resolve=resolve, own_addresses=lambda: (), tls=client_tls()
        )
        async with asyncio.timeout(WAIT_SECONDS):
            with pytest.raises(OutboundFailed, match=r"nowhere\.example.*cannot be resolved"):
                await outbound.get("https://nowhere.example/path")


# TLS.
async def test_tls_is_spoken_with_the_name_and_http_1_though_the_address_is_dialled() -> None:
    context = server_tls()
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with listening(saying(OK), tls=context) as server:
        fetched = await outbound_to(server).get(f"https://{HOST}:{server.port}/")
    assert (fetched.body, server.names) == (b"png", [HOST])
    assert f"\r\nhost: {HOST}:{server.port}\r\n" in server.heads[0]


async def test_a_certificate_must_be_trusted_and_hold_the_name() -> None:
    async with listening(saying(OK), tls=server_tls()) as server:
        for outbound, host in (
            (outbound_to(server, tls=ssl.create_default_context()), HOST),
            (outbound_to(server, host="other.example"), "other.example"),
            (outbound_to(server, host="127.0.0.1"), "127.0.0.1"),
        ):
            with pytest.raises(OutboundFailed, match="certificate"):
                await outbound.get(f"https://{host}:{server.port}/")
    assert server.heads == []


async def test_a_server_that_leaves_tls_halfway_is_a_failure_of_that_server() -> None:
    async with listening(say_what_is_no_tls, tls=server_tls()) as server:
        with pytest.raises(OutboundFailed, match="the connection broke"):
            await outbound_to(server).get(f"https://{HOST}:{server.port}/")


async def test_the_environment_names_no_authority_to_trust(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "authority.pem").write_text(CERTIFICATE)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    async with listening(saying(OK), tls=server_tls()) as server:
        rules = OutboundRules(private_hosts=frozenset({HOST}), ports=frozenset({server.port}))
        outbound = Outbound(rules, resolve=Names((HOME,)), own_addresses=lambda: ())
        with pytest.raises(OutboundFailed, match="certificate"):
            await outbound.get(f"https://{HOST}:{server.port}/")
