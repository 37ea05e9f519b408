"""What an echo model's script may say, and that what it may not is refused with its own words."""

import pytest

from mlxhub.worker.engines.echo_script import (
    AT_LOAD,
    EchoFault,
    EchoScript,
    FaultKind,
    Once,
    parse_script,
)


def test_an_empty_script_is_fast_and_without_faults() -> None:
    assert parse_script("echo:") == EchoScript()


def test_speeds_and_sizes_are_read() -> None:
    script = parse_script("echo: load 0.5, prefill 2, rate 50, weights 20MB")
    assert script == EchoScript(
        load_seconds=0.5, prefill_seconds=2, token_seconds=0.02, weights_bytes=20_000_000
    )


@pytest.mark.parametrize(
    ("clause", "fault"),
    [
        ("hang_load", EchoFault(FaultKind.HANG_LOAD, AT_LOAD)),
        ("fail_load once", EchoFault(FaultKind.FAIL_LOAD, AT_LOAD, once=Once(None))),
        ("leak 5MB", EchoFault(FaultKind.LEAK, AT_LOAD, size_bytes=5_000_000)),
        ("hang_step at 3", EchoFault(FaultKind.HANG_STEP, 3)),
        ("abort at load", EchoFault(FaultKind.ABORT, AT_LOAD)),
        ("segv at 2 if poison", EchoFault(FaultKind.SEGV, 2, word="poison")),
        ("oom", EchoFault(FaultKind.OOM, 1)),
        ("bad_utf8 if öde", EchoFault(FaultKind.BAD_UTF8, 1, word="öde")),
        ("abort once /a hub/flag", EchoFault(FaultKind.ABORT, 1, once=Once("/a hub/flag"))),
    ],
)
def test_each_fault_is_read(clause: str, fault: EchoFault) -> None:
    assert parse_script(f"echo: token 0.1, {clause}").faults == (fault,)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("demo", 'begins with "echo:"'),
        ("echo: abrt", '"abrt" is no clause'),
        ("echo: load", '"load" is no clause'),
        ("echo: load 5MB", "nothing else, are in MB"),
        ("echo: weights 5", "weights, and nothing else"),
        ("echo: weights 1001MB", "at most 1000 MB"),
        ("echo: leak 1001MB", "at most 1000 MB"),
        ("echo: rate 0", "a rate of nothing"),
        ("echo: leak", "has a size"),
        ("echo: abort 5MB", "has a size"),
        ("echo: hang_step at load", "in its own place"),
        ("echo: hang_load at 3", "in its own place"),
        ("echo: bad_utf8 at 3", "in its own place"),
        ("echo: fail_load if poison", "a load has no prompt"),
        ("echo: abort at load if poison", "a load has no prompt"),
        ("echo: abort at 0", "is no clause"),
    ],
)
def test_what_is_no_script_is_refused_with_the_clause(script: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_script(script)
