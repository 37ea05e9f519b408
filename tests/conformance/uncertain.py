"""Everything about launchd that reports disagree on or nobody has measured, each under an id of its own.

Where the stand-in draws a behaviour, the id is its name in the stand-in's Variation; where it does not, the
stand-in gives the first answer.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Uncertain:
    question: str
    answers: tuple[str, ...]  # every one that was reported, the most often reported first
    by_hand: bool = False  # no script can bring it about


UNCERTAIN = {
    "bad_permissions": Uncertain(
        "bootstrap of a plist that others may write, or own: exit code", ("5", "122")
    ),
    "missing_file": Uncertain("bootstrap of a path that is not there: exit code", ("5", "2", "108")),
    "directory_as_plist": Uncertain(
        "bootstrap of a directory: exit code", ("5", "2", "22", "107", "108", "109", "110", "111", "133")
    ),
    "broken_plist": Uncertain(
        "bootstrap of broken XML: exit code", ("109", "5", "2", "22", "108", "110", "111", "133")
    ),
    "no_label": Uncertain(
        "bootstrap without a Label: exit code", ("110", "5", "2", "22", "108", "109", "111", "133")
    ),
    "no_program": Uncertain(
        "bootstrap without ProgramArguments: exit code", ("111", "5", "2", "22", "108", "109", "110", "133")
    ),
    "loaded_elsewhere": Uncertain(
        "bootstrap into a domain that is not there: exit code", ("125", "112", "5")
    ),
    "bootstrap_follows_symlinks": Uncertain("bootstrap takes a symlinked plist", ("yes", "no")),
    "login_follows_symlinks": Uncertain("the login scan takes a symlinked plist", ("no", "yes")),
    "accepts_mode_0600": Uncertain("bootstrap takes a plist of mode 0600", ("yes", "no")),
    "loads_from_outside": Uncertain("bootstrap takes a plist outside ~/Library/LaunchAgents", ("yes", "no")),
    "loaded_twice": Uncertain("bootstrap of a loaded label: exit code", ("5", "37", "17", "133")),
    "loaded_while_leaving": Uncertain(
        "bootstrap while the label is being removed: exit code", ("5", "37", "124")
    ),
    "loaded_while_switched_off": Uncertain(
        "bootstrap of what Login Items switched off: exit code", ("5", "161"), by_hand=True
    ),
    "loaded_while_disabled": Uncertain("bootstrap of a disabled label: exit code", ("5", "119")),
    "removed_unknown": Uncertain("bootout of what is not loaded: exit code", ("3", "5", "36", "113")),
    "removed_running": Uncertain("bootout of a running job: exit code", ("0", "36")),
    "unknown_domain": Uncertain("print of a domain that is not there: exit code", ("112", "125")),
    "kickstarted_unknown": Uncertain("kickstart of what is not loaded: exit code", ("113", "3", "5", "125")),
    "kickstarted_running": Uncertain("kickstart of a running job: exit code", ("0", "37")),
    "kickstart_signal": Uncertain(
        "kickstart -k: the signal that the old process gets first", ("SIGTERM", "SIGKILL")
    ),
    "kickstart_waits_for_exit": Uncertain(
        "kickstart -k of a job that exits at once returns within ExitTimeOut + 3 s", ("yes", "no")
    ),
    "kickstart_skips_throttle": Uncertain("kickstart starts a throttled job at once", ("no", "yes")),
    "kickstart_blocks_in_throttle": Uncertain(
        "kickstart of a throttled job returns only when it has started", ("no", "yes")
    ),
    "kickstarted_disabled": Uncertain(
        "kickstart of a job that was disabled after loading: exit code", ("0", "119")
    ),
    "crashed_starts_at_load": Uncertain(
        "KeepAlive.Crashed implies a first start at bootstrap", ("yes", "no")
    ),
    "throttle_floor_seconds": Uncertain("the least ThrottleInterval that counts, in seconds", ("1", "10")),
    "throttle_late_seconds": Uncertain("whole seconds by which a throttled start is late", ("0", "1")),
    "throttle_grows": Uncertain("the throttle grows after six crashes in a row", ("no", "yes")),
    "retries_spawn_failure": Uncertain("KeepAlive repeats a start that failed with 78", ("yes", "no")),
    "refuses_missing_program": Uncertain("bootstrap refuses a program that is not there", ("no", "yes")),
    "missing_directory_is_fatal": Uncertain(
        "a WorkingDirectory that is not there: 78, not cwd /", ("no", "yes")
    ),
    "creates_log_parent": Uncertain(
        "the directory of StandardErrorPath is created when missing", ("yes", "no")
    ),
    "exit_timeout_default_seconds": Uncertain("ExitTimeOut when the plist has none, in seconds", ("5", "20")),
    "exit_timeout_is_clamped": Uncertain("an ExitTimeOut above 60 becomes 60", ("yes", "no")),
    "leaving_state": Uncertain(
        "print's state of a job between SIGTERM and SIGKILL", ("SIGTERMed", "running")
    ),
    "keeps_last_signal": Uncertain(
        "print of a restarted job still shows the signal that ended it", ("yes", "no")
    ),
    "sweep_signal": Uncertain("what the rest of an ended job's process group gets", ("SIGTERM", "SIGKILL")),
    "self_bootout_completes": Uncertain(
        "a job that waits for its own bootout is gone afterwards", ("yes", "no")
    ),
    "home_in_environment": Uncertain(
        "HOME, USER, LOGNAME, SHELL and TMPDIR are in a job's environment", ("yes", "no")
    ),
    "socket_handed_over": Uncertain(
        "a job gets its listening socket (on a Mac through ctypes)", ("yes", "no")
    ),
    "says_bad_request": Uncertain("print of an unknown service says `Bad request.` first", ("yes", "no")),
    "prints_label_only": Uncertain("print begins with the label instead of the target", ("no", "yes")),
    "prints_true_false": Uncertain("print-disabled says true and false", ("no", "yes")),
    "prints_unknown_fields": Uncertain("print has fields that are not in the known samples", ("no", "yes")),
    "prints_optional_fields": Uncertain("print has `active count`, `forks` and their like", ("yes", "no")),
    "shuffles_fields": Uncertain(
        "print's fields come in another order than in the known samples", ("no", "yes")
    ),
}
