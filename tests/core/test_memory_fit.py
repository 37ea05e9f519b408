"""What models need against what they may take."""

import pytest

from mlxhub.core.checks import CheckStatus
from mlxhub.core.limits import GroupLimit, HubLimits, ModelLimit
from mlxhub.core.memory_fit import judge_fit, judge_wired

GB = 1_000_000_000
MEMBER = ModelLimit(group="big", reserved_bytes=None, pinned=False)
LIMITS = HubLimits(12 * GB, (GroupLimit("big", 1, None),), {"a": MEMBER, "b": MEMBER})
FREE = HubLimits(12 * GB, (), {})


@pytest.mark.parametrize(
    ("needs", "preloaded", "limits", "status", "says"),
    [
        ({"a": 20 * GB}, {"a"}, FREE, "fail", 'Model "a" needs 20.0 GB'),
        ({"a": 7 * GB, "b": 7 * GB}, {"a", "b"}, FREE, "warn", "need 14.0 GB together"),
        ({"a": 7 * GB, "b": 7 * GB}, {"a"}, FREE, "ok", "14.0 GB of models fit into 12.0 GB, by turns."),
        ({"a": 5 * GB, "b": 5 * GB}, {"a", "b"}, FREE, "ok", "10.0 GB of models fit into 12.0 GB."),
        ({"a": 2 * GB, "b": 2 * GB}, {"a", "b"}, LIMITS, "warn", "2 models are preloaded (a, b)"),
        ({"a": 2 * GB, "b": 2 * GB}, {"a"}, LIMITS, "ok", "fit into"),
        ({"a": 99 * GB}, {"a"}, HubLimits(None, (), {}), "ok", "Nothing limits"),
    ],
)
def test_needs_are_compared_with_limits(
    needs: dict[str, int], preloaded: set[str], limits: HubLimits, status: str, says: str
) -> None:
    (finding,) = judge_fit(needs, preloaded, limits)
    assert finding.status == status
    assert says in finding.text


def test_one_that_is_never_loaded_does_not_count_among_the_preloaded() -> None:
    findings = judge_fit({"a": 20 * GB, "b": 7 * GB}, {"a", "b"}, FREE)
    assert [finding.status for finding in findings] == [CheckStatus.FAIL]


def test_the_wired_limit_is_read_or_assumed() -> None:
    assert judge_wired(0, 4 * GB, 16 * GB).text == "The GPU may hold about 12.0 GB (macOS's default)."
    assert judge_wired(4096, 5 * GB, 16 * GB).status is CheckStatus.WARN
