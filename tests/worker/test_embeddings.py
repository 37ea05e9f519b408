"""Vectors and rankings over HTTP, with real weights for sentences, by OpenAI's client."""

import base64
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.models.minilm import minilm
from tests.models.reranker import make_reranker
from tests.worker.processes import Worker, running_worker

SENTENCES = [
    "The cat sits on the mat.",
    "Yes",
    "A long sentence about the weather in the north, which is cold and wet for most of the year, and windy.",
    "kitten",
]


@pytest.fixture(scope="module")
def embedder() -> Iterator[Worker]:
    with running_worker(model_path=str(minilm()), prefill_step=64) as running:
        yield running


@pytest.fixture(scope="module")
def ranker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    with running_worker(model_path=str(make_reranker(tmp_path_factory.mktemp("models") / "rank"))) as running:
        yield running


def vectors(worker: Worker, texts: Any, **options: Any) -> list[list[float]]:
    answer = worker.openai.embeddings.create(model="m", input=texts, encoding_format="float", **options)
    assert [each.index for each in answer.data] == list(range(len(answer.data)))
    return [each.embedding for each in answer.data]


def cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def refused(worker: Worker, path: str, **body: Any) -> tuple[int, str, str]:
    answer = worker.post(path, {"model": "m", **body})
    error = answer.json()["error"]
    return answer.status_code, error["param"], error["message"]


def test_what_means_the_same_is_near(embedder: Worker) -> None:
    cat, kitten, stock = vectors(embedder, ["cat", "kitten", "stock market"])
    assert cosine(cat, cat) == pytest.approx(1, abs=1e-5)
    assert cosine(cat, kitten) > 0.5 > 0.2 > cosine(cat, stock)


def test_a_batch_says_what_each_text_alone_would(embedder: Worker) -> None:
    """In batches of 64 tokens these are several."""
    together = vectors(embedder, SENTENCES)
    for text, vector in zip(SENTENCES, together, strict=True):
        assert vectors(embedder, text)[0] == pytest.approx(vector, abs=1e-5)


def test_base64_is_the_same_numbers(embedder: Worker) -> None:
    floats = vectors(embedder, "cat")[0]
    raw = embedder.post("/v1/embeddings", {"model": "m", "input": "cat", "encoding_format": "base64"}).json()
    packed = base64.b64decode(raw["data"][0]["embedding"])
    assert struct.unpack(f"<{len(floats)}f", packed) == pytest.approx(floats)
    # What OpenAI's client asks for by itself.
    assert embedder.openai.embeddings.create(model="m", input="cat").data[0].embedding == pytest.approx(
        floats
    )


def test_fewer_dimensions_are_the_first_ones_of_length_one(embedder: Worker) -> None:
    whole, short = vectors(embedder, "cat")[0], vectors(embedder, "cat", dimensions=10)[0]
    length = sum(number * number for number in whole[:10]) ** 0.5
    assert short == pytest.approx([number / length for number in whole[:10]], abs=1e-5)
    assert refused(embedder, "/v1/embeddings", input="cat", dimensions=385)[:2] == (400, "dimensions")


def test_tokens_in_the_place_of_a_text(embedder: Worker) -> None:
    """101 and 102 begin and end what BERT reads; 4937 is a cat."""
    assert vectors(embedder, [101, 4937, 102])[0] == pytest.approx(vectors(embedder, "cat")[0], abs=1e-5)
    assert len(vectors(embedder, [[101, 4937, 102], [101, 102]])) == 2
    status, param, message = refused(embedder, "/v1/embeddings", input=[30_522])
    assert (status, param) == (400, "input")
    assert "0 to 30521" in message


def test_what_is_too_long_is_refused_or_cut_and_said(embedder: Worker) -> None:
    long = "word " * 300
    with pytest.raises(openai.BadRequestError, match="maximum context length is 256"):
        embedder.openai.embeddings.create(model="m", input=["short", long])
    answer = embedder.post(
        "/v1/embeddings", {"model": "m", "input": ["short", long], "truncate": True}
    ).json()
    assert answer["truncated"] == [1]
    assert answer["usage"] == {"prompt_tokens": 3 + 256, "total_tokens": 3 + 256}
    cut = embedder.post("/v1/embeddings", {"model": "m", "input": "word " * 254, "truncate": True}).json()
    assert "truncated" not in cut
    assert cut["data"][0]["embedding"] == pytest.approx(answer["data"][1]["embedding"], abs=1e-5)


@pytest.mark.parametrize("wrong", ["", [], ["a", ""], [[]], ["a"] * 2049, [-1], [1.5], {"text": "a"}, None])
def test_inputs_that_are_none(embedder: Worker, wrong: Any) -> None:
    status, param, _ = refused(embedder, "/v1/embeddings", input=wrong)
    assert status == 400
    assert param.startswith("input")


def test_a_ranking_by_vectors_says_that_it_is_one(embedder: Worker) -> None:
    asked = {
        "model": "m",
        "query": "a young cat",
        "documents": ["stocks fell", {"text": "a kitten plays"}, "word " * 300],
        "top_n": 2,
        "return_documents": True,
    }
    answer = embedder.post("/v1/rerank", asked).json()
    assert len(answer["results"]) == 2
    assert answer["results"][0]["index"] == 1
    assert answer["results"][0]["document"] == {"text": "a kitten plays"}
    assert answer["results"][0]["relevance_score"] > 0.5
    assert answer["meta"] == {"method": "embedding similarity", "truncated": [2]}


def test_a_cross_encoder_scores_pairs_and_has_no_vectors(ranker: Worker) -> None:
    documents = ["one", "two three", "four"]
    answer = ranker.post("/v1/rerank", {"model": "m", "query": "which", "documents": documents}).json()
    scores = [each["relevance_score"] for each in answer["results"]]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score < 1 for score in scores)
    assert sorted(each["index"] for each in answer["results"]) == [0, 1, 2]
    assert answer["meta"] == {"method": "cross-encoder", "truncated": []}
    alone = ranker.post("/v1/rerank", {"model": "m", "query": "which", "documents": ["four"]}).json()
    by_index = {each["index"]: each["relevance_score"] for each in answer["results"]}
    assert alone["results"][0]["relevance_score"] == pytest.approx(by_index[2], abs=1e-5)
    status, param, message = refused(ranker, "/v1/embeddings", input="a")
    assert (status, param) == (400, "model")
    assert "/v1/rerank" in message


def test_a_route_for_other_models_names_the_right_one(embedder: Worker) -> None:
    answer = embedder.chat()
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "wrong_model_type"
    assert "type embeddings" in answer.json()["error"]["message"]
    assert "/v1/embeddings" in answer.json()["error"]["message"]


def test_many_requests_share_batches(embedder: Worker) -> None:
    embedder.post("/load")
    before = embedder.status()
    assert before.model_type == "embeddings"
    assert before.context_length == 256
    assert len(vectors(embedder, ["Yes", "No", "cat", "kitten"] * 15)) == 60
    after = embedder.status()
    assert after.counters.completed == before.counters.completed + 1
    assert after.in_flight == after.queued == 0


def test_what_was_said_without_a_type(embedder: Worker, tmp_path: Path) -> None:
    assert embedder.http.get("/v1/models").json()["data"][0]["meta"]["type"] == "embeddings"
    with running_worker(model_path=str(tmp_path / "none"), model_type="embeddings") as worker:
        answer = worker.post("/v1/embeddings", {"model": "m", "input": "a"})
        assert answer.status_code == 503
        assert "not a directory" in answer.json()["error"]["message"]
