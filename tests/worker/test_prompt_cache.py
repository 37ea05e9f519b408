"""What is kept of prompts, and which of it serves another."""

from hypothesis import given
from hypothesis import strategies as st

from mlxhub.worker.engines.prompt_cache import Kept, PromptCache, as_tokens

TOKENS = st.lists(st.integers(0, 2), max_size=12)


def kept(tokens: list[int], *, state_bytes: int = 100, cuttable: bool = True) -> Kept[str]:
    return Kept(as_tokens(tokens), str(tokens), state_bytes, cuttable)


def found(cache: PromptCache[str], tokens: list[int]) -> tuple[str, int] | None:
    hit = cache.find(tokens)
    return None if hit is None else (hit.kept.state, hit.length)


def test_the_entry_that_spares_most_serves_but_never_the_last_token() -> None:
    cache: PromptCache[str] = PromptCache(8, 10_000)
    cache.keep(kept([1, 2, 3]))
    cache.keep(kept([1, 2, 4, 5]))
    assert found(cache, [1, 2, 4, 9]) == ("[1, 2, 4, 5]", 3)
    assert found(cache, [1, 2, 3]) == ("[1, 2, 4, 5]", 2)
    assert found(cache, [1, 2, 4, 5, 6]) == ("[1, 2, 4, 5]", 4)
    assert found(cache, [7]) is None
    assert found(cache, [1]) is None


def test_what_cannot_be_cut_serves_only_what_goes_on_from_its_end() -> None:
    cache: PromptCache[str] = PromptCache(8, 10_000)
    cache.keep(kept([1, 2], cuttable=False))
    cache.keep(kept([1, 2, 3, 4], cuttable=False))
    assert len(cache) == 2
    assert found(cache, [1, 2, 3, 4, 5]) == ("[1, 2, 3, 4]", 4)
    assert found(cache, [1, 2, 3, 4]) == ("[1, 2]", 2)
    assert found(cache, [1, 2, 3, 9]) == ("[1, 2]", 2)
    assert found(cache, [1, 3, 3, 9]) is None


def test_a_conversation_takes_one_place_however_long_it_grows() -> None:
    cache: PromptCache[str] = PromptCache(2, 10_000)
    cache.keep(kept([9, 9, 9]))
    for length in range(1, 6):
        cache.keep(kept([1, 2, 3, 4, 5][:length]))
    assert [entry.state for entry in cache.entries] == ["[9, 9, 9]", "[1, 2, 3, 4, 5]"]


def test_the_least_recently_used_goes_first_by_number_and_by_bytes() -> None:
    cache: PromptCache[str] = PromptCache(2, 10_000)
    for first in (1, 2):
        cache.keep(kept([first, 0]))
    assert found(cache, [1, 0, 0])
    cache.keep(kept([3, 0]))
    assert [entry.state for entry in cache.entries] == ["[1, 0]", "[3, 0]"]

    small: PromptCache[str] = PromptCache(100, 250)
    for first in (1, 2, 3):
        small.keep(kept([first, 0]))
    assert [entry.state for entry in small.entries] == ["[2, 0]", "[3, 0]"]
    small.keep(kept([4, 0], state_bytes=251))
    assert len(small) == 2


def test_nothing_is_kept_where_nothing_may_be() -> None:
    cache: PromptCache[str] = PromptCache(0, 10_000)
    cache.keep(kept([1, 2]))
    assert (len(cache), cache.used_bytes, cache.find([1, 2, 3])) == (0, 0, None)


@given(st.lists(st.tuples(TOKENS, st.booleans(), st.integers(0, 400))), TOKENS)
def test_bounds_hold_and_what_is_found_is_a_beginning(
    stored: list[tuple[list[int], bool, int]], asked: list[int]
) -> None:
    cache: PromptCache[str] = PromptCache(3, 1000)
    for tokens, cuttable, state_bytes in stored:
        cache.keep(kept(tokens, state_bytes=state_bytes, cuttable=cuttable))
        assert len(cache) <= 3
        assert cache.used_bytes <= 1000
        assert cache.used_bytes == sum(e.state_bytes + 4 * len(e.tokens) for e in cache.entries)
    if hit := cache.find(asked):
        assert 0 < hit.length < len(asked)
        assert hit.kept.tokens[: hit.length].tolist() == asked[: hit.length]
        assert hit.kept.cuttable or hit.length == len(hit.kept.tokens)
        assert cache.entries[-1] is hit.kept
    else:
        firsts = [entry.tokens[:1].tolist() for entry in cache.entries if entry.cuttable]
        assert len(asked) < 2 or asked[:1] not in firsts
