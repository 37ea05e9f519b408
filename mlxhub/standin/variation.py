"""What Apple's launchd does in more than one way, drawn once for each start of the daemon."""

import random
import signal
from dataclasses import asdict, dataclass, field, fields
from typing import TypeVar

from mlxhub.standin import darwin

_Answer = TypeVar("_Answer")


def _one_of(*answers: _Answer) -> _Answer:
    """A field with its allowed answers, the most often reported first."""
    return field(default=answers[0], metadata={"answers": answers})


@dataclass(frozen=True, slots=True)
class Variation:
    """One choice for each point where reports disagree; nothing may rely on any of them."""

    seed: int
    loaded_twice: int = _one_of(darwin.EIO, darwin.EALREADY, darwin.EEXIST, darwin.SEE_STDERR)
    loaded_while_leaving: int = _one_of(darwin.EIO, darwin.EALREADY, darwin.TEARING_DOWN)
    loaded_while_disabled: int = _one_of(darwin.EIO, darwin.DISABLED)
    bad_permissions: int = _one_of(darwin.EIO, darwin.BAD_PERMISSIONS)
    missing_file: int = _one_of(darwin.EIO, darwin.ENOENT, darwin.INVALID_PATH)
    broken_plist: int = _one_of(darwin.INVALID_PLIST, darwin.EIO)
    no_label: int = _one_of(darwin.NO_LABEL, darwin.EIO)
    no_program: int = _one_of(darwin.NO_PROGRAM, darwin.EIO)
    loaded_elsewhere: int = _one_of(darwin.UNSUPPORTED_DOMAIN, darwin.NO_DOMAIN, darwin.EIO)
    loaded_while_switched_off: int = _one_of(darwin.EIO, darwin.SWITCHED_OFF)
    removed_unknown: int = _one_of(darwin.ESRCH, darwin.EIO, darwin.EINPROGRESS, darwin.NO_SERVICE)
    unknown_domain: int = _one_of(darwin.NO_DOMAIN, darwin.UNSUPPORTED_DOMAIN)
    kickstarted_running: int = _one_of(0, darwin.EALREADY)
    kickstarted_disabled: int = _one_of(0, darwin.DISABLED)
    kickstart_signal: signal.Signals = _one_of(signal.SIGTERM, signal.SIGKILL)  # noqa: RUF009 - a field
    kickstart_skips_throttle: bool = _one_of(False, True)
    kickstart_blocks_in_throttle: bool = _one_of(False, True)
    sweep_signal: signal.Signals = _one_of(signal.SIGTERM, signal.SIGKILL)  # noqa: RUF009 - a field
    retries_spawn_failure: bool = _one_of(True, False)
    refuses_missing_program: bool = _one_of(False, True)
    missing_directory_is_fatal: bool = _one_of(False, True)
    creates_log_parent: bool = _one_of(True, False)
    accepts_mode_0600: bool = _one_of(True, False)
    bootstrap_follows_symlinks: bool = _one_of(True, False)
    login_follows_symlinks: bool = _one_of(False, True)
    throttle_floor_seconds: int = _one_of(1, 10)
    throttle_late_seconds: int = _one_of(0, 1)
    exit_timeout_default_seconds: int = _one_of(5, 20)
    exit_timeout_is_clamped: bool = _one_of(True, False)
    home_in_environment: bool = _one_of(True, False)
    says_bad_request: bool = _one_of(True, False)
    prints_label_only: bool = _one_of(False, True)
    prints_true_false: bool = _one_of(False, True)
    prints_unknown_fields: bool = _one_of(False, True)
    prints_optional_fields: bool = _one_of(True, False)
    shuffles_fields: bool = _one_of(False, True)

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in asdict(self).items())


def draw_variation(seed: int) -> Variation:
    """Seed 0 takes the first answer everywhere; any other seed draws."""
    if seed == 0:
        return Variation(seed)
    generator = random.Random(seed)  # noqa: S311 - repeatable on purpose, nothing secret
    drawn = {each.name: generator.choice(each.metadata["answers"]) for each in fields(Variation)[1:]}
    return Variation(seed, **drawn)
