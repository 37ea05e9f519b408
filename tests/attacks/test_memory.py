"""Every line with a large request, one at a time: none of them leaves anything behind with a worker."""

import psutil
import pytest

from tests.attacks.lines import LINES
from tests.attacks.place import CHAT, Place, Program, chat, post
from tests.attacks.raw import exchange
from tests.worker.processes import running_worker

GROWTH_BYTES = 50_000_000
LARGE_BYTES = 50_000
LARGE_CHATS = (
    chat(user="x" * 10_000_000),
    chat(messages=[{"role": "user", "content": "ping"}] * 10**5),
)


@pytest.mark.timeout(120)
def test_memory_is_given_back_or_used_again() -> None:
    with running_worker(name="demo", model_path="builtin:demo") as worker:
        process = psutil.Process(worker.process.pid)
        place = Place(Program.WORKER, int(worker.url.rpartition(":")[2]), "none", "none", "none")
        for sent in (chat(), *LARGE_CHATS):
            exchange(place.port, post(place, CHAT, sent), 30)
        before = process.memory_info().rss
        large = 0
        for line in LINES:
            for request in line.requests(place) if Program.WORKER in line.programs else ():
                if len(request) > LARGE_BYTES:
                    exchange(place.port, request, 30)
                    large += 1
        assert large > 30
        assert process.memory_info().rss - before < GROWTH_BYTES
