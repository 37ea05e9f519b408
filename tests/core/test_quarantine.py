"""A request is refused after its process died of it twice, for ten minutes, and never for others' deaths."""

from mlxhub.core.flight import Flight, FlownRequest
from mlxhub.core.quarantine import (
    MOST_SUSPECTS,
    QUARANTINE_SECONDS,
    is_suspect,
    refused_seconds,
    with_death,
    without,
)

NOW = 1_000_000.0


def test_one_death_makes_a_suspect_and_two_a_refusal_of_ten_minutes() -> None:
    once = with_death((), ["poison"], NOW)
    assert is_suspect(once, "poison", NOW)
    assert refused_seconds(once, "poison", NOW) is None
    twice = with_death(once, ["poison"], NOW + 60)
    assert refused_seconds(twice, "poison", NOW + 60) == QUARANTINE_SECONDS
    assert refused_seconds(twice, "poison", NOW + 360) == 300
    assert refused_seconds(twice, "poison", NOW + 60 + QUARANTINE_SECONDS) is None
    assert not is_suspect(twice, "poison", NOW + 60 + QUARANTINE_SECONDS)


def test_whoever_was_not_in_flight_or_was_answered_since_is_free() -> None:
    suspects = with_death((), ["poison", "other"], NOW)
    assert not is_suspect(suspects, "third", NOW)
    suspects = without(suspects, "other")
    assert not is_suspect(suspects, "other", NOW)
    suspects = with_death(suspects, ["poison", "other"], NOW + 1)
    assert refused_seconds(suspects, "other", NOW + 1) is None
    assert refused_seconds(suspects, "poison", NOW + 1) is not None


def test_deaths_that_lie_more_than_ten_minutes_apart_do_not_add_up() -> None:
    suspects = with_death(with_death((), ["a"], NOW), ["a"], NOW + QUARANTINE_SECONDS)
    assert refused_seconds(suspects, "a", NOW + QUARANTINE_SECONDS) is None


def test_a_clock_that_was_set_back_refuses_nobody() -> None:
    twice = with_death(with_death((), ["a"], NOW), ["a"], NOW)
    assert refused_seconds(twice, "a", NOW - 1) is None


def test_of_very_many_in_flight_the_latest_are_kept() -> None:
    suspects = with_death((), [str(number) for number in range(MOST_SUSPECTS + 5)], NOW)
    assert len(suspects) == MOST_SUSPECTS
    assert is_suspect(suspects, str(MOST_SUSPECTS + 4), NOW)


def test_what_a_process_was_doing_is_told_in_one_line() -> None:
    assert Flight().description is None
    assert Flight((), 3_900_000_000, 4_000_000_000).description == (
        "it held 3.9 GB of the 4.0 GB it had reserved"
    )
    two = (FlownRequest("a", 300), FlownRequest("b", 900))
    assert Flight(two, 50_000_000).description == (
        "it held 50 MB, and answered 2 requests, the largest of 900 characters"
    )
    assert Flight(two[:1]).description == "answered 1 request of 300 characters"
