"""The one way round intake, through a real worker: code runs where hub.yaml says so, and only there."""

from pathlib import Path

import pytest

from tests.registry.models import say
from tests.registry.test_code import leave_canary
from tests.worker.processes import running_worker


@pytest.mark.parametrize("trust_remote_code", [False, True])
def test_a36_a_worker_runs_code_of_a_model_only_where_it_is_trusted(
    model: Path, trust_remote_code: bool
) -> None:
    canary = leave_canary(model)
    say(model, "config.json", model_file="x.py")
    with running_worker(model_path=str(model), trust_remote_code=trust_remote_code) as worker:
        answer = worker.post("/load")
        assert worker.status().trust_remote_code is trust_remote_code
    assert canary.exists() is trust_remote_code
    assert answer.status_code == (200 if trust_remote_code else 503)
    if not trust_remote_code:
        assert "x.py would be run as code" in answer.json()["error"]["message"]
        assert str(model) not in answer.text


def test_a36_a_trusted_tokenizer_runs_its_code_too(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    canary = leave_canary(model)
    with (model / "x.py").open("a") as code:
        code.write("from transformers import PreTrainedTokenizerFast as Tokenizer\n")
    say(
        model,
        "tokenizer_config.json",
        auto_map={"AutoTokenizer": [None, "x.Tokenizer"]},
        tokenizer_class="Own",
    )
    monkeypatch.setenv("HF_HOME", str(model.parent / "home"))
    with running_worker(model_path=str(model), trust_remote_code=True) as worker:
        assert worker.post("/load").status_code == 200
    assert canary.exists()


def test_a37_a_worker_says_that_it_was_the_chat_template(model: Path) -> None:
    (model / "chat_template.jinja").write_text("{{ 'a' * 2000000000 }}")
    with running_worker(model_path=str(model)) as worker:
        answer = worker.post("/load")
        assert answer.status_code == 503
        assert (
            "chat template: chat_template.jinja: it takes too much memory"
            in answer.json()["error"]["message"]
        )
        assert worker.status().model_status == "unloaded"
