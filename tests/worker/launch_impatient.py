"""As launch.py, with a watchdog that needs no half minute, and an end that waits less for a hung engine."""

import sys
from functools import partial

from mlxhub.worker import model_service
from mlxhub.worker.watchdog import Watchdog
from tests.worker.launch import main

if __name__ == "__main__":
    model_service.Watchdog = partial(Watchdog, wedged_seconds=2.0, look_seconds=0.1)
    model_service.ENGINE_STOP_SECONDS = 0.5
    sys.exit(main())
