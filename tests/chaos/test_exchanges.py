"""The judge of the chaos tells what is wrong from what is due."""

from dataclasses import replace

import pytest

from tests.chaos.exchanges import ANSWER_SECONDS, Death, Exchange, Way, fault_of

RIGHT = Exchange(
    "m",
    Way.CONTROLLER,
    stream=True,
    words="one two",
    began=10.0,
    ended=11.0,
    status=200,
    said="one two",
    done=True,
)
CUT = replace(RIGHT, said="one", done=False)
TOLD = replace(CUT, error="worker_silent")
REFUSED = replace(RIGHT, status=503, said="", done=False, error="model_not_running", retry_after="2")
ITS_WORKER = Death("m", 10.5, 12.0)
ITS_CONTROLLER = Death("controller", 10.5, 12.0)


@pytest.mark.parametrize(
    ("exchange", "deaths"),
    [
        (RIGHT, []),
        (TOLD, [ITS_WORKER]),
        (REFUSED, [ITS_WORKER]),
        (REFUSED, [Death("m", 2.0)]),
        (replace(REFUSED, status=502, retry_after=None), [ITS_WORKER]),
        (replace(REFUSED, status=429, error="group_capacity_exceeded"), []),
        (replace(CUT, lost="ReadError"), [ITS_CONTROLLER]),
        (replace(CUT, lost="ReadError", way=Way.WORKER), [ITS_WORKER]),
    ],
)
def test_what_is_due_is_no_fault(exchange: Exchange, deaths: list[Death]) -> None:
    assert fault_of(exchange, deaths) is None


@pytest.mark.parametrize(
    ("exchange", "deaths", "fault"),
    [
        (replace(RIGHT, ended=11.0 + ANSWER_SECONDS), [], "it took too long"),
        (replace(RIGHT, said="one three"), [], "it said 'one three'"),
        (CUT, [ITS_WORKER], "it looks whole and is not"),
        (replace(CUT, done=True), [ITS_WORKER], "it looks whole and is not"),
        (replace(CUT, stream=False), [ITS_WORKER], "it looks whole and is not"),
        (replace(TOLD, done=True), [ITS_WORKER], "worker_silent and an end that looks good"),
        (replace(TOLD, after_end=["[DONE]"]), [ITS_WORKER], "after its end came ['[DONE]']"),
        (TOLD, [], "worker_silent, and its worker was alive"),
        (TOLD, [Death("m", 5.0, 9.0)], "worker_silent, and its worker was alive"),
        (TOLD, [Death("m", 11.5)], "worker_silent, and its worker was alive"),
        (TOLD, [ITS_CONTROLLER], "worker_silent, and its worker was alive"),
        (replace(REFUSED, retry_after=None), [ITS_WORKER], "503 without the time when to come again"),
        (replace(REFUSED, status=500), [ITS_WORKER], "500 model_not_running"),
        (replace(CUT, lost="ReadError"), [ITS_WORKER], "the connection was lost, and controller was alive"),
        (
            replace(CUT, lost="ReadError", way=Way.WORKER),
            [ITS_CONTROLLER],
            "the connection was lost, and m was alive",
        ),
    ],
)
def test_what_must_not_be_is_a_fault(exchange: Exchange, deaths: list[Death], fault: str) -> None:
    assert fault_of(exchange, deaths) == fault
