"""Sizes that do not depend on the speed of a machine."""

import psutil

from tests.stories.conftest import LiveHub

MEGABYTE = 1_000_000


def test_an_unloaded_worker_and_the_controller_are_small(hub: LiveHub) -> None:
    hub.write("{name: demo, model_path: 'builtin:demo'}")
    hub.ok("install")
    status = hub.json("status")
    assert status["models"][0]["memory"] == "unloaded"
    assert psutil.Process(status["models"][0]["pid"]).memory_info().rss <= 60 * MEGABYTE
    assert psutil.Process(status["controller"]["pid"]).memory_info().rss <= 80 * MEGABYTE
