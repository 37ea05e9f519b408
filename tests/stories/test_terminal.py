"""The command line in a terminal, as a person sees it."""

import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pexpect
import pytest
from rich.cells import cell_len

from tests.stories.conftest import LiveHub

SECONDS = 60
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]")
# pytest-xdist says how wide its own is.
NOT_OF_A_TERMINAL = ("NO_COLOR", "COLUMNS", "LINES")
CTRL_D = "\x04"


@contextmanager
def typed(hub: LiveHub, *arguments: str, columns: int = 120) -> "Iterator[pexpect.spawn[str]]":
    """`mlxhub` in a terminal of its own."""
    environment = hub.environment | {"PROMPT_TOOLKIT_NO_CPR": "1", "TERM": "xterm-256color"}
    program = pexpect.spawn(
        sys.executable,
        ["-m", "mlxhub", *arguments],
        env={name: value for name, value in environment.items() if name not in NOT_OF_A_TERMINAL},
        encoding="utf-8",
        timeout=SECONDS,
        dimensions=(40, columns),
        # A run of tests in the background ignores it, and what it starts would too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield program
    finally:
        program.close(force=True)


def shown(hub: LiveHub, *arguments: str, columns: int) -> str:
    with typed(hub, *arguments, columns=columns) as program:
        program.expect(pexpect.EOF)
        said = program.before
    assert isinstance(said, str)
    return said


def plain(said: str) -> list[str]:
    return [_ESCAPES.sub("", line).rstrip() for line in said.splitlines()]


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize(
    "command", [["status"], ["models"], ["doctor"], ["plan"], ["events"], ["crashes"]], ids=" ".join
)
def test_no_table_is_wider_than_the_terminal(demo_hub: LiveHub, command: list[str], columns: int) -> None:
    lines = plain(shown(demo_hub, *command, columns=columns))
    assert any(lines)
    if command[0] in ("status", "models"):
        assert max(map(cell_len, lines)) <= columns


def test_a_narrow_terminal_leaves_the_least_columns_out(demo_hub: LiveHub) -> None:
    wide = "\n".join(plain(shown(demo_hub, "status", columns=200)))
    narrow = "\n".join(plain(shown(demo_hub, "status", columns=50)))
    assert "UNLOADS IN" in wide
    assert "UNLOADS IN" not in narrow
    assert re.search(r"demo +running +\w+ +\d+", narrow)


def test_colours_are_for_terminals_and_can_be_turned_off(demo_hub: LiveHub) -> None:
    assert "\x1b[32mrunning" in shown(demo_hub, "status", columns=120)
    assert "\x1b[32m" not in shown(demo_hub, "status", "--no-color", columns=120)
    assert "\x1b" not in demo_hub.ok("status")


def test_the_log_is_coloured_by_level_and_goes_on(demo_hub: LiveHub) -> None:
    with typed(demo_hub, "logs", "demo", "-f") as program:
        program.expect(r"\x1b\[34mINFO\x1b\[0m")
        demo_hub.ok("load-model", "demo")
        demo_hub.ok("unload-model", "demo")
        program.expect("[Uu]nloaded")
        program.sendintr()
        program.expect(pexpect.EOF)


def test_a_conversation_in_several_lines_with_what_is_said_first(demo_hub: LiveHub) -> None:
    with typed(demo_hub, "chat", "demo") as program:
        program.expect("demo>")
        program.send("ping\r")
        program.expect("pong")
        program.expect("demo>")
        program.send('"""\rcount to 7\r"""\r')
        program.expect("1 2 3 4 5 6 7")
        program.expect("demo>")
        program.send("/system Be brief.\r")
        program.expect("told this first")
        program.send("/reset\r")
        program.expect("begins anew")
        program.send("/nonsense\r")
        program.expect("There is no /nonsense")
        program.send("/exit\r")
        program.expect(pexpect.EOF)
    assert program.exitstatus == 0


def test_ctrl_c_stops_the_answer_and_the_conversation_goes_on(hub: LiveHub) -> None:
    slow = replace(hub, testing=True)
    slow.write("{name: slow, model_type: echo, model_path: 'echo: prefill 1, rate 10'}")
    slow.ok("install")
    with typed(slow, "chat", "slow") as program:
        program.expect("slow>")
        program.send(" ".join(str(number) for number in range(300)) + "\r")
        program.expect("slow …")
        program.expect("0 1 2 ")
        program.sendintr()
        program.expect("Stopped")
        program.expect("slow>")
        program.send("well\r")
        program.expect("slow …")
        program.expect("well")
        program.expect("slow>")
        program.send(CTRL_D)
        program.expect(pexpect.EOF)
    assert program.exitstatus == 0
    assert slow.model("slow")["in_flight"] == 0


def test_what_a_model_thinks_is_shown_dimmed_and_is_no_part_of_what_a_pipe_gets(hub: LiveHub) -> None:
    hub.write("{name: thinker, model_path: 'builtin:demo-thinking'}")
    hub.ok("install")
    with typed(hub, "chat", "thinker", "ping") as program:
        program.expect(r"\x1b\[2m[^\x1b]")
        program.expect("pong")
        program.expect(pexpect.EOF)
    assert hub.ok("chat", "thinker", "ping") == "pong\n"
