"""A13: how long a wrong key is looked at does not tell where it differs."""

import math
import random
import time
from collections.abc import Sequence

from mlxhub.core.keys import PREFIX, Key, is_known

SECRET = PREFIX + "K" * 43
KEYS = (Key(SECRET), Key(PREFIX + "O" * 43, until=2.0))
FIRST_BYTE_WRONG = ("X" + SECRET[1:]).encode()
LAST_BYTE_WRONG = (SECRET[:-1] + "X").encode()
TIMINGS = 2000
ATTEMPTS = 5
UNLIKELY = 0.01


def timings_ns() -> tuple[list[int], list[int]]:
    """Of both, in an order that no drift of the machine can favour."""
    taken: dict[bytes, list[int]] = {FIRST_BYTE_WRONG: [], LAST_BYTE_WRONG: []}
    order = [shown for shown in taken for _ in range(TIMINGS)]
    random.shuffle(order)
    for shown in order:
        # Somewhere else in memory each time, as each request is.
        copy = bytes(bytearray(shown))
        begun = time.perf_counter_ns()
        is_known(copy, KEYS, 1.0)
        took = time.perf_counter_ns() - begun  # before the table is looked into, where the two may collide
        taken[shown].append(took)
    return taken[FIRST_BYTE_WRONG], taken[LAST_BYTE_WRONG]


def likelihood_of_no_difference(ones: Sequence[int], others: Sequence[int]) -> float:
    """Mann and Whitney's U test, two-sided, by the normal approximation with its correction for ties."""
    together = sorted([(value, 0) for value in ones] + [(value, 1) for value in others])
    count, rank_sum, tied, begin = len(together), 0.0, 0.0, 0
    while begin < count:
        end = begin
        while end < count and together[end][0] == together[begin][0]:
            end += 1
        rank = (begin + 1 + end) / 2
        rank_sum += rank * sum(1 for _, which in together[begin:end] if which == 0)
        tied += (end - begin) ** 3 - (end - begin)
        begin = end
    product = len(ones) * len(others)
    u = rank_sum - len(ones) * (len(ones) + 1) / 2
    deviation = math.sqrt(product / 12 * (count + 1 - tied / (count * (count - 1))))
    return math.erfc(abs(u - product / 2) / deviation / math.sqrt(2))


def test_a13_time_does_not_tell_where_a_key_is_wrong() -> None:
    """One in a hundred honest machines says otherwise by chance, so it is asked again."""
    found = [likelihood_of_no_difference(*timings_ns()) for _ in range(ATTEMPTS)]
    assert max(found) > UNLIKELY, found


def test_a13_this_test_would_tell() -> None:
    early = [100 + n % 7 for n in range(TIMINGS)]
    late = [101 + n % 7 for n in range(TIMINGS)]
    assert likelihood_of_no_difference(early, late) < UNLIKELY
    assert likelihood_of_no_difference(early, early) > 0.9
