"""How quickly a pull comes is what came of it lately."""

from mlxhub.controller.pull_rate import PullRate


def test_before_a_second_has_passed_nothing_is_known() -> None:
    rate = PullRate()
    assert rate.bytes_per_second(5.0) is None
    rate.note(5.0, 100)
    rate.note(5.5, 200)
    assert rate.bytes_per_second(5.9) is None


def test_what_came_long_ago_does_not_count() -> None:
    rate = PullRate()
    rate.note(0.0, 0)
    rate.note(1.0, 1_000_000)
    rate.note(11.0, 1_000_000)
    rate.note(21.0, 1_000_500)
    assert rate.bytes_per_second(21.0) == 50


def test_where_nothing_comes_any_more_it_falls_to_nothing() -> None:
    rate = PullRate()
    rate.note(0.0, 0)
    rate.note(2.0, 2_000)
    assert rate.bytes_per_second(2.0) == 1000
    assert rate.bytes_per_second(12.0) == 0


def test_a_file_that_is_sent_anew_is_no_pull_backwards() -> None:
    rate = PullRate()
    rate.note(0.0, 5_000)
    rate.note(2.0, 1_000)
    assert rate.bytes_per_second(2.0) == 0
