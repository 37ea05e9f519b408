"""Models are pulled whole or not at all, from a hub that stalls, cuts off and lies."""

import hashlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlxhub.demo import model_directory
from mlxhub.errors import PullFailed
from mlxhub.files.checkpoint_probe import cached_snapshot
from mlxhub.registry.intake import check_model
from mlxhub.registry.pulled_files import files_to_pull
from mlxhub.registry.pulling import (
    Came,
    Checking,
    Planned,
    Pull,
    Pulled,
    PullNews,
    pulling_environment,
    remove_from_cache,
)
from tests.eventually import eventually
from tests.fakes.model_hub import COMMIT, ModelHub, running_model_hub

WEIGHTS = "model.safetensors"
CHUNK = 65_536


@pytest.fixture
def model_hub() -> Iterator[ModelHub]:
    with running_model_hub(model_directory()) as hub:
        yield hub


@pytest.fixture
def environment(model_hub: ModelHub, tmp_path: Path) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "MLXHUB_"))}
    return own | {
        "HF_ENDPOINT": model_hub.url,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_DOWNLOAD_TIMEOUT": "1",
        "HF_TOKEN": "hf_secret",
    }


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "hf" / "hub"


def pulled(cache: Path, environment: dict[str, str], repo: str = "org/tiny") -> list[PullNews]:
    return list(Pull(repo, cache, environment))


def refused(cache: Path, environment: dict[str, str], repo: str = "org/tiny") -> PullFailed:
    with pytest.raises(PullFailed) as failed:
        pulled(cache, environment, repo)
    return failed.value


def test_a_model_comes_whole_of_one_commit_and_is_one_that_loads(
    cache: Path, environment: dict[str, str], model_hub: ModelHub
) -> None:
    news = pulled(cache, environment)
    total = sum(map(len, model_hub.files.values()))
    assert news[0] == Planned(COMMIT, len(model_hub.files), total, 0)
    assert news[-1] == Pulled(str(cache / "models--org--tiny" / "snapshots" / COMMIT))
    assert [each.done_bytes for each in news if isinstance(each, Came)][-1] <= total
    snapshot = cached_snapshot(cache, "org/tiny")
    assert snapshot is not None
    check_model(snapshot)
    assert {path.name: path.read_bytes() for path in snapshot.iterdir()} == model_hub.files
    assert model_hub.authorizations == {"Bearer hf_secret"}


def test_a_second_pull_fetches_nothing(cache: Path, environment: dict[str, str], model_hub: ModelHub) -> None:
    pulled(cache, environment)
    model_hub.asked.clear()
    news = pulled(cache, environment)
    assert isinstance(news[0], Planned)
    assert news[0].have_bytes == news[0].total_bytes
    assert [path for path, _ in model_hub.asked if "/resolve/" in path] == []


def test_a_file_that_was_shortened_since_is_fetched_anew(
    cache: Path, environment: dict[str, str], model_hub: ModelHub
) -> None:
    pulled(cache, environment)
    snapshot = cached_snapshot(cache, "org/tiny")
    assert snapshot is not None
    with (snapshot / WEIGHTS).open("r+b") as damaged:
        damaged.truncate(1000)
    news = pulled(cache, environment)
    assert isinstance(news[0], Planned)
    assert news[0].total_bytes - news[0].have_bytes == len(model_hub.files[WEIGHTS])
    assert (snapshot / WEIGHTS).read_bytes() == model_hub.files[WEIGHTS]


@pytest.mark.parametrize("ends", ["is cut off", "stalls"])
def test_what_has_come_is_no_model_and_the_next_pull_goes_on_from_there(
    cache: Path, environment: dict[str, str], model_hub: ModelHub, ends: str
) -> None:
    if ends == "stalls":
        model_hub.stall_after = 100_000
        environment["HF_HUB_DOWNLOAD_TIMEOUT"] = "60"
        pull = Pull("org/tiny", cache, environment)
        with ThreadPoolExecutor() as threads:
            followed = threads.submit(list, pull)
            eventually(lambda: CHUNK in [path.stat().st_size for path in cache.rglob("*.incomplete")])
            pull.cancel()
            with pytest.raises(PullFailed, match="was cancelled"):
                followed.result(20)
    else:
        model_hub.cut_after = 100_000
        assert refused(cache, environment).code in ("network", "broken_off")
    assert cached_snapshot(cache, "org/tiny") is None
    model_hub.stall_after = model_hub.cut_after = None
    model_hub.may_go_on.set()
    model_hub.asked.clear()
    news_again = pulled(cache, environment)
    assert isinstance(news_again[0], Planned)
    assert news_again[0].have_bytes >= CHUNK
    ranges = {path.rpartition("/")[2]: begin for path, begin in model_hub.asked if "/resolve/" in path}
    assert ranges == {WEIGHTS: f"bytes={CHUNK}-"}
    snapshot = cached_snapshot(cache, "org/tiny")
    assert snapshot is not None
    assert (snapshot / WEIGHTS).read_bytes() == model_hub.files[WEIGHTS]


def test_a_pull_can_be_cancelled_while_nothing_comes(
    cache: Path, environment: dict[str, str], model_hub: ModelHub
) -> None:
    environment["HF_HUB_DOWNLOAD_TIMEOUT"] = "60"
    model_hub.stall_after = 10
    pull = Pull("org/tiny", cache, environment)
    threading.Timer(1.0, pull.cancel).start()
    with pytest.raises(PullFailed, match=r"was cancelled\. What has come is kept") as failed:
        list(pull)
    assert failed.value.code == "cancelled"
    assert cached_snapshot(cache, "org/tiny") is None


def test_a_file_that_is_not_what_was_promised_is_thrown_away(
    cache: Path, environment: dict[str, str], model_hub: ModelHub
) -> None:
    model_hub.corrupt = WEIGHTS
    failed = refused(cache, environment)
    assert (failed.code, "is not what org/tiny says it is" in str(failed)) == ("corrupt", True)
    assert cached_snapshot(cache, "org/tiny") is None
    model_hub.corrupt = None
    assert isinstance(pulled(cache, environment)[-1], Pulled)


def test_a_server_that_never_ends_fills_no_disk(
    cache: Path, environment: dict[str, str], model_hub: ModelHub
) -> None:
    model_hub.endless = True
    failed = refused(cache, environment)
    assert (failed.code, "than was promised" in str(failed)) == ("corrupt", True)
    assert sum(path.stat().st_size for path in cache.rglob("*.incomplete")) < 1_000_000


@pytest.mark.parametrize("size", [10, 10_000_000])
def test_a_size_that_is_a_lie_is_found_out(
    cache: Path, environment: dict[str, str], model_hub: ModelHub, size: int
) -> None:
    model_hub.listed_sizes[WEIGHTS] = size
    assert refused(cache, environment).code in ("broken_off", "corrupt", "network")
    assert cached_snapshot(cache, "org/tiny") is None


def test_more_than_the_disk_holds_is_refused_before_anything_comes(
    cache: Path, environment: dict[str, str], model_hub: ModelHub
) -> None:
    model_hub.listed_sizes[WEIGHTS] = 10**18
    failed = refused(cache, environment)
    assert (failed.code, "Make room there" in str(failed)) == ("disk_full", True)
    assert [path for path, _ in model_hub.asked if "/resolve/" in path] == []


def test_code_pickles_and_names_that_lead_elsewhere_are_not_pulled(
    cache: Path, environment: dict[str, str], model_hub: ModelHub
) -> None:
    model_hub.more_names = (
        "modeling.py",
        "pytorch_model.bin",
        "../evil.json",
        "/etc/evil.json",
        "deep/evil.json",
        "a\x00.json",
        ".hidden.json",
    )
    news = pulled(cache, environment)
    assert isinstance(news[-1], Pulled)
    assert {path.name for path in Path(news[-1].directory).iterdir()} == set(model_hub.files)
    assert not list(cache.parent.rglob("*evil*"))


@pytest.mark.parametrize(
    ("names", "left"),
    [
        (
            ["model_index.json", "unet/config.json", "unet/a.safetensors", "tokenizer/vocab.json"],
            ["unet/b.bin", "unet/deep/a.json", ".git/config.json", "../a.json", "/etc/a.json"],
        ),
        (
            ["config.json", "model.safetensors", "1_Pooling/config.json", "voices/af.safetensors"],
            ["onnx/config.json", "openvino/a.json", "fp16/model.safetensors", "1_Pooling/deep/config.json"],
        ),
    ],
    ids=["a pipeline", "a model with modules"],
)
def test_parts_in_directories_of_their_own_are_pulled_and_copies_for_others_are_not(
    names: list[str], left: list[str]
) -> None:
    listed = [(name, 1, "0" * 40) for name in (*names, *left)]
    assert {file.name for file in files_to_pull(listed)} == set(names)


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (401, "not_found", "There is no org/tiny, or it is private"),
        (403, "gated", "asks for consent"),
        (404, "not_found", "There is no org/tiny"),
        (400, "server", "The server answered 400"),
        (429, "server", "The server answered 429"),
        (500, "server", "The server answered 500"),
    ],
)
def test_what_the_server_refuses_is_said(
    cache: Path, environment: dict[str, str], model_hub: ModelHub, status: int, code: str, said: str
) -> None:
    model_hub.listing_status = status
    failed = refused(cache, environment)
    assert failed.code == code
    assert said in str(failed)
    assert "hf_secret" not in str(failed)


def test_a_server_that_says_no_more_is_given_up_and_gone_on_with(
    cache: Path, environment: dict[str, str], model_hub: ModelHub
) -> None:
    model_hub.stall_after = 100_000
    failed = refused(cache, environment)
    assert (failed.code, "the same command goes on from there" in str(failed)) == ("network", True)
    assert len([path for path, _ in model_hub.asked if path.endswith(WEIGHTS)]) > 1, "it was asked again"
    assert cached_snapshot(cache, "org/tiny") is None
    model_hub.stall_after = None
    model_hub.may_go_on.set()
    assert isinstance(pulled(cache, environment)[-1], Pulled)


def test_files_that_lie_elsewhere_come_and_the_token_does_not_go_there(
    cache: Path, environment: dict[str, str], model_hub: ModelHub
) -> None:
    with running_model_hub(model_directory()) as elsewhere:
        model_hub.redirect_to = elsewhere.url.replace("127.0.0.1", "localhost")
        news = pulled(cache, environment)
    assert isinstance(news[-1], Pulled)
    assert model_hub.authorizations == {"Bearer hf_secret"}
    assert elsewhere.authorizations == {None}


def test_while_a_large_file_is_checked_that_is_said_again_and_again(
    cache: Path, environment: dict[str, str], model_hub: ModelHub
) -> None:
    size = 800_000_000
    model_hub.listed_sizes[WEIGHTS] = size
    blobs = cache / "models--org--tiny" / "blobs"
    blobs.mkdir(parents=True)
    digest = hashlib.sha256(model_hub.files[WEIGHTS]).hexdigest()
    with (blobs / f"{digest}.incomplete").open("wb") as whole:
        whole.truncate(size)  # it takes no room
    said: list[PullNews] = []
    news = iter(Pull("org/tiny", cache, environment))
    with pytest.raises(PullFailed, match="is not what org/tiny says it is"):
        said.extend(news)
    assert said.count(Checking(WEIGHTS)) > 1
    assert not list(blobs.glob(f"{digest}*"))


def test_the_program_that_pulls_gets_no_keys_of_other_things() -> None:
    asked_by = {
        "HF_TOKEN": "hf_secret",
        "HF_ENDPOINT": "http://127.0.0.1:1",
        "https_proxy": "http://127.0.0.1:2",
        "HOME": "/home/ann",
        "OPENAI_API_KEY": "sk-1",
        "AWS_SECRET_ACCESS_KEY": "s",
        "PYTHONPATH": "/tmp",
        "LD_PRELOAD": "/tmp/evil.so",
    }
    handed_on = pulling_environment(asked_by)
    assert handed_on.keys() & asked_by.keys() == {"HF_TOKEN", "HF_ENDPOINT", "https_proxy", "HOME"}


def test_a_repository_without_a_model_is_refused(
    cache: Path, environment: dict[str, str], model_hub: ModelHub
) -> None:
    del model_hub.files[WEIGHTS]
    assert refused(cache, environment).code == "not_a_model"


@pytest.mark.parametrize("repo", ["tiny", "../x", "a/../b", "a/b/c", "a/b c", "a/b--c", "-x/y", ""])
def test_what_is_no_repo_id_asks_nobody(
    cache: Path, environment: dict[str, str], model_hub: ModelHub, repo: str
) -> None:
    failed = refused(cache, environment, repo)
    assert (failed.code, "is no repo id" in str(failed)) == ("not_found", True)
    assert model_hub.asked == []


def test_where_no_hub_answers_that_is_said(cache: Path, environment: dict[str, str]) -> None:
    environment["HF_ENDPOINT"] = "http://127.0.0.1:1"
    assert refused(cache, environment).code == "network"
    environment["HF_HUB_OFFLINE"] = "1"
    assert refused(cache, environment).code == "offline"


def test_two_pulls_of_one_model_do_not_meet(
    cache: Path, environment: dict[str, str], model_hub: ModelHub
) -> None:
    model_hub.stall_after = 1_000
    first = iter(Pull("org/tiny", cache, environment))
    assert isinstance(next(first), Planned)
    assert refused(cache, environment).code == "busy"
    del first


def test_a_removed_model_is_gone_with_what_was_never_finished(
    cache: Path, environment: dict[str, str], model_hub: ModelHub
) -> None:
    pulled(cache, environment)
    incomplete = cache / "models--org--tiny" / "blobs" / "0.incomplete"
    incomplete.write_bytes(bytes(100))
    total = sum(map(len, model_hub.files.values()))
    assert remove_from_cache("org/tiny", cache, environment) >= total
    assert not (cache / "models--org--tiny").exists()
    with pytest.raises(PullFailed, match="is not in"):
        remove_from_cache("org/tiny", cache, environment)
