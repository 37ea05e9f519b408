"""What was applied, and the way back through it."""

from hypothesis import given
from hypothesis import strategies as st

from mlxhub.core.paths import Paths
from mlxhub.files.generations import KEPT, History, prove, read_history, remember, return_to


def applied(*texts: str, good: bool = True) -> History:
    history = History()
    for text in texts:
        history = history.applied(text, {"a": text}, good=good, time=0.0)
    return history


def numbers(history: History) -> list[int]:
    return [each.number for each in history.generations]


def back(history: History) -> int | None:
    """The number a rollback leads to, where hub.yaml is what was applied last."""
    assert history.in_force is not None
    target = history.before(history.in_force.hub_yaml)
    return None if target is None else target.number


def test_each_text_is_a_generation_and_the_same_again_is_not() -> None:
    history = applied("a", "a", "b", "b", "a")
    assert [(each.number, each.hub_yaml, each.after) for each in history.generations] == [
        (1, "a", None),
        (2, "b", 1),
        (3, "a", 2),
    ]


def test_a_step_back_leads_to_the_last_good_one_that_is_another() -> None:
    history = applied("a", "b").applied("c", {}, good=False, time=0.0).applied("d", {}, good=True, time=0.0)
    assert back(history) == 2
    edited = history.before("what was never applied")
    assert edited is not None
    assert edited.number == 4


def test_steps_back_go_on_backwards_and_never_forwards_again() -> None:
    history = applied("a", "b", "c")
    for expected in (2, 1):
        assert back(history) == expected
        history = history.returning(expected).applied("ab"[expected - 1], {}, good=True, time=0.0)
    assert back(history) is None
    assert numbers(history) == [1, 2, 3]


def test_what_was_gone_back_from_is_not_gone_back_to() -> None:
    history = applied("a", "b", "c").returning(1).applied("a", {}, good=True, time=0.0)
    history = history.applied("d", {}, good=True, time=0.0)
    assert back(history) == 1


def test_one_that_was_good_stays_so_until_it_is_good_anew() -> None:
    history = applied("a").applied("a", {"a": "new build"}, good=False, time=1.0)
    assert history.proven == {"a": "a"}
    assert history.applied("a", {"a": "new build"}, good=True, time=2.0).proven == {"a": "new build"}


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.booleans(), st.booleans())))
def test_five_are_kept_with_the_one_in_force_and_the_last_good_among_them(
    events: list[tuple[str, bool, bool]],
) -> None:
    history = History()
    for edited, good, steps_back in events:
        target = history.before(edited) if steps_back else None
        if target is not None:
            history = history.returning(target.number)
        text = edited if target is None else target.hub_yaml
        before = history.proven if target is None else target.definitions
        history = history.applied(text, {"a": text}, good=good, time=0.0)
        assert len(history.generations) <= KEPT
        assert history.in_force is not None
        assert history.in_force.hub_yaml == text
        assert history.proven == ({"a": text} if good else before)
        assert numbers(history) == sorted(set(numbers(history)))


def test_it_lasts(paths: Paths) -> None:
    assert read_history(paths) == History()
    remember(paths, "one", {"a": "1"}, good=True, time=1.5)
    remember(paths, "two", {"a": "2"}, good=False, time=2.5)
    return_to(paths, 1)
    remember(paths, "one", {"a": "1"}, good=True, time=3.5)
    history = read_history(paths)
    assert (history.current, numbers(history)) == (1, [1, 2])
    assert history.generations[1].time == 2.5


def test_what_was_gone_back_to_is_in_force_only_once_it_is_applied() -> None:
    history = applied("a", "b").returning(1)
    assert history.current == 2
    assert history.applied("a", {}, good=True, time=0.0).current == 1
    edited = history.applied("c", {}, good=True, time=0.0)
    assert (edited.current, edited.applied("a", {}, good=True, time=0.0).current) == (3, 4)


def test_a_step_back_from_one_that_could_not_be_applied_leads_further_back() -> None:
    assert applied("a", "b", "c").returning(2).before("b") == applied("a").in_force


def test_what_is_proven_later_than_the_next_was_applied_changes_nothing(paths: Paths) -> None:
    remember(paths, "one", {"a": "1"}, good=False, time=0.0)
    prove(paths, "one", {"a": "1"}, time=0.0)
    assert read_history(paths).proven == {"a": "1"}
    remember(paths, "two", {"a": "2"}, good=False, time=0.0)
    prove(paths, "one", {"a": "1"}, time=0.0)
    assert (read_history(paths).current, read_history(paths).proven) == (2, {"a": "1"})
