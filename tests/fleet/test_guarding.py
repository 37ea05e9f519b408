"""Doctor tries the guard: a server without one is named, in each way in which it is open."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mlxhub.core.checks import CheckStatus
from mlxhub.fleet.doctor import guarding
from mlxhub.fleet.doctor.found import Answers, Found
from tests.fleet.test_doctor import found, machine  # noqa: F401 - fixtures


class Open(BaseHTTPRequestHandler):
    """Takes everything from everybody."""

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    do_GET = do_POST = do_OPTIONS = answer  # noqa: N815 - as the library calls them

    def log_message(self, *_: object) -> None:
        """Nobody wants to know."""


@pytest.fixture
def open_port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Open) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def at(found: Found, port: int) -> Found:  # noqa: F811
    """Its model is served there, and no controller runs."""
    assert found.hub is not None
    models = {"alpha": replace(found.hub.models["alpha"], port=port)}
    hub = replace(found.hub, models=models)
    return replace(found, hub=hub, answers=Answers(found.answers.facts, controller_pid=None))


def test_a_server_without_a_guard_is_named_for_each_way_in(found: Found, open_port: int) -> None:  # noqa: F811
    findings = guarding.browsers(at(found, open_port))
    assert [finding.status for finding in findings] == [CheckStatus.FAIL] * 5
    said = " ".join(finding.text for finding in findings)
    for status in ("421", "403", "415"):
        assert f'Model "alpha" answers 200 instead of {status}' in said
    keys = guarding.keys(at(found, open_port))
    assert [finding.status for finding in keys] == [CheckStatus.FAIL] * 2


def test_where_nothing_answers_nothing_is_tried(found: Found) -> None:  # noqa: F811
    nobody = replace(found, answers=Answers({}, controller_pid=None))
    assert [finding.status for finding in guarding.browsers(nobody)] == [CheckStatus.SKIP]
    assert [finding.status for finding in guarding.keys(nobody)] == [CheckStatus.SKIP]
