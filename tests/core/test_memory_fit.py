"""Weights against memory."""

import pytest

from mlxhub.core.checks import CheckStatus
from mlxhub.core.memory_fit import judge_fit, judge_wired

GB = 1_000_000_000


@pytest.mark.parametrize(
    ("weights", "preloaded", "eager", "status"),
    [
        ({"a": 20 * GB}, {"a"}, {"a"}, "fail"),
        ({"a": 7 * GB, "b": 7 * GB}, {"a", "b"}, {"a", "b"}, "warn"),
        ({"a": 7 * GB, "b": 7 * GB}, {"a"}, {"a", "b"}, "warn"),
        ({"a": 7 * GB, "b": 7 * GB}, {"a"}, {"a"}, "ok"),
    ],
)
def test_weights_are_compared_with_memory(
    weights: dict[str, int], preloaded: set[str], eager: set[str], status: str
) -> None:
    (finding,) = judge_fit(weights, preloaded, eager, 16 * GB)
    assert finding.status == status


def test_the_wired_limit_is_read_or_assumed() -> None:
    assert judge_wired(0, 4 * GB, 16 * GB).text == "The GPU may hold about 12.0 GB (macOS's default)."
    assert judge_wired(4096, 5 * GB, 16 * GB).status is CheckStatus.WARN
