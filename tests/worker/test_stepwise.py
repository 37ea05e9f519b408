"""A long call, one piece at a time."""

from collections.abc import Callable

import pytest

from mlxhub.worker.engines.stepwise import Stepwise


def test_it_runs_up_to_each_pause() -> None:
    done: list[int] = []

    def work(pause: Callable[[], None]) -> str:
        for number in range(3):
            done.append(number)
            pause()
        return "result"

    stepwise = Stepwise(work)
    for expected in ([0], [0, 1], [0, 1, 2]):
        assert not stepwise.step()
        assert done == expected
    assert stepwise.step()
    assert stepwise.result == "result"


def test_what_it_raises_comes_out_of_the_step() -> None:
    def work(pause: Callable[[], None]) -> None:
        pause()
        raise ValueError("broken")

    stepwise = Stepwise(work)
    assert not stepwise.step()
    with pytest.raises(ValueError, match="broken"):
        stepwise.step()


def test_one_that_is_given_up_ends_where_it_is() -> None:
    ended: list[str] = []

    def work(pause: Callable[[], None]) -> None:
        try:
            pause()
        finally:
            ended.append("cleaned up")
        ended.append("went on")

    stepwise = Stepwise(work)
    stepwise.close()
    assert ended == []
    assert not Stepwise(work).step()
    stepwise = Stepwise(work)
    stepwise.step()
    stepwise.close()
    stepwise.close()
    assert "cleaned up" in ended
    assert "went on" not in ended
