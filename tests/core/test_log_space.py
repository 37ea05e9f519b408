"""Room for logs: what each may take, and which go first."""

from hypothesis import given
from hypothesis import strategies as st

from mlxhub.core.log_space import (
    HUB_BYTES,
    RotatedLog,
    kept_last_words,
    last_words_limit,
    log_limit,
    logs_to_drop,
)

MB = 1_000_000
_ROTATED = st.lists(
    st.builds(
        RotatedLog,
        path=st.uuids().map(str),
        size=st.integers(0, 25 * MB),
        written_at=st.floats(0, 2e9, allow_nan=False),
    ),
    max_size=40,
)


def test_a_hub_of_a_few_models_gets_25_mb_for_each_log() -> None:
    assert log_limit(3) == 25 * MB
    assert last_words_limit(3) == 10 * MB
    assert kept_last_words(3) == 1 * MB


def test_with_100_models_what_is_being_written_leaves_half_of_the_room_for_rotated_logs() -> None:
    assert 101 * (log_limit(101) + last_words_limit(101) + kept_last_words(101)) <= HUB_BYTES // 2


def test_the_oldest_go_first_and_no_more_than_must() -> None:
    rotated = [
        RotatedLog(name, 150 * MB, at) for name, at in (("b", 2.0), ("a", 1.0), ("c", 3.0), ("d", 4.0))
    ]
    assert [log.path for log in logs_to_drop(rotated, logs=[0, 0], last_words=[0, 0])] == ["a", "b"]
    assert logs_to_drop(rotated[:2], logs=[0, 0], last_words=[0, 0]) == []


@given(
    rotated=_ROTATED,
    programs=st.integers(1, 300),
    grown=st.integers(0, 7),
)
def test_whatever_there_is_fits_and_goes_on_to_fit_while_logs_grow(
    rotated: list[RotatedLog], programs: int, grown: int
) -> None:
    """`grown` logs are as large as a hub of so few allowed; then the hub got more models."""
    logs = [log_limit(grown)] * min(grown, programs) + [0] * max(0, programs - grown)
    words = [last_words_limit(grown)] * min(grown, programs) + [0] * max(0, programs - grown)
    dropped = logs_to_drop(rotated, logs=logs, last_words=words)
    later = sum(max(size, log_limit(programs)) for size in logs)
    later += sum(max(size, last_words_limit(programs)) + kept_last_words(programs) for size in words)
    left = [log for log in rotated if log not in dropped]
    assert later + sum(log.size for log in left) <= HUB_BYTES
    assert all(gone.written_at <= kept.written_at for gone in dropped for kept in left)
