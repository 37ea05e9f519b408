"""As launch.py, with a watchdog that needs no half minute, and an end that waits less for a hung engine."""

import sys
from functools import partial

from mlxhub.worker import model_service
from mlxhub.worker.watchdog import watch_engine
from tests.worker.launch import main

if __name__ == "__main__":
    model_service.watch_engine = partial(watch_engine, wedged_seconds=2.0, look_seconds=0.1)
    model_service.ENGINE_STOP_SECONDS = 0.5
    sys.exit(main())
