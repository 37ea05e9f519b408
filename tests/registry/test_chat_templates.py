"""Attack line A37: a chat template that does more than to render is refused at the load, in little time."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlxhub.registry import chat_templates
from mlxhub.registry.chat_templates import check_templates
from mlxhub.registry.intake import check_model
from mlxhub.registry.refused import IntakeRefused
from tests.registry.models import say, why_refused

FORBIDDEN = "it reaches for what it may not"
MEMORY = "it takes too much memory"
DEPTH = "it is nested, or calls itself, too deeply"
NO_USER = "it cannot render a user's message"
HOSTILE = {
    "subclasses": ("{{ ''.__class__.__mro__[1].__subclasses__() }}", FORBIDDEN),
    "class alone": ("{{ ''.__class__ }}", FORBIDDEN),
    "globals": ("{{ raise_exception.__globals__ }}", FORBIDDEN),
    "attr filter": ("{{ ''|attr('__class__') }}", FORBIDDEN),
    "format": ("{{ '{0.__class__}'.format('') }}", FORBIDDEN),
    "underscore": ("{% set ns = namespace() %}{% set ns._x = 1 %}", FORBIDDEN),
    "underscore at once": ("{{ namespace(_x=1) }}", FORBIDDEN),
    "mutation": ("{{ messages.append(1) }}", FORBIDDEN),
    "only with tools": ("{% if tools %}{{ ''.__class__ }}{% endif %}{{ messages[0].content }}", FORBIDDEN),
    "string": ("{{ 'a' * 2000000000 }}", MEMORY),
    "list": ("{{ [0] * 100000000 }}", MEMORY),
    "width": ("{{ '%1000000000d'|format(1) }}", MEMORY),
    "doubling": (
        "{% set ns = namespace(x='a' * 1024) %}"
        "{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        MEMORY,
    ),
    "only for a system": ("{% if messages[0].role == 'system' %}{{ 'a' * 2000000000 }}{% endif %}", MEMORY),
    "recursion": ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", DEPTH),
    "parentheses": ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", DEPTH),
    "output": (
        "{% for a in range(99999) %}{{ 'a' * 100 }}{% endfor %}",
        "it renders to over 1000000 characters",
    ),
    "range": ("{% for a in range(10 ** 9) %}{% endfor %}", NO_USER),
    "refuses all": ("{{ raise_exception('never\x1b[31m') }}", f"{NO_USER}: never?[31m"),
    "undefined": ("{{ nothing.at.all }}", NO_USER),
    "no template": ("{% if %}", "it is no jinja template"),
    "include": ("{% include '/etc/passwd' %}", NO_USER),
}


@pytest.fixture(autouse=True)
def nothing_has_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_templates, "_passed", set())


def refusal(template: str) -> str:
    with pytest.raises(IntakeRefused) as refused:
        check_templates({"chat_template.jinja": template})
    return str(refused.value)


@pytest.mark.parametrize("kind", HOSTILE)
def test_a37_a_hostile_template_is_refused_in_time(kind: str) -> None:
    template, why = HOSTILE[kind]
    began = time.monotonic()
    assert refusal(template).startswith(f"chat template: chat_template.jinja: {why}")
    assert time.monotonic() - began < 2


def test_a37_a_template_that_does_not_end_is_ended() -> None:
    loops = "{% for a in range(99999) %}" * 3 + "{% endfor %}" * 3
    began = time.monotonic()
    assert "it does not end within 2 s" in refusal(loops)
    assert time.monotonic() - began < 25


def test_a37_which_of_several_does_not_end_is_said() -> None:
    loops = "{% for a in range(99999) %}" * 3 + "{% endfor %}" * 3
    with pytest.raises(IntakeRefused, match="chat template: second: it does not end"):
        check_templates({"first": "{{ messages }}", "second": loops, "third": "{{ messages }}"})


EVIL = "{{ ''.__class__ }}"


@pytest.mark.parametrize(
    "file",
    ["tokenizer_config.json", "processor_config.json", "chat_template.json", "special_tokens_map.json"],
)
@pytest.mark.parametrize(
    "said",
    [
        EVIL,
        [{"name": "default", "template": "{{ messages }}"}, {"name": "tool_use", "template": EVIL}],
        {"a": EVIL},
    ],
    ids=["text", "list", "mapping"],
)
def test_a37_templates_are_found_in_every_file_a_loader_takes_them_from(
    model: Path, file: str, said: object
) -> None:
    say(model, file, chat_template=said)
    assert f"chat template: {file}" in (found := why_refused(model))
    assert FORBIDDEN in found


@pytest.mark.parametrize(
    "name", ["chat_template.jinja", "Chat_Template.jinja", "additional_chat_templates/x.jinja"]
)
def test_a37_templates_are_found_in_files_of_their_own(model: Path, name: str) -> None:
    (model / "chat_template.jinja").unlink()
    (model / name).parent.mkdir(exist_ok=True)
    (model / name).write_text(EVIL)
    assert f"chat template: {name}: {FORBIDDEN}" in why_refused(model)
    assert f"chat template: {name}: {FORBIDDEN}" in why_refused(model, trust_remote_code=True)


@pytest.mark.parametrize("said", [5, [5], [{"name": "x"}], {"x": 5}])
def test_what_is_no_template_is_refused(model: Path, said: object) -> None:
    say(model, "tokenizer_config.json", chat_template=said)
    assert "tokenizer_config.json: it is neither a text nor a list of named texts" in why_refused(model)


def test_a_template_beyond_all_size_or_not_of_text_is_refused(model: Path) -> None:
    (model / "chat_template.jinja").write_text("a" * 1_000_001)
    assert "chat_template.jinja has more than 1 MB" in why_refused(model)
    (model / "chat_template.jinja").write_bytes(b"\xff")
    assert "chat_template.jinja is not UTF-8" in why_refused(model)


GOOD = {
    "no system": "{% if messages[0].role == 'system' %}{{ raise_exception('none') }}{% endif %}"
    "{{ messages[0].content }}",
    "no tools": "{% if tools %}{{ tools.nothing.at.all }}{% endif %}{{ messages[0]['content'] }}",
    "as transformers": "{% for m in messages %}{% generation %}{{ m.content | trim }}{% endgeneration %}"
    "{% if loop.last %}{% break %}{% endif %}{% endfor %}{{ strftime_now('%Y') }}{{ bos_token }}"
    "{{ tools | tojson(indent=2) }}{{ dict(a=1) | tojson }}{% set ns = namespace(n=0) %}{% set ns.n = 1 %}",
    "macros": "{% macro one(m) %}{{ m.role ~ m['content'] }}{% endmacro %}"
    "{% for m in messages %}{{ one(m) }}{% endfor %}",
    "wordy": "{% for a in range(9999) %}{{ 'a' * 99 }}{% endfor %}",
}


@pytest.mark.parametrize("kind", GOOD)
def test_a_template_that_only_renders_is_let_through(kind: str) -> None:
    check_templates({kind: GOOD[kind]})


def test_blocks_are_trimmed_as_transformers_does(model: Path) -> None:
    (model / "chat_template.jinja").write_text(
        "{% set x %}\n  {% if true %}\na\n  {% endif %}\n{% endset %}"
        "{% if x != 'a\\n' %}{{ raise_exception(x) }}{% endif %}"
    )
    check_model(model)


def _stand_in(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_templates, "_PROGRAM", (sys.executable, "-I", "-S", "-c", code))


@pytest.mark.parametrize(
    "code",
    [
        "print('ready')",
        "print('ready\\n{')",
        "print('ready\\nnull'); raise SystemExit(1)",
        "",
        "print('ready\\nnull', end='')",
    ],
)
def test_a37_a_template_that_breaks_the_program_is_refused(
    code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _stand_in(code, monkeypatch)
    assert "chat template: chat_template.jinja: it broke the program that tested it" in refusal("x")


def test_a37_a_template_that_makes_the_program_say_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _stand_in("print('ready')\nwhile True: print('null')", monkeypatch)
    assert "it broke the program that tested it" in refusal("x")


def test_a37_a_template_that_takes_the_programs_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _stand_in("print('ready', flush=True)\nx = b'x' * 500_000_000\nwhile True: pass", monkeypatch)
    assert "it takes too much memory" in refusal("x")


def test_the_program_is_given_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "s3cret")
    _stand_in("import os\nprint('ready')\nprint('null' if 'HF_TOKEN' not in os.environ else 5)", monkeypatch)
    check_templates({"x": "x"})


def test_a_program_that_does_not_start_is_no_fault_of_the_template(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_templates, "_PROGRAM", ("/nowhere/python",))
    assert refusal("x") == ("chat template: it could not be tested: No such file or directory. Try again.")
    monkeypatch.setattr(chat_templates, "START_SECONDS", 0.2)
    _stand_in("import time; time.sleep(60)", monkeypatch)
    assert "it could not be tested: the program for it did not start within 0.2 s" in refusal("x")


def test_what_passed_is_not_tried_again_and_what_was_refused_is(monkeypatch: pytest.MonkeyPatch) -> None:
    check_templates({"x": "a", "y": "b"})
    assert "no jinja template" in refusal("{% if %}")
    monkeypatch.setattr(chat_templates, "_PROGRAM", ("/nowhere/python",))
    check_templates({"y": "a", "z": "b"})
    assert "could not be tested" in refusal("{% if %}")
    assert "could not be tested" in refusal("c")


def _child(*given: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-I", "-m", "mlxhub.registry.template_trial"]
    return subprocess.run(
        command, input=json.dumps(given), capture_output=True, text=True, timeout=30, check=False
    )


if sys.platform == "linux":

    def test_a37_the_program_itself_is_held_to_its_memory() -> None:
        """Its parent looks only every 10 ms."""
        long = "{{% set n = {} %}}{{{{ 'a' * n }}}}"
        done = _child([long.format(10**7), long.format(10**8)], 10**9, 64_000_000, 10)
        assert done.stdout == 'ready\nnull\n"it takes too much memory"\n'


def test_a37_the_program_itself_is_held_to_its_time_on_a_processor() -> None:
    began = time.monotonic()
    loops = "{% for a in range(99999) %}" * 3 + "{% endfor %}" * 3
    assert _child([loops], 10**6, 64_000_000, 1).returncode < 0
    assert time.monotonic() - began < 10


def test_the_program_loads_nothing_big() -> None:
    code = "import sys, mlxhub.registry.template_trial; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert not {"transformers", "mlx", "pydantic", "psutil", "subprocess"} & set(done.stdout.split())
