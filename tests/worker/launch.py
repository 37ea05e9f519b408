"""Run a worker from settings given as JSON: the process that the tests in this directory talk to."""

import os
import sys

from mlxhub.core.config import WorkerSettings
from mlxhub.core.engine_options import Reading
from mlxhub.worker.main import run_worker


def main() -> int:
    os.umask(0o077)
    settings = WorkerSettings.model_validate_json(sys.argv[1], context=Reading(testing=True))
    return run_worker(settings, "test")


if __name__ == "__main__":
    sys.exit(main())
