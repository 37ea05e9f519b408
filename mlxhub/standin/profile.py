"""Fault profiles: launchds that misbehave as Macs were reported to, one fault each."""

import math
import random
import signal
from dataclasses import dataclass, replace

from mlxhub.standin.variation import Variation


@dataclass(frozen=True, slots=True)
class Profile:
    """Each field is one fault, and its default is a launchd without it. Seconds are launchd's."""

    session: str = "Aqua"
    has_domain: bool = True
    login_delay_seconds: float = 0.0  # until then, too, only demanded starts happen
    held_seconds: float = 0.0  # length of the times in which only demanded starts happen
    stale_runs: tuple[int, ...] = ()  # from one of these on the program's pinned identity is outdated
    switched_off_after: tuple[float, float] | None = None  # in Login Items, between these moments
    false_refusals: float = 0.0  # how many of the bootstraps that worked say that they failed
    settling_seconds: float = 0.0  # after a bootout, in which a bootstrap of the label is refused
    restart_seconds: float = 0.0  # for which `kickstart -k` does not return
    longest_throttle_seconds: int = 0  # to which successive crashes stretch the throttle
    disabled_at_first: bool = False  # every label, until it is enabled once
    restart_signal: signal.Signals | None = None  # which `kickstart -k` sends; if None, as drawn

    def vary(self, variation: Variation) -> Variation:
        return replace(variation, kickstart_signal=self.restart_signal or variation.kickstart_signal)

    def held_until(self, now: float, seed: int) -> float:
        """Until when only demanded starts happen; in the past if all do. Seconds since the daemon's start."""
        if self.held_seconds in {0.0, math.inf}:
            return max(self.held_seconds, self.login_delay_seconds)
        stretch = 3 * self.held_seconds  # has one such time somewhere in it
        number = now // stretch
        draw = random.Random(f"{seed} {number}")  # noqa: S311 - repeatable on purpose
        begin = number * stretch + draw.uniform(0, stretch - self.held_seconds)
        return max(begin + self.held_seconds if now >= begin else 0.0, self.login_delay_seconds)


PROFILES = {
    "none": Profile(),
    "on-demand-only": Profile(held_seconds=math.inf),
    "no-gui": Profile(session="Background", has_domain=False),
    "ssh": Profile(session="Background", held_seconds=math.inf),
    "lwcr-stale": Profile(stale_runs=(2, 3)),
    "btm-off": Profile(switched_off_after=(2.0, 30.0)),
    "eio": Profile(false_refusals=0.3, settling_seconds=3.0),
    "slow-k": Profile(restart_seconds=30.0, restart_signal=signal.SIGKILL),
    "backoff": Profile(longest_throttle_seconds=1200),
    "lowpower": Profile(held_seconds=60.0),
    "leftover": Profile(disabled_at_first=True),
}
