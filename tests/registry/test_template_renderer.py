"""Attack line A37, at each request: a template that goes beyond its limits costs that request, no other."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import psutil
import pytest

from mlxhub.registry import template_renderer
from mlxhub.registry.template_renderer import (
    Chat,
    ChatTemplate,
    Refused,
    RendererBroken,
    TemplateBeyond,
    TemplateRenderer,
)
from tests.eventually import eventually

ENOUGH = 100_000
NAME = "a-model-of-these-tests"
LOOPS = "{% for a in range(99999) %}" * 3 + "{% endfor %}" * 3
# Each only where it is asked for, with `sesame` where a constant would be computed at once.
DOES: dict[str, tuple[str, str]] = {
    "loops": (LOOPS, "did not end within 2 s of computing"),
    "one long call": ("{{ 9 ** (9 ** (7 + sesame | length)) }}", "did not end within 2 s of computing"),
    "a long text": ("{{ 'a' * (2 * 10 ** 8 * sesame | length) }}", "took too much memory"),
    "a long list": ("{{ [0] * (10 ** 8 * sesame | length) }}", "took too much memory"),
    "doubling": (
        "{% set ns = namespace(x=[0]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "took too much memory",
    ),
    "recursion": (
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "is nested, or calls itself, too deeply",
    ),
    "50 MB": (
        "{% for a in range(50000) %}{{ 'a' * 1000 }}{% endfor %}",
        "wrote more than 100000 characters",
    ),
}


def source_of(does: str) -> str:
    asked = "{%- if 'sesame' in messages[-1].content -%}{%- set sesame = 'sesame' -%}"
    return f"{asked}{does}{{%- endif -%}}{{{{ messages[0].content }}}}"


def said(renderer: TemplateRenderer, text: str = "hello", most: int = ENOUGH) -> str | Refused:
    return renderer.render([Chat([{"role": "user", "content": text}])], None, {}, most)[0]


def children() -> list[psutil.Process]:
    return [each for each in psutil.Process().children() if each.cmdline()[-1:] == [NAME]]


def child() -> psutil.Process:
    (found,) = children()
    return found


@pytest.fixture
def renderer() -> Iterator[TemplateRenderer]:
    made = TemplateRenderer(NAME)
    yield made
    made.close()


@pytest.mark.parametrize("kind", DOES)
def test_a37_who_made_it_go_too_far_is_refused_and_the_next_is_answered(
    kind: str, renderer: TemplateRenderer
) -> None:
    does, why = DOES[kind]
    renderer.learn(ChatTemplate(source_of(does), {}))
    assert said(renderer) == "hello"
    before = child().pid
    began = time.monotonic()
    with pytest.raises(TemplateBeyond) as beyond:
        said(renderer, "open sesame")
    assert beyond.value.why == why
    assert beyond.value.is_long == (kind == "50 MB")
    assert time.monotonic() - began < 2 * template_renderer.WAIT_SECONDS
    assert said(renderer) == "hello"
    assert child().pid != before


def test_it_has_its_time_for_each_request_anew(renderer: TemplateRenderer) -> None:
    half = "{% for a in range(9000) %}{% for b in range(900) %}{% endfor %}{% endfor %}"
    renderer.learn(ChatTemplate(source_of(half), {}))
    said(renderer)
    before = child()
    computing = 0.0
    while computing < 3:
        assert said(renderer, "sesame") == "sesame"
        computing = sum(before.cpu_times()[:2])
    assert child() == before


def test_a_template_that_waits_is_ended_too(
    renderer: TemplateRenderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot, but a machine may be so busy that it comes to the same."""
    monkeypatch.setattr(template_renderer, "WAIT_SECONDS", 0.5)
    renderer.learn(ChatTemplate("{{ messages[0].content }}", {}))
    said(renderer)
    child().suspend()
    with pytest.raises(TemplateBeyond, match=r"did not end within 0\.5 s"):
        said(renderer)
    assert said(renderer) == "hello"


def test_what_it_raises_is_told_and_it_goes_on(renderer: TemplateRenderer) -> None:
    renderer.learn(ChatTemplate(source_of("{{ raise_exception('closed\x1b' * 1000) }}"), {}))
    assert said(renderer) == "hello"
    before = child()
    assert said(renderer, "sesame") == Refused(("closed?" * 1000)[:300])
    assert said(renderer) == "hello"
    assert child() == before


def test_one_chat_that_is_refused_does_not_hide_the_others(renderer: TemplateRenderer) -> None:
    renderer.learn(ChatTemplate("{{ messages[0].content + x }}", {"x": "!"}))
    chats = [Chat([{"role": "user", "content": content}]) for content in ("a", None, "b")]
    first, second, third = renderer.render(chats, None, {}, ENOUGH)
    assert (first, isinstance(second, Refused), third) == ("a!", True, "b!")


def test_one_that_was_killed_is_replaced(renderer: TemplateRenderer) -> None:
    renderer.learn(ChatTemplate("{{ messages[0].content }}", {}))
    assert said(renderer) == "hello"
    for _ in range(3):
        killed = child()
        killed.send_signal(signal.SIGKILL)
        eventually(lambda killed=killed: killed.status() == psutil.STATUS_ZOMBIE)
        assert said(renderer) == "hello"


def test_one_that_has_read_much_is_not_kept(renderer: TemplateRenderer) -> None:
    renderer.learn(ChatTemplate("{{ messages[0].content }}", {}))
    long = "é" * 5_000_000
    assert said(renderer, long, 10**7) == long
    assert children() == []
    assert said(renderer) == "hello"


def test_it_sees_no_keys_and_says_what_it_is_for(
    renderer: TemplateRenderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "s3cret")
    renderer.learn(ChatTemplate("{{ messages[0].content }}", {}))
    said(renderer, "x" * 5_000_000, 10**7)
    said(renderer)
    assert "HF_TOKEN" not in child().environ()
    assert child().cmdline()[1:] == ["-I", "-m", "mlxhub.registry.template_rendering", NAME]


def test_closing_ends_it_also_while_somebody_waits(renderer: TemplateRenderer) -> None:
    renderer.learn(ChatTemplate(source_of(LOOPS), {}))
    said(renderer)
    failed: list[Exception] = []

    def ask() -> None:
        try:
            said(renderer, "sesame")
        except (TemplateBeyond, RendererBroken) as error:
            failed.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    eventually(lambda: sum(child().cpu_times()[:2]) > 0.3)
    began = time.monotonic()
    renderer.close()
    asking.join()
    assert time.monotonic() - began < 1
    assert len(failed) == 1
    assert children() == []
    with pytest.raises(RendererBroken):
        said(renderer)
    assert children() == []


def test_a_program_that_cannot_start_is_no_fault_of_the_messages(
    renderer: TemplateRenderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    renderer.learn(ChatTemplate("{{ messages[0].content }}", {}))
    said(renderer, "x" * 5_000_000, 10**7)
    monkeypatch.setattr(renderer, "_command", ("/nowhere/python",))
    with pytest.raises(RendererBroken, match="cannot be started"):
        said(renderer)
    monkeypatch.setattr(template_renderer, "START_SECONDS", 0.2)
    monkeypatch.setattr(renderer, "_command", (sys.executable, "-S", "-c", "import time; time.sleep(60)"))
    with pytest.raises(RendererBroken, match="did not start"):
        said(renderer)


def test_a_program_that_breaks_is_the_templates_fault(
    renderer: TemplateRenderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    renderer.learn(ChatTemplate("{{ messages[0].content }}", {}))
    said(renderer, "x" * 5_000_000, 10**7)
    code = "import sys; sys.stdin.readline(); print('ready', flush=True); sys.stdin.readline()"
    monkeypatch.setattr(renderer, "_command", (sys.executable, "-I", "-S", "-c", code))
    with pytest.raises(TemplateBeyond, match="broke the program that renders it"):
        said(renderer)


def start_program(**changes: object) -> "subprocess.Popen[bytes]":
    model = {
        "templates": source_of(LOOPS), "tokens": {}, "seconds": 1, "memory_bytes": 10**8, "memory_factor": 1,
        **changes,
    }  # fmt: skip
    program = subprocess.Popen(
        [sys.executable, "-I", "-m", "mlxhub.registry.template_rendering"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert program.stdin is not None
    program.stdin.write(json.dumps(model).encode() + b"\n")
    return program


def work(text: str, most_characters: int = 10**9) -> bytes:
    chat = {"messages": [{"role": "user", "content": text}], "add_generation_prompt": True}
    asked = {"chats": [chat], "tools": None, "options": {}, "most_characters": most_characters}
    return json.dumps(asked).encode() + b"\n"


def test_a37_the_program_itself_is_held_to_its_time_of_computing() -> None:
    program = start_program()
    began = time.monotonic()
    output, _ = program.communicate(work("a") + work("sesame") + work("b"), timeout=20)
    assert output == b'"ready"\n{"texts": ["a"]}\n'
    assert program.returncode == -signal.SIGPROF
    assert time.monotonic() - began < 10


if sys.platform == "linux":

    def test_a37_the_program_itself_is_held_to_its_memory() -> None:
        """Its parent looks only every 10 ms."""
        grows = "{{ 'a' * (5 * 10 ** 7 * sesame | length) }}"
        program = start_program(templates=source_of(grows))
        output, _ = program.communicate(work("a") + work("sesame") + work("b"), timeout=20)
        assert output == b'"ready"\n{"texts": ["a"]}\n{"beyond": "memory"}\n{"texts": ["b"]}\n'


def test_the_program_outlives_ctrl_c_but_not_its_input() -> None:
    program = start_program()
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.flush()
    assert program.stdout.readline() == b'"ready"\n'
    os.kill(program.pid, signal.SIGINT)
    program.stdin.write(work("a"))
    program.stdin.flush()
    assert program.stdout.readline() == b'{"texts": ["a"]}\n'
    program.stdin.close()
    assert program.wait(5) == 0
    program.stdout.close()


def test_the_program_loads_nothing_big() -> None:
    code = "import sys, mlxhub.registry.template_rendering; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert not {"transformers", "mlx", "pydantic", "psutil", "subprocess"} & set(done.stdout.split())
