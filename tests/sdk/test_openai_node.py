"""OpenAI's client for Node: node/openai.test.mjs, each of whose tests is one here."""

import re
from pathlib import Path

from tests.sdk.node_client import run_node
from tests.worker.processes import Worker


def test_openais_client_for_node(worker: Worker, tmp_path: Path) -> None:
    status, told = run_node(tmp_path, worker.url, "--test", "--test-reporter=tap")
    counts = dict(re.findall(r"^# (tests|pass|fail|skipped|cancelled|todo) (\d+)$", told, re.MULTILINE))
    assert status == 0, told
    assert counts == {"tests": "15", "pass": "15", "fail": "0", "cancelled": "0", "skipped": "0", "todo": "0"}
