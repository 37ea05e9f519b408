"""The oracle tells what is so from what is not."""

import pytest

from mlxhub.core.lifecycle import ModelState, ProcessState
from tests.chaos.oracle import Truth, is_true

SERVING = Truth(at=1.0, pids=frozenset({7}), memory=ModelState.READY)
BOOTING = Truth(at=1.0, pids=frozenset({7}), memory=None)
GONE = Truth(at=1.0, pids=frozenset(), memory=None)


@pytest.mark.parametrize(
    ("what", "claim", "true_of"),
    [
        ("process", ProcessState.RUNNING, [SERVING]),
        ("process", ProcessState.STARTING, [SERVING, BOOTING]),
        ("process", ProcessState.THROTTLED, [GONE]),
        ("process", ProcessState.FAILED, [GONE]),
        ("process", ProcessState.UNKNOWN, [SERVING, BOOTING, GONE]),
        ("pid", 7, [SERVING, BOOTING]),
        ("pid", 8, []),
        ("pid", None, [GONE]),
        ("memory", ModelState.READY, [SERVING]),
        ("memory", ModelState.UNLOADED, []),
        ("memory", None, [BOOTING, GONE]),
    ],
)
def test_each_claim_is_true_of_what_it_means_and_of_nothing_else(
    what: str, claim: object, true_of: list[Truth]
) -> None:
    assert [truth for truth in (SERVING, BOOTING, GONE) if is_true(what, claim, truth)] == true_of
