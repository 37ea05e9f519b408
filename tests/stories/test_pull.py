"""A model from a hub of models into this one, and out again."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pexpect
import pytest

from mlxhub.demo import model_directory
from tests.eventually import eventually
from tests.fakes.model_hub import COMMIT, ModelHub, running_model_hub
from tests.stories.conftest import LiveHub
from tests.stories.test_terminal import typed


@pytest.fixture
def model_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelHub]:
    with running_model_hub(model_directory()) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "60")
        yield hub


def test_a_model_is_pulled_enabled_asked_and_removed(hub: LiveHub, model_hub: ModelHub) -> None:
    hub.write()
    hub.ok("install")
    said = hub.ok("models", "pull", "org/tiny")
    assert "6 files" in said
    assert "mlxhub models enable org/tiny" in said
    hub.ok("models", "enable", "org/tiny")
    hub.ok("apply")
    assert hub.ok("chat", "tiny", "ping") == "pong\n"
    refused = hub.run("models", "rm", "org/tiny", "--yes")
    assert (refused.returncode, "mlxhub models disable tiny" in refused.stderr) == (1, True)
    hub.ok("models", "disable", "tiny")
    hub.ok("apply")
    assert "has to be confirmed" in hub.run("models", "rm", "org/tiny").stderr
    assert "free again" in hub.ok("models", "rm", "org/tiny", "--yes")
    assert "There are none" in hub.ok("models", "discover")


def test_on_a_terminal_a_model_is_removed_when_that_was_confirmed(hub: LiveHub, model_hub: ModelHub) -> None:
    hub.write()
    hub.ok("models", "pull", "org/tiny")
    for answer, found in (("n", "org/tiny"), ("y", "There are none")):
        with typed(hub, "models", "rm", "org/tiny") as program:
            program.expect("Delete org/tiny from the Hugging Face cache")
            program.sendline(answer)
            program.expect(pexpect.EOF)
        assert found in hub.ok("models", "discover")


def test_ctrl_c_stops_a_pull_and_says_how_to_go_on(hub: LiveHub, model_hub: ModelHub, tmp_path: Path) -> None:
    model_hub.stall_after = 100_000
    with typed(hub, "models", "pull", "org/tiny") as program:
        program.expect("6 files")
        eventually(lambda: 65_536 in begun(tmp_path))
        program.kill(signal.SIGINT)
        program.expect("was stopped. What has come is kept; the same command goes on from there")
        program.expect(pexpect.EOF)
    assert program.exitstatus == 1
    assert "There are none" in hub.ok("models", "discover")
    model_hub.stall_after = None
    model_hub.may_go_on.set()
    assert "of them from before" in hub.ok("models", "pull", "org/tiny")


def test_a_pull_whose_terminal_is_gone_leaves_no_program_behind_and_is_gone_on_with(
    hub: LiveHub, model_hub: ModelHub, tmp_path: Path
) -> None:
    model_hub.stall_after = 100_000
    with typed(hub, "models", "pull", "org/tiny") as program:
        program.expect("6 files")
        assert len(hub_programs(tmp_path)) == 1
        eventually(lambda: 65_536 in begun(tmp_path))
        program.kill(signal.SIGKILL)
        eventually(lambda: not hub_programs(tmp_path))
    assert "There are none" in hub.ok("models", "discover")
    model_hub.stall_after = None
    model_hub.may_go_on.set()
    pulled = hub.json("models", "pull", "org/tiny")
    assert (pulled["model"], pulled["commit"]) == ("org/tiny", COMMIT)
    assert model_hub.asked[-1][1] == "bytes=65536-"


def test_a_controller_pulls_cancels_and_goes_on_and_takes_its_program_with_it(
    hub: LiveHub, model_hub: ModelHub, tmp_path: Path
) -> None:
    hub.write()
    hub.ok("install")
    with httpx.Client(base_url=hub.url, headers=hub.bearer("admin"), timeout=30) as client:

        def begin() -> str:
            answer = client.post("/hub/pulls", json={"model": "org/tiny"})
            assert answer.status_code == 202, answer.text
            return str(answer.json()["id"])

        def newest(state: str) -> bool:
            return bool(client.get("/hub/pulls").json()["pulls"][0]["state"] == state)

        model_hub.stall_after = 100_000
        first = begin()
        eventually(lambda: 65_536 in begun(tmp_path))
        assert client.delete(f"/hub/pulls/{first}").status_code == 200
        eventually(lambda: newest("cancelled"))
        model_hub.listing_status = 403
        begin()
        eventually(lambda: newest("failed"))
        model_hub.listing_status = 200
        begin()
        eventually(lambda: len(hub_programs(tmp_path)) == 1)
        os.kill(hub.json("status")["controller"]["pid"], signal.SIGKILL)
        eventually(lambda: not hub_programs(tmp_path))
        model_hub.stall_after = None
        model_hub.may_go_on.set()
        eventually(lambda: is_answered(client), 30)
        begin()
        eventually(lambda: newest("done"), 30)
        assert model_hub.asked[-1][1] == "bytes=65536-"
    assert "org/tiny" in hub.ok("models", "discover")


def is_answered(client: httpx.Client) -> bool:
    try:
        return client.get("/hub/pulls").status_code == 200
    except httpx.TransportError:
        return False


def begun(root: Path) -> list[int]:
    """Sizes of files that are not whole."""
    return [path.stat().st_size for path in root.rglob("*.incomplete")]


def hub_programs(root: Path) -> list[int]:
    """Of the program that pulls, by its cache."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if b"hub_program" in command and str(root).encode() in command:
                found.append(int(entry.name))
    return found


def test_a_first_hub_yaml_names_one_to_begin_with_and_then_has_what_was_pulled(
    hub: LiveHub, model_hub: ModelHub
) -> None:
    assert "One that fits, about" in hub.ok("init", "--force")
    hub.ok("models", "pull", "org/tiny")
    said = hub.ok("init", "--force")
    assert "with demo, tiny" in said
    assert "One that fits" not in said
    assert [model["name"] for model in hub.json("models")["models"]] == ["demo", "tiny"]
