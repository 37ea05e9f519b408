"""Reading `launchctl print`: the fields at one tab, and nothing that only looks like one."""

import pytest

from mlxhub.core.lifecycle import ProcessState
from mlxhub.core.observed import AgentState
from mlxhub.launchd.printed import parse_disabled, parse_print

LABEL = "io.mlxhub.worker.demo"
RUNNING = f"""gui/501/{LABEL} = {{
	active count = 1
	path = /Users/ann/Library/LaunchAgents/{LABEL}.plist
	type = LaunchAgent
	state = running

	program = /opt/env/bin/python
	arguments = {{
		/opt/env/bin/python
		--settings
		{{"name": "pid = 7"}}
		--generation
		abc123
	}}

	environment = {{
		HOME => /Users/ann
	}}

	minimum runtime = 10
	exit timeout = 45
	runs = 3
	pid = 3438
	last terminating signal = Terminated: 15

	resource coalition = {{
		state = active
		pid = 99
	}}

	job state = running
	properties = keepalive | runatload
}}
"""


def printed(*lines: str) -> str:
    return "\n".join([f"gui/501/{LABEL} = {{", *(f"\t{line}" for line in lines), "}", ""])


def test_a_running_job_is_read() -> None:
    assert parse_print(RUNNING, LABEL) == AgentState(
        label=LABEL,
        process=ProcessState.RUNNING,
        pid=3438,
        generation="abc123",
        plist_path=f"/Users/ann/Library/LaunchAgents/{LABEL}.plist",
        runs=3,
        last_exit="signal Terminated",
    )


@pytest.mark.parametrize(
    ("lines", "process", "last_exit"),
    [
        (["state = not running", "last exit code = (never exited)"], ProcessState.STOPPED, None),
        (["state = not running", "last exit code = 75: EX_TEMPFAIL"], ProcessState.STOPPED, "exit 75"),
        (["state = not running", "last exit code = 0"], ProcessState.STOPPED, "exit 0"),
        (["state = spawn scheduled", "last exit code = 1"], ProcessState.THROTTLED, "exit 1"),
        (["state = SIGTERMed", "pid = 5"], ProcessState.STOPPING, None),
        (["state = not running", "last exit code = 78: EX_CONFIG"], ProcessState.FAILED, "exit 78"),
        (["state = not running", "job state = spawn failed"], ProcessState.FAILED, None),
        (
            ["state = not running", "last terminating signal = Killed: 9"],
            ProcessState.STOPPED,
            "signal Killed",
        ),
        (["state = frobnicating"], ProcessState.UNKNOWN, None),
        ([], ProcessState.UNKNOWN, None),
    ],
)
def test_states_are_told_apart(lines: list[str], process: ProcessState, last_exit: str | None) -> None:
    state = parse_print(printed(*lines), LABEL)
    assert (state.process, state.last_exit, state.loaded) == (process, last_exit, True)


def test_launchds_own_word_for_an_end_is_read_beside_the_signal() -> None:
    lines = ["state = spawn scheduled", "last terminating signal = Killed: 9"]
    state = parse_print(printed(*lines, "last exit reason = OS_REASON_CODESIGNING, 0x1"), LABEL)
    assert (state.last_exit, state.exit_reason) == ("signal Killed", "OS_REASON_CODESIGNING, 0x1")
    assert state.broken
    assert not parse_print(printed(*lines), LABEL).broken


def test_a_start_that_launchd_holds_back_is_told() -> None:
    held = parse_print(printed("state = not running", "pended nondemand spawn = speculative"), LABEL)
    assert (held.process, held.pended) == (ProcessState.STOPPED, True)


def test_the_list_of_disabled_labels_is_read_in_both_spellings() -> None:
    text = (
        "\tdisabled services = {\n"
        '\t\t"com.apple.x" => disabled\n\t\t"a" => enabled\n\t\t"b" => true\n\t\t"c" => false\n\t}\n'
    )
    assert parse_disabled(text) == {"com.apple.x": True, "a": False, "b": True, "c": False}
    assert parse_disabled("Bad request.\n") == {}


@pytest.mark.parametrize("text", ["", "nonsense", RUNNING.replace(LABEL, "other"), RUNNING[:-2]])
def test_what_is_not_understood_is_unknown_and_never_stopped(text: str) -> None:
    assert parse_print(text, LABEL).process is ProcessState.UNKNOWN


def test_lines_around_the_block_do_no_harm() -> None:
    assert parse_print(f"Bad request.\n{RUNNING}\n\n", LABEL).pid == 3438


def test_older_systems_leave_the_domain_out() -> None:
    assert parse_print(RUNNING.replace(f"gui/501/{LABEL}", LABEL), LABEL).pid == 3438
